//! BitFit (Ben Zaken et al. 2022): of the encoder only the biases train, those of layer norms among them, and the head as a whole, but for what it shares
//! with the encoder (tied embeddings).
//!
//! What is minimised is the task's loss. The biases' learning rate is ten times `train.learning_rate`: the paper searches 1e-4 to 9e-4 for BERT large where
//! fine-tuning has 1e-5 to 7e-5. The bias of an attention's key has no gradient in mathematics and is left out.

use tlkit_core::nn::{Role, Select};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Group, Needs, Phase, Strategy, Transfer};
use tlkit_core::{Error, Result};

use crate::fine_tune::{ONE_RATE, one_rate, own_head, phase_with};

/// One phase.
pub struct BitFit {
    rate: Option<f64>,
}

impl BitFit {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let rate = keys
            .f64("bias_learning_rate")
            .above(0.0)
            .help("the biases' peak rate")
            .unset("10 times train.learning_rate")
            .optional();
        Some(Box::new(BitFit { rate }))
    }
}

impl Strategy for BitFit {
    fn needs(&self) -> Needs {
        Needs {
            own_rates: Some(ONE_RATE),
            arranged: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let s = &transfer.settings;
        one_rate("bitfit", s)?;
        let encoder = Select::stages(transfer.model.encoder.stages());
        let roles = vec![Role::Bias, Role::NormBias];
        let biases = Select::Roles(roles, Box::new(encoder));
        if transfer.store.select(&biases).is_empty() {
            return Err(Error::msg(
                "strategy.method: this encoder has no biases; `fine-tune` trains its weights",
            ));
        }
        let head = own_head(transfer);
        let group = Group {
            which: biases.clone(),
            optimizer: s.optimizer.with_decay(0.0),
            rate: self.rate.unwrap_or(10.0 * s.learning_rate),
            schedule: s.schedule,
        };
        let trains = Select::Any(vec![biases, head]);
        Ok(vec![phase_with("biases", transfer, trains, s, vec![group])])
    }
}
