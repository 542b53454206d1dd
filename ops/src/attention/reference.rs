//! Attention in plain Candle operations.

use super::KeyMask;
use crate::dropout::{self, Dropout};
use candle_core::{DType, Result, Tensor};

/// Attention of q, k and v, each (batch, length, heads * dim).
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: &KeyMask,
    dropout: Option<&Dropout>,
) -> Result<Tensor> {
    let (batch, length, width) = q.dims3()?;
    let split = |t: &Tensor| {
        t.contiguous()?
            .reshape((batch, length, heads, width / heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    let scores = (q.matmul(&k.t()?.contiguous()?)? * scale)?;
    let keys: Vec<u8> = (0..batch)
        .flat_map(|i| {
            let (_, keys) = mask.extent(i, length);
            (0..length).map(move |j| u8::from(j < keys && mask.row(i, length).is_none_or(|r| r[j])))
        })
        .collect();
    let keys = Tensor::from_vec(keys, (batch, 1, 1, length), q.device())?;
    let mut p = crate::softmax::reference::softmax(&scores, Some(&keys))?;
    if let Some(d) = dropout {
        let stride = super::cpu::mask_stride(length);
        let mask = dropout::reference::mask((batch, heads, length, stride), d)?
            .narrow(3, 0, length)?
            .to_dtype(p.dtype())?
            .to_device(p.device())?;
        p = (p * mask)?;
    }
    let y = p
        .matmul(&v)?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch, length, width))?;
    let queries: Vec<u8> = (0..batch)
        .flat_map(|i| {
            let (queries, _) = mask.extent(i, length);
            (0..length).map(move |j| u8::from(j < queries))
        })
        .collect();
    let queries = Tensor::from_vec(queries, (batch, length, 1), y.device())?.to_dtype(DType::U8)?;
    y.broadcast_mul(&queries.to_dtype(y.dtype())?)
}
