//! `tent`: fully test-time adaptation by entropy minimisation (Wang, Shelhamer, Liu, Olshausen & Darrell, ICLR 2021). No source row is needed once the
//! source model is there.
//!
//! Batch norm takes the target's statistics, and its factors and shifts alone are trained to make the predictions on the target sure. Adam at
//! 1e-3 without decay is the authors'. They adapt while they test, batch by batch; here the adaptation goes over `target.unlabelled` first, the running
//! statistics follow, and predictions use those: an answer does not depend on which rows stand beside it, and the model can be saved.

use tlkit_core::Result;
use tlkit_core::data::From;
use tlkit_core::nn::{NormMode, Role, Select};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::select::LabelFree;
use tlkit_core::strategy::{
    Group, Needs, Objective, Phase, Step, Strategy, Term, Train, Transfer, Update,
};
use tlkit_core::train::{OptimizerSpec, Schedule};

use crate::adabn::statistics;
use crate::losses::entropy;
use crate::phases::{adaptation, source_phase};

/// Sure predictions by batch norm's factors and shifts.
pub struct Tent {
    rate: f64,
}

impl Tent {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let rate = keys
            .f64("learning_rate")
            .above(0.0)
            .default(1e-3, "Wang et al. 2021")
            .help("of batch norm's factors and shifts")
            .read();
        Some(Box::new(Tent { rate }))
    }
}

impl Strategy for Tent {
    fn needs(&self) -> Needs {
        Needs {
            trained: true,
            batch_norm: true,
            minimises: vec![LabelFree::Entropy],
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let affine = Select::Roles(
            vec![Role::NormWeight, Role::NormBias],
            Box::new(Select::name("model.*")),
        );
        let adam = OptimizerSpec::named("adamw").with_decay(0.0);
        let update = Update {
            name: "tent".into(),
            trains: affine,
            groups: vec![Group::all(adam, self.rate, Schedule::constant())],
            clip: None,
            repeat: 1,
            objective: Box::new(Sure),
        };
        let adapt = match adaptation("tent", transfer, &[From::Target], vec![update]) {
            // A batch's statistics are what its factors are learned on; the source is learned as the recipe has it.
            Phase::Train(train) => Phase::Train(Train {
                norm: Some(NormMode::Train),
                ..train
            }),
            other => other,
        };
        let phases = source_phase(transfer).into_iter();
        Ok(phases.chain([statistics(transfer), adapt]).collect())
    }
}

struct Sure;

impl Objective for Sure {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let view = step.view(0);
        let target = step.encode("model", &[(0, view)])?.remove(0);
        let value = entropy(&target.logits)?.mean_all()?;
        Ok(vec![Term::new("entropy", 1.0, value)])
    }
}
