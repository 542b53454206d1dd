//! Attention in plain Candle operations.

use super::KeyMask;
use crate::dropout::Dropout;
use candle_core::{DType, Result, Tensor};

/// Attention of k and v, each (batch, length, heads * dim), and q, as they or of their first tokens.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: &KeyMask,
    dropout: Option<&Dropout>,
) -> Result<Tensor> {
    let ((batch, queries, width), length) = (q.dims3()?, k.dim(1)?);
    let split = |t: &Tensor| {
        t.contiguous()?
            .reshape((batch, t.dim(1)?, heads, width / heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    let scores = (q.matmul(&k.t()?.contiguous()?)? * scale)?;
    let keys: Vec<u8> = (0..batch)
        .flat_map(|i| {
            let (_, keys) = mask.extent(i, queries, length);
            (0..length).map(move |j| u8::from(j < keys && mask.row(i, length).is_none_or(|r| r[j])))
        })
        .collect();
    let keys = Tensor::from_vec(keys, (batch, 1, 1, length), q.device())?;
    let mut p = crate::softmax::reference::softmax(&scores, Some(&keys))?;
    if let Some(d) = dropout {
        let factors = dropout_factors(batch, (queries, length), heads, mask, d);
        let mask = Tensor::from_vec(factors, (batch, heads, queries, length), p.device())?
            .to_dtype(p.dtype())?;
        p = (p * mask)?;
    }
    let y = p
        .matmul(&v)?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch, queries, width))?;
    let asked: Vec<u8> = (0..batch)
        .flat_map(|i| {
            let (asked, _) = mask.extent(i, queries, length);
            (0..queries).map(move |j| u8::from(j < asked))
        })
        .collect();
    let asked = Tensor::from_vec(asked, (batch, queries, 1), y.device())?.to_dtype(DType::U8)?;
    y.broadcast_mul(&asked.to_dtype(y.dtype())?)
}

/// What each probability is multiplied by, (batch, heads, queries, length).
fn dropout_factors(
    batch: usize,
    (queries, length): (usize, usize),
    heads: usize,
    mask: &KeyMask,
    dropout: &Dropout,
) -> Vec<f32> {
    let mut factors = vec![0f32; batch * heads * queries * length];
    for (task, block) in factors
        .chunks_exact_mut((queries * length).max(1))
        .enumerate()
    {
        let (queries, keys) = mask.extent(task / heads, queries, length);
        let first = super::cpu::first_draw(task, length);
        for i in 0..queries {
            for j in 0..keys {
                block[i * length + j] = dropout.factor(first + (i * keys + j) as u64);
            }
        }
    }
    factors
}
