//! Words and pairs of neighbouring words, weighed by tf-idf, and L2 logistic regression: what text classification was before networks, and
//! on small data often still is (Wang & Manning 2012, "Baselines and Bigrams").

use tlkit_core::Result;
use tlkit_core::baseline::{Baseline, Fitted};
use tlkit_core::data::{Domain, Input, Labels, Samples};
use tlkit_core::logistic::Logistic;
use tlkit_core::random::Stream;
use tlkit_core::train::Observer;

use crate::strength;
use crate::vocabulary::Vocabulary;

/// Terms and a logistic regression.
pub struct TfIdf;

struct Known {
    vocabulary: Vocabulary,
    fit: Logistic,
    inverse: f64,
}

impl Baseline for TfIdf {
    fn suits(&self, input: &Input<'_>) -> bool {
        matches!(input, Input::Text(_) | Input::Pair(..))
    }

    fn fit(
        &self,
        train: &Domain<Labels>,
        random: Stream,
        observer: &dyn Observer,
    ) -> Result<Box<dyn Fitted>> {
        let (vocabulary, rows) = Vocabulary::learn(train.inputs.as_ref())?;
        let (fit, inverse) = strength::fit(&rows, &train.labels, random, observer)?;
        Ok(Box::new(Known {
            vocabulary,
            fit,
            inverse,
        }))
    }
}

impl Fitted for Known {
    fn words(&self) -> String {
        format!(
            "tf-idf of {} words and pairs + logistic regression, C = {}",
            self.vocabulary.len(),
            self.inverse
        )
    }

    fn logits(&self, inputs: &dyn Samples) -> Result<Vec<Vec<f32>>> {
        Ok(strength::logits(
            &self.fit,
            &self.vocabulary.vectors(inputs)?,
        ))
    }
}
