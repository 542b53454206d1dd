//! Feature extraction: the encoder is frozen, its features are computed once, and a logistic regression is fitted on them ([`Probe`]).

use tlkit_core::data::From;
use tlkit_core::probe::{Probe, plain_head};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer};
use tlkit_core::{Error, Result};

/// One closed-form phase.
pub struct FeatureExtraction {
    strength: Option<f64>,
}

impl FeatureExtraction {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let strength = keys
            .f64("strength")
            .above(0.0)
            .help("of the L2 penalty on standardised features")
            .unset("chosen by five-fold cross-validation")
            .optional();
        Some(Box::new(FeatureExtraction { strength }))
    }
}

impl Strategy for FeatureExtraction {
    fn needs(&self) -> Needs {
        Needs {
            frozen: true,
            plain: true,
            plain_loss: Some((
                "fits plain cross-entropy",
                "class_weights and label_smoothing need `method = \"fine-tune\"` and `train_from = \"head\"`",
            )),
            plain_head: Some((
                "fits a plain classifier",
                "a head with dense layers needs `method = \"fine-tune\"` and `train_from = \"head\"`",
            )),
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        // The head must be a plain classifier on the features: nothing between them has weights.
        if !plain_head(&transfer.model) {
            return Err(Error::msg(
                "feature-extraction fits a plain classifier; a head with dense layers needs `method = \"fine-tune\"` and `train_from = \"head\"`",
            ));
        }
        if !transfer.target.plain_loss() {
            return Err(Error::msg(
                "feature-extraction fits plain cross-entropy; class_weights and label_smoothing need `method = \"fine-tune\"` and `train_from = \"head\"`",
            ));
        }
        Ok(vec![Phase::Fit {
            name: "logistic head".into(),
            fit: Box::new(Probe {
                rows: From::Target,
                strength: self.strength,
                classes: transfer.classes,
                called: "",
            }),
        }])
    }
}
