//! `em-prior`: the target's class frequencies by expectation maximisation (Saerens, Latinne & Decaestecker 2002), and predictions moved to them.
//!
//! Beginning with the frequencies of the source's training rows, each round reweights the probabilities on the target by the ratio of the frequencies to the source's, and takes
//! their mean as the new frequencies, until they stand still: the likelihood of the target's rows grows each time. It trusts the probabilities; a model
//! that is surer than it is right finds too large a shift.

use tlkit_core::Result;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer};

use crate::prior::{PLAIN, Predictions, Shift, phases};

/// Most rounds.
const ROUNDS: usize = 1000;
/// Frequencies stand still when none moves by more.
const STILL: f64 = 1e-7;

/// Class frequencies by likelihood.
#[derive(Clone)]
pub struct EmPrior;

impl EmPrior {
    /// It has no keys.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        (!keys.is_blank()).then(|| Box::new(EmPrior) as Box<dyn Strategy>)
    }
}

impl Strategy for EmPrior {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            plain_loss: Some(PLAIN),
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        phases("em-prior", transfer, self.clone())
    }
}

impl Shift for EmPrior {
    fn frequencies(&self, seen: &Predictions) -> Result<Vec<f64>> {
        let prior = &seen.learned;
        let mut now = prior.clone();
        for _ in 0..ROUNDS {
            let ratios: Vec<f64> = now
                .iter()
                .zip(prior)
                .map(|(q, p)| q / p.max(1e-12))
                .collect();
            let mut next = vec![0.0; now.len()];
            for row in &seen.target {
                let weighted: Vec<f64> = row
                    .iter()
                    .zip(&ratios)
                    .map(|(&p, r)| f64::from(p) * r)
                    .collect();
                let total: f64 = weighted.iter().sum();
                if total > 0.0 {
                    next.iter_mut()
                        .zip(weighted)
                        .for_each(|(n, w)| *n += w / total);
                }
            }
            let total: f64 = next.iter().sum();
            next.iter_mut().for_each(|n| *n /= total.max(1e-12));
            let moved = next.iter().zip(&now).map(|(a, b)| (a - b).abs());
            let moved = moved.fold(0.0, f64::max);
            now = next;
            if moved < STILL {
                break;
            }
        }
        Ok(now)
    }
}
