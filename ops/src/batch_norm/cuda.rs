//! Batch normalisation on a GPU: kernel.cu.

use super::{Grads, Moments, Saved};
use crate::gpu::{Arg, Gpu, Grid, chunked, count};
use crate::tensors::rows;
use candle_core::{DType, Result, Tensor};

/// Rows, columns and rows of a chunk, as every kernel takes them.
struct Sizes {
    args: [Arg<'static>; 3],
    grid: Grid,
    width: usize,
    chunks: usize,
}

impl Sizes {
    fn of(x: &Tensor) -> Result<Self> {
        let (n, width) = rows(x)?;
        let (per_chunk, chunks) = chunked(n);
        Ok(Sizes {
            args: [
                Arg::U32(count(n)?),
                Arg::U32(count(width)?),
                Arg::U32(count(per_chunk)?),
            ],
            grid: Grid::columns(width, chunks)?,
            width,
            chunks,
        })
    }
}

/// The moments of `x`, contiguous and with a row at least.
pub(super) fn moments(gpu: &Gpu, x: &Tensor) -> Result<Moments> {
    let (n, _) = rows(x)?;
    let s = Sizes::of(x)?;
    let sum = |mean: Option<&Tensor>| -> Result<Tensor> {
        let partials = gpu.empty((s.chunks, s.width), DType::F32)?;
        let mut args = vec![Arg::In(x), Arg::read(mean), Arg::Out(&partials)];
        args.extend(s.args);
        gpu.launch("batch_norm_sums", x.dtype(), s.grid, &args)?;
        gpu.sum_partials(&partials)? / n as f64
    };
    let mean = sum(None)?;
    let var = sum(Some(&mean))?;
    Ok(Moments {
        mean,
        var,
        rows: n,
        low: Vec::new(),
    })
}

/// The output for the statistics in `saved`.
pub(super) fn apply(
    gpu: &Gpu,
    saved: &Saved,
    weight: &Tensor,
    bias: &Tensor,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    let x = &saved.x;
    let s = Sizes::of(x)?;
    let residual = residual.map(Tensor::contiguous).transpose()?;
    let vectors = [&saved.mean, &saved.var, weight, bias].map(Tensor::contiguous);
    let [mean, var, weight, bias] = vectors;
    let (mean, var, weight, bias) = (mean?, var?, weight?, bias?);
    let y = gpu.empty(x.shape(), x.dtype())?;
    let mut args = vec![
        Arg::In(x),
        Arg::In(&mean),
        Arg::In(&var),
        Arg::In(&weight),
        Arg::In(&bias),
        Arg::read(residual.as_ref()),
        Arg::Out(&y),
    ];
    args.extend(s.args);
    args.extend([Arg::F32(saved.eps as f32), Arg::U32(u32::from(relu))]);
    gpu.launch("batch_norm_apply", x.dtype(), s.grid, &args)?;
    Ok(y)
}

pub(super) fn backward(gpu: &Gpu, saved: &Saved, weight: &Tensor, grad: &Tensor) -> Result<Grads> {
    let x = &saved.x;
    let s = Sizes::of(x)?;
    let (mean, var) = (saved.mean.contiguous()?, saved.var.contiguous()?);
    let (weight, grad) = (weight.contiguous()?, grad.contiguous()?);
    let eps = Arg::F32(saved.eps as f32);
    let partials = gpu.empty((s.chunks, 2 * s.width), DType::F32)?;
    let mut args = vec![
        Arg::In(x),
        Arg::In(&mean),
        Arg::In(&var),
        Arg::In(&grad),
        Arg::Out(&partials),
    ];
    args.extend(s.args);
    args.push(eps);
    gpu.launch("batch_norm_backward_columns", x.dtype(), s.grid, &args)?;
    let sums = gpu.sum_partials(&partials)?;
    let gx = gpu.empty(x.shape(), x.dtype())?;
    let mut args = vec![
        Arg::In(x),
        Arg::In(&mean),
        Arg::In(&var),
        Arg::In(&weight),
        Arg::In(&grad),
        Arg::read(saved.batch.then_some(&sums)),
        Arg::Out(&gx),
    ];
    args.extend(s.args);
    args.push(eps);
    gpu.launch("batch_norm_backward", x.dtype(), s.grid, &args)?;
    Ok(Grads {
        x: gx,
        weight: sums.narrow(0, 0, s.width)?.contiguous()?,
        bias: sums.narrow(0, s.width, s.width)?.contiguous()?,
    })
}

/// to = keep to + take from, in place.
pub(super) fn follow(gpu: &Gpu, to: &Tensor, from: &Tensor, keep: f64, take: f64) -> Result<()> {
    let from = from.contiguous()?;
    let n = to.elem_count();
    gpu.launch(
        "batch_norm_follow",
        DType::F32,
        Grid::elements(n)?,
        &[
            Arg::Out(to),
            Arg::In(&from),
            Arg::U32(count(n)?),
            Arg::F32(keep as f32),
            Arg::F32(take as f32),
        ],
    )
}
