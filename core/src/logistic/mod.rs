//! Multinomial logistic regression with an L2 penalty, fitted by L-BFGS (Nocedal 1980) in f64, on dense rows or sparse ones.
//!
//! It is the head on frozen features and the baseline beside a network, so it lives where both find it.

mod lbfgs;
mod rows;

use std::ops::Range;

use rayon::prelude::*;
use tlkit_ops::vectors::{add_scaled, dot};

pub use rows::{Dense, Rows, Sparse};

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

/// Minimises `mean cross-entropy + strength / 2 * |W|^2`; the bias is not penalised. `x` is `(rows, width)`.
pub fn fit_logistic(x: &[f64], y: &[u32], width: usize, classes: usize, strength: f64) -> Logistic {
    let rows = Dense { values: x, width };
    let min = lbfgs::minimise(vec![0.0; classes * (width + 1)], 1e-6, |w| {
        objective(w, &rows, y, classes, strength)
    });
    let mut weights = min.at;
    let bias = weights.split_off(classes * width);
    Logistic {
        weights,
        bias,
        objective: min.value,
        iterations: min.iterations,
    }
}

/// The same for any rows, from the weights of another fit on: along a path of strengths each begins where the last one ended. Ends when no
/// slope is above `tolerance`. Two classes are fitted as one vector, whose halves are the weights of both: the same minimum in half the time.
pub fn fit_rows(
    rows: &dyn Rows,
    y: &[u32],
    classes: usize,
    strength: f64,
    tolerance: f64,
    start: Option<&Logistic>,
) -> Logistic {
    let width = rows.width();
    if classes != 2 {
        let start = start.map_or_else(
            || vec![0.0; classes * (width + 1)],
            |l| [l.weights.as_slice(), &l.bias].concat(),
        );
        let min = lbfgs::minimise(start, tolerance, |w| {
            objective(w, rows, y, classes, strength)
        });
        let mut weights = min.at;
        let bias = weights.split_off(classes * width);
        return Logistic {
            weights,
            bias,
            objective: min.value,
            iterations: min.iterations,
        };
    }
    let start = start.map_or_else(
        || vec![0.0; width + 1],
        |l| {
            let half = l.weights[width..].iter().chain(&l.bias[1..]);
            half.map(|v| 2.0 * v).collect()
        },
    );
    let min = lbfgs::minimise(start, tolerance, |w| binary(w, rows, y, strength));
    let (weights, bias) = min.at.split_at(width);
    let both = |v: &[f64]| {
        let minus = v.iter().map(|v| -v / 2.0);
        minus.chain(v.iter().map(|v| v / 2.0)).collect()
    };
    Logistic {
        weights: both(weights),
        bias: both(bias),
        objective: min.value,
        iterations: min.iterations,
    }
}

impl Logistic {
    /// The class with the largest score.
    pub fn predict(&self, x: &[f64]) -> u32 {
        let width = x.len();
        let score = |c: usize| self.bias[c] + dot(&self.weights[c * width..(c + 1) * width], x);
        largest((0..self.bias.len()).map(score))
    }

    /// The scores of a row, one a class.
    pub fn scores(&self, rows: &dyn Rows, row: usize) -> Vec<f64> {
        let width = rows.width();
        let score =
            |c: usize| self.bias[c] + rows.dot(row, &self.weights[c * width..(c + 1) * width]);
        (0..self.bias.len()).map(score).collect()
    }

    /// The class of a row with the largest score.
    pub fn predict_row(&self, rows: &dyn Rows, row: usize) -> u32 {
        largest(self.scores(rows, row).into_iter())
    }
}

fn largest(scores: impl Iterator<Item = f64>) -> u32 {
    scores
        .enumerate()
        .fold((0, f64::NEG_INFINITY), |best, (c, s)| {
            if s > best.1 { (c, s) } else { best }
        })
        .0 as u32
}

/// Rows whose gradient is added in one go.
const BLOCK: usize = 8;

/// Sums over chunks of rows, added in order. `some` adds a block of rows to a gradient and their losses to a loss, row by row.
fn over_rows(
    rows: &dyn Rows,
    size: usize,
    some: impl Fn(Range<usize>, &mut [f64], &mut f64) + Sync,
) -> (f64, Vec<f64>) {
    let n = rows.len();
    let length = rows.chunk().min(n.max(1));
    let chunk = |start: usize| {
        let mut g = vec![0.0; size];
        let mut loss = 0.0;
        let end = (start + length).min(n);
        for at in (start..end).step_by(BLOCK) {
            some(at..(at + BLOCK).min(end), &mut g, &mut loss);
        }
        (loss, g)
    };
    let starts: Vec<usize> = (0..n).step_by(length).collect();
    let mut parts: Vec<(f64, Vec<f64>)> = match starts[..] {
        [only] => vec![chunk(only)],
        _ => starts.into_par_iter().map(chunk).collect(),
    }
    .into_iter()
    .collect();
    let mut loss = 0.0;
    let mut g = match &mut parts[..] {
        // One chunk is its own sum.
        [(_, only)] => std::mem::take(only),
        _ => vec![0.0; size],
    };
    for (l, part) in parts {
        loss += l;
        g.iter_mut().zip(part).for_each(|(g, p)| *g += p);
    }
    (loss, g)
}

/// Value and gradient; the bias lies behind the weights.
fn objective(
    w: &[f64],
    rows: &dyn Rows,
    y: &[u32],
    classes: usize,
    strength: f64,
) -> (f64, Vec<f64>) {
    let width = rows.width();
    let (w, bias) = w.split_at(classes * width);
    let (loss, mut g) = over_rows(rows, w.len() + classes, |some, g, loss| {
        let (g, g_bias) = g.split_at_mut(classes * width);
        let mut scores = vec![0.0; classes];
        // Of a class, row after row.
        let mut slopes = vec![0.0; classes * some.len()];
        for (i, row) in some.clone().enumerate() {
            rows.products(row, w, &mut scores);
            scores.iter_mut().zip(bias).for_each(|(s, b)| *s += b);
            let label = y[row] as usize;
            let (top, right) = (
                scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                scores[label],
            );
            scores.iter_mut().for_each(|s| *s = (*s - top).exp());
            let sum: f64 = scores.iter().sum();
            for (c, part) in scores.iter().enumerate() {
                let p = part / sum - f64::from(u8::from(c == label));
                slopes[c * some.len() + i] = p;
                g_bias[c] += p;
            }
            *loss += sum.ln() + top - right;
        }
        let each = slopes.chunks_exact(some.len());
        for (slopes, g) in each.zip(g.chunks_exact_mut(width.max(1))) {
            rows.add_rows(some.clone(), slopes, g);
        }
    });
    let scale = 1.0 / rows.len() as f64;
    g.iter_mut().for_each(|g| *g *= scale);
    add_scaled(&mut g[..classes * width], strength, w);
    (loss * scale + 0.5 * strength * dot(w, w), g)
}

/// The same for two classes by their difference `w`: the weights are `-w / 2` and `w / 2`, so the penalty is `strength / 4 * |w|^2`.
fn binary(w: &[f64], rows: &dyn Rows, y: &[u32], strength: f64) -> (f64, Vec<f64>) {
    let width = rows.width();
    let (loss, mut g) = over_rows(rows, w.len(), |some, g, loss| {
        let mut slopes = vec![0.0; some.len()];
        rows.of_rows(some.clone(), &w[..width], &mut slopes);
        for (slope, row) in slopes.iter_mut().zip(some.clone()) {
            let score = w[width] + *slope;
            let label = f64::from(y[row]);
            *slope = 1.0 / (1.0 + (-score).exp()) - label;
            g[width] += *slope;
            // ln(1 + e^s) - y s, without overflow.
            *loss += score.max(0.0) + (-score.abs()).exp().ln_1p() - label * score;
        }
        rows.add_rows(some, &slopes, &mut g[..width]);
    });
    let scale = 1.0 / rows.len() as f64;
    g.iter_mut().for_each(|g| *g *= scale);
    add_scaled(&mut g[..width], 0.5 * strength, &w[..width]);
    (
        loss * scale + 0.25 * strength * dot(&w[..width], &w[..width]),
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

    fn sparse(x: &[f64], width: usize) -> Sparse {
        let mut rows = Sparse::new(width);
        for row in x.chunks(width) {
            let there = row.iter().enumerate().filter(|(_, v)| **v != 0.0);
            rows.push(there.map(|(c, v)| (c as u32, *v as f32)));
        }
        rows
    }

    #[test]
    fn the_gradient_is_zero_at_the_end_and_matches_finite_differences() {
        let (x, y) = data();
        let rows = Dense {
            values: &x,
            width: 1,
        };
        let fit = fit_logistic(&x, &y, 1, 2, 0.01);
        let w = [fit.weights.clone(), fit.bias.clone()].concat();
        let (_, g) = objective(&w, &rows, &y, 2, 0.01);
        assert!(g.iter().all(|g| g.abs() < 1e-5), "{g:?}");
        let at = vec![0.3, -0.2, 0.1, 0.4];
        let check = |f: &dyn Fn(&[f64]) -> (f64, Vec<f64>), at: &[f64]| {
            let (_, g) = f(at);
            for i in 0..at.len() {
                let move_by = |d: f64| {
                    let mut w = at.to_vec();
                    w[i] += d;
                    f(&w).0
                };
                let numeric = (move_by(1e-5) - move_by(-1e-5)) / 2e-5;
                assert!((numeric - g[i]).abs() < 1e-8, "{i}: {numeric} {}", g[i]);
            }
        };
        check(&|w| objective(w, &rows, &y, 2, 0.5), &at);
        check(&|w| binary(w, &rows, &y, 0.5), &at[..2]);
        check(&|w| binary(w, &sparse(&x, 1), &y, 0.5), &at[..2]);
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

    #[test]
    fn sparse_and_dense_rows_one_vector_and_two_end_alike() {
        for classes in [2u32, 3] {
            let n = 150;
            let noise = crate::random::Stream::new(4).normals(n * 4);
            let mut x: Vec<f64> = noise
                .iter()
                .map(|v| f64::from(if v.abs() < 0.4 { 0.0 } else { *v }))
                .collect();
            let y: Vec<u32> = (0..n as u32).map(|i| i % classes).collect();
            x.chunks_mut(4)
                .zip(&y)
                .for_each(|(r, &y)| r[y as usize] = f64::from((r[y as usize] + 1.0) as f32));
            let dense = fit_logistic(&x, &y, 4, classes as usize, 0.02);
            let rows = sparse(&x, 4);
            let rough = fit_rows(&rows, &y, classes as usize, 0.2, 1e-3, None);
            let fit = fit_rows(&rows, &y, classes as usize, 0.02, 1e-8, Some(&rough));
            let pairs = dense.weights.iter().zip(&fit.weights);
            let apart = pairs.fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
            assert!(apart < 1e-4, "{classes}: {apart}");
            assert!((dense.objective - fit.objective).abs() < 1e-9);
            let same =
                (0..n).all(|r| fit.predict_row(&rows, r) == dense.predict(&x[r * 4..r * 4 + 4]));
            assert!(same);
        }
    }
}
