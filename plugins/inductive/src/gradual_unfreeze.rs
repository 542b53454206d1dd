//! Gradual unfreezing (ULMFiT, Howard & Ruder 2018): the head trains alone, then the encoder's last stage joins it, then the one below, and at the end
//! everything trains.
//!
//! What is minimised is the task's loss. Each phase but the last has `epochs_each` passes, one as in the paper, the last `train.epochs`. Rates are discriminative:
//! each stage has that of the stage above it divided by `decay`, 2.6 as in the paper, beginning with `train.learning_rate` at the top. The paper's slanted
//! triangular schedule is `schedule = "linear"` with `warmup = 0.1`, which is BERT's default too; each phase has its own.
//!
//! The first phase runs the encoder once: nothing below the head trains in it.

use tlkit_core::nn::Select;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer, Until};
use tlkit_core::{Error, Result};

use crate::fine_tune::supervised;

/// One phase more than there are groups of stages.
pub struct GradualUnfreeze {
    stages: usize,
    epochs: u64,
    decay: f64,
}

impl GradualUnfreeze {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let stages = keys
            .usize("stages_each")
            .range(1..)
            .default(1usize, "Howard & Ruder 2018")
            .help("how many stages join with each phase")
            .read();
        let epochs = keys
            .u64("epochs_each")
            .range(1..)
            .default(1u64, "Howard & Ruder 2018")
            .help(
                "passes over the training rows in each phase but the last, which has train.epochs",
            )
            .read();
        let decay = keys
            .f64("decay")
            .range(1.0..=10.0)
            .default(2.6, "Howard & Ruder 2018")
            .help("a stage's rate is that of the one above it divided by this")
            .read();
        Some(Box::new(GradualUnfreeze {
            stages,
            epochs,
            decay,
        }))
    }
}

impl Strategy for GradualUnfreeze {
    fn needs(&self) -> Needs {
        Needs {
            own_rates: Some(("has a decay of its own", "write `strategy.decay`")),
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        if transfer.settings.layer_decay != 1.0 {
            return Err(Error::msg(
                "train.layer_decay: gradual-unfreeze has a decay of its own; write `strategy.decay`",
            ));
        }
        let encoder = transfer.model.encoder.stages();
        let weighty: Vec<usize> = (0..encoder.len())
            .filter(|&i| !encoder[i].params().is_empty())
            .collect();
        // Where each phase begins: behind the encoder, then so many of its stages with weights lower.
        let mut firsts = vec![encoder.len()];
        let mut left = weighty.as_slice();
        while !left.is_empty() {
            left = &left[..left.len().saturating_sub(self.stages)];
            firsts.push(weighty[left.len()]);
        }
        let last = firsts.len() - 1;
        let phase = |(i, &first): (usize, &usize)| {
            let mut s = transfer.settings.clone();
            s.layer_decay = 1.0 / self.decay;
            let name = if i == last {
                "everything".to_string()
            } else {
                s.until = Until::Epochs(self.epochs);
                encoder
                    .get(first)
                    .map_or_else(|| "head".to_string(), |s| format!("from {}", s.name()))
            };
            let trains = Select::stages(&transfer.model.chain().stages()[first..]);
            // What a stage below shares with one above (tied embeddings) waits for the stage below.
            let frozen = Select::stages(&encoder[..first]);
            let trains = Select::Except(Box::new(trains), Box::new(frozen));
            supervised(&name, transfer, trains, &s)
        };
        Ok(firsts.iter().enumerate().map(phase).collect())
    }
}
