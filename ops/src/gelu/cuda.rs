//! GELU on a GPU: kernel.cu.

use super::{Grads, Kind};
use crate::gpu::{Arg, Gpu, Grid, chunked, count};
use crate::tensors::rows;
use candle_core::{DType, Result, Tensor};

fn tanh(kind: Kind) -> Arg<'static> {
    Arg::U32(u32::from(kind == Kind::Tanh))
}

pub(super) fn forward(gpu: &Gpu, x: &Tensor, bias: Option<&Tensor>, kind: Kind) -> Result<Tensor> {
    let (_, width) = rows(x)?;
    let x = x.contiguous()?;
    let bias = bias.map(Tensor::contiguous).transpose()?;
    let y = gpu.empty(x.shape(), x.dtype())?;
    let n = x.elem_count();
    gpu.launch(
        "gelu_forward",
        x.dtype(),
        Grid::elements(n)?,
        &[
            Arg::In(&x),
            Arg::read(bias.as_ref()),
            Arg::Out(&y),
            Arg::U64(n as u64),
            Arg::U32(count(width)?),
            tanh(kind),
        ],
    )?;
    Ok(y)
}

pub(super) fn backward(
    gpu: &Gpu,
    x: &Tensor,
    bias: Option<&Tensor>,
    kind: Kind,
    grad: &Tensor,
) -> Result<Grads> {
    let (n, width) = rows(x)?;
    let (x, grad) = (x.contiguous()?, grad.contiguous()?);
    let bias = bias.map(Tensor::contiguous).transpose()?;
    let gx = gpu.empty(x.shape(), x.dtype())?;
    let (per_chunk, chunks) = chunked(n);
    let partials = bias
        .as_ref()
        .map(|_| gpu.empty((chunks, width), DType::F32))
        .transpose()?;
    gpu.launch(
        "gelu_backward",
        x.dtype(),
        Grid::columns(width, chunks)?,
        &[
            Arg::In(&x),
            Arg::read(bias.as_ref()),
            Arg::In(&grad),
            Arg::Out(&gx),
            Arg::write(partials.as_ref()),
            Arg::U32(count(n)?),
            Arg::U32(count(width)?),
            Arg::U32(count(per_chunk)?),
            tanh(kind),
        ],
    )?;
    Ok(Grads {
        x: gx,
        bias: partials.map(|p| gpu.sum_partials(&p)).transpose()?,
    })
}
