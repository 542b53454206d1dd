//! When a loss stops being a number: which step, and which tensor was the first.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::data::Samples;
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

/// The weights that a training leaves are numbers.
pub(crate) fn weights(store: &Store) -> Result<()> {
    match bad_weight(store)? {
        None => Ok(()),
        Some(name) => Err(Error::NonFinite(Box::new(NonFinite {
            step: 0,
            what: format!("the weight {name} is not finite"),
            first: format!("the weight {name}"),
            rest: HELPS.into(),
        }))),
    }
}

/// What helps where training has diverged.
const HELPS: &str = "training has diverged, and a smaller learning_rate, a longer warmup or `clip = 1.0` helps most often";

fn bad_weight(store: &Store) -> Result<Option<String>> {
    for p in store.all() {
        if !finite(&p.detached())? {
            return Ok(Some(p.name().to_string()));
        }
    }
    Ok(None)
}

/// What came out of a pass.
#[derive(Clone, Copy)]
pub(crate) enum Outputs<'a> {
    Features(&'a Tensor),
    Logits(&'a Tensor),
}

impl Outputs<'_> {
    /// The first row that is none: of features one with a number that is not finite, of logits one that has no probabilities. (A class may be
    /// ruled out by a logit of minus infinity, as long as another is not.)
    fn bad_row(&self) -> Result<Option<usize>> {
        let (Outputs::Features(t) | Outputs::Logits(t)) = self;
        if t.elem_count() == 0 || finite(t)? {
            return Ok(None);
        }
        let rows = t.flatten_from(1)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let bad = |row: &Vec<f64>| match self {
            Outputs::Features(_) => row.iter().any(|v| !v.is_finite()),
            Outputs::Logits(_) => {
                let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                !top.is_finite() || row.iter().any(|v| v.is_nan())
            }
        };
        Ok(rows.iter().position(bad))
    }
}

/// Rows whose outputs are no numbers have no class: a maximum over them would say the first.
///
/// # Errors
/// Names the first such row, and the first weight that is not finite where there is one.
pub(crate) fn outputs(inputs: &dyn Samples, store: &Store, of: Outputs<'_>) -> Result<()> {
    let Some(row) = of.bad_row()? else {
        return Ok(());
    };
    let what = match of {
        Outputs::Features(_) => "features",
        Outputs::Logits(_) => "logits",
    };
    let name = format!("the {what} of {}", inputs.place(row));
    let (first, rest) = match bad_weight(store)? {
        Some(weight) => {
            let rest = format!("the weight {weight} is not finite: {HELPS}");
            (format!("the weight {weight}"), rest)
        }
        None => (
            name.clone(),
            format!(
                "every weight is finite, so weights or inputs are too large: either {HELPS}, or this row is out of all measure"
            ),
        ),
    };
    Err(Error::NonFinite(Box::new(NonFinite {
        step: 0,
        what: format!("{name} are not finite"),
        first,
        rest,
    })))
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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::data::Input;

    struct Two;

    impl Samples for Two {
        fn len(&self) -> usize {
            2
        }

        fn id(&self, row: usize) -> String {
            row.to_string()
        }

        fn place(&self, row: usize) -> String {
            format!("rows.csv:{}", row + 2)
        }

        fn input(&self, _: usize) -> Result<Input<'_>> {
            Err(Error::msg("nobody reads it"))
        }
    }

    #[test]
    fn the_first_row_without_probabilities_is_named() -> Result<()> {
        let device = Device::Cpu;
        let store = Store::new(&device, DType::F32, 0);
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let look = |rows: [[f32; 2]; 2]| -> Result<Option<String>> {
            let t = Tensor::new(&rows, &device)?;
            let found = outputs(&Two, &store, Outputs::Logits(&t));
            Ok(found.err().map(|e| e.to_string()))
        };
        assert_eq!(look([[0.0, 1.0], [2.0, 3.0]])?, None);
        // A class that is ruled out has a probability: none.
        assert_eq!(look([[0.0, -inf], [2.0, 3.0]])?, None);
        for bad in [[nan, 0.0], [inf, 0.0], [-inf, -inf]] {
            let said = look([[0.0, 1.0], bad])?.unwrap_or_default();
            let wanted = "the logits of rows.csv:3 are not finite; every weight is finite";
            assert!(said.starts_with(wanted), "{bad:?}: {said}");
        }
        let t = Tensor::new(&[[0.0f32, -inf], [0.0, 0.0]], &device)?;
        let said = outputs(&Two, &store, Outputs::Features(&t)).unwrap_err();
        assert!(
            said.to_string().contains("features of rows.csv:2"),
            "{said}"
        );
        // A pass does not know after how many steps it is made; who does says so.
        let said = said.after(12).to_string();
        assert!(said.contains("are not finite at step 12; "), "{said}");
        Ok(())
    }
}
