//! `bbse`: black-box shift estimation (Lipton, Wang & Smola, ICML 2018). How often each class is predicted on the target, and the confusion matrix on
//! labelled source rows that were not learned from, give how often each class occurs; predictions are moved to that.
//!
//! With `C` the joint frequencies of predicted and true class on the source and `m` the frequencies of predictions on the target, the ratios
//! `w` of target to source frequencies solve `C w = m`; negative ones are 0. Right where only the frequencies differ; where the domains differ
//! otherwise too, it is as wrong as the confusion matrix is.

use tlkit_core::Result;
use tlkit_core::metrics::argmax;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer};

use crate::prior::{Predictions, Shift, phases, solve};

/// Class frequencies by the confusion matrix.
#[derive(Clone)]
pub struct Bbse;

impl Bbse {
    /// It has no keys.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        (!keys.is_blank()).then(|| Box::new(Bbse) as Box<dyn Strategy>)
    }
}

impl Strategy for Bbse {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        phases("bbse", transfer, self.clone())
    }
}

impl Shift for Bbse {
    fn ratios(&self, seen: &Predictions) -> Result<Vec<f64>> {
        let classes = seen.labels.names.len();
        let n = seen.source.len().max(1) as f64;
        let mut joint = vec![vec![0.0; classes]; classes];
        for (p, &label) in seen.source.iter().zip(&seen.labels.classes) {
            joint[argmax(p).0][label as usize] += 1.0 / n;
        }
        let mut said = vec![0.0; classes];
        let m = seen.target.len().max(1) as f64;
        for p in &seen.target {
            said[argmax(p).0] += 1.0 / m;
        }
        let ratios = solve(joint, said)?;
        Ok(ratios.into_iter().map(|w| w.max(0.0)).collect())
    }
}
