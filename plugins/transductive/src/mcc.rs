//! `mcc`: minimum class confusion (Jin, Wang, Long & Wang, ECCV 2020).
//!
//! Minimises the task's loss on the source plus `weight` times the confusion between classes in the target's predictions, which are softened by a
//! temperature and count by how sure they are ([`class_confusion`]). Temperature 2.5 and weight 1: the paper's, chosen on Office-31.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::OFFICE_31;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::select::LabelFree;
use tlkit_core::strategy::{Needs, Phase, Strategy, Term, Transfer};

use crate::aligned::{Align, aligned};
use crate::losses::class_confusion;

/// Predictions on the target that do not waver between classes.
#[derive(Clone)]
pub struct Mcc {
    weight: f64,
    temperature: f64,
}

impl Mcc {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let weight = keys
            .f64("weight")
            .above(0.0)
            .default(1.0, "Jin et al. 2020")
            .tuned_on(&[OFFICE_31])
            .help("of the confusion, beside the task's loss")
            .read();
        let temperature = keys
            .f64("temperature")
            .above(0.0)
            .default(2.5, "Jin et al. 2020")
            .tuned_on(&[OFFICE_31])
            .help("softens the predictions on the target")
            .read();
        Some(Box::new(Mcc {
            weight,
            temperature,
        }))
    }
}

impl Strategy for Mcc {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            minimises: vec![LabelFree::Entropy],
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        aligned("mcc", transfer, self.clone())
    }
}

impl Align for Mcc {
    fn term(&self, _: &[Tensor; 2], target: &[Tensor; 2]) -> Result<Term> {
        let value = class_confusion(&target[1], self.temperature)?;
        Ok(Term::new("confusion", self.weight, value))
    }
}
