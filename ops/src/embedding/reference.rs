//! Embedding in plain Candle operations.

use candle_core::{DType, Result, Tensor};

/// The rows `ids` of `table`; those of the padding id pass no gradient.
pub fn embedding(table: &Tensor, ids: &Tensor, padding: Option<u32>) -> Result<Tensor> {
    let mut shape = ids.dims().to_vec();
    shape.push(table.dim(1)?);
    let ids = ids.to_dtype(DType::U32)?.flatten_all()?;
    let rows = table.contiguous()?.index_select(&ids, 0)?;
    let rows = match padding {
        Some(padding) => {
            let keep = ids.ne(padding)?.to_dtype(rows.dtype())?.unsqueeze(1)?;
            let dropped = keep.affine(-1.0, 1.0)?;
            (rows.broadcast_mul(&keep)? + rows.detach().broadcast_mul(&dropped)?)?
        }
        None => rows,
    };
    rows.reshape(shape)
}
