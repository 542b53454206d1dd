//! Folds of a cross-validation: each tests other rows, but they share what they learned from.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean of a value by fold, with what the corrected resampled t says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Folds {
    /// Over the folds.
    pub mean: f64,
    /// Deviation of a fold's value.
    pub deviation: f64,
    /// Of the mean; none where the folds are all alike.
    error: f64,
    folds: usize,
}

/// The corrected resampled t (Nadeau & Bengio 2003) of a value by fold: folds share training rows, so the variance of their mean is not `s^2 / k` but
/// `(1 / k + test / train) s^2`, with `k - 1` degrees of freedom. `test_over_train` is the ratio of the rows that a fold is tested on to those that it learns
/// from: `1 / (k - 1)`. `None` of fewer than two folds.
pub fn corrected_t(values: &[f64], test_over_train: f64) -> Option<Folds> {
    if values.len() < 2 {
        return None;
    }
    let k = values.len() as f64;
    let mean = values.iter().sum::<f64>() / k;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (k - 1.0);
    Some(Folds {
        mean,
        deviation: variance.sqrt(),
        error: ((1.0 / k + test_over_train) * variance).sqrt(),
        folds: values.len(),
    })
}

impl Folds {
    /// The interval at a level; `None` where the folds are all alike, which says nothing of others.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let half = self.t()?.inverse_cdf(0.5 + level / 2.0) * self.error;
        Some((self.mean - half, self.mean + half))
    }

    /// The two-sided p-value of the mean being `against`; `None` where there is no interval.
    pub fn p(&self, against: f64) -> Option<f64> {
        let far = (self.mean - against).abs() / self.error;
        Some((2.0 * self.t()?.sf(far)).min(1.0))
    }

    fn t(&self) -> Option<StudentsT> {
        // Sums of the same numbers may differ in their last bits.
        let moved = self.error > 1e-12;
        moved.then(|| StudentsT::new(0.0, 1.0, self.folds as f64 - 1.0).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_hand_computes_it() {
        // s = 0.015811, (1/5 + 1/4) s^2 = 1.125e-4, t(0.975, 4) = 2.776445: half = 0.029448.
        let f = corrected_t(&[0.80, 0.82, 0.84, 0.81, 0.83], 0.25).expect("folds");
        let (low, high) = f.interval(0.95).expect("an interval");
        assert!(
            (low - 0.790_552).abs() < 1e-6 && (high - 0.849_448).abs() < 1e-6,
            "{low} {high}"
        );
        // scipy 1.15: 2 * t.sf(0.02 / sqrt(1.125e-4), 4) = 0.132419.
        let p = f.p(0.80).expect("a p");
        assert!((p - 0.132_419).abs() < 1e-5, "{p}");
        let alike = corrected_t(&[0.5, 0.5, 0.5], 0.5).expect("folds");
        assert_eq!((alike.interval(0.95), alike.p(0.0)), (None, None));
        assert_eq!(corrected_t(&[0.5], 1.0), None);
    }
}
