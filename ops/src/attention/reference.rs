//! Attention in plain Candle operations.

use super::KeyMask;
use crate::dropout::Dropout;
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
        let factors = dropout_factors(batch, length, heads, mask, d);
        let mask = Tensor::from_vec(factors, (batch, heads, length, length), p.device())?
            .to_dtype(p.dtype())?;
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

/// What each probability is multiplied by, (batch, heads, length, length).
fn dropout_factors(
    batch: usize,
    length: usize,
    heads: usize,
    mask: &KeyMask,
    dropout: &Dropout,
) -> Vec<f32> {
    let mut factors = vec![0f32; batch * heads * length * length];
    for (task, block) in factors
        .chunks_exact_mut((length * length).max(1))
        .enumerate()
    {
        let (queries, keys) = mask.extent(task / heads, length);
        let first = super::cpu::first_draw(task, length);
        for i in 0..queries {
            for j in 0..keys {
                block[i * length + j] = dropout.factor(first + (i * keys + j) as u64);
            }
        }
    }
    factors
}
