//! Whether a probability means what it says: reliability bins, expected calibration error, and temperature scaling (Guo et al. 2017,
//! "On Calibration of Modern Neural Networks").

use serde::{Deserialize, Serialize};

use super::{argmax, softmax};

/// Bins of equal width, as in the paper.
pub const BINS: usize = 15;

/// Rows whose largest probability lies in `(from, to]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower end, not part of it.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// Rows.
    pub n: usize,
    /// Mean of their largest probabilities.
    pub confidence: f64,
    /// Share of them that are right.
    pub accuracy: f64,
}

/// What a reliability diagram draws; bins without rows are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// As predicted.
    pub bins: Vec<Bin>,
    /// After temperature scaling; not there without validation rows to fit it on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub calibrated: Option<Vec<Bin>>,
}

/// The bin of a probability.
pub(super) fn bin_of(confidence: f32) -> usize {
    ((f64::from(confidence) * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

/// The bins of these rows.
pub fn reliability(probabilities: &[Vec<f32>], truth: &[u32]) -> Vec<Bin> {
    let mut sums = [(0usize, 0.0f64, 0usize); BINS];
    for (p, &t) in probabilities.iter().zip(truth) {
        let (guess, sure) = argmax(p);
        let bin = &mut sums[bin_of(sure)];
        bin.0 += 1;
        bin.1 += f64::from(sure);
        bin.2 += usize::from(guess == t as usize);
    }
    let bin = |(i, &(n, sure, right)): (usize, &(usize, f64, usize))| Bin {
        from: i as f64 / BINS as f64,
        to: (i + 1) as f64 / BINS as f64,
        n,
        confidence: sure / n as f64,
        accuracy: right as f64 / n as f64,
    };
    let full = sums.iter().enumerate().filter(|(_, s)| s.0 > 0);
    full.map(bin).collect()
}

/// Expected calibration error: the mean over rows of how far confidence and accuracy of their bin are apart.
pub fn ece(bins: &[Bin]) -> f64 {
    let rows: usize = bins.iter().map(|b| b.n).sum();
    let apart = bins
        .iter()
        .map(|b| (b.confidence - b.accuracy).abs() * b.n as f64);
    apart.sum::<f64>() / rows.max(1) as f64
}

/// The temperatures that are tried: beyond them nothing is told apart in f32.
const RANGE: (f64, f64) = (0.05, 20.0);

/// The temperature that makes these rows likeliest: logits are divided by it. To be fitted on validation rows, never on those it is
/// judged by. The mean log-loss is convex in `1 / T`, so its slope is halved down to a zero; where there is none (every row right, or
/// worse than chance) it ends at 0.05 or 20.
pub fn temperature(logits: &[Vec<f32>], truth: &[u32]) -> f64 {
    // Slope of the summed loss in b = 1 / T: expected logit under the softmax, less the true one.
    let slope = |b: f64| -> f64 {
        let row = |(l, &t): (&Vec<f32>, &u32)| {
            let top = l.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut sum, mut mean) = (0.0, 0.0);
            for &v in l {
                let v = f64::from(v - top);
                let e = (b * v).exp();
                sum += e;
                mean += e * v;
            }
            mean / sum - f64::from(l[t as usize] - top)
        };
        logits.iter().zip(truth).map(row).sum()
    };
    let (mut low, mut high) = (1.0 / RANGE.1, 1.0 / RANGE.0);
    if logits.is_empty() || slope(low) == 0.0 && slope(high) == 0.0 {
        // No rows, or logits that are all alike: nothing to scale.
        return 1.0;
    }
    if slope(low) >= 0.0 {
        return RANGE.1;
    }
    if slope(high) <= 0.0 {
        return RANGE.0;
    }
    for _ in 0..60 {
        let middle = (low * high).sqrt();
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    1.0 / (low * high).sqrt()
}

/// Probabilities of logits divided by a temperature.
pub fn scaled(logits: &[Vec<f32>], temperature: f64) -> Vec<Vec<f32>> {
    let divided: Vec<Vec<f32>> = logits
        .iter()
        .map(|l| {
            l.iter()
                .map(|&v| (f64::from(v) / temperature) as f32)
                .collect()
        })
        .collect();
    softmax(&divided)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Rows whose labels are drawn from the softmax of their logits, and the logits made `t` times too large.
    fn over_confident(n: usize, t: f32) -> (Vec<Vec<f32>>, Vec<u32>) {
        let stream = Stream::new(5).purpose("calibration");
        let true_logits: Vec<Vec<f32>> = stream
            .normals(3 * n)
            .chunks(3)
            .map(<[f32]>::to_vec)
            .collect();
        let p = softmax(&true_logits);
        let draws = stream.purpose("labels");
        let truth = (0..n).map(|i| {
            let u = draws.uniform(i as u64) as f32;
            if u < p[i][0] {
                0
            } else if u < p[i][0] + p[i][1] {
                1
            } else {
                2
            }
        });
        let truth = truth.collect();
        (
            true_logits
                .iter()
                .map(|l| l.iter().map(|v| v * t).collect())
                .collect(),
            truth,
        )
    }

    #[test]
    fn the_temperature_that_was_put_in_is_found_and_calibrates_other_rows() {
        let (logits, truth) = over_confident(20_000, 3.0);
        let t = temperature(&logits[..10_000], &truth[..10_000]);
        assert!((t - 3.0).abs() < 0.15, "{t}");
        let (held, labels) = (&logits[10_000..], &truth[10_000..]);
        let before = ece(&reliability(&softmax(held), labels));
        let after = ece(&reliability(&scaled(held, t), labels));
        assert!(before > 0.15 && after < 0.03, "{before} {after}");
    }

    #[test]
    fn it_minimises_the_loss() {
        let (logits, truth) = over_confident(500, 2.0);
        let loss = |t: f64| -> f64 {
            let p = scaled(&logits, t);
            p.iter()
                .zip(&truth)
                .map(|(p, &y)| -f64::from(p[y as usize]).ln())
                .sum()
        };
        let t = temperature(&logits, &truth);
        assert!(loss(t) < loss(t * 1.05) && loss(t) < loss(t / 1.05), "{t}");
    }

    #[test]
    fn rows_that_leave_it_open() {
        assert_eq!(
            temperature(&[vec![1.0, 0.0], vec![0.0, 2.0]], &[0, 1]),
            0.05
        );
        assert_eq!(
            temperature(&[vec![1.0, 0.0], vec![0.0, 2.0]], &[1, 0]),
            20.0
        );
        assert_eq!(temperature(&[vec![1.0, 1.0]], &[1]), 1.0);
        assert_eq!(temperature(&[], &[]), 1.0);
    }

    #[test]
    fn bins_without_rows_are_left_out_and_the_last_holds_1() {
        let p = vec![vec![1.0, 0.0], vec![0.59, 0.41], vec![0.58, 0.42]];
        let bins = reliability(&p, &[0, 1, 0]);
        let rows: Vec<(usize, f64)> = bins.iter().map(|b| (b.n, b.accuracy)).collect();
        assert_eq!(rows, [(2, 0.5), (1, 1.0)]);
        assert!((bins[0].to - 0.6).abs() < 1e-12 && bins[1].to == 1.0);
        assert!((ece(&bins) - (0.585 - 0.5) * 2.0 / 3.0).abs() < 1e-7);
    }
}
