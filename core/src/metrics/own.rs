//! Metrics beside those of [`super::Classification`]: a plugin's.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::calibration::Reliability;
use super::classification::Classification;
use super::detail::Detail;
use crate::Result;
use tlkit_statistics::Interval;

/// One number of class predictions.
pub trait Metric: Send + Sync {
    /// Of `probabilities` `(rows, classes)`, row after row, and the true class of each row. A pure function.
    ///
    /// # Errors
    /// Those of whoever brings it; a number that is not finite.
    fn score(&self, probabilities: &[Vec<f32>], truth: &[u32]) -> Result<f64>;
    /// What identifies it beside its name and keys, for the run's identity: the library of a plugin's. Empty where nothing does.
    fn digest(&self) -> String {
        String::new()
    }
}

/// A metric and its name in results: lower case, digits and `_`.
#[derive(Clone)]
pub struct Measure {
    /// Its name.
    pub name: String,
    /// What it is.
    pub metric: Arc<dyn Metric>,
}

impl Measure {
    /// By the name that recipes write, whose `-` results write as `_`, as those of the built-in metrics.
    pub fn new(name: &str, metric: Arc<dyn Metric>) -> Self {
        Measure {
            name: name.replace('-', "_"),
            metric,
        }
    }
}

/// Why a metric cannot be called so in results, beside `others`; none where it can. Results write it among the numbers of tlkit's own, so
/// that one of an equal name would stand in the place of theirs.
pub fn name_taken(name: &str, others: &[Measure]) -> Option<String> {
    let result = name.replace('-', "_");
    if taken().contains(&result) {
        return Some(format!("results have a number `{result}` already"));
    }
    let twice = others.iter().any(|m| m.name == result);
    twice.then(|| format!("`{result}` is there twice"))
}

/// The keys of a result with everything in it.
fn taken() -> &'static [String] {
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let whole = serde_json::to_value(whole()).unwrap_or_default();
        let keys = whole.as_object().into_iter().flatten();
        keys.map(|(key, _)| key.clone()).collect()
    })
}

/// Every field written out, so that a new one is asked for here by the compiler: what may be absent is there.
fn whole() -> Classification {
    let interval: Interval = (0.0, 0.0);
    let detail = Detail {
        level: 0.0,
        macro_precision: 0.0,
        macro_recall: 0.0,
        micro_f1: 0.0,
        auroc: Some(0.0),
        micro_f1_interval: interval,
        macro_f1_interval: Some(interval),
        macro_precision_interval: Some(interval),
        macro_recall_interval: Some(interval),
        mcc_interval: Some(interval),
        auroc_interval: Some(interval),
        ece_interval: Some(interval),
        loss_interval: Some(interval),
        per_class: Vec::new(),
        temperature: Some(0.0),
        ece_calibrated: Some(0.0),
        reliability: Reliability::default(),
    };
    Classification {
        n: 0,
        accuracy: 0.0,
        accuracy_interval: interval,
        macro_f1: 0.0,
        mcc: 0.0,
        ece: 0.0,
        loss: 0.0,
        confusion: Vec::new(),
        detail: Some(Box::new(detail)),
        own: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Judge;

    struct Half;

    impl Metric for Half {
        fn score(&self, _: &[Vec<f32>], _: &[u32]) -> Result<f64> {
            Ok(0.5)
        }
    }

    #[test]
    fn no_metric_is_called_as_a_number_that_results_have() {
        let truth: Vec<u32> = (0..40).map(|i| i % 2).collect();
        let logits: Vec<Vec<f32>> = (0..40).map(|i| vec![(i % 7) as f32 / 3.0, 1.0]).collect();
        let names = ["a".to_string(), "b".to_string()];
        let judged = Classification::judged(&logits, &truth, &names, Some(2.0), &Judge::default());
        let json = serde_json::to_value(&judged).unwrap();
        let keys = json.as_object().unwrap();
        assert!(keys.len() > 20, "{}", keys.len());
        for key in keys.keys() {
            let written = key.replace('_', "-");
            assert!(name_taken(&written, &[]).is_some(), "{key}");
        }
        // Nothing is taken that results do not have, but what these rows could not say.
        for key in taken() {
            assert!(keys.contains_key(key), "{key}");
        }
        let others = [Measure::new("worst-recall", Arc::new(Half))];
        assert_eq!(name_taken("worst-recall", &[]), None);
        let said = name_taken("worst-recall", &others).unwrap();
        assert!(said.contains("`worst_recall` is there twice"), "{said}");
    }
}
