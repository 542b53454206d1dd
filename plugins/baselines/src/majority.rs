//! The class that training saw most, whatever the input.

use tlkit_core::Result;
use tlkit_core::baseline::{Baseline, Fitted};
use tlkit_core::data::{Domain, Input, Labels, Samples};
use tlkit_core::random::Stream;
use tlkit_core::train::Observer;

/// Always says one class.
pub struct Majority;

struct Known {
    /// Logarithms of the shares of the classes.
    logits: Vec<f32>,
    words: String,
}

impl Baseline for Majority {
    fn suits(&self, _: &Input<'_>) -> bool {
        true
    }

    fn fit(&self, train: &Domain<Labels>, _: Stream, _: &dyn Observer) -> Result<Box<dyn Fitted>> {
        let counts = train.labels.counts();
        let most = counts.iter().copied().max().unwrap_or(0);
        // The first among equals.
        let class = counts.iter().position(|&n| n == most).unwrap_or(0);
        let n = train.labels.classes.len().max(1) as f32;
        let name = train.labels.names.get(class).cloned().unwrap_or_default();
        // A class without rows keeps a little, so that its loss is a number.
        let share = |&k: &usize| ((k as f32).max(0.5) / n).ln();
        Ok(Box::new(Known {
            logits: counts.iter().map(share).collect(),
            words: format!("always says `{name}`"),
        }))
    }
}

impl Fitted for Known {
    fn words(&self) -> String {
        self.words.clone()
    }

    fn logits(&self, inputs: &dyn Samples) -> Result<Vec<Vec<f32>>> {
        Ok(vec![self.logits.clone(); inputs.len()])
    }
}
