//! Candle's own matrix product, transposes as views.

use candle_core::{Result, Tensor};

/// `op(a) op(b)` by Candle.
pub fn matmul(a: &Tensor, b: &Tensor, ta: bool, tb: bool) -> Result<Tensor> {
    let a = if ta {
        a.t()?.contiguous()?
    } else {
        a.contiguous()?
    };
    let b = if tb {
        b.t()?.contiguous()?
    } else {
        b.contiguous()?
    };
    a.matmul(&b)
}
