//! Layer normalisation on a GPU: kernel.cu.

use super::{Grads, Kept, Saved};
use crate::dropout::Dropout;
use crate::gpu::{Arg, Gpu, Grid, chunked, count};
use crate::tensors::rows;
use candle_core::{DType, Result, Tensor};

pub(super) fn forward(
    gpu: &Gpu,
    x: &Tensor,
    residual: Option<&Tensor>,
    dropout: Option<&Dropout>,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<(Tensor, Saved)> {
    let (n, width) = rows(x)?;
    let x = x.contiguous()?;
    let (weight, bias) = (weight.contiguous()?, bias.contiguous()?);
    let residual = residual.map(Tensor::contiguous).transpose()?;
    let sum = residual
        .as_ref()
        .map(|_| gpu.empty(x.shape(), x.dtype()))
        .transpose()?;
    let y = gpu.empty(x.shape(), x.dtype())?;
    let (mean, rstd) = (gpu.empty(n, DType::F32)?, gpu.empty(n, DType::F32)?);
    let mut args = vec![
        Arg::In(&x),
        Arg::read(residual.as_ref()),
        Arg::In(&weight),
        Arg::In(&bias),
        Arg::write(sum.as_ref()),
        Arg::Out(&y),
        Arg::Out(&mean),
        Arg::Out(&rstd),
        Arg::U32(count(width)?),
        Arg::F32(eps as f32),
    ];
    args.extend(Arg::mask(dropout));
    let grid = Grid::rows(n, width)?;
    gpu.launch("layer_norm_forward", x.dtype(), grid, &args)?;
    let saved = Saved {
        x: sum.unwrap_or(x),
        kept: Kept::Device(mean, rstd),
        eps,
    };
    Ok((y, saved))
}

pub(super) fn backward(
    gpu: &Gpu,
    saved: &Saved,
    (mean, rstd): (&Tensor, &Tensor),
    weight: &Tensor,
    grad: &Tensor,
) -> Result<Grads> {
    let x = &saved.x;
    let (n, width) = rows(x)?;
    let (weight, grad) = (weight.contiguous()?, grad.contiguous()?);
    let gx = gpu.empty(x.shape(), x.dtype())?;
    gpu.launch(
        "layer_norm_backward",
        x.dtype(),
        Grid::rows(n, width)?,
        &[
            Arg::In(x),
            Arg::In(mean),
            Arg::In(rstd),
            Arg::In(&weight),
            Arg::In(&grad),
            Arg::Out(&gx),
            Arg::U32(count(width)?),
        ],
    )?;
    let (per_chunk, chunks) = chunked(n);
    let partials = gpu.empty((chunks, 2 * width), DType::F32)?;
    gpu.launch(
        "layer_norm_backward_columns",
        x.dtype(),
        Grid::columns(width, chunks)?,
        &[
            Arg::In(x),
            Arg::In(mean),
            Arg::In(rstd),
            Arg::In(&grad),
            Arg::Out(&partials),
            Arg::U32(count(n)?),
            Arg::U32(count(width)?),
            Arg::U32(count(per_chunk)?),
        ],
    )?;
    let both = gpu.sum_partials(&partials)?;
    Ok(Grads {
        x: gx,
        weight: both.narrow(0, 0, width)?.contiguous()?,
        bias: both.narrow(0, width, width)?.contiguous()?,
    })
}
