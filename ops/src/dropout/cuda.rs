//! Dropout on a GPU: kernel.cu. The mask is the CPU's.

use super::Dropout;
use crate::gpu::{Arg, Gpu, Grid};
use candle_core::{Result, Tensor};

pub(super) fn forward(gpu: &Gpu, x: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    let x = x.contiguous()?;
    let y = gpu.empty(x.shape(), x.dtype())?;
    let n = x.elem_count();
    let mut args = vec![Arg::In(&x), Arg::Out(&y), Arg::U64(n as u64)];
    args.extend(Arg::mask(Some(dropout)));
    // A thread draws eight numbers.
    gpu.launch(
        "dropout_forward",
        x.dtype(),
        Grid::elements(n.div_ceil(128) * 16)?,
        &args,
    )?;
    Ok(y)
}
