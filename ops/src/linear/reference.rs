//! The linear layer in plain Candle operations.

use candle_core::{Result, Tensor};

/// x Wᵀ + b.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (out, width) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = out;
    }
    let flat = x.contiguous()?.reshape(((), width))?;
    let y = flat.matmul(&weight.t()?.contiguous()?)?.reshape(shape)?;
    match bias {
        Some(b) => y.broadcast_add(b),
        None => Ok(y),
    }
}
