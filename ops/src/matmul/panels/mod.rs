//! The f32 product for instruction sets below AVX-512, on vectors of this crate.
//!
//! The `gemm` crate picks its kernel by itself and cannot be told to leave AVX-512 alone. So that `TLKIT_CPU=avx2` is what a processor
//! without it would do, and gives the bits that it would give, products on those paths come here: B is packed whole, in panels a few
//! vectors wide ([`pack`]); A is read where it lies if its rows are contiguous, and packed by blocks otherwise; a tile of sums stays in registers
//! over a block of the inner dimension ([`tile`]).
//!
//! The output is cut into tasks by its shape alone, and each element is summed by one task in one order: bits do not depend on the
//! number of threads.

mod pack;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::cpu::View;
use crate::parallel::{Shared, unwritten};
use crate::path::{Level, Path};
use rayon::prelude::*;
use std::cell::RefCell;
use tile::Work;

/// Sizes of the blocks of one instruction set.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Columns of a panel.
    columns: usize,
    /// Floats in a vector: panels that are narrower have a multiple of it.
    lanes: usize,
    /// Rows of a tile that takes a whole panel.
    rows: usize,
}

/// Most elements of the inner dimension in a block: a panel of two vectors of eight then takes half of a first-level cache.
const INNER: usize = 384;
/// Products below so many multiplications are not worth a second thread.
const ALONE: usize = 1 << 18;
/// Columns of a task: what A and the output take of the second-level cache then stays there.
const ACROSS: usize = 384;

impl Form {
    fn of(path: Path) -> Self {
        let (lanes, rows) = match path.level() {
            Level::Plain => (4, 4),
            _ => (8, 6),
        };
        Form {
            columns: 2 * lanes,
            lanes,
            rows,
        }
    }

    /// Rows and panels of a task.
    fn grid(self, m: usize, panels: usize) -> (usize, usize) {
        let rows = m.div_ceil(8).next_multiple_of(24).clamp(48, 144);
        let down = m.div_ceil(rows);
        let most = ACROSS / self.columns;
        let across = panels.div_ceil(most).max(8usize.div_ceil(down));
        (rows, panels.div_ceil(across).max(panels.min(4)))
    }
}

thread_local! {
    static BLOCK: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Whether products on this path come here.
pub(super) fn takes(path: Path) -> bool {
    path.level() < Level::Avx512
}

/// dst = dst + scale a b, or without what `dst` holds unless `keep`.
///
/// # Safety
/// `a` and `b` lie within their slices and nothing is empty; `dst` has rows of `b.columns` elements, `row_stride` apart, one for each of
/// `a`'s, valid for writing (and for reading, with `keep`), which nothing else touches meanwhile.
pub(super) unsafe fn run(
    path: Path,
    dst: *mut f32,
    row_stride: usize,
    keep: bool,
    a: View<'_, f32>,
    b: View<'_, f32>,
    scale: f32,
    alone: bool,
) {
    let form = Form::of(path);
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let alone = alone || m * n * k < ALONE;
    let panels = n.div_ceil(form.columns);
    // SAFETY: the loop below writes every panel whole.
    let mut packed = unsafe { unwritten::<f32>(panels * k * form.columns) };
    let shared = Shared::new(&mut packed);
    split(panels, alone, |j| {
        let width = (n - j * form.columns).min(form.columns);
        // SAFETY: the panel is this call's alone; the columns lie within b's slice.
        unsafe {
            let to = shared.at(j * k * form.columns);
            let from = b.data.as_ptr().add(j * form.columns * b.column_stride);
            pack::panel(path, from, b, width, width.next_multiple_of(form.lanes), to);
        }
    });
    let (rows, wide) = form.grid(m, panels);
    let across = panels.div_ceil(wide);
    // SAFETY: the pointer is valid by the contract.
    let out = unsafe { Shared::from_raw(dst) };
    split(m.div_ceil(rows) * across, alone, |task| {
        let (row, panel) = (task / across * rows, task % across * wide);
        let column = panel * form.columns;
        // SAFETY: the rows and columns of this task are its alone; B was packed whole.
        let work = unsafe {
            Work {
                form,
                rows: rows.min(m - row),
                columns: (n - column).min(wide * form.columns),
                inner: k,
                a: a.data.as_ptr().add(row * a.row_stride),
                row_stride: a.row_stride,
                column_stride: a.column_stride,
                b: shared.at(panel * k * form.columns),
                out: out.at(row * row_stride + column),
                out_row: row_stride,
                keep,
                scale,
            }
        };
        BLOCK.with_borrow_mut(|scratch| {
            // SAFETY: as above; a `Path` of a level exists only where its features were detected.
            unsafe {
                match path.level() {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => x86::avx2(&work, scratch),
                    _ => work.run::<crate::simd::Plain, 4, 6>(scratch),
                }
            }
        });
    });
}

/// Calls `f` for 0 .. n, each a task of its own unless `alone`.
fn split(n: usize, alone: bool, f: impl Fn(usize) + Sync + Send) {
    if alone || n == 1 {
        (0..n).for_each(f);
    } else {
        (0..n).into_par_iter().with_max_len(1).for_each(f);
    }
}
