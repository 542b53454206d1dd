//! Metrics beside those of [`super::Classification`]: a plugin's.

use std::sync::Arc;

use crate::Result;

/// One number of class predictions.
pub trait Metric: Send + Sync {
    /// Of `probabilities` `(rows, classes)`, row after row, and the true class of each row. A pure function.
    ///
    /// # Errors
    /// Those of whoever brings it; a number that is not finite.
    fn score(&self, probabilities: &[Vec<f32>], truth: &[u32]) -> Result<f64>;
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
