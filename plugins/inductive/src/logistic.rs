//! Multinomial logistic regression with an L2 penalty, fitted by L-BFGS (Nocedal 1980) in f64.

use rayon::prelude::*;

/// Fitted weights: `scores = W x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    /// `(classes, width)`, row after row.
    pub weights: Vec<f64>,
    /// One a class.
    pub bias: Vec<f64>,
    /// Mean log-loss plus penalty at the end.
    pub objective: f64,
    /// Iterations made.
    pub iterations: usize,
}

/// Rows a chunk: sums are made by chunk and added in order, so that the number of threads changes no bit.
const CHUNK: usize = 256;

/// Minimises `mean cross-entropy + strength / 2 * |W|^2`; the bias is not penalised. `x` is `(rows, width)`.
pub fn fit_logistic(x: &[f64], y: &[u32], width: usize, classes: usize, strength: f64) -> Logistic {
    let size = classes * (width + 1);
    let mut w = vec![0.0; size];
    let (mut f, mut g) = objective(&w, x, y, width, classes, strength);
    let mut history: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    let mut iterations = 0;
    for _ in 0..500 {
        let steep = g.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        if steep < 1e-6 {
            break;
        }
        let mut d = direction(&g, &history);
        let mut slope = dot(&d, &g);
        if slope >= 0.0 {
            history.clear();
            d = g.iter().map(|v| -v).collect();
            slope = dot(&d, &g);
        }
        let mut step = if history.is_empty() {
            (1.0 / steep).min(1.0)
        } else {
            1.0
        };
        let mut next = None;
        for _ in 0..40 {
            let trial: Vec<f64> = w.iter().zip(&d).map(|(a, b)| a + step * b).collect();
            let (ft, gt) = objective(&trial, x, y, width, classes, strength);
            // Armijo's condition; curvature is checked before a pair enters the history.
            if ft <= f + 1e-4 * step * slope {
                next = Some((trial, ft, gt));
                break;
            }
            step *= 0.5;
        }
        let Some((trial, ft, gt)) = next else { break };
        iterations += 1;
        let s: Vec<f64> = trial.iter().zip(&w).map(|(a, b)| a - b).collect();
        let t: Vec<f64> = gt.iter().zip(&g).map(|(a, b)| a - b).collect();
        let curvature = dot(&s, &t);
        if curvature > 1e-12 {
            history.push((s, t, 1.0 / curvature));
            if history.len() > 10 {
                history.remove(0);
            }
        }
        let gain = f - ft;
        (w, f, g) = (trial, ft, gt);
        if gain < 1e-12 * f.abs().max(1.0) {
            break;
        }
    }
    let bias = w.split_off(classes * width);
    Logistic {
        weights: w,
        bias,
        objective: f,
        iterations,
    }
}

impl Logistic {
    /// The class with the largest score.
    pub fn predict(&self, x: &[f64]) -> u32 {
        let width = x.len();
        let score = |c: usize| self.bias[c] + dot(&self.weights[c * width..(c + 1) * width], x);
        let scores = (0..self.bias.len()).map(score).enumerate();
        scores
            .fold((0, f64::NEG_INFINITY), |best, (c, s)| {
                if s > best.1 { (c, s) } else { best }
            })
            .0 as u32
    }
}

fn direction(g: &[f64], history: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q = g.to_vec();
    let mut alphas = Vec::with_capacity(history.len());
    for (s, t, rho) in history.iter().rev() {
        let a = rho * dot(s, &q);
        q.iter_mut().zip(t).for_each(|(q, t)| *q -= a * t);
        alphas.push(a);
    }
    if let Some((s, t, _)) = history.last() {
        let scale = dot(s, t) / dot(t, t);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, t, rho), a) in history.iter().zip(alphas.into_iter().rev()) {
        let b = rho * dot(t, &q);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (a - b) * s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Value and gradient; the bias lies behind the weights.
fn objective(
    w: &[f64],
    x: &[f64],
    y: &[u32],
    width: usize,
    classes: usize,
    strength: f64,
) -> (f64, Vec<f64>) {
    let n = y.len();
    let chunk = |(rows, labels): (&[f64], &[u32])| {
        let mut loss = 0.0;
        let mut g = vec![0.0; w.len()];
        let mut scores = vec![0.0; classes];
        for (row, &label) in rows.chunks_exact(width).zip(labels) {
            for (c, s) in scores.iter_mut().enumerate() {
                *s = w[classes * width + c] + dot(&w[c * width..(c + 1) * width], row);
            }
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
            loss += sum.ln() + top - scores[label as usize];
            for (c, s) in scores.iter().enumerate() {
                let p = (s - top).exp() / sum - f64::from(u8::from(c == label as usize));
                g[c * width..(c + 1) * width]
                    .iter_mut()
                    .zip(row)
                    .for_each(|(g, v)| *g += p * v);
                g[classes * width + c] += p;
            }
        }
        (loss, g)
    };
    let parts: Vec<(f64, Vec<f64>)> = x
        .par_chunks(CHUNK * width)
        .zip(y.par_chunks(CHUNK))
        .map(chunk)
        .collect();
    let mut loss = 0.0;
    let mut g = vec![0.0; w.len()];
    for (l, part) in parts {
        loss += l;
        g.iter_mut().zip(part).for_each(|(g, p)| *g += p);
    }
    let scale = 1.0 / n as f64;
    g.iter_mut().for_each(|g| *g *= scale);
    let penalised = classes * width;
    for (g, w) in g[..penalised].iter_mut().zip(w) {
        *g += strength * w;
    }
    (
        loss * scale + 0.5 * strength * dot(&w[..penalised], &w[..penalised]),
        g,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (Vec<f64>, Vec<u32>) {
        // Two overlapping clouds on a line, by a fixed formula.
        let x: Vec<f64> = (0..200)
            .map(|i| f64::from(i % 20) / 10.0 - 1.0 + if i % 2 == 0 { 0.6 } else { -0.6 })
            .collect();
        (x, (0..200).map(|i| u32::from(i % 2 == 0)).collect())
    }

    #[test]
    fn the_gradient_is_zero_at_the_end_and_matches_finite_differences() {
        let (x, y) = data();
        let fit = fit_logistic(&x, &y, 1, 2, 0.01);
        let w = [fit.weights.clone(), fit.bias.clone()].concat();
        let (_, g) = objective(&w, &x, &y, 1, 2, 0.01);
        assert!(g.iter().all(|g| g.abs() < 1e-5), "{g:?}");
        let at = vec![0.3, -0.2, 0.1, 0.4];
        let (_, g) = objective(&at, &x, &y, 1, 2, 0.5);
        for i in 0..4 {
            let move_by = |d: f64| {
                let mut w = at.clone();
                w[i] += d;
                objective(&w, &x, &y, 1, 2, 0.5).0
            };
            let numeric = (move_by(1e-5) - move_by(-1e-5)) / 2e-5;
            assert!((numeric - g[i]).abs() < 1e-8, "{i}: {numeric} {}", g[i]);
        }
    }

    #[test]
    fn a_larger_penalty_makes_smaller_weights() {
        let (x, y) = data();
        let norm = |s: f64| {
            dot(
                &fit_logistic(&x, &y, 1, 2, s).weights,
                &fit_logistic(&x, &y, 1, 2, s).weights,
            )
        };
        assert!(norm(1.0) < norm(0.1) && norm(0.1) < norm(0.001));
    }
}
