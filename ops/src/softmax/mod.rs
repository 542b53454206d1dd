//! Softmax over the last dimension, with a mask.
//!
//! y_i = e^(x_i - max) / Σ e^(x_j - max) over the elements that the mask keeps; the others are 0, and a row without any
//! is all zeros. Gradient: dx = y (dy - Σ y dy).

pub(crate) mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::gpu::Gpu;
use crate::tensors::{Reading, on_kernels, rows, tensor};
use candle_core::{DType, Error, Result, Tensor};

/// Softmax over the last dimension of `x`; `keep`, broadcast to the shape of `x`, is 0 where an element is masked.
/// Part of no graph. Keep the output for [`backward`].
pub fn forward(x: &Tensor, keep: Option<&Tensor>) -> Result<Tensor> {
    let x = x.detach();
    if let Some(gpu) = Gpu::of(&[&x], &[]) {
        return cuda::forward(&gpu, &x, keep);
    }
    if !on_kernels(&[&x]) {
        return reference::softmax(&x, keep);
    }
    tensor(apply(&x, keep)?, x.shape())
}

/// The gradient of the input, from the output `y` and its gradient.
pub fn backward(y: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (y, grad) = (y.detach().contiguous()?, grad.detach().contiguous()?);
    if y.dims() != grad.dims() {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: y.shape().clone(),
            rhs: grad.shape().clone(),
            op: "softmax backward",
        }
        .bt());
    }
    if let Some(gpu) = Gpu::of(&[&y, &grad], &[]) {
        return cuda::backward(&gpu, &y, &grad);
    }
    if !on_kernels(&[&y, &grad]) {
        return reference::backward(&y, &grad);
    }
    let (_, width) = rows(&y)?;
    let (ry, rg) = (Reading::of(&y), Reading::of(&grad));
    tensor(cpu::backward(ry.slice()?, rg.slice()?, width), y.shape())
}

/// Softmax over the last dimension, recorded in Candle's graph.
pub fn softmax(x: &Tensor, keep: Option<&Tensor>) -> Result<Tensor> {
    if Gpu::of(&[x], &[]).is_some() {
        let y = forward(x, keep)?;
        let back = {
            let y = y.clone();
            move |_: &[&Tensor], grad: &Tensor| Ok(vec![Some(backward(&y, grad)?)])
        };
        return crate::graph::record("softmax", &[x], y, x.shape(), back);
    }
    if !on_kernels(&[x]) {
        return reference::softmax(x, keep);
    }
    let y = apply(&x.detach(), keep)?;
    let saved = tensor(y.clone(), x.shape())?;
    crate::graph::record("softmax", &[x], y, x.shape(), move |_, grad| {
        Ok(vec![Some(backward(&saved, grad)?)])
    })
}

fn apply(x: &Tensor, keep: Option<&Tensor>) -> Result<Vec<f32>> {
    let (_, width) = rows(x)?;
    let keep = keep
        .map(|k| {
            let k = k.detach().ne(0u32)?.to_dtype(DType::U8)?;
            k.broadcast_as(x.shape())?.flatten_all()?.to_vec1::<u8>()
        })
        .transpose()?;
    let x = x.contiguous()?;
    let reading = Reading::of(&x);
    Ok(cpu::forward(reading.slice()?, keep.as_deref(), width))
}
