//! `deep-coral`: correlation alignment in a deep network (Sun & Saenko, ECCV workshops 2016).
//!
//! Minimises the task's loss on the source plus `weight` times the squared distance between the covariances of both domains' features, over
//! `4 width^2` ([`coral`]). The paper sets the weight so that both losses are about equal when training ends; 10 is DeepDA's, chosen on Office-31.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::OFFICE_31;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Term, Transfer};

use crate::aligned::{Align, aligned};
use crate::losses::coral;

/// The features' covariances brought together.
#[derive(Clone)]
pub struct DeepCoral {
    weight: f64,
}

impl DeepCoral {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let weight = keys
            .f64("weight")
            .above(0.0)
            .default(10.0, "DeepDA")
            .tuned_on(&[OFFICE_31])
            .help("of the covariances' distance, beside the task's loss")
            .read();
        Some(Box::new(DeepCoral { weight }))
    }
}

impl Strategy for DeepCoral {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            moves_features: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        aligned("deep-coral", transfer, self.clone())
    }
}

impl Align for DeepCoral {
    fn term(&self, source: &[Tensor; 2], target: &[Tensor; 2]) -> Result<Term> {
        let value = coral(&source[0], &target[0])?;
        Ok(Term::new("coral", self.weight, value))
    }
}
