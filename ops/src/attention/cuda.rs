//! Attention on a GPU: its products by cuBLAS, one batch of all sentences and heads, and what stands between them by kernel.cu.
//!
//! Queries, keys, values and outputs stay as (batch, length, heads * dim): a head is a matrix whose rows are a token apart. Probabilities are
//! (batch, heads, length, length), and zeros beyond a sentence's length, so that the products over padding add nothing.

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
    fn of(gpu: &Gpu, mask: &KeyMask, batch: usize, length: usize) -> Result<Self> {
        let (queries, keys): (Vec<u32>, Vec<u32>) = (0..batch)
            .map(|i| mask.extent(i, length))
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
    length: usize,
    heads: usize,
    dim: usize,
}

impl Shape {
    fn of(saved: &Saved) -> Result<Self> {
        let (batch, length, width) = saved.q.dims3()?;
        Ok(Shape {
            batch,
            length,
            heads: saved.heads,
            dim: width / saved.heads,
        })
    }

    fn rows(&self) -> usize {
        self.batch * self.heads * self.length
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.dim as f64).sqrt()) as f32
    }

    /// Heads of a (batch, length, heads * dim) tensor whose last dimension is contiguous, a slice of a wider one perhaps.
    fn heads<'a>(&self, t: &'a Tensor, transposed: bool) -> Factor<'a> {
        Factor {
            tensor: t,
            offset: 0,
            row: t.stride()[1],
            transposed,
            steps: (t.stride()[0], self.dim),
        }
    }

    /// Heads of one of three parts, side by side in rows of `row` elements.
    fn part<'a>(&self, t: &'a Tensor, row: usize, offset: usize) -> Factor<'a> {
        Factor {
            tensor: t,
            offset,
            row,
            transposed: false,
            steps: (self.length * row, self.dim),
        }
    }

    /// Matrices of probabilities.
    fn square<'a>(&self, t: &'a Tensor, transposed: bool) -> Factor<'a> {
        let area = self.length * self.length;
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
    let shape = (s.batch, s.heads, s.length, s.length);
    let dtype = saved.q.dtype();
    let p = gpu.empty(shape, dtype)?;
    s.multiply(
        gpu,
        (
            s.heads(&saved.q, false),
            s.heads(&saved.k, true),
            s.square(&p, false),
        ),
        (s.length, s.length, s.dim),
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
        Arg::U32(count(s.length)?),
        Arg::F32(s.scale()),
    ];
    args.extend(Arg::mask(saved.dropout.as_ref()));
    Ok(args)
}

/// The output; what is worth keeping goes into `saved`.
pub(super) fn forward(gpu: &Gpu, saved: &mut Saved) -> Result<Tensor> {
    let s = Shape::of(saved)?;
    let extents = Extents::of(gpu, &saved.mask, s.batch, s.length)?;
    let (p, dropped) = probabilities(gpu, saved, &extents, &s, true)?;
    let width = s.heads * s.dim;
    let y = gpu.empty((s.batch, s.length, width), saved.q.dtype())?;
    s.multiply(
        gpu,
        (
            s.square(dropped.as_ref().unwrap_or(&p), false),
            s.heads(&saved.v, false),
            s.part(&y, width, 0),
        ),
        (s.length, s.dim, s.length),
    )?;
    saved.device = (s.length <= KEEP).then_some(p);
    Ok(y)
}

/// The gradients of q, k and v, side by side in rows of 3 * heads * dim.
pub(super) fn backward(gpu: &Gpu, saved: &Saved, grad: &Tensor) -> Result<Tensor> {
    let s = Shape::of(saved)?;
    let grad = grad.detach().contiguous()?;
    let extents = Extents::of(gpu, &saved.mask, s.batch, s.length)?;
    let p = match &saved.device {
        Some(p) => p.clone(),
        None => probabilities(gpu, saved, &extents, &s, false)?.0,
    };
    let (dtype, width) = (saved.q.dtype(), s.heads * s.dim);
    let ds = gpu.empty(p.shape(), dtype)?;
    s.multiply(
        gpu,
        (
            s.heads(&grad, false),
            s.heads(&saved.v, true),
            s.square(&ds, false),
        ),
        (s.length, s.length, s.dim),
    )?;
    let dropped = saved
        .dropout
        .map(|_| gpu.empty(p.shape(), dtype))
        .transpose()?;
    let mut args = vec![Arg::In(&p), Arg::Out(&ds), Arg::write(dropped.as_ref())];
    args.extend(rows(saved, &extents, &s)?);
    gpu.launch("attention_backward", dtype, Grid::warps(s.rows())?, &args)?;
    let out = gpu.empty((s.batch, s.length, 3 * width), dtype)?;
    let used = dropped.as_ref().unwrap_or(&p);
    let by_query = (s.length, s.dim, s.length);
    for (i, a, b) in [
        (0, s.square(&ds, false), s.heads(&saved.k, false)),
        (1, s.square(&ds, true), s.heads(&saved.q, false)),
        (2, s.square(used, true), s.heads(&grad, false)),
    ] {
        s.multiply(gpu, (a, b, s.part(&out, 3 * width, i * width)), by_query)?;
    }
    Ok(out)
}
