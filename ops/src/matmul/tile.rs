//! The bf16 product on AVX-512: packing and the tile of 8 x 48 sums.

use super::bf16::Start;
use super::cpu::View;
use crate::parallel::{Shared, each, unwritten};
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Rows and columns of a tile: 24 registers of sums.
const ROWS: usize = 8;
pub(super) const COLUMNS: usize = 48;
/// Most pairs of the inner dimension in a block: a panel of B then takes 36 KiB, and stays in the first-level cache.
const PAIRS: usize = 192;
/// Products below so many multiplications are not worth a second thread.
pub(super) const ALONE: usize = 1 << 18;

/// Rows of A that one task packs and multiplies: a function of the shape alone.
fn rows_per_task(m: usize) -> usize {
    m.div_ceil(8)
        .next_multiple_of(ROWS)
        .clamp(4 * ROWS, 16 * ROWS)
}

/// Two neighbours of the inner dimension, rounded: the lower half is the first.
pub(super) type Pair = u32;

/// A vector of pairs that begins on a cache line.
pub(super) struct Panels {
    data: Vec<Pair>,
    from: usize,
}

impl Panels {
    /// # Safety
    /// Every element must be written before it is read.
    pub(super) unsafe fn unwritten(n: usize) -> Self {
        // SAFETY: by the contract above.
        let data = unsafe { unwritten::<Pair>(n + 16) };
        let from = data.as_ptr().align_offset(64);
        Panels { data, from }
    }

    pub(super) fn shared(&mut self) -> Shared<Pair> {
        Shared::new(&mut self.data[self.from..])
    }
}

thread_local! {
    static BLOCK: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
}

/// dst = start + a b.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and BF16. `a` and `b` lie within their slices, each with a stride of one, `dst` is
/// `a.rows` x `b.columns`, a bias has `b.columns` elements, and nothing is empty.
pub(super) unsafe fn run(dst: &mut [f32], a: View<'_, f32>, b: View<'_, f32>, start: Start<'_>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let pairs = k.div_ceil(2);
    let alone = m * n * k < ALONE;
    let panels = n.div_ceil(COLUMNS);
    // SAFETY: the loop below writes every panel whole.
    let mut packed = unsafe { Panels::unwritten(panels * pairs * COLUMNS) };
    let shared = packed.shared();
    let pack = |j: usize| {
        let width = (n - j * COLUMNS).min(COLUMNS);
        // SAFETY: the panel is this call's alone; columns j * 48 .. + width of b lie within its slice.
        unsafe {
            let to = shared.at(j * pairs * COLUMNS);
            let from = b.data.as_ptr().add(j * COLUMNS * b.column_stride);
            if b.column_stride == 1 {
                interleave_columns(from, b.row_stride, k, width, to);
            } else {
                scatter_columns(from, b.column_stride, k, width, to);
            }
        }
    };
    split(panels, alone, pack);
    let rows = rows_per_task(m);
    let out = Shared::new(dst);
    split(m.div_ceil(rows), alone, |block| {
        let from = block * rows;
        let rows = rows.min(m - from);
        BLOCK.with_borrow_mut(|scratch| {
            let work = Work {
                rows,
                columns: n,
                pairs,
            };
            // SAFETY: rows from .. from + rows of the output are this task's alone; B was packed whole.
            unsafe {
                let packed_a = work.pack(scratch, a, from);
                work.multiply(packed_a, shared.at(0), out.at(from * n), start);
            }
        });
    });
}

/// Calls `f` for 0 .. n, each a task of its own unless `alone`.
pub(super) fn split(n: usize, alone: bool, f: impl Fn(usize) + Sync + Send) {
    if alone || n == 1 {
        (0..n).for_each(f);
    } else {
        each(n, &f);
    }
}

/// Packed rows of A: pair p of row i of a group of eight lies at `i * row + p * pair` from the group's beginning.
#[derive(Clone, Copy)]
struct Rows {
    data: *const Pair,
    row: usize,
    pair: usize,
    /// From one group to the next.
    group: usize,
}

/// One task: a block of rows.
struct Work {
    rows: usize,
    columns: usize,
    pairs: usize,
}

impl Work {
    /// Packs rows `from ..` of `a`: in groups of eight where columns lie together, otherwise row by row.
    ///
    /// # Safety
    /// As [`run`]; `from + self.rows` is at most `a.rows`.
    unsafe fn pack(&self, scratch: &mut Vec<Pair>, a: View<'_, f32>, from: usize) -> Rows {
        let groups = self.rows.div_ceil(ROWS);
        // A cache line more, so that rows do not fall on each other in the cache.
        let row = self.pairs.next_multiple_of(16) + 16;
        let needed = groups * ROWS * row + 16;
        if scratch.len() < needed {
            scratch.resize(needed, 0);
        }
        let at = scratch.as_ptr().align_offset(64);
        let to = scratch[at..].as_mut_ptr();
        // SAFETY: the rows lie within a's slice, and to has room for groups x 8 rows of `row` pairs, more than the groups
        // of 8 x pairs need.
        unsafe {
            let first = a.data.as_ptr().add(from * a.row_stride);
            if a.column_stride == 1 {
                for i in 0..self.rows {
                    round_row(first.add(i * a.row_stride), a.columns, to.add(i * row));
                }
                // What is beyond the last row is multiplied and never stored: any finite or other number will do, but it
                // must have been written, which the scratch memory is.
                Rows {
                    data: to,
                    row,
                    pair: 1,
                    group: ROWS * row,
                }
            } else {
                interleave_rows(first, a.column_stride, a.columns, self.rows, to);
                Rows {
                    data: to,
                    row: 1,
                    pair: ROWS,
                    group: ROWS * self.pairs,
                }
            }
        }
    }

    /// # Safety
    /// As [`run`]; `a` is this block packed, `b` all panels, `out` its first element of the output.
    unsafe fn multiply(&self, a: Rows, b: *const Pair, out: *mut f32, start: Start<'_>) {
        let blocks = self.pairs.div_ceil(PAIRS);
        for block in 0..blocks {
            // Blocks of about one size.
            let (from, to) = (
                self.pairs * block / blocks,
                self.pairs * (block + 1) / blocks,
            );
            for j in (0..self.columns).step_by(COLUMNS) {
                let width = (self.columns - j).min(COLUMNS);
                for (group, i) in (0..self.rows).step_by(ROWS).enumerate() {
                    // SAFETY: group and panel lie within the packed operands, the tile within this task's rows.
                    unsafe {
                        let start = match (block, start) {
                            (0, Start::Zero) => From::Zero,
                            (0, Start::Bias(bias)) => From::Bias(bias.as_ptr().add(j)),
                            _ => From::Kept,
                        };
                        let tile = Tile {
                            pairs: to - from,
                            b: b.add(j * self.pairs + from * COLUMNS),
                            out: out.add(i * self.columns + j),
                            out_row: self.columns,
                            rows: (self.rows - i).min(ROWS),
                            columns: width,
                            start,
                        };
                        let at = a.data.add(group * a.group + from * a.pair);
                        if a.pair == 1 {
                            tile.of_rows(at, a.row);
                        } else {
                            tile.of_groups(at);
                        }
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum From {
    Zero,
    Bias(*const f32),
    Kept,
}

struct Tile {
    pairs: usize,
    b: *const Pair,
    out: *mut f32,
    out_row: usize,
    rows: usize,
    columns: usize,
    start: From,
}

/// The lanes of vector `v` that are within `n` columns.
pub(super) fn lanes(n: usize, v: usize) -> __mmask16 {
    match n.saturating_sub(16 * v) {
        0 => 0,
        n if n >= 16 => !0,
        n => (1 << n) - 1,
    }
}

impl Tile {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    unsafe fn of_rows(&self, a: *const Pair, row: usize) {
        // SAFETY: by the contract of `multiply`.
        unsafe { self.run(|i, p| *a.add(i * row + p)) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    unsafe fn of_groups(&self, a: *const Pair) {
        // SAFETY: by the contract of `multiply`.
        unsafe { self.run(|i, p| *a.add(p * ROWS + i)) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    unsafe fn run(&self, a: impl Fn(usize, usize) -> Pair) {
        const VECTORS: usize = COLUMNS / 16;
        let masks: [__mmask16; VECTORS] = std::array::from_fn(|v| lanes(self.columns, v));
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        // SAFETY: masked lanes are not touched; the rest lies within the output (or the bias) and the panels.
        unsafe {
            match self.start {
                From::Zero => {}
                From::Bias(bias) => {
                    for v in 0..VECTORS {
                        let x = _mm512_maskz_loadu_ps(masks[v], bias.wrapping_add(16 * v));
                        for row in &mut sums {
                            row[v] = x;
                        }
                    }
                }
                From::Kept => {
                    for (i, row) in sums.iter_mut().enumerate() {
                        if i < self.rows {
                            let from = self.out.add(i * self.out_row);
                            for v in 0..VECTORS {
                                row[v] = _mm512_maskz_loadu_ps(masks[v], from.wrapping_add(16 * v));
                            }
                        }
                    }
                }
            }
            for p in 0..self.pairs {
                let from = self.b.add(p * COLUMNS);
                let b = [
                    as_bf16(_mm512_loadu_si512(from.cast())),
                    as_bf16(_mm512_loadu_si512(from.add(16).cast())),
                    as_bf16(_mm512_loadu_si512(from.add(32).cast())),
                ];
                for (i, row) in sums.iter_mut().enumerate() {
                    let x = as_bf16(_mm512_set1_epi32(a(i, p) as i32));
                    for (sum, b) in row.iter_mut().zip(b) {
                        *sum = _mm512_dpbf16_ps(*sum, x, b);
                    }
                }
            }
            for (i, row) in sums.iter().enumerate() {
                if i < self.rows {
                    let to = self.out.add(i * self.out_row);
                    for v in 0..VECTORS {
                        _mm512_mask_storeu_ps(to.wrapping_add(16 * v), masks[v], row[v]);
                    }
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(crate) fn as_bf16(x: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of plain data.
    unsafe { std::mem::transmute(x) }
}

/// Sixteen and sixteen floats as bf16, one after the other.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) fn round(first: __m512, second: __m512) -> __m512i {
    // SAFETY: both are 64 bytes of plain data.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(second, first)) }
}

/// Pairs of one element each of two neighbouring rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn pair_up(first: __m512, second: __m512) -> __m512i {
    let order = {
        let mut order = [0u16; 32];
        for (i, o) in order.iter_mut().enumerate() {
            *o = (i / 2 + 16 * (i % 2)) as u16;
        }
        // SAFETY: 64 bytes of plain data.
        unsafe { std::mem::transmute::<[u16; 32], __m512i>(order) }
    };
    _mm512_permutexvar_epi16(order, round(first, second))
}

/// A row of `k` floats as pairs; an odd one has a zero beside it.
///
/// # Safety
/// `from` has k floats, `to` room for their pairs.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn round_row(from: *const f32, k: usize, to: *mut Pair) {
    for at in (0..k).step_by(32) {
        let n = k - at;
        // SAFETY: lanes past the end are masked.
        unsafe {
            let first = _mm512_maskz_loadu_ps(lanes(n, 0), from.wrapping_add(at));
            let second = _mm512_maskz_loadu_ps(lanes(n, 1), from.wrapping_add(at + 16));
            _mm512_mask_storeu_epi32(
                to.wrapping_add(at / 2).cast(),
                lanes(n.div_ceil(2), 0),
                round(first, second),
            );
        }
    }
}

/// Packs a panel of `width` columns of `k` floats each, the columns `stride` apart, zeros beside them.
///
/// # Safety
/// The columns lie within one slice; `to` has room for a panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn scatter_columns(from: *const f32, stride: usize, k: usize, width: usize, to: *mut Pair) {
    let apart = _mm512_mullo_epi32(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
        _mm512_set1_epi32(COLUMNS as i32),
    );
    for at in (0..k).step_by(32) {
        let n = k - at;
        let kept = lanes(n.div_ceil(2), 0);
        for j in 0..COLUMNS {
            // SAFETY: lanes past the end are masked; columns past the width are not read.
            unsafe {
                let pairs = if j < width {
                    let column = from.add(j * stride);
                    let first = _mm512_maskz_loadu_ps(lanes(n, 0), column.wrapping_add(at));
                    let second = _mm512_maskz_loadu_ps(lanes(n, 1), column.wrapping_add(at + 16));
                    round(first, second)
                } else {
                    _mm512_setzero_si512()
                };
                let base = to.add(at / 2 * COLUMNS + j);
                _mm512_mask_i32scatter_epi32::<4>(base.cast(), kept, apart, pairs);
            }
        }
    }
}

/// Packs a panel of `width` columns whose `k` rows are `stride` apart, zeros beside them.
///
/// # Safety
/// The rows lie within one slice; `to` has room for a panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn interleave_columns(
    from: *const f32,
    stride: usize,
    k: usize,
    width: usize,
    to: *mut Pair,
) {
    for p in 0..k.div_ceil(2) {
        for v in 0..COLUMNS / 16 {
            // SAFETY: lanes past the width and a row past the last are masked.
            unsafe {
                let pairs = two_rows(from, stride, k, 2 * p, 16 * v, width);
                _mm512_storeu_si512(to.add(p * COLUMNS + 16 * v).cast(), pairs);
            }
        }
    }
}

/// Packs `m` rows of A whose columns lie together (`stride` apart from one to the next) in groups of eight.
///
/// # Safety
/// The columns lie within one slice; `to` has room for the groups, and for eight rows more if there is an odd group.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn interleave_rows(from: *const f32, stride: usize, k: usize, m: usize, to: *mut Pair) {
    let pairs = k.div_ceil(2);
    for p in 0..pairs {
        for at in (0..m).step_by(16) {
            // SAFETY: lanes past the last row and a column past the last are masked; the second group of sixteen rows is
            // written only where it begins within m.
            unsafe {
                let x = two_rows(from, stride, k, 2 * p, at, m);
                let group = to.add(at / ROWS * pairs * ROWS + p * ROWS);
                _mm256_storeu_si256(group.cast(), _mm512_castsi512_si256(x));
                if at + ROWS < m {
                    let next = group.add(pairs * ROWS);
                    _mm256_storeu_si256(next.cast(), _mm512_extracti64x4_epi64::<1>(x));
                }
            }
        }
    }
}

/// Sixteen pairs of rows `r` and `r + 1` (zeros from `k` on), from column `at` (zeros from `width` on).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn two_rows(
    from: *const f32,
    stride: usize,
    k: usize,
    r: usize,
    at: usize,
    width: usize,
) -> __m512i {
    let mask = lanes(width.saturating_sub(at), 0);
    let second = if r + 1 < k { mask } else { 0 };
    let row = from.wrapping_add(r * stride + at);
    // SAFETY: masked lanes are not read.
    unsafe {
        pair_up(
            _mm512_maskz_loadu_ps(mask, row),
            _mm512_maskz_loadu_ps(second, row.wrapping_add(stride)),
        )
    }
}
