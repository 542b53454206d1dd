//! Steps on Candle variables, in place.

use super::table::{Table, step_table};
use super::{Rule, Slot, Stepped, global_norm, step_all};
use crate::embedding::Sparse;
use crate::gpu::Gpu;
use crate::tensors::{Reading, with_mut, with_ref};
use candle_core::{Error, Result, Tensor};
use rayon::prelude::*;

/// Where a gradient is read: of a tensor, or of memory that belongs to somebody else.
#[derive(Clone, Copy, Debug)]
pub enum Grad<'a, T> {
    /// On the CPU.
    Tensor(&'a Tensor),
    /// As many numbers as the parameter has, row by row; not those of a parameter.
    Slice(&'a [T]),
    /// Of a table, the rows that have one.
    Rows(&'a Sparse),
}

/// The same, a tensor made contiguous.
enum Held<'a, T> {
    Tensor(Tensor),
    Slice(&'a [T]),
    Rows(&'a [u32], Tensor),
}

/// The same, held for reading.
enum Read<'a, T> {
    Tensor(Reading<'a>),
    Slice(&'a [T]),
}

impl<'a, T> From<&'a Tensor> for Grad<'a, T> {
    fn from(tensor: &'a Tensor) -> Self {
        Grad::Tensor(tensor)
    }
}

/// A parameter as a tensor, its gradient and its state.
#[derive(Debug)]
pub struct Update<'a, T> {
    /// The parameter, a contiguous tensor on the CPU (a `Var`), changed in place.
    pub param: &'a Tensor,
    /// Its gradient, before clipping.
    pub grad: Grad<'a, T>,
    /// Its state, as many slices as [`Rule::state_names`] says.
    pub state: Vec<&'a mut [T]>,
    /// The rule.
    pub rule: Rule,
    /// The number of this step for this parameter, from 1.
    pub step: u64,
    /// Of a table whose gradient is [`Grad::Rows`], where it is known: which rows have ever had a gradient. A row's state is zero until then.
    pub touched: Option<&'a mut [bool]>,
}

/// One step of every parameter, in parallel; each gradient is multiplied by `grad_scale` (1, or
/// [`super::clip_scale`]).
///
/// A parameter that occurs twice, a wrong shape or a wrong state is an error, and then nothing has moved.
pub fn step_tensors<T: Stepped>(updates: Vec<Update<'_, T>>, grad_scale: f64) -> Result<()> {
    let first = |t: &Tensor| with_ref::<T, _>(t, |x| x.as_ptr() as usize);
    let mut params = Vec::with_capacity(updates.len());
    for update in &updates {
        check(update)?;
        // What has no element lies nowhere.
        if update.param.elem_count() > 0 {
            params.push(first(update.param)?);
        }
    }
    params.sort_unstable();
    if params.windows(2).any(|w| w[0] == w[1]) {
        return Err(Error::Msg("optimizer step: a parameter occurs twice".into()).bt());
    }
    // A gradient that is the storage of a parameter (of this one or another) would wait for its lock.
    let mut work = Vec::with_capacity(updates.len());
    for update in updates {
        let held = match update.grad {
            Grad::Slice(slice) => Held::Slice(slice),
            Grad::Rows(sparse) => Held::Rows(&sparse.ids, sparse.rows.detach().contiguous()?),
            Grad::Tensor(t) => {
                let grad = t.detach().contiguous()?;
                let shared = params.binary_search(&first(&grad)?).is_ok();
                Held::Tensor(if shared { grad.copy()? } else { grad })
            }
        };
        work.push((update, held));
    }
    work.into_par_iter().try_for_each(|(update, held)| {
        let reading;
        let grad = match &held {
            Held::Rows(ids, rows) => {
                reading = Reading::of(rows);
                let rows = reading.slice::<T>()?;
                return with_mut(update.param, |param: &mut [T]| {
                    let table = Table {
                        param,
                        ids,
                        rows,
                        state: update.state,
                        rule: update.rule,
                        step: update.step,
                        touched: update.touched,
                    };
                    step_table(table, update.param.dims()[1], grad_scale);
                });
            }
            Held::Slice(slice) => slice,
            Held::Tensor(t) => {
                reading = Reading::of(t);
                reading.slice::<T>()?
            }
        };
        with_mut(update.param, |param: &mut [T]| {
            let slot = Slot {
                param,
                grad,
                state: update.state,
                rule: update.rule,
                step: update.step,
            };
            step_all(vec![slot], grad_scale);
        })
    })
}

fn check<T: Stepped>(update: &Update<'_, T>) -> Result<()> {
    let param = update.param;
    let other = match update.grad {
        Grad::Tensor(grad) if grad.dims() != param.dims() => Some(grad.shape().clone()),
        Grad::Slice(grad) if grad.len() != param.elem_count() => Some(grad.len().into()),
        Grad::Rows(sparse) if !fits(sparse, param) => Some(sparse.rows.shape().clone()),
        _ => None,
    };
    if let Some(rhs) = other {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: param.shape().clone(),
            rhs,
            op: "optimizer step",
        }
        .bt());
    }
    let (names, n) = (update.rule.state_names(), param.elem_count());
    let rows = param.dims().first().copied().unwrap_or(0);
    if update.state.len() != names.len()
        || update.state.iter().any(|s| s.len() != n)
        || update.touched.as_ref().is_some_and(|t| t.len() != rows)
        || update.step == 0
    {
        let (state, step) = (update.state.len(), update.step);
        return Err(Error::Msg(format!(
            "optimizer step {step}: {state} state slices for {names:?} of {n} elements each, steps from 1"
        ))
        .bt());
    }
    Ok(())
}

/// Whether the rows are ones of the table, increasing.
fn fits(sparse: &Sparse, param: &Tensor) -> bool {
    let (&[rows, width], &[given, wide]) = (param.dims(), sparse.rows.dims()) else {
        return false;
    };
    let increasing = sparse.ids.windows(2).all(|w| w[0] < w[1]);
    let last = sparse.ids.last().is_none_or(|&id| (id as usize) < rows);
    given == sparse.ids.len() && wide == width && increasing && last
}

/// [`global_norm`] of tensors, and of what lies elsewhere. On a GPU it waits for the device, to read the one number.
pub fn global_norm_of<T: Stepped>(grads: &[Grad<'_, T>]) -> Result<f64> {
    let tensors: Vec<&Tensor> = grads
        .iter()
        .filter_map(|g| match g {
            Grad::Tensor(t) => Some(*t),
            Grad::Slice(_) | Grad::Rows(_) => None,
        })
        .collect();
    if tensors.len() == grads.len()
        && let Some(gpu) = Gpu::of(&tensors, &tensors)
    {
        let grads = tensors
            .iter()
            .map(|g| g.detach().contiguous())
            .collect::<Result<Vec<_>>>()?;
        return super::cuda::norm(&gpu, &grads.iter().collect::<Vec<_>>())?.to_scalar();
    }
    let held = grads
        .iter()
        .map(|g| match g {
            Grad::Slice(slice) => Ok(Held::Slice(slice)),
            Grad::Tensor(t) => Ok(Held::Tensor(t.detach().contiguous()?)),
            // Rows without a gradient add nothing.
            Grad::Rows(sparse) => Ok(Held::Tensor(sparse.rows.detach().contiguous()?)),
        })
        .collect::<Result<Vec<_>>>()?;
    let readings: Vec<Read<'_, T>> = held
        .iter()
        .map(|held| match held {
            Held::Slice(slice) => Read::Slice(slice),
            Held::Tensor(t) | Held::Rows(_, t) => Read::Tensor(Reading::of(t)),
        })
        .collect();
    let slices = readings
        .iter()
        .map(|read| match read {
            Read::Slice(slice) => Ok(*slice),
            Read::Tensor(reading) => reading.slice::<T>(),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(global_norm(&slices))
}
