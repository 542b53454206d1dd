//! Layer normalisation (Ba, Kiros and Hinton 2016), alone and after a residual connection.
//!
//! y = w (x - mean) / sqrt(var + eps) + b over the last dimension, with the variance divided by n and eps inside the
//! root, as PyTorch's `LayerNorm`. With z = (x - mean) rstd and g = w dy, the gradient is
//! dx = rstd (g - mean(g) - z mean(g z)), dw = Σ dy z, db = Σ dy, the last two over all rows by fixed chunks.

pub(crate) mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::dropout::Dropout;
use crate::gpu::Gpu;
use crate::tensors::{Reading, on_kernels, pull_back, rows, tensor};
use candle_core::{Error, Result, Tensor};
use std::sync::Arc;

/// What the backward pass needs: the normalised input and each row's mean and 1 / deviation.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The input that was normalised (for [`residual_forward`] the sum). What was kept of it is of its shape, so nobody else puts another one here.
    x: Tensor,
    kept: Kept,
    eps: f64,
}

/// The mean and 1 / sqrt(var + eps) of each row; none where the reference ran.
#[derive(Debug, Clone)]
enum Kept {
    Nothing,
    Host(Arc<Moments>),
    Device(Tensor, Tensor),
}

#[derive(Debug)]
struct Moments {
    mean: Vec<f32>,
    rstd: Vec<f32>,
}

/// Gradients of a layer normalisation.
#[derive(Debug, Clone)]
pub struct Grads {
    /// Of the input; after a residual connection, of the sum.
    pub x: Tensor,
    /// Of the weight.
    pub weight: Tensor,
    /// Of the bias.
    pub bias: Tensor,
}

/// Layer normalisation of the last dimension; part of no graph.
pub fn forward(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<(Tensor, Saved)> {
    let (x, weight, bias) = (x.detach(), weight.detach(), bias.detach());
    if let Some(gpu) = Gpu::of(&[&x], &[&weight, &bias]) {
        check(&x, &weight, &bias)?;
        return cuda::forward(&gpu, &x, None, None, &weight, &bias, eps);
    }
    if !on_kernels(&[&x, &weight, &bias]) {
        let y = reference::layer_norm(&x, &weight, &bias, eps)?;
        return Ok((
            y,
            Saved {
                x,
                kept: Kept::Nothing,
                eps,
            },
        ));
    }
    let (y, saved) = run(&x, None, None, &weight, &bias, eps)?;
    Ok((tensor(y, saved.x.shape())?, saved))
}

/// Layer normalisation of `residual + dropout(x)`; part of no graph.
///
/// The gradient of the sum, which [`backward`] gives, is the gradient of `residual`; that of `x` is the same one without
/// dropout, and `dropout::backward` of it with.
pub fn residual_forward(
    x: &Tensor,
    residual: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    dropout: Option<&Dropout>,
) -> Result<(Tensor, Saved)> {
    let (x, residual) = (x.detach(), residual.detach());
    let (weight, bias) = (weight.detach(), bias.detach());
    if let Some(gpu) = Gpu::of(&[&x, &residual], &[&weight, &bias]) {
        check(&x, &weight, &bias)?;
        alike(&x, &residual)?;
        return cuda::forward(&gpu, &x, Some(&residual), dropout, &weight, &bias, eps);
    }
    if !on_kernels(&[&x, &residual, &weight, &bias]) {
        let x = match dropout {
            Some(d) => crate::dropout::reference::dropout(&x, d)?,
            None => x,
        };
        return forward(&(x + residual)?, &weight, &bias, eps);
    }
    alike(&x, &residual)?;
    let (y, saved) = run(&x, Some(&residual), dropout, &weight, &bias, eps)?;
    Ok((tensor(y, saved.x.shape())?, saved))
}

/// The gradients for the output gradient `grad`.
pub fn backward(saved: &Saved, weight: &Tensor, grad: &Tensor) -> Result<Grads> {
    let (weight, grad) = (weight.detach(), grad.detach());
    // The kernels go by its length.
    if saved
        .x
        .dims()
        .last()
        .is_none_or(|&width| weight.dims() != [width])
    {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: saved.x.shape().clone(),
            rhs: weight.shape().clone(),
            op: "layer norm's weight",
        }
        .bt());
    }
    if let (Kept::Device(mean, rstd), Some(gpu)) =
        (&saved.kept, Gpu::of(&[&saved.x, &grad], &[&weight]))
    {
        alike(&saved.x, &grad)?;
        return cuda::backward(&gpu, saved, (mean, rstd), &weight, &grad);
    }
    let moments = match &saved.kept {
        Kept::Host(moments) if on_kernels(&[&grad]) => Some(moments),
        _ => None,
    };
    let Some(moments) = moments else {
        let bias = weight.zeros_like()?;
        let all = pull_back(&[&saved.x, &weight, &bias], &grad, |t| {
            reference::layer_norm(&t[0], &t[1], &t[2], saved.eps)
        })?;
        let [x, weight, bias] = <[Tensor; 3]>::try_from(all)
            .map_err(|_| Error::Msg("layer_norm: three gradients".into()).bt())?;
        return Ok(Grads { x, weight, bias });
    };
    alike(&saved.x, &grad)?;
    let (weight, grad) = (weight.contiguous()?, grad.contiguous()?);
    let (rx, rw, rg) = (
        Reading::of(&saved.x),
        Reading::of(&weight),
        Reading::of(&grad),
    );
    let (gx, gw, gb) = cpu::backward(
        rx.slice()?,
        &moments.mean,
        &moments.rstd,
        rw.slice()?,
        rg.slice()?,
    );
    Ok(Grads {
        x: tensor(gx, saved.x.shape())?,
        weight: tensor(gw, weight.shape())?,
        bias: tensor(gb, weight.shape())?,
    })
}

/// Layer normalisation of the last dimension, recorded in Candle's graph.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    if Gpu::of(&[x], &[weight, bias]).is_some() {
        let (y, saved) = forward(x, weight, bias, eps)?;
        let back = move |args: &[&Tensor], grad: &Tensor| {
            let grads = backward(&saved, args[1], grad)?;
            Ok(vec![Some(grads.x), Some(grads.weight), Some(grads.bias)])
        };
        return crate::graph::record("layer_norm", &[x, weight, bias], y, x.shape(), back);
    }
    if !on_kernels(&[x, weight, bias]) {
        return reference::layer_norm(x, weight, bias, eps);
    }
    let (y, saved) = run(
        &x.detach(),
        None,
        None,
        &weight.detach(),
        &bias.detach(),
        eps,
    )?;
    let shape = saved.x.shape().clone();
    crate::graph::record(
        "layer_norm",
        &[x, weight, bias],
        y,
        shape,
        move |args, grad| {
            let grads = backward(&saved, args[1], grad)?;
            Ok(vec![Some(grads.x), Some(grads.weight), Some(grads.bias)])
        },
    )
}

/// Layer normalisation of `residual + dropout(x)`, recorded in Candle's graph.
pub fn residual_layer_norm(
    x: &Tensor,
    residual: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    dropout: Option<&Dropout>,
) -> Result<Tensor> {
    let x = match dropout {
        Some(d) => crate::dropout::dropout(x, d)?,
        None => x.clone(),
    };
    layer_norm(&x.add(residual)?, weight, bias, eps)
}

fn alike(x: &Tensor, other: &Tensor) -> Result<()> {
    if x.dims() == other.dims() {
        return Ok(());
    }
    Err(Error::ShapeMismatchBinaryOp {
        lhs: x.shape().clone(),
        rhs: other.shape().clone(),
        op: "layer_norm",
    }
    .bt())
}

fn check(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<()> {
    let (_, width) = rows(x)?;
    if weight.dims() == [width] && bias.dims() == [width] {
        return Ok(());
    }
    Err(Error::Msg(format!(
        "layer_norm: x {:?}, weight {:?}, bias {:?}",
        x.dims(),
        weight.dims(),
        bias.dims()
    ))
    .bt())
}

fn run(
    x: &Tensor,
    residual: Option<&Tensor>,
    dropout: Option<&Dropout>,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<(Vec<f32>, Saved)> {
    check(x, weight, bias)?;
    let x = x.contiguous()?;
    let (weight, bias) = (weight.contiguous()?, bias.contiguous()?);
    let residual = residual.map(Tensor::contiguous).transpose()?;
    let (output, sum) = {
        let (rx, rw, rb) = (Reading::of(&x), Reading::of(&weight), Reading::of(&bias));
        let rr = residual.as_ref().map(Reading::of);
        let rs = rr.as_ref().map(|r| r.slice::<f32>()).transpose()?;
        cpu::forward(
            rx.slice()?,
            rs.map(|r| (r, dropout)),
            rw.slice()?,
            rb.slice()?,
            eps as f32,
        )
    };
    let x = match sum {
        Some(sum) => tensor(sum, x.shape())?,
        None => x,
    };
    let moments = Moments {
        mean: output.mean,
        rstd: output.rstd,
    };
    let saved = Saved {
        x,
        kept: Kept::Host(Arc::new(moments)),
        eps,
    };
    Ok((output.y, saved))
}
