//! Cross-entropy on a GPU: kernel.cu. Labels stay on the device: one of no class makes the loss NaN instead of an error.

use super::{CrossEntropy, Kept, Reduction, Saved};
use crate::gpu::{Arg, Gpu, Grid, count};
use candle_core::{DType, Error, Result, Tensor};

/// The loss of f32 logits.
pub(super) fn forward(
    gpu: &Gpu,
    logits: &Tensor,
    labels: &Tensor,
    options: &CrossEntropy,
) -> Result<(Tensor, Saved)> {
    let (n, classes) = logits.dims2()?;
    let logits = logits.contiguous()?;
    let labels = labels.detach().to_dtype(DType::U32)?.contiguous()?;
    options.check_shapes(n, labels.elem_count(), classes)?;
    let weights = options
        .weights
        .as_ref()
        .map(|w| gpu.upload(w))
        .transpose()?;
    let ignored = [
        Arg::U32(u32::from(options.ignore_index.is_some())),
        Arg::U32(options.ignore_index.unwrap_or(0)),
    ];
    let losses = gpu.empty(n, DType::F32)?;
    let gradient = gpu.empty((n, classes), DType::F32)?;
    let classes = Arg::U32(count(classes)?);
    let mut args = vec![
        Arg::In(&logits),
        Arg::In(&labels),
        Arg::read(weights.as_ref()),
        Arg::Out(&losses),
        Arg::Out(&gradient),
        classes,
        Arg::F32(options.label_smoothing as f32),
    ];
    args.extend(ignored);
    let grid = Grid::rows(n, logits.dim(1)?)?;
    gpu.launch("cross_entropy_forward", DType::F32, grid, &args)?;
    let (loss, divisor) = (gpu.empty((), DType::F32)?, gpu.empty((), DType::F32)?);
    let mut args = vec![
        Arg::In(&losses),
        Arg::In(&labels),
        Arg::read(weights.as_ref()),
        Arg::Out(&loss),
        Arg::Out(&divisor),
        Arg::U32(count(n)?),
        classes,
        Arg::U32(u32::from(options.reduction == Reduction::Mean)),
    ];
    args.extend(ignored);
    gpu.launch("cross_entropy_reduce", DType::F32, Grid::one(), &args)?;
    let saved = Saved {
        kept: Kept::Device(gradient, divisor),
        divisor: 1.0,
        reduction: options.reduction,
    };
    Ok(match options.reduction {
        Reduction::None => (losses, saved),
        Reduction::Mean | Reduction::Sum => (loss, saved),
    })
}

pub(super) fn backward(
    gpu: &Gpu,
    (gradient, divisor): (&Tensor, &Tensor),
    reduction: Reduction,
    grad: &Tensor,
) -> Result<Tensor> {
    let (n, classes) = gradient.dims2()?;
    let grad = grad.detach().to_dtype(DType::F32)?.contiguous()?;
    let expected = if reduction == Reduction::None { n } else { 1 };
    if grad.elem_count() != expected {
        return Err(Error::Msg(format!(
            "cross_entropy: a gradient of {} elements, expected {expected}",
            grad.elem_count()
        ))
        .bt());
    }
    let out = gpu.empty((n, classes), DType::F32)?;
    gpu.launch(
        "cross_entropy_backward",
        DType::F32,
        Grid::elements(n * classes)?,
        &[
            Arg::In(gradient),
            Arg::In(&grad),
            Arg::In(divisor),
            Arg::Out(&out),
            Arg::U64((n * classes) as u64),
            Arg::U32(count(classes)?),
            Arg::U32(u32::from(reduction == Reduction::None)),
        ],
    )?;
    Ok(out)
}
