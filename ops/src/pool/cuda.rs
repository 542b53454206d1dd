//! Max-pooling on a GPU: kernel.cu. (Averages are products, `resample.rs`.)

use super::Window;
use crate::gpu::{Arg, Gpu, Grid, count};
use candle_core::{DType, Result, Tensor};

/// The sizes that both kernels end with.
fn sizes(
    window: &Window,
    (h, w, c): (usize, usize, usize),
    (oh, ow): (usize, usize),
) -> Result<Vec<Arg<'static>>> {
    [
        h,
        w,
        c,
        oh,
        ow,
        window.kernel.0,
        window.kernel.1,
        window.stride.0,
        window.stride.1,
        window.padding.0,
        window.padding.1,
    ]
    .into_iter()
    .map(|n| Ok(Arg::U32(count(n)?)))
    .collect()
}

/// Whether a place within the window fits into a byte.
pub(super) fn fits(window: &Window) -> bool {
    window.kernel.0 * window.kernel.1 <= 256
}

/// The maxima, and the place of each in its window.
pub(super) fn forward(gpu: &Gpu, x: &Tensor, window: &Window) -> Result<(Tensor, Tensor)> {
    let (n, h, w, c) = x.dims4()?;
    let (oh, ow) = window.output((h, w))?;
    let x = x.contiguous()?;
    let y = gpu.empty((n, oh, ow, c), x.dtype())?;
    let places = gpu.empty((n, oh, ow, c), DType::U8)?;
    let all = y.elem_count();
    let mut args = vec![
        Arg::In(&x),
        Arg::Out(&y),
        Arg::Out(&places),
        Arg::U64(all as u64),
    ];
    args.extend(sizes(window, (h, w, c), (oh, ow))?);
    gpu.launch("max_pool_forward", x.dtype(), Grid::elements(all)?, &args)?;
    Ok((y, places))
}

pub(super) fn backward(
    gpu: &Gpu,
    grad: &Tensor,
    places: &Tensor,
    window: &Window,
    (h, w): (usize, usize),
) -> Result<Tensor> {
    let (n, oh, ow, c) = grad.dims4()?;
    let grad = grad.contiguous()?;
    let gx = gpu.empty((n, h, w, c), grad.dtype())?;
    let all = gx.elem_count();
    let mut args = vec![
        Arg::In(&grad),
        Arg::In(places),
        Arg::Out(&gx),
        Arg::U64(all as u64),
    ];
    args.extend(sizes(window, (h, w, c), (oh, ow))?);
    gpu.launch(
        "max_pool_backward",
        grad.dtype(),
        Grid::elements(all)?,
        &args,
    )?;
    Ok(gx)
}
