//! What stands beside a result: the simplest things that could have been done with the same training rows.
//!
//! A plugin registers baselines by name ([`crate::registry::Registry::baseline`]); `[evaluate] baselines` names those that are wanted. They see
//! the labelled training rows and the inputs of the test, never its labels.

use crate::Result;
use crate::data::{Domain, Input, Labels, Samples};
use crate::random::Stream;
use crate::train::Observer;

/// Learns from labelled rows in seconds.
pub trait Baseline: Send + Sync {
    /// Whether it can look at inputs of this kind; where a recipe names none, all that can stand beside the result.
    fn suits(&self, input: &Input<'_>) -> bool;
    /// Learns. `random` is for its folds; `observer` may ask it to stop.
    fn fit(
        &self,
        train: &Domain<Labels>,
        random: Stream,
        observer: &dyn Observer,
    ) -> Result<Box<dyn Fitted>>;
}

/// A baseline that has learned.
pub trait Fitted {
    /// What it is, in a few words: "always says `positive`".
    fn words(&self) -> String;
    /// The logarithms of probabilities (or other logits), `(rows, classes)`.
    fn logits(&self, inputs: &dyn Samples) -> Result<Vec<Vec<f32>>>;
}
