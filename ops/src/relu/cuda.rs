//! ReLU on a GPU: kernel.cu.

use crate::gpu::{Arg, Gpu, Grid};
use candle_core::{Result, Tensor};

pub(super) fn forward(gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let y = gpu.empty(x.shape(), x.dtype())?;
    let n = x.elem_count();
    gpu.launch(
        "relu_forward",
        x.dtype(),
        Grid::elements(n)?,
        &[Arg::In(&x), Arg::Out(&y), Arg::U64(n as u64)],
    )?;
    Ok(y)
}

pub(super) fn backward(gpu: &Gpu, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (y, grad) = (y.contiguous()?, grad.contiguous()?);
    let gx = gpu.empty(y.shape(), y.dtype())?;
    let n = y.elem_count();
    gpu.launch(
        "relu_backward",
        y.dtype(),
        Grid::elements(n)?,
        &[
            Arg::In(&y),
            Arg::In(&grad),
            Arg::Out(&gx),
            Arg::U64(n as u64),
        ],
    )?;
    Ok(gx)
}
