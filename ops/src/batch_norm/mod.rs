//! Batch normalisation (Ioffe and Szegedy 2015) of the last dimension, the channels, over all rows.
//!
//! y = w (x - mean) / sqrt(var + eps) + b, a mean and a variance for each channel. They are given ([`Statistics::Given`]: a
//! network whose statistics stand still), or those of the batch, the variance divided by n ([`Statistics::Batch`]); then
//! [`Moments::follow`] lets the running ones follow, as PyTorch: new = (1 - momentum) old + momentum batch, the variance
//! divided by n - 1 there.
//!
//! With r = 1 / sqrt(var + eps) and z = (x - mean) r: dw = Σ dy z, db = Σ dy, and dx = w r dy for given statistics,
//! w r (dy - mean(dy) - z mean(dy z)) for those of the batch, which depend on x themselves.

mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::gpu::Gpu;
use crate::graph::Output;
use crate::tensors::{Element, Reading, on_kernels, pull_back, rows, tensor};
use candle_core::{DType, Error, Result, Tensor};

/// Whose mean and variance normalise.
#[derive(Clone, Copy, Debug)]
pub enum Statistics<'a> {
    /// These, `(channels,)` each; no gradient goes to them.
    Given {
        /// The mean.
        mean: &'a Tensor,
        /// The variance.
        var: &'a Tensor,
    },
    /// The batch's.
    Batch,
}

/// Mean and variance of a batch, `(channels,)` each; part of no graph.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The mean.
    pub mean: Tensor,
    /// The variance, divided by n.
    pub var: Tensor,
    /// Rows they were taken over.
    pub rows: usize,
    /// What the mean's rounding left out; empty where it is exact.
    low: Vec<f32>,
}

impl Moments {
    /// Moves running statistics towards these, in place.
    pub fn follow(&self, mean: &Tensor, var: &Tensor, momentum: f64) -> Result<()> {
        let unbiased = self.rows as f64 / self.rows.saturating_sub(1) as f64;
        self.put(mean, var, momentum, unbiased)
    }

    /// Writes these in their place, the variance divided by n as it is here: what is summed over batches has no part of their size in it.
    pub fn replace(&self, mean: &Tensor, var: &Tensor) -> Result<()> {
        self.put(mean, var, 1.0, 1.0)
    }

    /// `of_var`: what the variance is multiplied with.
    fn put(&self, mean: &Tensor, var: &Tensor, momentum: f64, of_var: f64) -> Result<()> {
        match mean.dtype() {
            DType::F64 => self.move_to::<f64>(mean, var, momentum, of_var),
            _ => self.move_to::<f32>(mean, var, momentum, of_var),
        }
    }

    fn move_to<T: Element>(
        &self,
        mean: &Tensor,
        var: &Tensor,
        momentum: f64,
        of_var: f64,
    ) -> Result<()> {
        // One row has no unbiased variance; PyTorch refuses it in training.
        if self.rows < 2 {
            let text = "batch_norm: one value a channel has no variance; take a larger batch or larger images, or freeze the statistics";
            return Err(Error::Msg(text.into()).bt());
        }
        for (to, from, factor) in [(mean, &self.mean, 1.0), (var, &self.var, of_var)] {
            if let Some(gpu) = Gpu::of(&[to], &[]).filter(|_| to.dtype() == DType::F32)
                && to.dims() == from.dims()
            {
                // Moments of a batch that the reference computed are of its type, f64 where images are few.
                let from = from.to_dtype(DType::F32)?;
                cuda::follow(&gpu, to, &from, 1.0 - momentum, momentum * factor)?;
                continue;
            }
            if to.dims() != from.dims() || to.rank() != 1 {
                let text = format!("batch_norm: running statistics of shape {:?}", to.dims());
                return Err(Error::Msg(text).bt());
            }
            if !to.device().is_cpu() {
                follow_anywhere(to, from, 1.0 - momentum, momentum * factor)?;
                continue;
            }
            let from = from.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            crate::with_mut(to, |to: &mut [T]| {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = T::of((1.0 - momentum) * to.wide() + momentum * factor * from);
                }
            })?;
        }
        Ok(())
    }
}

/// to = keep to + take from, in place, by Candle: for what no kernel takes, f64 on a GPU.
fn follow_anywhere(to: &Tensor, from: &Tensor, keep: f64, take: f64) -> Result<()> {
    let from = from.to_device(to.device())?.to_dtype(to.dtype())?;
    let new = (to.affine(keep, 0.0)? + from.affine(take, 0.0)?)?;
    to.slice_set(&new, 0, 0)
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved {
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    batch: bool,
    low: Vec<f32>,
    eps: f64,
}

impl Saved {
    /// What runs on these activations on a GPU, if something does.
    fn gpu(&self, other: Option<&Tensor>, parameters: &[&Tensor]) -> Option<Gpu> {
        let mut all = vec![&self.x];
        all.extend(other);
        let parameters: Vec<&Tensor> = [&self.mean, &self.var]
            .into_iter()
            .chain(parameters.iter().copied())
            .collect();
        Gpu::of(&all, &parameters)
    }
}

/// Gradients of a batch normalisation.
#[derive(Clone, Debug)]
pub struct Grads {
    /// Of the input.
    pub x: Tensor,
    /// Of the weight.
    pub weight: Tensor,
    /// Of the bias.
    pub bias: Tensor,
}

/// What follows in the same pass: `relu(y + residual)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct After<'a> {
    /// Of the input's shape.
    pub residual: Option<&'a Tensor>,
    /// Whether negative outputs become zero.
    pub relu: bool,
}

/// Batch norm of `x` `(.., channels)`, and what follows it; part of no graph. The moments are the batch's, if they were used.
///
/// [`backward`] wants the gradient of what the norm gave: with a ReLU after it, `relu::backward` of it first.
pub fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    statistics: Statistics<'_>,
    eps: f64,
    after: After<'_>,
) -> Result<(Tensor, Saved, Option<Moments>)> {
    let (x, weight, bias) = (x.detach(), weight.detach(), bias.detach());
    check(&x, &weight, &bias, statistics)?;
    if let Some(residual) = after.residual
        && residual.dims() != x.dims()
    {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: x.shape().clone(),
            rhs: residual.shape().clone(),
            op: "batch_norm residual",
        }
        .bt());
    }
    let x = x.contiguous()?;
    let moments = match statistics {
        Statistics::Given { .. } => None,
        Statistics::Batch => Some(moments(&x)?),
    };
    let (mean, var) = match (&moments, statistics) {
        (Some(m), _) => (m.mean.clone(), m.var.clone()),
        (None, Statistics::Given { mean, var }) => (mean.detach(), var.detach()),
        (None, Statistics::Batch) => return Err(Error::Msg("batch_norm: no moments".into()).bt()),
    };
    let saved = Saved {
        x,
        mean,
        var,
        batch: moments.is_some(),
        low: moments.as_ref().map_or_else(Vec::new, |m| m.low.clone()),
        eps,
    };
    let residual = after.residual.map(Tensor::detach);
    if let Some(gpu) = saved.gpu(residual.as_ref(), &[&weight, &bias]) {
        let y = cuda::apply(&gpu, &saved, &weight, &bias, residual.as_ref(), after.relu)?;
        return Ok((y, saved, moments));
    }
    let mut all = vec![&saved.x, &weight, &bias, &saved.mean, &saved.var];
    all.extend(&residual);
    if !on_kernels(&all) {
        let (mean, var) = (&saved.mean, &saved.var);
        let mut y = reference::given(&saved.x, &weight, &bias, mean, var, eps)?;
        if let Some(residual) = residual {
            y = (y + residual)?;
        }
        let y = if after.relu {
            crate::relu::relu(&y)?
        } else {
            y
        };
        return Ok((y, saved, moments));
    }
    let y = apply(&saved, &weight, &bias, residual.as_ref(), after.relu)?;
    Ok((tensor(y, saved.x.shape())?, saved, moments))
}

/// The gradients for the gradient of the norm's output.
pub fn backward(saved: &Saved, weight: &Tensor, grad: &Tensor) -> Result<Grads> {
    let (weight, grad) = (weight.detach(), grad.detach());
    if grad.dims() != saved.x.dims() {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: saved.x.shape().clone(),
            rhs: grad.shape().clone(),
            op: "batch_norm backward",
        }
        .bt());
    }
    if let Some(gpu) = saved.gpu(Some(&grad), &[&weight]) {
        return cuda::backward(&gpu, saved, &weight, &grad);
    }
    if !on_kernels(&[&saved.x, &weight, &grad, &saved.mean]) {
        let bias = weight.zeros_like()?;
        let all = pull_back(&[&saved.x, &weight, &bias], &grad, |t| {
            if saved.batch {
                reference::batch(&t[0], &t[1], &t[2], saved.eps)
            } else {
                reference::given(&t[0], &t[1], &t[2], &saved.mean, &saved.var, saved.eps)
            }
        })?;
        let [x, weight, bias] = <[Tensor; 3]>::try_from(all)
            .map_err(|_| Error::Msg("batch_norm: three gradients".into()).bt())?;
        return Ok(Grads { x, weight, bias });
    }
    let (weight, grad) = (weight.contiguous()?, grad.contiguous()?);
    let (mean, rstd) = scales(saved)?;
    let (rx, rw, rg) = (
        Reading::of(&saved.x),
        Reading::of(&weight),
        Reading::of(&grad),
    );
    let (dx, dw, db) = cpu::backward(
        rx.slice()?,
        &mean,
        &rstd,
        rw.slice()?,
        rg.slice()?,
        saved.batch,
    );
    Ok(Grads {
        x: tensor(dx, saved.x.shape())?,
        weight: tensor(dw, weight.shape())?,
        bias: tensor(db, weight.shape())?,
    })
}

/// Batch norm of `x` `(.., channels)`, recorded in Candle's graph. The moments are the batch's, if they were used.
pub fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    statistics: Statistics<'_>,
    eps: f64,
) -> Result<(Tensor, Option<Moments>)> {
    let on_gpu = Gpu::of(&[x], &[weight, bias]).is_some();
    if !on_gpu && !on_kernels(&[x, weight, bias]) {
        check(x, weight, bias, statistics)?;
        return Ok(match statistics {
            Statistics::Given { mean, var } => {
                let (mean, var) = (mean.detach(), var.detach());
                (reference::given(x, weight, bias, &mean, &var, eps)?, None)
            }
            Statistics::Batch => (
                reference::batch(x, weight, bias, eps)?,
                Some(moments(&x.detach())?),
            ),
        });
    }
    let (y, saved, moments): (Output, _, _) = if on_gpu {
        let (y, saved, moments) = forward(x, weight, bias, statistics, eps, After::default())?;
        (y.into(), saved, moments)
    } else {
        let (x, weight, bias) = (x.detach(), weight.detach(), bias.detach());
        check(&x, &weight, &bias, statistics)?;
        let x = x.contiguous()?;
        let moments = match statistics {
            Statistics::Given { .. } => None,
            Statistics::Batch => Some(self::moments(&x)?),
        };
        let (mean, var) = match (&moments, statistics) {
            (None, Statistics::Given { mean, var }) => (mean.detach(), var.detach()),
            (m, _) => {
                let m = m.as_ref();
                let m = m.ok_or_else(|| Error::Msg("batch_norm: no moments".into()).bt())?;
                (m.mean.clone(), m.var.clone())
            }
        };
        let saved = Saved {
            x,
            mean,
            var,
            batch: moments.is_some(),
            low: moments.as_ref().map_or_else(Vec::new, |m| m.low.clone()),
            eps,
        };
        let y = apply(&saved, &weight, &bias, None, false)?;
        (y.into(), saved, moments)
    };
    let shape = x.shape().clone();
    let y = crate::graph::record(
        "batch_norm",
        &[x, weight, bias],
        y,
        shape,
        move |args, grad| {
            let grads = backward(&saved, args[1], grad)?;
            Ok(vec![Some(grads.x), Some(grads.weight), Some(grads.bias)])
        },
    )?;
    Ok((y, moments))
}

/// Norm with given statistics as a factor and a shift for each channel: w / sqrt(var + eps), and b - mean times that.
pub fn fold(
    weight: &Tensor,
    bias: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
) -> Result<(Tensor, Tensor)> {
    let wide = |t: &Tensor| t.detach().to_dtype(DType::F64);
    let scale = (wide(weight)? / (wide(var)? + eps)?.sqrt()?)?;
    let shift = (wide(bias)? - (wide(mean)? * &scale)?)?;
    Ok((
        scale.to_dtype(weight.dtype())?,
        shift.to_dtype(weight.dtype())?,
    ))
}

/// The batch's moments.
fn moments(x: &Tensor) -> Result<Moments> {
    let (n, width) = rows(x)?;
    if n == 0 {
        return Err(Error::Msg("batch_norm: an empty batch has no statistics".into()).bt());
    }
    if let Some(gpu) = Gpu::of(&[x], &[]) {
        return cuda::moments(&gpu, &x.contiguous()?);
    }
    if !on_kernels(&[x]) {
        let (mean, var) = reference::moments(x)?;
        return Ok(Moments {
            mean,
            var,
            rows: n,
            low: Vec::new(),
        });
    }
    let x = x.contiguous()?;
    let reading = Reading::of(&x);
    let [mean, low, var] = cpu::moments(reading.slice()?, width);
    Ok(Moments {
        mean: tensor(mean, width)?,
        var: tensor(var, width)?,
        rows: n,
        low,
    })
}

/// Mean and 1 / sqrt(var + eps).
fn scales(saved: &Saved) -> Result<(Vec<f32>, Vec<f32>)> {
    let rstd = |v: f32| (1.0 / (f64::from(v) + saved.eps).sqrt()) as f32;
    let var = saved.var.to_vec1::<f32>()?;
    Ok((
        saved.mean.to_vec1::<f32>()?,
        var.into_iter().map(rstd).collect(),
    ))
}

fn apply(
    saved: &Saved,
    weight: &Tensor,
    bias: &Tensor,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Vec<f32>> {
    let (mean, rstd) = scales(saved)?;
    let weight = weight.to_vec1::<f32>()?;
    let scale: Vec<f32> = weight.iter().zip(&rstd).map(|(w, r)| w * r).collect();
    let mut bias = bias.to_vec1::<f32>()?;
    for ((b, s), l) in bias.iter_mut().zip(&scale).zip(&saved.low) {
        *b -= s * l;
    }
    let residual = residual.map(Tensor::contiguous).transpose()?;
    let rx = Reading::of(&saved.x);
    let rr = residual.as_ref().map(Reading::of);
    let residual = rr.as_ref().map(|r| r.slice::<f32>()).transpose()?;
    Ok(cpu::apply(
        rx.slice()?,
        &mean,
        &scale,
        &bias,
        residual,
        relu,
    ))
}

fn check(x: &Tensor, weight: &Tensor, bias: &Tensor, statistics: Statistics<'_>) -> Result<()> {
    let (_, width) = rows(x)?;
    if width == 0 {
        return Err(Error::Msg("batch_norm: no channels".into()).bt());
    }
    let given = match statistics {
        Statistics::Given { mean, var } => vec![mean, var],
        Statistics::Batch => Vec::new(),
    };
    let own = [weight, bias];
    if let Some(t) = own.into_iter().chain(given).find(|t| t.dims() != [width]) {
        let text = format!(
            "batch_norm: x {:?} with a weight, bias or statistic of shape {:?}",
            x.dims(),
            t.dims()
        );
        return Err(Error::Msg(text).bt());
    }
    Ok(())
}
