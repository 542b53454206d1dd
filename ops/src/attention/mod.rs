//! Multi-head scaled dot-product attention (Vaswani et al. 2017) with a key mask and dropout on the probabilities.
//!
//! For each sentence and head, with Q, K and V of (length, dim): S = Q Kᵀ / √dim, P = softmax(S) over the keys that the
//! mask keeps, O = dropout(P) V. Gradient: dV = dropout(P)ᵀ dO, dP = dropout(dO Vᵀ), dS = P (dP - Σ P dP) by rows,
//! dQ = dS K / √dim, dK = dSᵀ Q / √dim.
//!
//! Queries, keys and values lie as (batch, length, heads * dim), as a linear layer leaves them, and so does the output:
//! each head reads and writes its columns in place, one task for each (sentence, head), and nothing is transposed. They
//! may be slices of one wider tensor (a joint product for q, k and v), and [`backward_packed`] gives its gradient whole.
//!
//! **Padding costs nothing.** Under [`KeyMask::Lengths`] a sentence *is* its first `length` tokens: what lies beyond is
//! neither read nor computed (on a GPU products run over it with zeros, so there it has to be finite); its outputs are zeros, and its gradients too. Under [`KeyMask::Keep`] keys are masked one by
//! one and every query has an output; a sentence without any key gives zeros. Nothing gives NaN.
//!
//! **Queries may be the first few tokens alone**, as (batch, queries, heads * dim): then only their outputs are computed, with the masks and draws
//! that they have among all.
//!
//! Up to a length of 128 the probabilities are kept for the backward pass; beyond, they are computed again.

pub(crate) mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::dropout::Dropout;
use crate::gpu::Gpu;
use crate::graph::Output;
use crate::tensors::{on_kernels, pull_back, tensor};
use candle_core::{DType, Error, Result, Tensor};
use std::sync::Arc;

/// Which keys may be attended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMask {
    /// All of them.
    None,
    /// The first `lengths[i]` tokens of sentence i.
    Lengths(Vec<usize>),
    /// (batch, length), row-major: those that are true.
    Keep(Vec<bool>),
}

impl KeyMask {
    /// From a (batch, length) tensor, 0 where a token is padding: lengths where every row is ones and then zeros.
    pub fn from_tensor(mask: &Tensor) -> Result<Self> {
        let (_, length) = mask.dims2()?;
        let keep: Vec<bool> = mask
            .detach()
            .ne(0u32)?
            .flatten_all()?
            .to_vec1::<u8>()?
            .into_iter()
            .map(|k| k != 0)
            .collect();
        if length == 0 || keep.iter().all(|&k| k) {
            return Ok(KeyMask::None);
        }
        let lengths: Option<Vec<usize>> = keep
            .chunks_exact(length)
            .map(|row| {
                let ones = row.iter().take_while(|&&k| k).count();
                row[ones..].iter().all(|&k| !k).then_some(ones)
            })
            .collect();
        Ok(lengths.map_or(KeyMask::Keep(keep), KeyMask::Lengths))
    }

    /// Fails unless the mask is one for `batch` sentences of `length` tokens.
    fn check(&self, batch: usize, length: usize) -> Result<()> {
        let right = match self {
            KeyMask::None => true,
            KeyMask::Lengths(l) => l.len() == batch && l.iter().all(|&l| l <= length),
            KeyMask::Keep(keep) => keep.len() == batch * length,
        };
        if right {
            return Ok(());
        }
        Err(Error::Msg(format!(
            "attention: mask {self:?} for {batch} sentences of {length} tokens"
        ))
        .bt())
    }

    /// Of sentence `i` of `length` tokens, of which the first `queries` ask: queries and keys that are computed.
    pub(crate) fn extent(&self, i: usize, queries: usize, length: usize) -> (usize, usize) {
        let (whole, keys) = match self {
            KeyMask::None => (length, length),
            KeyMask::Lengths(lengths) => (lengths[i], lengths[i]),
            KeyMask::Keep(_) => {
                let last = self
                    .row(i, length)
                    .and_then(|row| row.iter().rposition(|&k| k));
                (length, last.map_or(0, |last| last + 1))
            }
        };
        (whole.min(queries), keys)
    }

    /// The keys of sentence `i`, where they are masked one by one.
    pub(crate) fn row(&self, i: usize, length: usize) -> Option<&[bool]> {
        match self {
            KeyMask::Keep(keep) => Some(&keep[i * length..(i + 1) * length]),
            _ => None,
        }
    }
}

/// What the backward pass needs.
#[derive(Debug, Clone)]
pub struct Saved {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: usize,
    mask: Arc<KeyMask>,
    dropout: Option<Dropout>,
    probabilities: Option<Arc<Vec<f32>>>,
    /// The probabilities on a GPU, where they are kept.
    device: Option<Tensor>,
}

impl Saved {
    /// What runs the backward pass on a GPU, if something does.
    fn gpu(&self, grad: &Tensor) -> Result<Option<Gpu>> {
        let gpu = Gpu::of(&[&self.q, &self.k, &self.v, grad], &[]);
        if gpu.is_some() && grad.dims() != self.q.dims() {
            return Err(Error::ShapeMismatchBinaryOp {
                lhs: self.q.shape().clone(),
                rhs: grad.shape().clone(),
                op: "attention backward",
            }
            .bt());
        }
        Ok(gpu)
    }
}

/// Attention of k and v, each (batch, length, heads * dim), and q, as they or of their first tokens; part of no graph.
pub fn forward(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: &KeyMask,
    dropout: Option<&Dropout>,
) -> Result<(Tensor, Saved)> {
    let shape = q.dims().to_vec();
    let (y, saved) = run(q, k, v, heads, mask, dropout)?;
    match y {
        Made::Kernel(Output::Data(data)) => Ok((tensor(data, shape)?, saved)),
        Made::Kernel(Output::Tensor(y)) | Made::Reference(y) => Ok((y, saved)),
    }
}

/// The gradients of q, k and v for the output gradient `grad`.
pub fn backward(saved: &Saved, grad: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    if let Some(gpu) = saved.gpu(grad)? {
        return cuda::backward(&gpu, saved, grad);
    }
    if !on_kernels(&[&saved.q, grad]) {
        let all = pull_back(&[&saved.q, &saved.k, &saved.v], &grad.detach(), |t| {
            let (mask, dropout) = (&saved.mask, saved.dropout.as_ref());
            reference::attention(&t[0], &t[1], &t[2], saved.heads, mask, dropout)
        })?;
        let [q, k, v] = <[Tensor; 3]>::try_from(all)
            .map_err(|_| Error::Msg("attention: three gradients".into()).bt())?;
        return Ok((q, k, v));
    }
    let (asked, shape) = (saved.q.dims(), saved.k.dims());
    let [q, k, v] = cpu::backward(saved, grad, false)?;
    Ok((tensor(q, asked)?, tensor(k, shape)?, tensor(v, shape)?))
}

/// The gradient as one tensor of (batch, length, 3 * heads * dim): those of q, k and v side by side, which is the
/// gradient of the output of a joint linear layer for the three. An error where not every token was a query.
pub fn backward_packed(saved: &Saved, grad: &Tensor) -> Result<Tensor> {
    if saved.q.dims() != saved.k.dims() {
        return Err(Error::Msg(format!(
            "attention: queries {:?} and keys {:?} have no joint gradient",
            saved.q.dims(),
            saved.k.dims()
        ))
        .bt());
    }
    if let Some(gpu) = saved.gpu(grad)? {
        return cuda::backward_packed(&gpu, saved, grad);
    }
    if !on_kernels(&[&saved.q, grad]) {
        let (q, k, v) = backward(saved, grad)?;
        return Tensor::cat(&[q, k, v], 2);
    }
    let (batch, length, width) = saved.q.dims3()?;
    let [packed, _, _] = cpu::backward(saved, grad, true)?;
    tensor(packed, (batch, length, 3 * width))
}

/// Attention, recorded in Candle's graph.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: &KeyMask,
    dropout: Option<&Dropout>,
) -> Result<Tensor> {
    if Gpu::of(&[q, k, v], &[]).is_none() && !on_kernels(&[q, k, v]) {
        check(q, k, v, heads, mask)?;
        return reference::attention(q, k, v, heads, mask, dropout);
    }
    match run(q, k, v, heads, mask, dropout)? {
        (Made::Kernel(data), saved) => {
            crate::graph::record("attention", &[q, k, v], data, q.shape(), move |_, grad| {
                let (q, k, v) = backward(&saved, grad)?;
                Ok(vec![Some(q), Some(k), Some(v)])
            })
        }
        (Made::Reference(y), _) => Ok(y),
    }
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, mask: &KeyMask) -> Result<()> {
    let ((batch, queries, width), (_, length, _)) = (q.dims3()?, k.dims3()?);
    let right = k.dims() == [batch, length, width] && v.dims() == k.dims() && queries <= length;
    if !right || heads == 0 || width % heads != 0 {
        return Err(Error::Msg(format!(
            "attention: q {:?}, k {:?}, v {:?}, {heads} heads",
            q.dims(),
            k.dims(),
            v.dims()
        ))
        .bt());
    }
    mask.check(batch, length)
}

/// Who made the output.
enum Made {
    Kernel(Output),
    Reference(Tensor),
}

fn run(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: &KeyMask,
    dropout: Option<&Dropout>,
) -> Result<(Made, Saved)> {
    check(q, k, v, heads, mask)?;
    let kernels = on_kernels(&[q, k, v]);
    // The kernels take any strides but that of the last dimension, which must be 1.
    let rows = |t: &Tensor| {
        let t = t.detach();
        if t.stride()[2] == 1 {
            Ok(t)
        } else {
            t.contiguous()
        }
    };
    let mut saved = Saved {
        q: rows(q)?,
        k: rows(k)?,
        v: rows(v)?,
        heads,
        mask: Arc::new(mask.clone()),
        dropout: dropout.copied(),
        probabilities: None,
        device: None,
    };
    if let Some(gpu) = Gpu::of(&[&saved.q, &saved.k, &saved.v], &[]) {
        let y = cuda::forward(&gpu, &mut saved)?;
        return Ok((Made::Kernel(y.into()), saved));
    }
    if !kernels || q.dtype() != DType::F32 {
        let y = reference::attention(&saved.q, &saved.k, &saved.v, heads, mask, dropout)?;
        return Ok((Made::Reference(y), saved));
    }
    let (y, probabilities) = cpu::forward(&saved)?;
    saved.probabilities = probabilities.map(Arc::new);
    Ok((Made::Kernel(y.into()), saved))
}
