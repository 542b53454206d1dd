//! A task's blocks, and the tile of sums that stays in registers.

use super::{Form, INNER, pack};
use crate::simd::Simd;

/// One task: some rows and columns of the output.
pub(super) struct Work {
    pub(super) form: Form,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) inner: usize,
    /// The first element of its rows of A, and A's strides.
    pub(super) a: *const f32,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
    /// Its first panel.
    pub(super) b: *const f32,
    /// Its first element of the output.
    pub(super) out: *mut f32,
    pub(super) out_row: usize,
    /// Whether the output is added to.
    pub(super) keep: bool,
    pub(super) scale: f32,
}

/// A block of the inner dimension.
struct Span {
    from: usize,
    inner: usize,
    first: bool,
}

/// A's rows of one block: where they lie, or packed in groups.
#[derive(Clone, Copy)]
enum Rows {
    Lying(*const f32),
    Packed(*const f32),
}

impl Work {
    /// `R` rows for tiles of two vectors, `R1` for those of one.
    ///
    /// # Safety
    /// The instructions of `S` are there. The fields say what is read and written: all of A's rows, the panels of the columns, and
    /// the output, which is this task's alone.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd, const R: usize, const R1: usize>(
        &self,
        scratch: &mut Vec<f32>,
    ) {
        let blocks = self.inner.div_ceil(INNER);
        for block in 0..blocks {
            // Blocks of about one size.
            let from = self.inner * block / blocks;
            let inner = self.inner * (block + 1) / blocks - from;
            let span = Span {
                from,
                inner,
                first: block == 0,
            };
            // SAFETY: by the contract; the scratch memory holds the groups.
            unsafe {
                let rows = if self.column_stride == 1 {
                    Rows::Lying(self.a.add(from))
                } else {
                    let needed = self.rows.next_multiple_of(R) * inner;
                    if scratch.len() < needed {
                        scratch.resize(needed, 0.0);
                    }
                    let from = self.a.add(from * self.column_stride);
                    let strides = (self.row_stride, self.column_stride);
                    pack::rows(from, strides, (self.rows, inner), R, scratch.as_mut_ptr());
                    Rows::Packed(scratch.as_ptr())
                };
                for j in (0..self.columns).step_by(self.form.columns) {
                    let width = (self.columns - j).min(self.form.columns);
                    if width > S::LANES {
                        self.panel::<S, R, 2>(&span, rows, j, width);
                    } else {
                        self.panel::<S, R1, 1>(&span, rows, j, width);
                    }
                }
            }
        }
    }

    /// All rows against the panel whose first column is `j`.
    #[inline(always)]
    unsafe fn panel<S: Simd, const R: usize, const V: usize>(
        &self,
        span: &Span,
        rows: Rows,
        j: usize,
        width: usize,
    ) {
        let group = self.form.rows;
        // SAFETY: by the contract of `run`: rows past the last repeat it and are not stored.
        unsafe {
            let b = self.b.add(j * self.inner + span.from * V * S::LANES);
            for row in (0..self.rows).step_by(R) {
                let tile = Tile {
                    b,
                    inner: span.inner,
                    out: self.out.add(row * self.out_row + j),
                    out_row: self.out_row,
                    rows: (self.rows - row).min(R),
                    width,
                    keep: self.keep || !span.first,
                    scale: self.scale,
                };
                let at = |r: usize| (row + r).min(self.rows - 1);
                match rows {
                    Rows::Lying(a) => {
                        let a: [_; R] = std::array::from_fn(|r| a.add(at(r) * self.row_stride));
                        tile.run::<S, R, V>(|r, c| *a[r].add(c));
                    }
                    Rows::Packed(a) if R == group => {
                        let a = a.add(row * span.inner);
                        tile.run::<S, R, V>(|r, c| *a.add(c * R + r));
                    }
                    Rows::Packed(a) => {
                        let a: [_; R] = std::array::from_fn(|r| {
                            a.add(at(r) / group * group * span.inner + at(r) % group)
                        });
                        tile.run::<S, R, V>(|r, c| *a[r].add(c * group));
                    }
                }
            }
        }
    }
}

struct Tile {
    b: *const f32,
    inner: usize,
    out: *mut f32,
    out_row: usize,
    rows: usize,
    width: usize,
    keep: bool,
    scale: f32,
}

impl Tile {
    #[inline(always)]
    unsafe fn run<S: Simd, const R: usize, const V: usize>(&self, a: impl Fn(usize, usize) -> f32) {
        let mut b = self.b;
        // SAFETY: by the contract of `Work::run`; columns past the width are not touched.
        unsafe {
            let mut sums = [[S::zero(); V]; R];
            // Four steps at a time: counting and comparing at every step takes places of multiplications.
            let whole = self.inner - self.inner % 4;
            for c in (0..whole).step_by(4) {
                for u in 0..4 {
                    outer::<S, R, V>(&mut sums, b.add(u * V * S::LANES), |r| a(r, c + u));
                }
                b = b.add(4 * V * S::LANES);
            }
            for c in whole..self.inner {
                outer::<S, R, V>(&mut sums, b, |r| a(r, c));
                b = b.add(V * S::LANES);
            }
            let scale = S::splat(self.scale);
            for (r, sums) in sums.iter().enumerate().take(self.rows) {
                for (v, &sum) in sums.iter().enumerate() {
                    let from = v * S::LANES;
                    let to = self.out.wrapping_add(r * self.out_row + from);
                    let n = self.width.saturating_sub(from);
                    let mut x = S::mul(sum, scale);
                    if n >= S::LANES {
                        if self.keep {
                            x = S::add(x, S::load(to));
                        }
                        S::store(to, x);
                    } else {
                        if self.keep {
                            x = S::add(x, S::load_some(to, n));
                        }
                        S::store_some(to, n, x);
                    }
                }
            }
        }
    }
}

/// Adds the products of a column of A with a row of B.
#[inline(always)]
unsafe fn outer<S: Simd, const R: usize, const V: usize>(
    sums: &mut [[S::V; V]; R],
    b: *const f32,
    a: impl Fn(usize) -> f32,
) {
    // SAFETY: by the contract of `Work::run`.
    unsafe {
        let mut bs = [S::zero(); V];
        for (v, y) in bs.iter_mut().enumerate() {
            *y = S::load(b.add(v * S::LANES));
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = S::splat(a(r));
            for v in 0..V {
                sums[v] = S::fma(x, bs[v], sums[v]);
            }
        }
    }
}
