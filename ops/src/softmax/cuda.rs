//! Softmax on a GPU: kernel.cu.

use crate::gpu::{Arg, Gpu, Grid, count};
use crate::tensors::rows;
use candle_core::{DType, Result, Tensor};

pub(super) fn forward(gpu: &Gpu, x: &Tensor, keep: Option<&Tensor>) -> Result<Tensor> {
    let (n, width) = rows(x)?;
    let x = x.contiguous()?;
    let keep = keep
        .map(|k| {
            let k = k.detach().ne(0u32)?.to_dtype(DType::U8)?;
            k.broadcast_as(x.shape())?.contiguous()
        })
        .transpose()?;
    let y = gpu.empty(x.shape(), x.dtype())?;
    gpu.launch(
        "softmax_forward",
        x.dtype(),
        Grid::warps(n)?,
        &[
            Arg::In(&x),
            Arg::read(keep.as_ref()),
            Arg::Out(&y),
            Arg::U32(count(n)?),
            Arg::U32(count(width)?),
        ],
    )?;
    Ok(y)
}

/// `y` and `grad` are contiguous.
pub(super) fn backward(gpu: &Gpu, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (n, width) = rows(y)?;
    let gx = gpu.empty(y.shape(), y.dtype())?;
    gpu.launch(
        "softmax_backward",
        y.dtype(),
        Grid::warps(n)?,
        &[
            Arg::In(y),
            Arg::In(grad),
            Arg::Out(&gx),
            Arg::U32(count(n)?),
            Arg::U32(count(width)?),
        ],
    )?;
    Ok(gx)
}
