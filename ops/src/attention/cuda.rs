//! Attention on a GPU: its products by cuBLAS, one batch of all sentences and heads, and what stands between them by kernel.cu.
//!
//! Queries, keys, values and outputs stay as (batch, length, heads * dim): a head is a matrix whose rows are a token apart. Probabilities are
//! (batch, heads, queries, length), and zeros beyond a sentence's length, so that the products over padding add nothing.

use super::{KeyMask, Saved};
use crate::gpu::{Arg, Factor, Gemm, Gpu, Grid, count};
use candle_core::{Result, Tensor};

/// Up to this length the probabilities are kept; beyond, they are computed again.
const KEEP: usize = 128;

/// The mask as kernels read it: queries and keys of each sentence, and which keys of those count.
pub(super) struct Extents {
    queries: Tensor,
    keys: Tensor,
    keep: Option<Tensor>,
}

impl Extents {
    fn of(gpu: &Gpu, mask: &KeyMask, s: &Shape) -> Result<Self> {
        let (queries, keys): (Vec<u32>, Vec<u32>) = (0..s.batch)
            .map(|i| mask.extent(i, s.queries, s.length))
            .map(|(q, k)| (q as u32, k as u32))
            .unzip();
        let keep = match mask {
            KeyMask::Keep(keep) => {
                let keep: Vec<u8> = keep.iter().map(|&k| u8::from(k)).collect();
                Some(gpu.upload(&keep)?)
            }
            _ => None,
        };
        Ok(Extents {
            queries: gpu.upload(&queries)?,
            keys: gpu.upload(&keys)?,
            keep,
        })
    }
}

struct Shape {
    batch: usize,
    /// Tokens that ask: all of a sentence's, or its first.
    queries: usize,
    length: usize,
    heads: usize,
    dim: usize,
}

impl Shape {
    fn of(saved: &Saved) -> Result<Self> {
        let (batch, queries, width) = saved.q.dims3()?;
        Ok(Shape {
            batch,
            queries,
            length: saved.k.dim(1)?,
            heads: saved.heads,
            dim: width / saved.heads,
        })
    }

    fn rows(&self) -> usize {
        self.batch * self.heads * self.queries
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.dim as f64).sqrt()) as f32
    }

    /// Heads of a (batch, length, heads * dim) tensor whose last dimension is contiguous, a slice of a wider one perhaps.
    fn heads<'a>(&self, t: &'a Tensor, transposed: bool) -> Factor<'a> {
        Factor {
            tensor: t,
            offset: 0,
            // Of one row nobody has to know where a second one would be, and what stands there may be less than a row.
            row: match t.dims()[1] {
                0 | 1 => self.heads * self.dim,
                _ => t.stride()[1],
            },
            transposed,
            steps: (t.stride()[0], self.dim),
        }
    }

    /// Heads of a result of `tokens` to a sentence: of one of three parts, side by side in rows of `row` elements, or of the whole.
    fn part<'a>(&self, t: &'a Tensor, tokens: usize, row: usize, offset: usize) -> Factor<'a> {
        Factor {
            tensor: t,
            offset,
            row,
            transposed: false,
            steps: (tokens * row, self.dim),
        }
    }

    /// Matrices of probabilities.
    fn area<'a>(&self, t: &'a Tensor, transposed: bool) -> Factor<'a> {
        let area = self.queries * self.length;
        Factor {
            tensor: t,
            offset: 0,
            row: self.length,
            transposed,
            steps: (self.heads * area, area),
        }
    }

    /// c = a b for every head, of (m, k) and (k, n).
    fn multiply(
        &self,
        gpu: &Gpu,
        (a, b, c): (Factor<'_>, Factor<'_>, Factor<'_>),
        (m, n, k): (usize, usize, usize),
    ) -> Result<()> {
        gpu.multiply(&Gemm {
            a,
            b,
            c,
            m,
            n,
            k,
            alpha: 1.0,
            beta: 0.0,
            batch: (self.batch, self.heads),
        })
    }
}

/// The probabilities, and those that dropout left where it is asked for.
fn probabilities(
    gpu: &Gpu,
    saved: &Saved,
    extents: &Extents,
    s: &Shape,
    dropped: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let shape = (s.batch, s.heads, s.queries, s.length);
    let dtype = saved.q.dtype();
    let p = gpu.empty(shape, dtype)?;
    s.multiply(
        gpu,
        (
            s.heads(&saved.q, false),
            s.heads(&saved.k, true),
            s.area(&p, false),
        ),
        (s.queries, s.length, s.dim),
    )?;
    let dropped = (dropped && saved.dropout.is_some())
        .then(|| gpu.empty(shape, dtype))
        .transpose()?;
    let mut args = vec![Arg::Out(&p), Arg::write(dropped.as_ref())];
    args.extend(rows(saved, extents, s)?);
    gpu.launch("attention_forward", dtype, Grid::warps(s.rows())?, &args)?;
    Ok((p, dropped))
}

/// The arguments that both kernels end with.
fn rows<'a>(saved: &Saved, extents: &'a Extents, s: &Shape) -> Result<Vec<Arg<'a>>> {
    let mut args = vec![
        Arg::In(&extents.queries),
        Arg::In(&extents.keys),
        Arg::read(extents.keep.as_ref()),
        Arg::U32(count(s.rows())?),
        Arg::U32(count(s.heads)?),
        Arg::U32(count(s.queries)?),
        Arg::U32(count(s.length)?),
        Arg::F32(s.scale()),
    ];
    args.extend(Arg::mask(saved.dropout.as_ref()));
    Ok(args)
}

/// The output; what is worth keeping goes into `saved`.
pub(super) fn forward(gpu: &Gpu, saved: &mut Saved) -> Result<Tensor> {
    let s = Shape::of(saved)?;
    let extents = Extents::of(gpu, &saved.mask, &s)?;
    let (p, dropped) = probabilities(gpu, saved, &extents, &s, true)?;
    let width = s.heads * s.dim;
    let y = gpu.empty((s.batch, s.queries, width), saved.q.dtype())?;
    s.multiply(
        gpu,
        (
            s.area(dropped.as_ref().unwrap_or(&p), false),
            s.heads(&saved.v, false),
            s.part(&y, s.queries, width, 0),
        ),
        (s.queries, s.dim, s.length),
    )?;
    saved.device = (s.length <= KEEP).then_some(p);
    Ok(y)
}

/// The gradients of q, k and v.
pub(super) fn backward(
    gpu: &Gpu,
    saved: &Saved,
    grad: &Tensor,
) -> Result<(Tensor, Tensor, Tensor)> {
    let empty = |like: &Tensor| gpu.empty(like.shape(), like.dtype());
    let (q, k, v) = (empty(&saved.q)?, empty(&saved.k)?, empty(&saved.v)?);
    let width = saved.q.dim(2)?;
    into(gpu, saved, grad, width, [(&q, 0), (&k, 0), (&v, 0)])?;
    Ok((q, k, v))
}

/// The same, side by side in rows of 3 * heads * dim.
pub(super) fn backward_packed(gpu: &Gpu, saved: &Saved, grad: &Tensor) -> Result<Tensor> {
    let (batch, length, width) = saved.q.dims3()?;
    let out = gpu.empty((batch, length, 3 * width), saved.q.dtype())?;
    let parts = [(&out, 0), (&out, width), (&out, 2 * width)];
    into(gpu, saved, grad, 3 * width, parts)?;
    Ok(out)
}

/// Writes the gradients of q, k and v into rows of `row` elements, each from its offset on.
fn into(
    gpu: &Gpu,
    saved: &Saved,
    grad: &Tensor,
    row: usize,
    parts: [(&Tensor, usize); 3],
) -> Result<()> {
    let s = Shape::of(saved)?;
    let grad = grad.detach().contiguous()?;
    let extents = Extents::of(gpu, &saved.mask, &s)?;
    let p = match &saved.device {
        Some(p) => p.clone(),
        None => probabilities(gpu, saved, &extents, &s, false)?.0,
    };
    let dtype = saved.q.dtype();
    let ds = gpu.empty(p.shape(), dtype)?;
    s.multiply(
        gpu,
        (
            s.heads(&grad, false),
            s.heads(&saved.v, true),
            s.area(&ds, false),
        ),
        (s.queries, s.length, s.dim),
    )?;
    let dropped = saved
        .dropout
        .map(|_| gpu.empty(p.shape(), dtype))
        .transpose()?;
    let mut args = vec![Arg::In(&p), Arg::Out(&ds), Arg::write(dropped.as_ref())];
    args.extend(rows(saved, &extents, &s)?);
    gpu.launch("attention_backward", dtype, Grid::warps(s.rows())?, &args)?;
    let used = dropped.as_ref().unwrap_or(&p);
    let [(dq, at_q), (dk, at_k), (dv, at_v)] = parts;
    let (by_query, by_key) = ((s.queries, s.dim, s.length), (s.length, s.dim, s.queries));
    for (a, b, c, size) in [
        (
            s.area(&ds, false),
            s.heads(&saved.k, false),
            s.part(dq, s.queries, row, at_q),
            by_query,
        ),
        (
            s.area(&ds, true),
            s.heads(&saved.q, false),
            s.part(dk, s.length, row, at_k),
            by_key,
        ),
        (
            s.area(used, true),
            s.heads(&grad, false),
            s.part(dv, s.length, row, at_v),
            by_key,
        ),
    ] {
        s.multiply(gpu, (a, b, c), size)?;
    }
    Ok(())
}
