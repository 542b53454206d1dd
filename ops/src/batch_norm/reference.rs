//! Batch normalisation in plain Candle operations.

use candle_core::{Result, Tensor};

/// With these statistics.
pub fn given(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    x.broadcast_sub(mean)?
        .broadcast_div(&(var + eps)?.sqrt()?)?
        .broadcast_mul(weight)?
        .broadcast_add(bias)
}

/// With the batch's own statistics, which the gradient goes through.
pub fn batch(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let (mean, var) = moments(x)?;
    given(x, weight, bias, &mean, &var, eps)
}

/// Mean and variance (divided by n) of each channel over all rows.
pub fn moments(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let flat = x.contiguous()?.flatten_to(x.rank() - 2)?;
    let mean = flat.mean(0)?;
    let var = flat.broadcast_sub(&mean)?.sqr()?.mean(0)?;
    Ok((mean, var))
}
