//! `dan`: deep adaptation network (Long, Cao, Wang & Jordan, ICML 2015).
//!
//! Minimises the task's loss on the source plus `weight` times the squared maximum mean discrepancy between the features of both domains, under a
//! sum of Gaussian kernels ([`multi_kernel_mmd`]). The paper has several layers and learned kernel weights; here, as in the libraries that
//! reproduce it, the last features and equal weights. Five kernels, each twice as wide as the one before, around the mean distance: DeepDA's. The
//! weight of 1 is the Transfer Learning Library's, which chose it on Office-31.

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::data::OFFICE_31;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Term, Transfer};

use crate::aligned::{Align, aligned};
use crate::losses::multi_kernel_mmd;

/// The means of features brought together in a kernel's space.
#[derive(Clone)]
pub struct Dan {
    weight: f64,
    kernels: usize,
}

impl Dan {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let weight = keys
            .f64("weight")
            .above(0.0)
            .default(1.0, "Transfer Learning Library")
            .tuned_on(&[OFFICE_31])
            .help("of the discrepancy, beside the task's loss")
            .read();
        let kernels = keys
            .usize("kernels")
            .range(1..=33)
            .default(5usize, "DeepDA")
            .help(
                "Gaussian kernels, each twice as wide as the one before, around the mean distance",
            )
            .read();
        Some(Box::new(Dan { weight, kernels }))
    }
}

impl Strategy for Dan {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            moves_features: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        aligned("dan", transfer, self.clone())
    }
}

impl Align for Dan {
    fn term(&self, source: &[Tensor; 2], target: &[Tensor; 2]) -> Result<Term> {
        let value = multi_kernel_mmd(&source[0], &target[0], self.kernels)?;
        Ok(Term::new("mmd", self.weight, value))
    }
}
