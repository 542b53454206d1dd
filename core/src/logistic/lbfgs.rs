//! L-BFGS (Nocedal 1980) with Armijo's backtracking, in f64.

use tlkit_ops::vectors::{add_scaled, dot};

/// Where it ended.
pub(super) struct Minimum {
    pub at: Vec<f64>,
    pub value: f64,
    pub iterations: usize,
}

/// Pairs that are remembered.
const HISTORY: usize = 10;

/// Minimises a smooth function from `w` on, until no slope is above `tolerance` or nothing is gained. `objective` gives value and gradient.
pub(super) fn minimise(
    mut w: Vec<f64>,
    tolerance: f64,
    objective: impl Fn(&[f64]) -> (f64, Vec<f64>),
) -> Minimum {
    let (mut f, mut g) = objective(&w);
    let mut history: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    let mut iterations = 0;
    for _ in 0..500 {
        let steep = g.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        if steep < tolerance {
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
            let (ft, gt) = objective(&trial);
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
            if history.len() > HISTORY {
                history.remove(0);
            }
        }
        let gain = f - ft;
        (w, f, g) = (trial, ft, gt);
        if gain < 1e-12 * f.abs().max(1.0) {
            break;
        }
    }
    Minimum {
        at: w,
        value: f,
        iterations,
    }
}

fn direction(g: &[f64], history: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q = g.to_vec();
    let mut alphas = Vec::with_capacity(history.len());
    for (s, t, rho) in history.iter().rev() {
        let a = rho * dot(s, &q);
        add_scaled(&mut q, -a, t);
        alphas.push(a);
    }
    if let Some((s, t, _)) = history.last() {
        let scale = dot(s, t) / dot(t, t);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, t, rho), a) in history.iter().zip(alphas.into_iter().rev()) {
        let b = rho * dot(t, &q);
        add_scaled(&mut q, a - b, s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}
