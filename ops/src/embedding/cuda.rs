//! Embedding on a GPU: kernel.cu. Ids stay on the device: one of no row makes NaN instead of an error. The table's gradient is whole.

use crate::gpu::{Arg, Gpu, Grid, chunked, count};
use candle_core::{DType, Error, Result, Tensor};

/// Tables of so few rows sum each of them by chunks of positions.
const FEW: usize = 8;

fn flat(ids: &Tensor) -> Result<Tensor> {
    ids.detach()
        .to_dtype(DType::U32)?
        .flatten_all()?
        .contiguous()
}

/// The rows of a table, or their sum with what another gave.
pub(super) fn forward(
    gpu: &Gpu,
    table: &Tensor,
    ids: &Tensor,
    onto: Option<Tensor>,
) -> Result<Tensor> {
    let (vocabulary, width) = table.dims2()?;
    let table = table.contiguous()?;
    let mut shape = ids.dims().to_vec();
    shape.push(width);
    let ids = flat(ids)?;
    let add = onto.is_some();
    let out = match onto {
        None => gpu.empty(shape, DType::F32)?,
        Some(sum) if sum.elem_count() == ids.elem_count() * width => sum,
        Some(sum) => {
            return Err(Error::Msg(format!(
                "embedding: {} ids of {:?} onto {:?}",
                ids.elem_count(),
                table.dims(),
                sum.dims()
            ))
            .bt());
        }
    };
    let n = out.elem_count();
    gpu.launch(
        "embedding_forward",
        DType::F32,
        Grid::elements(n)?,
        &[
            Arg::In(&table),
            Arg::In(&ids),
            Arg::Out(&out),
            Arg::U64(n as u64),
            Arg::U32(count(width)?),
            Arg::U32(count(vocabulary)?),
            Arg::U32(u32::from(add)),
        ],
    )?;
    Ok(out)
}

/// The gradient of a table of `vocabulary` rows.
pub(super) fn backward(
    gpu: &Gpu,
    ids: &Tensor,
    grad: &Tensor,
    vocabulary: usize,
    padding: Option<u32>,
) -> Result<Tensor> {
    let (ids, grad) = (flat(ids)?, grad.detach().contiguous()?);
    let width = grad.dim(candle_core::D::Minus1)?;
    let n = ids.elem_count();
    if grad.elem_count() != n * width {
        return Err(Error::Msg(format!("embedding: gradient {:?} for {n} ids", grad.dims())).bt());
    }
    let padding = [
        Arg::U32(u32::from(padding.is_some())),
        Arg::U32(padding.unwrap_or(0)),
    ];
    if vocabulary <= FEW {
        let (per_chunk, chunks) = chunked(n);
        let partials = gpu.empty((chunks, vocabulary * width), DType::F32)?;
        let mut grid = Grid::columns(width, chunks)?;
        grid.blocks[2] = count(vocabulary)?;
        let mut args = vec![
            Arg::In(&ids),
            Arg::In(&grad),
            Arg::Out(&partials),
            Arg::U32(count(n)?),
            Arg::U32(count(width)?),
            Arg::U32(count(per_chunk)?),
        ];
        args.extend(padding);
        gpu.launch("embedding_backward_few", grad.dtype(), grid, &args)?;
        return gpu.sum_partials(&partials)?.reshape((vocabulary, width));
    }
    let out = Tensor::zeros((vocabulary, width), DType::F32, grad.device())?;
    let mut args = vec![
        Arg::In(&ids),
        Arg::In(&grad),
        Arg::Out(&out),
        Arg::U32(count(n)?),
        Arg::U32(count(width)?),
        Arg::U32(count(vocabulary)?),
    ];
    args.extend(padding);
    let grid = Grid {
        blocks: [count(n)?, 1, 1],
        threads: 128,
        bytes: 128 * 4,
    };
    gpu.launch("embedding_backward", grad.dtype(), grid, &args)?;
    Ok(out)
}
