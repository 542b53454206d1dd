//! GELU (Hendrycks and Gimpel 2016) after a bias: y = gelu(x + b).
//!
//! With v = x + b, [`Kind::Erf`] is v Φ(v), Φ the normal distribution function, with derivative Φ(v) + v φ(v);
//! [`Kind::Tanh`] is v s with s = (1 + tanh(u)) / 2 = sigmoid(2u), u = √(2/π) (v + 0.044715 v³), with derivative
//! s + v s (1 - s) 2u'. The backward pass computes v again from x and b, so nothing is kept but the input.
//!
//! The f32 kernels are within 2e-7 max(1, |v|) of f64 (measured: see the tests).

pub(crate) mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::gpu::Gpu;
use crate::graph::Output;
use crate::tensors::{Reading, on_kernels, pull_back, rows, tensor};
use candle_core::{Error, Result, Tensor};

/// Which GELU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The exact one, by the error function: BERT's `gelu`.
    Erf,
    /// The approximation by tanh: `gelu_new`, `gelu_pytorch_tanh`.
    Tanh,
}

/// Gradients of GELU after a bias.
#[derive(Debug, Clone)]
pub struct Grads {
    /// Of the input.
    pub x: Tensor,
    /// Of the bias, if there is one.
    pub bias: Option<Tensor>,
}

/// gelu(x + bias) with the bias over the last dimension; part of no graph. Keep `x` for [`backward`].
pub fn forward(x: &Tensor, bias: Option<&Tensor>, kind: Kind) -> Result<Tensor> {
    let (x, bias) = (x.detach(), bias.map(Tensor::detach));
    if let Some(gpu) = gpu(&[&x], bias.as_ref()) {
        check(&x, bias.as_ref())?;
        return cuda::forward(&gpu, &x, bias.as_ref(), kind);
    }
    if !kernels(&x, bias.as_ref()) {
        return reference::bias_gelu(&x, bias.as_ref(), kind);
    }
    tensor(apply(&x, bias.as_ref(), kind)?, x.shape())
}

/// The gradients for the output gradient `grad`.
pub fn backward(x: &Tensor, bias: Option<&Tensor>, kind: Kind, grad: &Tensor) -> Result<Grads> {
    let (x, bias, grad) = (x.detach(), bias.map(Tensor::detach), grad.detach());
    if let Some(gpu) = gpu(&[&x, &grad], bias.as_ref()) {
        check(&x, bias.as_ref())?;
        alike(&x, &grad)?;
        return cuda::backward(&gpu, &x, bias.as_ref(), kind, &grad);
    }
    if !kernels(&x, bias.as_ref()) || !on_kernels(&[&grad]) {
        let mut inputs = vec![&x];
        inputs.extend(bias.as_ref());
        let mut all = pull_back(&inputs, &grad, |t| {
            reference::bias_gelu(&t[0], t.get(1), kind)
        })?
        .into_iter();
        let Some(x) = all.next() else {
            return Err(Error::Msg("bias_gelu: no gradient".into()).bt());
        };
        return Ok(Grads {
            x,
            bias: all.next(),
        });
    }
    check(&x, bias.as_ref())?;
    alike(&x, &grad)?;
    let (x, grad) = (x.contiguous()?, grad.contiguous()?);
    let bias = bias.map(|b| b.contiguous()).transpose()?;
    let (_, width) = rows(&x)?;
    let (rx, rg) = (Reading::of(&x), Reading::of(&grad));
    let rb = bias.as_ref().map(Reading::of);
    let bs = rb.as_ref().map(|b| b.slice::<f32>()).transpose()?;
    let (gx, gb) = cpu::backward(rx.slice()?, bs, rg.slice()?, width, kind);
    Ok(Grads {
        x: tensor(gx, x.shape())?,
        bias: gb.map(|gb| tensor(gb, width)).transpose()?,
    })
}

/// gelu(x + bias), recorded in Candle's graph.
pub fn bias_gelu(x: &Tensor, bias: Option<&Tensor>, kind: Kind) -> Result<Tensor> {
    let on_gpu = gpu(&[x], bias).is_some();
    if !on_gpu && !kernels(x, bias) {
        return reference::bias_gelu(x, bias, kind);
    }
    let data: Output = match on_gpu {
        true => forward(x, bias, kind)?.into(),
        false => apply(&x.detach(), bias.map(Tensor::detach).as_ref(), kind)?.into(),
    };
    let back = move |args: &[&Tensor], grad: &Tensor| {
        let grads = backward(args[0], args.get(1).copied(), kind, grad)?;
        Ok(vec![Some(grads.x), grads.bias])
    };
    match bias {
        Some(b) => crate::graph::record("bias_gelu", &[x, b], data, x.shape(), back),
        None => crate::graph::record("bias_gelu", &[x], data, x.shape(), back),
    }
}

fn gpu(activations: &[&Tensor], bias: Option<&Tensor>) -> Option<Gpu> {
    match bias {
        Some(b) => Gpu::of(activations, &[b]),
        None => Gpu::of(activations, &[]),
    }
}

fn alike(x: &Tensor, grad: &Tensor) -> Result<()> {
    if grad.dims() == x.dims() {
        return Ok(());
    }
    Err(Error::ShapeMismatchBinaryOp {
        lhs: x.shape().clone(),
        rhs: grad.shape().clone(),
        op: "bias_gelu backward",
    }
    .bt())
}

fn kernels(x: &Tensor, bias: Option<&Tensor>) -> bool {
    on_kernels(&[x]) && bias.is_none_or(|b| on_kernels(&[b]))
}

fn check(x: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    let (_, width) = rows(x)?;
    match bias {
        Some(b) if b.dims() != [width] => {
            Err(Error::Msg(format!("bias_gelu: x {:?}, bias {:?}", x.dims(), b.dims())).bt())
        }
        _ => Ok(()),
    }
}

fn apply(x: &Tensor, bias: Option<&Tensor>, kind: Kind) -> Result<Vec<f32>> {
    check(x, bias)?;
    let (_, width) = rows(x)?;
    let x = x.contiguous()?;
    let bias = bias.map(Tensor::contiguous).transpose()?;
    let rx = Reading::of(&x);
    let rb = bias.as_ref().map(Reading::of);
    let bs = rb.as_ref().map(|b| b.slice::<f32>()).transpose()?;
    Ok(cpu::forward(rx.slice()?, bs, width, kind))
}
