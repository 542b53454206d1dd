//! Scores that weigh source rows by how much they look like the target's: importance-weighted validation and DEV.

use super::Seen;
use crate::logistic::{Dense, fit_rows};

/// Weights above so many times the mean are cut to that: without it one row decides.
const CLIP: f64 = 10.0;
/// Of the domain classifier's L2 penalty, on standardised features.
const STRENGTH: f64 = 0.01;

fn weights(seen: &Seen) -> Option<Vec<f64>> {
    odds(&seen.source_features, &seen.target_features, seen.width)
}

/// `p(target | x) / p(source | x)` of each source row, as [`odds`] of features `(rows, width)` has them, those above `clip` times the mean cut to that.
/// `None` where a domain has fewer than two rows.
pub fn domain_weights(source: &[f64], target: &[f64], width: usize, clip: f64) -> Option<Vec<f64>> {
    odds(source, target, width).map(|w| clipped(w, clip))
}

fn clipped(mut w: Vec<f64>, clip: f64) -> Vec<f64> {
    let most = clip * w.iter().sum::<f64>() / w.len() as f64;
    w.iter_mut().for_each(|w| *w = w.min(most));
    w
}

/// `p(target | x) / p(source | x)` of each source row, by a logistic regression between the domains' standardised features `(rows, width)`, corrected
/// for the numbers of rows. `None` without source rows.
fn odds(source: &[f64], target: &[f64], width: usize) -> Option<Vec<f64>> {
    let rows = |x: &[f64]| x.len().checked_div(width).unwrap_or(0);
    let (ns, nt) = (rows(source), rows(target));
    if ns < 2 || nt < 2 {
        return None;
    }
    let mut x: Vec<f64> = source.to_vec();
    x.extend_from_slice(target);
    let n = (ns + nt) as f64;
    for c in 0..width {
        let column = || x.iter().skip(c).step_by(width);
        let mean = column().sum::<f64>() / n;
        let variance = column().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let deviation = variance.sqrt().max(1e-9);
        x.iter_mut()
            .skip(c)
            .step_by(width)
            .for_each(|v| *v = (*v - mean) / deviation);
    }
    let y: Vec<u32> = (0..ns + nt).map(|i| u32::from(i >= ns)).collect();
    let rows = Dense { values: &x, width };
    let fit = fit_rows(&rows, &y, 2, STRENGTH, 1e-3, None);
    let weight = |row: usize| {
        let s = fit.scores(&rows, row);
        // The odds of being a target row, were both domains of one size.
        (s[1] - s[0]).clamp(-30.0, 30.0).exp() * ns as f64 / nt as f64
    };
    Some((0..ns).map(weight).collect())
}

/// Accuracy on the source by weighted rows: `sum w right / sum w`.
pub(super) fn importance_weighted(seen: &Seen) -> Option<f64> {
    let w = clipped(weights(seen)?, CLIP);
    let right = w.iter().zip(&seen.source_right).filter(|(_, r)| **r);
    Some(right.map(|(w, _)| w).sum::<f64>() / w.iter().sum::<f64>())
}

/// Deep embedded validation (You et al. 2019). As the paper has it: not clipped.
pub(super) fn dev(seen: &Seen) -> Option<f64> {
    Some(controlled(&weights(seen)?, &seen.source_right))
}

/// `-(mean(w L) + eta mean(w) - eta)` with `eta = -cov(w L, w) / var(w)`, the loss `L` one for a wrong row.
fn controlled(w: &[f64], right: &[bool]) -> f64 {
    let n = w.len() as f64;
    let wl: Vec<f64> = w
        .iter()
        .zip(right)
        .map(|(w, right)| if *right { 0.0 } else { *w })
        .collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (mw, ml) = (mean(w), mean(&wl));
    let covariance = w
        .iter()
        .zip(&wl)
        .map(|(a, b)| (a - mw) * (b - ml))
        .sum::<f64>()
        / n;
    let variance = w.iter().map(|a| (a - mw).powi(2)).sum::<f64>() / n;
    let eta = if variance > 0.0 {
        -covariance / variance
    } else {
        0.0
    };
    -(ml + eta * mw - eta)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The target is the right half of the source; the model is right there and wrong on the left.
    fn halves() -> Seen {
        let source: Vec<f64> = (0..200).map(|i| f64::from(i) / 100.0 - 1.0).collect();
        Seen {
            width: 1,
            classes: 2,
            source_right: source.iter().map(|x| *x > 0.0).collect(),
            source_features: source,
            target_features: (0..100).map(|i| f64::from(i) / 100.0).collect(),
            target: [0.9, 0.1].repeat(100),
        }
    }

    /// Weights of mean 7 / 6 and variance 7 / 18; one row is wrong: covariance -1 / 9, so eta is 2 / 7.
    #[test]
    fn the_control_variate_is_the_papers() {
        let value = controlled(&[0.5, 1.0, 2.0], &[false, true, true]);
        assert!((value + 3.0 / 14.0).abs() < 1e-12, "{value}");
    }

    #[test]
    fn rows_like_the_targets_count_more() {
        let seen = halves();
        let plain = seen.source_accuracy().unwrap();
        assert!((plain - 0.495).abs() < 0.01, "{plain}");
        let weighted = importance_weighted(&seen).unwrap();
        assert!(weighted > 0.85, "{weighted}");
        let dev = dev(&seen).unwrap();
        assert!((-0.2..-0.1).contains(&dev), "{dev}");
    }
}
