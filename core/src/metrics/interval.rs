//! Intervals: percentiles of a bootstrap, and the corrected t of folds that share rows.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};
use tlkit_statistics::{Interval, normal_quantile};

/// The percentile interval of bootstrap replicates (Efron 1979), ends interpolated between order statistics. `None` where there are
/// no replicates, or all are alike: a bootstrap sees no errors that did not happen, and an interval without width would say otherwise.
pub fn percentile(mut replicates: Vec<f64>, level: f64) -> Option<Interval> {
    let tail = (1.0 - level) / 2.0;
    quantiles(&mut replicates, |_| (tail, 1.0 - tail))
}

/// The same with the bias of the draws taken out twice, theirs and that of the score (Efron 1987, without acceleration). Draws of a mean over classes lie below it
/// where classes have few rows, and their percentiles with them.
pub fn bias_corrected(mut replicates: Vec<f64>, score: f64, level: f64) -> Option<Interval> {
    quantiles(&mut replicates, |sorted| {
        let n = sorted.len() as f64;
        // Draws that are as large count half.
        let below = sorted.partition_point(|v| *v < score) as f64;
        let not_above = sorted.partition_point(|v| *v <= score) as f64;
        let share = ((below + not_above) / 2.0).clamp(1.0, n - 1.0) / n;
        let normal = Normal::standard();
        let (bias, z) = (normal.inverse_cdf(share), normal_quantile(level));
        (normal.cdf(2.0 * bias - z), normal.cdf(2.0 * bias + z))
    })
}

/// Two quantiles of the draws, once sorted, interpolated between order statistics.
fn quantiles(replicates: &mut Vec<f64>, at: impl Fn(&[f64]) -> Interval) -> Option<Interval> {
    replicates.retain(|v| v.is_finite());
    replicates.sort_by(f64::total_cmp);
    let (low, high) = (*replicates.first()?, *replicates.last()?);
    if low == high {
        return None;
    }
    let quantile = |q: f64| {
        let place = q * (replicates.len() - 1) as f64;
        let (i, part) = (place.floor() as usize, place.fract());
        let next = replicates[(i + 1).min(replicates.len() - 1)];
        replicates[i] + part * (next - replicates[i])
    };
    let (low, high) = at(replicates);
    Some((quantile(low), quantile(high)))
}

/// A score over the folds of a cross-validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean over folds.
    pub mean: f64,
    /// Standard deviation over folds (n - 1).
    pub deviation: f64,
    /// The corrected resampled t interval of the mean.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<Interval>,
    /// Two-sided p of a mean of 0, by the same t; for differences.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p: Option<f64>,
    /// By fold.
    pub values: Vec<f64>,
}

/// Mean over folds with the corrected resampled t interval ([`tlkit_statistics::corrected_t`]) and p-value of being 0. No interval of fewer than two folds,
/// or of folds that are all alike, which says nothing of how far others would be.
pub fn corrected_t(values: Vec<f64>, test_over_train: f64, level: f64) -> Spread {
    let folds = tlkit_statistics::corrected_t(&values, test_over_train);
    let folds = folds.as_ref();
    Spread {
        mean: folds.map_or_else(|| values.iter().sum(), |f| f.mean),
        deviation: folds.map_or(0.0, |f| f.deviation),
        interval: folds.and_then(|f| f.interval(level)),
        p: folds.and_then(|f| f.p(0.0)),
        values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_order_statistics_and_none_without_width() {
        let to_100: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let (lo, hi) = percentile(to_100, 0.95).unwrap();
        assert!(
            (lo - 2.5).abs() < 1e-9 && (hi - 97.5).abs() < 1e-9,
            "{lo} {hi}"
        );
        assert_eq!(percentile(vec![1.0; 50], 0.95), None);
        assert_eq!(percentile(vec![], 0.95), None);
    }

    #[test]
    fn draws_below_the_score_move_the_interval_up() {
        let draws: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
        let (low, high) = bias_corrected(draws.clone(), 0.4995, 0.95).unwrap();
        let (l, h) = percentile(draws.clone(), 0.95).unwrap();
        assert!(
            (low - l).abs() < 1e-3 && (high - h).abs() < 1e-3,
            "{low} {high}"
        );
        // 84.13 % lie below: one deviation of a normal distribution, so the ends are those at 2 - 1.96 and 2 + 1.96.
        let (low, high) = bias_corrected(draws.clone(), 0.841_345, 0.95).unwrap();
        assert!(
            (low - 0.5159).abs() < 2e-3 && (high - 0.99896).abs() < 2e-3,
            "{low} {high}"
        );
        // A score beyond all draws has ends all the same.
        let (low, high) = bias_corrected(draws, 2.0, 0.95).unwrap();
        assert!(low <= high && high <= 1.0, "{low} {high}");
        assert_eq!(bias_corrected(vec![1.0; 50], 1.0, 0.95), None);
    }

    #[test]
    fn the_corrected_t_is_what_a_hand_computes() {
        // Five folds: deviation 0.0158114, t(4) at 0.975 = 2.776445, factor sqrt(1/5 + 1/4).
        let s = corrected_t(vec![0.80, 0.82, 0.84, 0.81, 0.83], 0.25, 0.95);
        let half = 2.776_445 * 0.45f64.sqrt() * 0.015_811_388;
        let (lo, hi) = s.interval.unwrap();
        assert!((s.mean - 0.82).abs() < 1e-12 && (s.deviation - 0.015_811_388).abs() < 1e-8);
        assert!(
            (lo - 0.82 + half).abs() < 1e-6 && (hi - 0.82 - half).abs() < 1e-6,
            "{lo} {hi}"
        );
        assert_eq!(corrected_t(vec![0.5], 0.25, 0.95).interval, None);
        let alike = corrected_t(vec![0.0, 0.0], 1.0, 0.95);
        assert_eq!((alike.interval, alike.p), (None, None));
        // How far apart other folds would be nobody has seen.
        let alike = corrected_t(vec![0.5, 0.5], 1.0, 0.95);
        assert_eq!((alike.mean, alike.interval, alike.p), (0.5, None, None));
    }
}
