//! When a loss stops being a number: which step, and which tensor was the first.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::model::Model;
use crate::nn::{Batch, Flow, Gradients, Pass, Store};
use crate::{Error, NonFinite, Result};

/// Whether every value is finite.
pub(crate) fn finite(t: &Tensor) -> Result<bool> {
    if !t.dtype().is_float() {
        return Ok(true);
    }
    let worst = t
        .to_dtype(DType::F64)?
        .abs()?
        .flatten_all()?
        .max(0)?
        .to_scalar::<f64>()?;
    // `max` skips NaN in some orders; the sum does not.
    let sum = t.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
    Ok(worst.is_finite() && sum.is_finite())
}

/// The first tensor, in the order of computation, that is not finite.
pub(crate) fn first_bad(
    model: &Model,
    store: &Store,
    batch: Option<&Arc<Batch>>,
) -> Result<String> {
    for p in store.all() {
        if !finite(&p.detached())? {
            return Ok(format!("the weight {}", p.name()));
        }
    }
    let Some(batch) = batch else {
        return Ok("the loss itself".into());
    };
    for (name, t) in batch.tensors() {
        if !finite(t)? {
            return Ok(format!("the batch's {name}"));
        }
    }
    let mut x = Flow::start(batch);
    for stage in model.chain().stages() {
        let y = stage.forward(&x, &Pass::evaluation())?;
        x = y.with(y.hidden.detach());
        if !finite(&x.hidden)? {
            return Ok(format!("the output of {}", stage.name()));
        }
    }
    Ok("the loss itself".into())
}

/// The error for a bad loss.
pub(crate) fn bad_loss(step: u64, value: f64, first: &str) -> Error {
    Error::NonFinite(Box::new(NonFinite {
        step,
        what: format!("the loss is {value}"),
        first: first.to_string(),
        rest: format!(
            "the first tensor that is not finite is {first}. \
             The weights of the last checkpoint are untouched. A smaller learning_rate, a longer warmup or `clip = 1.0` helps most often"
        ),
    }))
}

/// The error for a bad gradient: names the first one.
pub(crate) fn bad_gradient(step: u64, grads: &Gradients) -> Error {
    let first = grads
        .iter()
        .find(|(_, g)| !finite(g).unwrap_or(false))
        .map_or("?", |(n, _)| n.as_str());
    let from = grads.whose(first);
    let from = from.map_or(String::new(), |who| format!(", which came from {who}"));
    Error::NonFinite(Box::new(NonFinite {
        step,
        what: "a gradient is not finite".into(),
        first: format!("the gradient of {first}"),
        rest: format!("the first is that of {first}{from}"),
    }))
}
