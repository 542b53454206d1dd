//! Label shift: the classes are as frequent on the target as they are not on the source, and look the same. What is shared by `bbse` and
//! `em-prior`: the phases, and the change to the predictions.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use tlkit_core::data::{From, Labels};
use tlkit_core::metrics::softmax;
use tlkit_core::model::{Affine, Model};
use tlkit_core::nn::Store;
use tlkit_core::strategy::{Fit, Infer, Phase, Transfer, Why};
use tlkit_core::{Error, Result};

use crate::phases::{after_source, source_only};

/// A class that seems absent keeps a little, so that no prediction is ruled out.
const LEAST: f64 = 1e-4;

/// How often each class occurs on the target, from what the model says of it.
pub(crate) trait Shift: Send + Clone + 'static {
    /// The share of each class.
    fn frequencies(&self, seen: &Predictions) -> Result<Vec<f64>>;
}

/// What the model says of labelled source rows and of the target's.
pub(crate) struct Predictions {
    /// Probabilities of each source row.
    pub source: Vec<Vec<f32>>,
    /// Their labels.
    pub labels: Labels,
    /// How often each class occurs among the rows that the model has learned from: what its probabilities go by. (The labelled rows above
    /// may be a validation file of another balance.)
    pub learned: Vec<f64>,
    /// Probabilities of each target row.
    pub target: Vec<Vec<f32>>,
}

/// How often each class occurs.
pub(crate) fn shares(labels: &Labels) -> Vec<f64> {
    let n = labels.classes.len().max(1) as f64;
    let counts = labels.counts();
    counts.into_iter().map(|c| c as f64 / n).collect()
}

/// Why what was learned under weights of classes or smoothed labels is no use.
pub(crate) const PLAIN: Why = (
    "takes what the model says for the source's frequencies",
    "take out class_weights and label_smoothing",
);

/// The source is learned as `source-only` learns it, and then the predictions are moved to the target's frequencies.
///
/// # Errors
/// The loss is no plain cross-entropy: what a model says that learned under class weights or smoothed labels are no frequencies of the source.
pub(crate) fn phases(name: &str, transfer: &Transfer<'_>, shift: impl Shift) -> Result<Vec<Phase>> {
    if !transfer.target.plain_loss() {
        return Err(Error::msg(format!(
            "strategy.method: {name} takes what the model says for the source's frequencies; take out class_weights and label_smoothing"
        )));
    }
    let fit = Phase::Fit {
        name: name.into(),
        fit: Box::new(Moved(shift)),
    };
    if transfer.source.finished().is_some() {
        return Ok(vec![fit]);
    }
    let on = source_only(transfer);
    Ok(after_source(transfer, on)
        .into_iter()
        .chain([fit])
        .collect())
}

struct Moved<S>(S);

impl<S: Shift> Fit for Moved<S> {
    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        model: &mut Model,
        store: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        // Rows that were not learned from say how good the predictions are; those that were, too well.
        let from = match infer.has(From::Validation) {
            true => From::Validation,
            false => From::Source,
        };
        let said = |t: Tensor| -> Result<Vec<Vec<f32>>> {
            Ok(softmax(&t.to_dtype(DType::F32)?.to_vec2::<f32>()?))
        };
        let seen = Predictions {
            source: said(infer.logits(from)?)?,
            labels: infer.labels(from)?,
            target: said(infer.logits(From::Target)?)?,
            learned: shares(&infer.labels(From::Source)?),
        };
        let prior = &seen.learned;
        let mut wanted = self.0.frequencies(&seen)?;
        shared(&mut wanted);
        wanted.iter_mut().for_each(|q| *q = q.max(LEAST));
        shared(&mut wanted);
        let shift: Vec<f64> = wanted
            .iter()
            .zip(prior)
            .map(|(q, p)| (q / p.max(LEAST)).ln())
            .collect();
        let (classes, device) = (shift.len(), store.device());
        model.add_adjust(Arc::new(Affine {
            weight: Tensor::eye(classes, store.dtype(), device)?,
            bias: Tensor::new(shift, device)?.to_dtype(store.dtype())?,
        }));
        let names = seen.labels.names.iter();
        Ok(names
            .zip(wanted)
            .map(|(name, q)| (format!("prior of {name}"), q))
            .collect())
    }
}

/// Brings shares to a sum of one, where they have any.
fn shared(of: &mut [f64]) {
    let total: f64 = of.iter().sum();
    of.iter_mut()
        .filter(|_| total > 0.0)
        .for_each(|q| *q /= total);
}

/// Solves `a x = b` by elimination with row exchange; `a` is square.
pub(crate) fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Result<Vec<f64>> {
    let n = b.len();
    for k in 0..n {
        let pivot = (k..n)
            .max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs()))
            .unwrap_or(k);
        if a[pivot][k].abs() < 1e-12 {
            return Err(Error::msg(
                "the source model does not tell the classes apart well enough to count them on the target: what it says of one is what it says of others; take `method = \"em-prior\"`",
            ));
        }
        a.swap(k, pivot);
        b.swap(k, pivot);
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            let (above, below) = a.split_at_mut(i);
            let row = below[0].iter_mut().zip(&above[k]);
            row.skip(k).for_each(|(x, pivot)| *x -= factor * pivot);
            b[i] -= factor * b[k];
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let rest: f64 = (i + 1..n).map(|j| a[i][j] * x[j]).sum();
        x[i] = (b[i] - rest) / a[i][i];
    }
    Ok(x)
}
