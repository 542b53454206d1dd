//! Scores on one set of rows, as every epoch wants them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::argmax;
use super::calibration::{ece, reliability};
use super::counts::Counts;
use super::detail::Detail;
use super::own::Measure;
use crate::{Context as _, Error, Result};
use tlkit_statistics::{Interval, normal_quantile, wilson};

/// Scores on one set of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// Rows.
    pub n: usize,
    /// Share of right predictions.
    pub accuracy: f64,
    /// Wilson's interval of the accuracy: at 95 %, or at the level of the detail.
    pub accuracy_interval: Interval,
    /// Mean over classes of F1. A class that is neither there nor said counts 0, as scikit-learn has it where it is told of the class.
    pub macro_f1: f64,
    /// Matthews correlation (Gorodkin's for more than two classes), -1 to 1.
    pub mcc: f64,
    /// Expected calibration error, 15 bins of equal width (Guo et al. 2017).
    pub ece: f64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// `confusion[true][predicted]`.
    pub confusion: Vec<Vec<usize>>,
    /// Everything else, where it was asked for ([`Classification::judged`]).
    #[serde(flatten)]
    pub detail: Option<Box<Detail>>,
    /// Metrics that the target task or the recipe brought, by name. They stand among the others, whose names none of them has.
    #[serde(flatten, skip_deserializing)]
    pub own: BTreeMap<String, f64>,
}

/// The probability of the true class, as a loss has it: at least [`LEAST`]. What is not a number stays none: `max` would make it the least.
pub(super) fn floored(probability: f32) -> f64 {
    f64::from(probability).clamp(LEAST, f64::INFINITY)
}

/// The least probability that a loss tells from none: one row costs 27.6 nats at most.
const LEAST: f64 = 1e-12;

impl Classification {
    /// From probabilities and true classes.
    pub fn of(probabilities: &[Vec<f32>], truth: &[u32], classes: usize) -> Self {
        let n = truth.len();
        let mut confusion = vec![vec![0usize; classes]; classes];
        let mut loss = 0.0;
        for (p, &t) in probabilities.iter().zip(truth) {
            confusion[t as usize][argmax(p).0] += 1;
            loss -= floored(p[t as usize]).ln();
        }
        let counts = Counts::of(&confusion);
        let right = (0..classes).map(|c| confusion[c][c]).sum();
        Classification {
            n,
            accuracy: counts.accuracy(),
            accuracy_interval: wilson(right, n, normal_quantile(0.95)),
            macro_f1: counts.macro_mean(Counts::f1),
            mcc: counts.mcc(),
            ece: ece(&reliability(probabilities, truth)),
            loss: loss / n.max(1) as f64,
            confusion,
            detail: None,
            own: BTreeMap::new(),
        }
    }

    /// The same with further metrics.
    ///
    /// # Errors
    /// Those of a metric, and a number that is not finite.
    pub fn with(
        mut self,
        metrics: &[Measure],
        probabilities: &[Vec<f32>],
        truth: &[u32],
    ) -> Result<Self> {
        for Measure { name, metric } in metrics {
            let value = metric.score(probabilities, truth).context(name)?;
            if !value.is_finite() {
                return Err(Error::msg(format!("{name}: the metric is {value}")));
            }
            self.own.insert(name.clone(), value);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Judge;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("c{i}")).collect()
    }

    #[test]
    fn known_values() {
        // scikit-learn 1.5: y = [0,0,0,1,1,1,1,1], p = [0,0,1,1,1,1,0,0] gives macro F1 0.6190, MCC 0.2582.
        let truth = [0, 0, 0, 1, 1, 1, 1, 1];
        let guess = [0, 0, 1, 1, 1, 1, 0, 0];
        let p: Vec<Vec<f32>> = guess
            .iter()
            .map(|&g| {
                if g == 0 {
                    vec![0.8, 0.2]
                } else {
                    vec![0.2, 0.8]
                }
            })
            .collect();
        let m = Classification::of(&p, &truth, 2);
        assert_eq!(m.confusion, [[2, 1], [2, 3]]);
        assert!((m.accuracy - 0.625).abs() < 1e-12);
        assert!((m.macro_f1 - 0.619_047_6).abs() < 1e-6, "{}", m.macro_f1);
        assert!((m.mcc - 0.258_198_9).abs() < 1e-6, "{}", m.mcc);
        assert!((m.ece - 0.175).abs() < 1e-6, "{}", m.ece);
    }

    #[test]
    fn a_loss_has_a_ceiling_and_no_number_is_no_loss() {
        let of = |p: f32| Classification::of(&[vec![1.0 - p, p]], &[1], 2).loss;
        assert_eq!(of(0.5), 2f64.ln());
        assert!((of(0.0) - 27.631).abs() < 1e-3, "{}", of(0.0));
        assert!(of(f32::NAN).is_nan());
    }

    #[test]
    fn one_row_has_scores_and_no_bootstrap() {
        let m = Classification::judged(&[vec![0.0, 2.0]], &[1], &names(2), None, &Judge::default());
        assert_eq!((m.n, m.accuracy), (1, 1.0));
        let detail = m.detail.unwrap();
        assert_eq!((detail.auroc, detail.macro_f1_interval), (None, None));
        assert_eq!(detail.per_class[0].recall_interval, None);
        assert!(detail.per_class[1].recall_interval.unwrap().0 < 0.3);
    }

    #[test]
    fn perfect_predictions_have_wilsons_interval_and_no_bootstrap_without_width() {
        let truth: Vec<u32> = (0..40).map(|i| i % 2).collect();
        let logits: Vec<Vec<f32>> = truth
            .iter()
            .map(|&t| vec![-3.0 * t as f32, 3.0 * t as f32])
            .collect();
        let m = Classification::judged(&logits, &truth, &names(2), Some(1.0), &Judge::default());
        assert!(m.accuracy_interval.0 < 0.95 && m.accuracy_interval.1 == 1.0);
        let detail = m.detail.unwrap();
        assert_eq!(
            (detail.auroc, detail.macro_f1_interval, detail.mcc_interval),
            (Some(1.0), None, None)
        );
        assert!(detail.loss_interval.is_some());
    }

    #[test]
    fn constant_predictions_and_a_class_that_the_test_lacks() {
        let truth: Vec<u32> = (0..60).map(|i| u32::from(i % 3 == 0)).collect();
        let logits = vec![vec![1.0, 0.0, 0.0]; 60];
        let m = Classification::judged(&logits, &truth, &names(3), None, &Judge::default());
        assert_eq!(m.mcc, 0.0);
        let detail = m.detail.unwrap();
        let absent = &detail.per_class[2];
        assert_eq!(
            (absent.support, absent.recall, absent.auroc),
            (0, 0.0, None)
        );
        assert_eq!((absent.recall_interval, absent.f1_interval), (None, None));
        // Everything is tied.
        assert_eq!(detail.auroc, Some(0.5));
        let (lo, hi) = detail.macro_f1_interval.unwrap();
        assert!(
            lo <= m.macro_f1 && m.macro_f1 <= hi,
            "{lo} {} {hi}",
            m.macro_f1
        );
    }

    #[test]
    fn json_is_flat_and_comes_back() {
        let truth: Vec<u32> = (0..30).map(|i| i % 2).collect();
        let logits: Vec<Vec<f32>> = (0..30).map(|i| vec![(i % 7) as f32 / 3.0, 1.0]).collect();
        let m = Classification::judged(&logits, &truth, &names(2), Some(2.0), &Judge::default());
        let json = serde_json::to_value(&m).unwrap();
        for key in [
            "accuracy",
            "macro_f1_interval",
            "auroc",
            "per_class",
            "reliability",
            "temperature",
        ] {
            assert!(!json[key].is_null(), "{key}");
        }
        assert_eq!(serde_json::from_value::<Classification>(json).unwrap(), m);
        let plain = Classification::of(&softmax(&logits), &truth, 2);
        let json = serde_json::to_value(&plain).unwrap();
        assert!(json.get("per_class").is_none() && json.get("detail").is_none());
    }

    use crate::metrics::softmax;

    #[test]
    fn draws_are_a_function_of_the_seed_and_of_no_thread() {
        let truth: Vec<u32> = (0..200).map(|i| i % 3).collect();
        let logits: Vec<Vec<f32>> = (0..200)
            .map(|i| vec![(i % 5) as f32, (i % 3) as f32, 1.5])
            .collect();
        let run = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let judge = Judge {
                seed,
                ..Judge::default()
            };
            pool.install(|| Classification::judged(&logits, &truth, &names(3), None, &judge))
        };
        assert_eq!(run(1, 0), run(4, 0));
        assert_ne!(run(1, 0), run(1, 1));
    }
}
