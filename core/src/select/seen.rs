//! What a selector sees of a candidate.

use candle_core::{DType, Tensor};

use crate::Result;
use crate::data::Loaded;
use crate::metrics::argmax;
use crate::model::Model;
use crate::nn::Store;
use crate::random::Stream;
use crate::train::{Observer, predict_as_is};

/// The rows that a selector looks at.
pub struct Look {
    /// Labelled rows of the source that were not learned from; none where the source is a finished run.
    pub source: Option<Loaded>,
    /// Rows of the target. Their labels are not there. Of either domain those of [`Look::drawn`].
    pub target: Loaded,
}

/// Features and predictions of a candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Numbers a feature vector has.
    pub width: usize,
    /// Numbers a prediction has.
    pub classes: usize,
    /// `(rows, width)`, row after row; empty without source rows.
    pub source_features: Vec<f64>,
    /// Whether each source row was predicted right.
    pub source_right: Vec<bool>,
    /// `(rows, width)`.
    pub target_features: Vec<f64>,
    /// Probabilities, `(rows, classes)`.
    pub target: Vec<f64>,
}

impl Look {
    /// Most rows of a domain that are looked at: some scores compare each with each.
    pub const MOST: usize = 1000;

    /// Which rows of a domain of `rows` are looked at, in their order. They are drawn: a file, and a folder of classes, may have one class after the other.
    pub fn drawn(rows: usize) -> Vec<u32> {
        some(rows, Self::MOST)
    }

    /// Runs a candidate over the rows.
    pub fn see(&self, model: &Model, store: &Store, observer: &dyn Observer) -> Result<Seen> {
        let mut seen = Seen::default();
        let flat = |t: &Tensor| -> Result<Vec<f64>> {
            Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?)
        };
        let probabilities = |t: &Tensor| -> Result<Vec<Vec<f32>>> {
            let rows = t.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            Ok(crate::metrics::softmax(&rows))
        };
        if let Some(rows) = &self.source {
            let (features, logits) = predict_as_is(model, rows, store, "selection", observer)?;
            let labels = rows.labels.as_ref().map(|l| l.classes.as_slice());
            let said = probabilities(&logits)?;
            let right = said.iter().zip(labels.unwrap_or_default());
            seen.source_right = right
                .map(|(p, &label)| argmax(p).0 == label as usize)
                .collect();
            seen.source_features = flat(&features)?;
        }
        let (features, logits) = predict_as_is(model, &self.target, store, "selection", observer)?;
        seen.width = features.dim(1)?;
        seen.classes = logits.dim(1)?;
        seen.target_features = flat(&features)?;
        let said = probabilities(&logits)?.into_iter().flatten();
        seen.target = said.map(f64::from).collect();
        Ok(seen)
    }
}

impl Seen {
    /// Target rows.
    pub fn rows(&self) -> usize {
        self.target.len() / self.classes.max(1)
    }

    /// The probabilities of each target row.
    pub fn predictions(&self) -> impl Iterator<Item = &[f64]> {
        self.target.chunks(self.classes.max(1))
    }

    /// The predicted class of each target row.
    pub fn predicted(&self) -> Vec<usize> {
        let largest = |p: &[f64]| {
            let best = p.iter().enumerate();
            best.fold(
                (0, f64::NEG_INFINITY),
                |b, (c, &v)| {
                    if v > b.1 { (c, v) } else { b }
                },
            )
            .0
        };
        self.predictions().map(largest).collect()
    }

    fn largest_entropy(&self) -> f64 {
        (self.classes.max(2) as f64).ln()
    }

    /// The mean entropy of the predictions on the target, as a share of the largest.
    pub fn entropy(&self) -> f64 {
        let sum: f64 = self.predictions().map(entropy).sum();
        sum / self.rows().max(1) as f64 / self.largest_entropy()
    }

    fn mean_prediction(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.classes];
        for p in self.predictions() {
            mean.iter_mut().zip(p).for_each(|(m, v)| *m += v);
        }
        let n = self.rows().max(1) as f64;
        mean.iter_mut().for_each(|m| *m /= n);
        mean
    }

    /// The entropy of the mean prediction, as a share of the largest.
    pub fn diversity(&self) -> f64 {
        entropy(&self.mean_prediction()) / self.largest_entropy()
    }

    /// The effective number of predicted classes: the exponential of the entropy of the mean prediction.
    pub fn effective_classes(&self) -> f64 {
        entropy(&self.mean_prediction()).exp()
    }

    /// Share of the source rows predicted right; `None` without source rows.
    pub fn source_accuracy(&self) -> Option<f64> {
        let n = self.source_right.len();
        let right = self.source_right.iter().filter(|&&r| r).count();
        (n > 0).then(|| right as f64 / n as f64)
    }
}

/// So many of `rows` rows at most, drawn, in their order.
pub(super) fn some(rows: usize, most: usize) -> Vec<u32> {
    let mut drawn = Stream::new(0).purpose("looked at").permutation(rows);
    drawn.truncate(most);
    drawn.sort_unstable();
    drawn
}

/// In nats; of what is no number, none.
fn entropy(p: &[f64]) -> f64 {
    -p.iter()
        .filter(|v| **v != 0.0)
        .map(|v| v * v.ln())
        .sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of rows class by class, every class is looked at about as often as it is there.
    #[test]
    fn rows_are_drawn_from_everywhere_and_few_are_all_of_them() {
        assert_eq!(Look::drawn(1000), (0..1000).collect::<Vec<u32>>());
        let drawn = Look::drawn(24_000);
        assert_eq!(drawn.len(), Look::MOST);
        assert!(drawn.windows(2).all(|w| w[0] < w[1]));
        for class in 0..4u32 {
            let of = drawn.iter().filter(|r| **r / 6000 == class).count();
            assert!((200..300).contains(&of), "{class}: {of}");
        }
        assert_eq!(Look::drawn(24_000), drawn);
    }
}
