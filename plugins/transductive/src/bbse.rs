//! `bbse`: black-box shift estimation (Lipton, Wang & Smola, ICML 2018). How often each class is predicted on the target, and the confusion matrix on
//! labelled source rows that were not learned from, give how often each class occurs; predictions are moved to that.
//!
//! With `C` the joint frequencies of predicted and true class on the source and `m` the frequencies of predictions on the target, the ratios
//! `w` of target to source frequencies solve `C w = m`; negative ones are 0. Right where only the frequencies differ; where the domains differ
//! otherwise too, it is as wrong as the confusion matrix is.

use tlkit_core::metrics::argmax;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Phase, Strategy, Transfer};
use tlkit_core::{Error, Result};

use crate::prior::{PLAIN, Predictions, Shift, phases, shares, solve};

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
            plain_loss: Some(PLAIN),
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        phases("bbse", transfer, self.clone())
    }
}

impl Shift for Bbse {
    fn frequencies(&self, seen: &Predictions) -> Result<Vec<f64>> {
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
        told(&joint, &seen.labels.names)?;
        let ratios = solve(joint, said)?;
        let there = shares(&seen.labels);
        Ok(ratios
            .into_iter()
            .zip(there)
            .map(|(w, p)| w.max(0.0) * p)
            .collect())
    }
}

/// Every class has labelled source rows, and is said of some row. `joint[said][true]`.
fn told(joint: &[Vec<f64>], names: &[String]) -> Result<()> {
    let way = "give more of them (`source.validation`, or a larger `source.split`), or take `method = \"em-prior\"`, which needs no such counts";
    for (class, name) in names.iter().enumerate() {
        let why = match () {
            () if joint.iter().all(|said| said[class] == 0.0) => "has none",
            () if joint[class].iter().all(|&n| n == 0.0) => "is said of none",
            () => continue,
        };
        return Err(Error::msg(format!(
            "strategy.method: bbse counts on the labelled source rows how often each class is taken for which, and `{name}` {why}; {way}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_rows_or_answers_is_named() {
        let names = ["a", "b"].map(String::from);
        let said = |joint: [[f64; 2]; 2]| {
            let joint = joint.map(|row| row.to_vec());
            told(&joint, &names).map_err(|e| e.to_string())
        };
        assert!(said([[0.5, 0.1], [0.1, 0.3]]).is_ok());
        assert!(said([[0.5, 0.0], [0.5, 0.0]]).is_err_and(|e| e.contains("`b` has none")));
        assert!(said([[0.0, 0.0], [0.5, 0.5]]).is_err_and(|e| e.contains("`a` is said of none")));
    }
    use tlkit_core::data::Labels;

    /// One row of class `said` out of three.
    fn sure(said: usize) -> Vec<f32> {
        let mut p = vec![0.1; 3];
        p[said] = 0.8;
        p
    }

    /// Of ten source rows, four of the first class, one is taken for the second; of the target's, half are said to be the first, a fifth the second.
    #[test]
    fn frequencies_are_those_that_make_the_predictions_what_they_are() -> Result<()> {
        let rows = [
            (0, 0),
            (0, 0),
            (0, 0),
            (0, 1),
            (1, 1),
            (1, 1),
            (1, 0),
            (2, 2),
            (2, 2),
            (2, 0),
        ];
        let seen = Predictions {
            source: rows.iter().map(|&(_, said)| sure(said)).collect(),
            labels: Labels {
                classes: rows.iter().map(|&(class, _)| class).collect(),
                names: std::sync::Arc::new(["a", "b", "c"].map(String::from).to_vec()),
            },
            target: [0, 0, 0, 0, 0, 1, 1, 2, 2, 2].map(sure).to_vec(),
            learned: vec![1.0 / 3.0; 3],
        };
        // The ratios are 1, 0.5 and 1.5: the transpose of the confusion matrix has others.
        for (f, expected) in Bbse.frequencies(&seen)?.iter().zip([0.4, 0.15, 0.45]) {
            assert!((f - expected).abs() < 1e-9, "{f} {expected}");
        }
        Ok(())
    }
}
