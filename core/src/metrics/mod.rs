//! Scores of class predictions, and how sure they are.
//!
//! Probabilities are `(rows, classes)`, row after row. What is a proportion of rows (accuracy, recall) has Wilson's interval; what is
//! none (F1, MCC, AUROC, calibration error) a bootstrap over rows. Two models on the same rows are compared row by row
//! ([`paired`]); folds of a cross-validation, which share rows, by the corrected t of [`corrected_t`].
//!
//! - [`Classification`] is what every epoch wants; [`Detail`] what the end of a run adds, with intervals
//! - [`Counts`] are the sums that precision, recall, F1 and MCC are made of
//! - [`Metric`] is what a plugin adds
//! - [`temperature`] is fitted on validation rows only; [`Reliability`] is what a diagram draws

mod auroc;
mod bootstrap;
mod calibration;
mod classification;
mod counts;
mod detail;
mod interval;
mod own;

pub use auroc::{Ranked, auroc};
pub use calibration::{BINS, Bin, Reliability, ece, reliability, scaled, temperature};
pub use classification::Classification;
pub use counts::Counts;
pub use detail::{ClassScores, Detail, Judge};
pub use interval::{Spread, bias_corrected, corrected_t, percentile};
pub use own::{Measure, Metric, name_taken};
pub use tlkit_statistics::{Interval, Paired, normal_quantile, paired, wilson};

/// Index and value of the largest; the first among equals.
pub fn argmax(p: &[f32]) -> (usize, f32) {
    p.iter()
        .copied()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, v)| {
            if v > best.1 { (i, v) } else { best }
        })
}

/// Softmax of each row of logits, in f64.
pub fn softmax(logits: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let row = |l: &Vec<f32>| {
        let top = l.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let e: Vec<f64> = l.iter().map(|&v| f64::from(v - top).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|v| (v / sum) as f32).collect()
    };
    logits.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_survives_large_logits() {
        assert_eq!(softmax(&[vec![1000.0, 0.0]])[0], [1.0, 0.0]);
    }
}
