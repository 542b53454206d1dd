//! The f32 product on AMX: each operand as the sum of three bf16.
//!
//! A float has 24 bits of precision and a bf16 has 8, so `x = x1 + x2 + x3` holds exactly, each part the nearest bf16 to what the ones before
//! it leave. Of the nine products of parts six are taken: those that are left out come to 2^-24 of the product at the most, which is what
//! rounding it to a float costs. Products of two bf16 are exact in f32, and the tiles sum in f32. Tiles multiply sixteen times as fast as f32
//! on AVX-512: six products and the packing take about two thirds of its time. (Henry, Tang and Heinecke, "Leveraging the bfloat16
//! Artificial Intelligence Datatype For Higher-Precision Computations", 2019.)
//!
//! Sums begin at zero for each block of [`STEPS`] tiles, which is added to what the blocks before it gave: the error is smaller than that of a
//! plain f32 product, whose sum goes on from the first element to the last (`tests::thirds_are_as_exact_as_f32`).
//!
//! What differs from f32: an infinite operand gives NaN, as its parts are infinity and NaN; so does one within 2^-9 of the largest float. The tiles
//! take numbers below 2^-126 for zero: of an operand below 2^-110 the last parts are lost.

use super::{ROWS, SIDE, Sums, configure, store, store_sums, turned, zero_sums};
use crate::matmul::bf16::Start;
use crate::matmul::cpu::View;
use crate::matmul::tile::{COLUMNS, Pair, Panels, lanes, split};
use crate::parallel::Shared;
use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::ops::Range;

/// Parts of a float.
const PARTS: usize = 3;
/// Elements of the inner dimension in a tile.
const DEPTH: usize = 2 * SIDE;
/// Pairs in a tile.
const TILE: usize = SIDE * SIDE;
/// Most tiles of the inner dimension in a block: a panel of B takes 108 KiB of the second-level cache then, two rows of tiles of A 72.
const STEPS: usize = 12;
/// How far before it is packed a line is asked for, in floats: a tile's lines are too many for the processor to see where each goes.
const AHEAD: usize = 128;
/// Tiles beside each other in a panel of B.
const ACROSS: usize = COLUMNS / SIDE;

/// Whether products with such a right operand come here: below, packing costs more than the tiles save. The rows of the left operand do not count, so
/// that what is computed of one does not depend on which others are beside it: in a batch, alone, or in a batch of another size.
pub(in crate::matmul) fn takes(n: usize, k: usize) -> bool {
    n.min(k) >= 128 && n * k >= 1 << 17
}

/// dst = start + a b.
///
/// # Safety
/// The tiles are there ([`super::there`]), with AVX-512 F. `a` and `b` lie within their slices, each with a stride of one, and nothing is
/// empty; `dst` has rows of `b.columns` elements, `row_stride` apart, one for each of `a`'s, valid for writing (and for reading, if
/// it is kept), which nothing else touches meanwhile; a bias has `b.columns` elements.
pub(in crate::matmul) unsafe fn run(
    dst: *mut f32,
    row_stride: usize,
    start: Start<'_>,
    a: View<'_, f32>,
    b: View<'_, f32>,
    alone: bool,
) {
    let product = Product {
        row_stride,
        start,
        a,
        b,
        steps: a.columns.div_ceil(DEPTH),
        blocks: a.columns.div_ceil(DEPTH).div_ceil(STEPS),
    };
    let (m, n) = (a.rows, b.columns);
    // The smaller operand is packed whole, once; of the other one each task packs what it multiplies, block by block, in its cache.
    let (whole, cut) = match n <= m {
        true => (Side::B, Side::A),
        false => (Side::A, Side::B),
    };
    let groups = whole.groups(&product);
    let group = product.steps * whole.tiles() * PARTS * TILE;
    // SAFETY: the loop below writes every tile.
    let mut packed = unsafe { Panels::unwritten(groups * group) };
    let packed = packed.shared();
    let chunk = whole.groups_of_task(&product);
    split(groups.div_ceil(chunk), alone, |task| {
        let mine = task * chunk..groups.min((task + 1) * chunk);
        for block in 0..product.blocks {
            let steps = product.block(block);
            let at = groups * steps.start + mine.start * steps.len();
            // SAFETY: these groups' part of a block is this call's alone.
            unsafe {
                let at = packed.at(at * whole.tiles() * PARTS * TILE);
                whole.pack(&product, mine.clone(), steps, at);
            }
        }
    });
    let groups_of_task = cut.groups_of_task(&product);
    // SAFETY: the caller's buffer lives until the end of this call.
    let out = unsafe { Shared::from_raw(dst) };
    split(
        cut.groups(&product).div_ceil(groups_of_task),
        alone,
        |task| {
            let from = task * groups_of_task;
            let to = (from + groups_of_task).min(cut.groups(&product));
            SCRATCH.with_borrow_mut(|scratch| {
                // SAFETY: the rows or columns of these groups are this task's alone; the other operand was packed whole.
                unsafe { product.multiply(cut, from..to, scratch, packed.at(0), out.at(0)) };
            });
        },
    );
}

thread_local! {
    static SCRATCH: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
}

/// One of the operands, in groups: 32 rows of A, or 48 columns of B.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    A,
    B,
}

impl Side {
    /// Tiles of a group at one place of the inner dimension.
    fn tiles(self) -> usize {
        match self {
            Side::A => ROWS / SIDE,
            Side::B => ACROSS,
        }
    }

    fn groups(self, product: &Product<'_>) -> usize {
        match self {
            Side::A => product.a.rows.div_ceil(ROWS),
            Side::B => product.b.columns.div_ceil(COLUMNS),
        }
    }

    /// Groups that one task multiplies: two tasks for each thread, and no more than stay in the second-level cache. Bits do not depend on it:
    /// whatever the task, an element is summed in the same order.
    fn groups_of_task(self, product: &Product<'_>) -> usize {
        let most = match self {
            Side::A => 256 / ROWS,
            Side::B => 240 / COLUMNS,
        };
        let tasks = 2 * rayon::current_num_threads();
        self.groups(product).div_ceil(tasks).min(most)
    }

    /// Packs groups, tiles `from .. to` of the inner dimension: a group whole after another.
    ///
    /// # Safety
    /// As [`run`]; `to` has room for them.
    unsafe fn pack(
        self,
        product: &Product<'_>,
        groups: Range<usize>,
        steps: Range<usize>,
        to: *mut Pair,
    ) {
        let tiles = groups.start * self.tiles()..groups.end * self.tiles();
        // SAFETY: tiles past the edges are zeros, and nothing past them is read.
        let one = |tile: usize, step: usize| unsafe {
            let (group, within) = (tile / self.tiles() - groups.start, tile % self.tiles());
            let (depth, step_at) = (steps.len(), step - steps.start);
            match self {
                // Rows of A: a tile's parts lie together, and so does a row of tiles.
                Side::A => {
                    let at = ((group * ACROSS_A + within) * depth + step_at) * PARTS;
                    put(
                        product.a,
                        tile * SIDE,
                        step * DEPTH,
                        false,
                        to.add(at * TILE),
                        TILE,
                    );
                }
                // Columns of B: three tiles beside each other, of each part.
                Side::B => {
                    let at = (group * depth + step_at) * PARTS * ACROSS + within;
                    put(
                        product.b,
                        step * DEPTH,
                        tile * SIDE,
                        true,
                        to.add(at * TILE),
                        ACROSS * TILE,
                    );
                }
            }
        };
        // In the order in which the numbers lie.
        let along = match self {
            Side::A => product.a.column_stride == 1,
            Side::B => product.b.row_stride == 1,
        };
        if along {
            tiles.for_each(|tile| steps.clone().for_each(|step| one(tile, step)));
        } else {
            steps
                .clone()
                .for_each(|step| tiles.clone().for_each(|tile| one(tile, step)));
        }
    }
}

/// Tiles of A in a group.
const ACROSS_A: usize = ROWS / SIDE;

struct Product<'a> {
    row_stride: usize,
    start: Start<'a>,
    a: View<'a, f32>,
    b: View<'a, f32>,
    /// Tiles of the inner dimension, and blocks of them.
    steps: usize,
    blocks: usize,
}

impl Product<'_> {
    /// The tiles of a block; all blocks are of about one size.
    fn block(&self, block: usize) -> Range<usize> {
        self.steps * block / self.blocks..self.steps * (block + 1) / self.blocks
    }

    /// One task: groups of the side that is cut, against all of the other.
    ///
    /// # Safety
    /// As [`run`]; `whole` is the other side packed, `out` the first element of the output, of which nobody else touches these rows or columns.
    unsafe fn multiply(
        &self,
        cut: Side,
        groups: Range<usize>,
        scratch: &mut Vec<Pair>,
        whole: *const Pair,
        out: *mut f32,
    ) {
        let needed = groups.len() * STEPS * cut.tiles() * PARTS * TILE + SIDE;
        if scratch.len() < needed {
            scratch.resize(needed, 0);
        }
        let at = scratch.as_ptr().align_offset(64);
        let mine = scratch[at..].as_mut_ptr();
        let (rows, panels) = (Side::A.groups(self), Side::B.groups(self));
        let mut sums = Sums([0.0; ROWS * COLUMNS]);
        for block in 0..self.blocks {
            let block_of = self.block(block);
            let (from, steps) = (block_of.start, block_of.len());
            let (row, panel) = (
                steps * ACROSS_A * PARTS * TILE,
                steps * ACROSS * PARTS * TILE,
            );
            // SAFETY: the scratch memory has room for the groups; offsets lie within what was packed; the tiles are there.
            unsafe {
                cut.pack(self, groups.clone(), block_of, mine);
                configure();
                let mut step = |i: usize, a: *const Pair, j: usize, b: *const Pair| {
                    let step = Step {
                        a,
                        lower: a.add(steps * PARTS * TILE),
                        b,
                        steps,
                    };
                    self.step(&step, i, j, block, &mut sums, out);
                };
                match cut {
                    Side::A => {
                        let whole = whole.add(panels * from * ACROSS * PARTS * TILE);
                        for j in 0..panels {
                            for i in groups.clone() {
                                let a = mine.add((i - groups.start) * row);
                                step(i, a, j, whole.add(j * panel));
                            }
                        }
                    }
                    Side::B => {
                        let whole = whole.add(rows * from * ACROSS_A * PARTS * TILE);
                        for i in 0..rows {
                            for j in groups.clone() {
                                let b = mine.add((j - groups.start) * panel);
                                step(i, whole.add(i * row), j, b);
                            }
                        }
                    }
                }
                asm!("tilerelease", options(nostack, nomem));
            }
        }
    }

    /// 32 rows against 48 columns, over a block.
    ///
    /// # Safety
    /// As [`Self::multiply`]; the tiles are configured.
    unsafe fn step(
        &self,
        step: &Step,
        i: usize,
        j: usize,
        block: usize,
        sums: &mut Sums,
        out: *mut f32,
    ) {
        let (row, column) = (i * ROWS, j * COLUMNS);
        let rows = (self.a.rows - row).min(ROWS);
        let width = (self.b.columns - column).min(COLUMNS);
        // SAFETY: the first of these rows and columns of the output.
        unsafe {
            let out = out.add(row * self.row_stride + column);
            let start = match (block, self.start) {
                (0, Start::Bias(bias)) => Start::Bias(&bias[column..column + width]),
                (0, start) => start,
                _ => Start::Kept,
            };
            if rows == ROWS && width == COLUMNS && matches!(start, Start::Zero) {
                return step.run(out, self.row_stride);
            }
            step.run(sums.0.as_mut_ptr(), COLUMNS);
            store(sums, out, self.row_stride, rows, width, start);
        }
    }
}

/// Two rows of tiles of A against a panel of B, over a block.
struct Step {
    a: *const Pair,
    lower: *const Pair,
    b: *const Pair,
    steps: usize,
}

/// The products of one part of A with one of B, added to the six sums: tmm0, 1, 2 above and 3, 4, 5 below.
macro_rules! product {
    ($a:literal, $b:literal) => {
        concat!(
            "tileloadd tmm6, [{b} + {line}*1 + ",
            $b,
            "*3072]\n",
            "tileloadd tmm7, [{a} + {line}*1 + ",
            $a,
            "*1024]\n",
            "tdpbf16ps tmm0, tmm7, tmm6\n",
            "tileloadd tmm7, [{lower} + {line}*1 + ",
            $a,
            "*1024]\n",
            "tdpbf16ps tmm3, tmm7, tmm6\n",
            "tileloadd tmm6, [{b} + {line}*1 + ",
            $b,
            "*3072 + 1024]\n",
            "tdpbf16ps tmm4, tmm7, tmm6\n",
            "tileloadd tmm7, [{a} + {line}*1 + ",
            $a,
            "*1024]\n",
            "tdpbf16ps tmm1, tmm7, tmm6\n",
            "tileloadd tmm6, [{b} + {line}*1 + ",
            $b,
            "*3072 + 2048]\n",
            "tdpbf16ps tmm2, tmm7, tmm6\n",
            "tileloadd tmm7, [{lower} + {line}*1 + ",
            $a,
            "*1024]\n",
            "tdpbf16ps tmm5, tmm7, tmm6\n",
        )
    };
}

impl Step {
    /// # Safety
    /// The tiles are configured, the operands reach over the block, and `out` has 32 rows of 48 floats, `out_row` apart.
    unsafe fn run(&self, out: *mut f32, out_row: usize) {
        // SAFETY: by the contract.
        unsafe {
            zero_sums();
            asm!(
                "2:",
                product!("0", "2"),
                product!("2", "0"),
                product!("1", "1"),
                product!("0", "1"),
                product!("1", "0"),
                product!("0", "0"),
                "add {a}, 3072",
                "add {lower}, 3072",
                "add {b}, 9216",
                "dec {n}",
                "jnz 2b",
                a = inout(reg) self.a => _,
                lower = inout(reg) self.lower => _,
                b = inout(reg) self.b => _,
                line = in(reg) 64usize,
                n = inout(reg) self.steps => _,
                options(nostack, readonly),
            );
            store_sums(out, out_row);
        }
    }
}

/// A tile of `x` in three parts, `apart` pairs from one to the next: rows from `row` and columns from `column`, with sixteen of the inner dimension beside the
/// sixteen after them. Those are columns, of which a tile has one row each sixteen, or with `down` rows.
///
/// # Safety
/// `x` lies within its slice and has a stride of one; there is room for the parts.
#[target_feature(enable = "avx512f")]
unsafe fn put(
    x: View<'_, f32>,
    row: usize,
    column: usize,
    down: bool,
    to: *mut Pair,
    apart: usize,
) {
    let second = if down {
        (row + SIDE, column)
    } else {
        (row, column + SIDE)
    };
    // SAFETY: by the contract.
    unsafe {
        let first = square(x, row, column);
        let second = square(x, second.0, second.1);
        for i in 0..SIDE {
            let (mut x, mut y) = (first[i], second[i]);
            for part in 0..PARTS {
                // What is left for the last part has eight bits at most, or is NaN.
                let (nx, ny) = match part + 1 {
                    PARTS => (x, upper(y)),
                    _ => (nearest(x), nearest(y)),
                };
                let pairs = _mm512_or_si512(
                    _mm512_srli_epi32::<16>(_mm512_castps_si512(nx)),
                    _mm512_castps_si512(ny),
                );
                _mm512_storeu_si512(to.add(part * apart + i * SIDE).cast(), pairs);
                x = _mm512_sub_ps(x, nx);
                y = _mm512_sub_ps(y, ny);
            }
        }
    }
}

/// To the nearest bf16, ties away from zero. NaN may become a number; what is left of it is NaN then.
#[inline]
#[target_feature(enable = "avx512f")]
fn nearest(x: __m512) -> __m512 {
    let up = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    upper(_mm512_castsi512_ps(up))
}

/// The upper half of each.
#[inline]
#[target_feature(enable = "avx512f")]
fn upper(x: __m512) -> __m512 {
    let mask = _mm512_set1_epi32(0xffff_0000u32 as i32);
    _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), mask))
}

/// Sixteen rows of sixteen columns, zeros past the edges.
///
/// # Safety
/// `x` lies within its slice and has a stride of one.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn square(x: View<'_, f32>, row: usize, column: usize) -> [__m512; SIDE] {
    let rows = x.rows.saturating_sub(row);
    let columns = x.columns.saturating_sub(column);
    let from = x
        .data
        .as_ptr()
        .wrapping_add(row * x.row_stride + column * x.column_stride);
    let (lines, stride, width) = match x.column_stride {
        1 => (rows, x.row_stride, columns),
        _ => (columns, x.column_stride, rows),
    };
    let mask = lanes(width, 0);
    // Loops written out: a closure that an array's `map` is given would be called for each vector, and hand it over in memory.
    let mut block = [_mm512_setzero_ps(); SIDE];
    for (i, vector) in block.iter_mut().enumerate().take(lines) {
        let line = from.wrapping_add(i * stride);
        // SAFETY: lanes past the edge are masked; nothing is read by a prefetch.
        unsafe {
            *vector = _mm512_maskz_loadu_ps(mask, line);
            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(AHEAD).cast());
        }
    }
    if x.column_stride == 1 {
        return block;
    }
    // SAFETY: both are as many bytes, of which any are a number.
    unsafe {
        let block = std::mem::transmute::<[__m512; SIDE], [__m512i; SIDE]>(block);
        std::mem::transmute::<[__m512i; SIDE], [__m512; SIDE]>(turned(block))
    }
}
