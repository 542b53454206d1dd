//! max(x, 0), and its gradient: dy where the output is positive, zero elsewhere, as PyTorch's.
//!
//! NaN stays NaN.

mod cuda;
#[cfg(test)]
mod tests;

use crate::gpu::Gpu;
use crate::graph::Output;
use crate::parallel::{CHUNK, unwritten};
use crate::path::{Path, per_path};
use crate::tensors::{Reading, on_kernels, tensor};
use candle_core::{Error, Result, Tensor};
use rayon::prelude::*;

/// max(x, 0); part of no graph.
pub fn forward(x: &Tensor) -> Result<Tensor> {
    let x = x.detach();
    if let Some(gpu) = Gpu::of(&[&x], &[]) {
        return cuda::forward(&gpu, &x);
    }
    if !on_kernels(&[&x]) {
        return reference(&x);
    }
    tensor(kernel(&x)?, x.shape())
}

/// `grad` where the output `y` is positive, zero elsewhere.
pub fn backward(y: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (y, grad) = (y.detach(), grad.detach());
    if y.dims() != grad.dims() {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: y.shape().clone(),
            rhs: grad.shape().clone(),
            op: "relu backward",
        }
        .bt());
    }
    if let Some(gpu) = Gpu::of(&[&y, &grad], &[]) {
        return cuda::backward(&gpu, &y, &grad);
    }
    if !on_kernels(&[&y, &grad]) {
        return y.gt(0f64)?.to_dtype(grad.dtype())? * grad;
    }
    let path = Path::current();
    let (y, grad) = (y.contiguous()?, grad.contiguous()?);
    let (ry, rg) = (Reading::of(&y), Reading::of(&grad));
    let (ys, gs) = (ry.slice::<f32>()?, rg.slice::<f32>()?);
    // SAFETY: `mask` writes its chunk whole.
    let mut out = unsafe { unwritten::<f32>(ys.len()) };
    out.par_chunks_mut(CHUNK)
        .zip(ys.par_chunks(CHUNK).zip(gs.par_chunks(CHUNK)))
        .for_each(|(out, (y, g))| mask(path, y, g, out));
    tensor(out, y.shape())
}

/// max(x, 0), recorded in Candle's graph.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    let on_gpu = Gpu::of(&[x], &[]).is_some();
    if !on_gpu && !on_kernels(&[x]) {
        return reference(x);
    }
    let y: Output = match on_gpu {
        true => forward(x)?.into(),
        false => kernel(&x.detach())?.into(),
    };
    crate::graph::record("relu", &[x], y, x.shape(), |args, grad| {
        Ok(vec![Some(backward(args[0], grad)?)])
    })
}

/// By Candle's own ops, of any type. Not its `relu`: that one makes a 0 of NaN, and has the slope 1 at 0.
fn reference(x: &Tensor) -> Result<Tensor> {
    x.le(0f64)?.where_cond(&x.zeros_like()?, x)
}

fn kernel(x: &Tensor) -> Result<Vec<f32>> {
    let path = Path::current();
    let x = x.contiguous()?;
    let reading = Reading::of(&x);
    let xs = reading.slice::<f32>()?;
    // SAFETY: `positive` writes its chunk whole.
    let mut y = unsafe { unwritten::<f32>(xs.len()) };
    y.par_chunks_mut(CHUNK)
        .zip(xs.par_chunks(CHUNK))
        .for_each(|(y, x)| positive(path, x, y));
    Ok(y)
}

per_path! {
    pub(crate) fn positive(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = if x < 0.0 { 0.0 } else { x };
        }
    }
}

per_path! {
    pub(crate) fn mask(y: &[f32], grad: &[f32], out: &mut [f32]) {
        for (out, (&y, &g)) in out.iter_mut().zip(y.iter().zip(grad)) {
            *out = if y > 0.0 { g } else { 0.0 };
        }
    }
}
