//! Masked softmax in plain Candle operations.

use candle_core::{D, Result, Tensor};

/// Softmax over the elements of the last dimension where `keep`, broadcast, is not 0; a fully masked row is zeros.
pub fn softmax(x: &Tensor, keep: Option<&Tensor>) -> Result<Tensor> {
    let Some(keep) = keep else {
        let max = x.max_keepdim(D::Minus1)?.detach();
        let e = x.broadcast_sub(&max)?.exp()?;
        return e.broadcast_div(&e.sum_keepdim(D::Minus1)?);
    };
    let keep = keep.ne(0u32)?.broadcast_as(x.shape())?.contiguous()?;
    // Far below any score, and finite: a masked row has a maximum, and no exponent overflows.
    let low = (x.zeros_like()? - 1e30)?;
    let max = keep.where_cond(x, &low)?.max_keepdim(D::Minus1)?.detach();
    // Masked elements are moved to the maximum before the exponential and removed after it.
    let shifted = x.broadcast_sub(&max)?;
    let e = keep.where_cond(&shifted, &x.zeros_like()?)?.exp()?;
    let e = keep.where_cond(&e, &x.zeros_like()?)?;
    let sum = e.sum_keepdim(D::Minus1)?;
    let empty = sum.eq(0.0)?.to_dtype(x.dtype())?;
    e.broadcast_div(&(sum + empty)?)
}

/// y (dy - Σ y dy).
pub fn backward(y: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let product = (y * grad)?;
    y * grad.broadcast_sub(&product.sum_keepdim(D::Minus1)?)?
}
