//! The bf16 product on AMX: tiles of 16 x 16 sums, eight registers of them. ([`thirds`] has the f32 product.)
//!
//! Intel's advanced matrix extensions multiply a tile of 16 rows of 32 bf16 with one of 32 by 16 in sixteen cycles: sixteen times what AVX-512
//! does in f32. Rust has no stable intrinsics for them, so the instructions are written out; the operating system is asked for the registers
//! once ([`there`]), and a task that uses them gives them back at its end, so that nobody has to save them.
//!
//! Operands are packed as for AVX-512 ([`super::tile`]): B in panels of 48 columns, pairs of rows side by side; A row by row, in pairs. A step
//! takes 32 rows of A and a panel of B: six tiles of sums.

pub(super) mod thirds;

use super::bf16::Start;
use super::cpu::View;
use super::tile::{
    ALONE, COLUMNS, Pair, Panels, interleave_columns, lanes, round, round_row, split, two_rows,
};
use crate::parallel::Shared;
use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::sync::OnceLock;

/// Rows of a tile, and pairs of the inner dimension in it.
const SIDE: usize = 16;
/// Rows of a step.
const ROWS: usize = 2 * SIDE;
/// Most pairs of the inner dimension in a block: a panel of B takes 96 KiB of the second-level cache then.
const PAIRS: usize = 512;

/// Whether the processor has the tiles, and the operating system lends them to this process. It is asked once.
pub(crate) fn there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| has() && lent())
}

fn has() -> bool {
    // Leaf 7, edx: bit 22 is AMX-BF16, bit 24 AMX-TILE. XCR0, bits 17 and 18: the system saves the tiles' configuration and data.
    let most = __cpuid(0).eax;
    if most < 7 || __cpuid(1).ecx & (1 << 27) == 0 {
        return false;
    }
    let leaf = __cpuid_count(7, 0);
    let tiles = leaf.edx & (1 << 22) != 0 && leaf.edx & (1 << 24) != 0;
    // SAFETY: the bit of leaf 1 says that the instruction is there.
    tiles && unsafe { saved() } & (3 << 17) == 3 << 17
}

#[target_feature(enable = "xsave")]
unsafe fn saved() -> u64 {
    // SAFETY: register 0 is always there.
    unsafe { _xgetbv(0) }
}

/// Linux lends the registers to a process that asks (Documentation/arch/x86/xstate.rst): arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
#[cfg(target_os = "linux")]
fn lent() -> bool {
    let answer: i64;
    // SAFETY: a system call that changes nothing but this process's permission, with the registers that it overwrites.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") 158i64 => answer,
            in("rdi") 0x1023u64,
            in("rsi") 18u64,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn lent() -> bool {
    false
}

/// Rows of A that one task packs and multiplies: a function of the shape alone.
fn rows_per_task(m: usize) -> usize {
    m.div_ceil(8).next_multiple_of(ROWS).clamp(ROWS, 4 * ROWS)
}

thread_local! {
    static BLOCK: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
}

/// dst = start + a b.
///
/// # Safety
/// The tiles are [`there`], with AVX-512 F, BW, VL and BF16. `a` and `b` lie within their slices, each with a stride of one, `dst` is `a.rows` x
/// `b.columns`, a bias has `b.columns` elements, and nothing is empty.
pub(super) unsafe fn run(dst: &mut [f32], a: View<'_, f32>, b: View<'_, f32>, start: Start<'_>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let pairs = k.div_ceil(2).next_multiple_of(SIDE);
    let alone = m * n * k < ALONE;
    let panels = n.div_ceil(COLUMNS);
    // SAFETY: the loop below writes every panel whole.
    let mut packed = unsafe { Panels::unwritten(panels * pairs * COLUMNS) };
    let shared = packed.shared();
    split(panels, alone, |j| {
        let width = (n - j * COLUMNS).min(COLUMNS);
        // SAFETY: the panel is this call's alone; columns j * 48 .. + width of b lie within its slice.
        unsafe {
            let to = shared.at(j * pairs * COLUMNS);
            let from = b.data.as_ptr().add(j * COLUMNS * b.column_stride);
            if b.column_stride == 1 {
                interleave_columns(from, b.row_stride, k, width, to);
            } else {
                turn_columns(from, b.column_stride, k, width, to);
            }
            let written = k.div_ceil(2) * COLUMNS;
            std::ptr::write_bytes(to.add(written), 0, pairs * COLUMNS - written);
        }
    });
    let rows = rows_per_task(m);
    let out = Shared::new(dst);
    split(m.div_ceil(rows), alone, |block| {
        let from = block * rows;
        let work = Work {
            rows: rows.min(m - from),
            columns: n,
            pairs,
        };
        BLOCK.with_borrow_mut(|scratch| {
            // SAFETY: rows from .. from + rows of the output are this task's alone; B was packed whole.
            unsafe {
                let a = work.pack(scratch, a, from);
                work.multiply(a, shared.at(0), out.at(from * n), start);
            }
        });
    });
}

/// One task: a block of rows.
struct Work {
    rows: usize,
    columns: usize,
    /// Pairs of a packed row, a multiple of a tile's.
    pairs: usize,
}

/// What the eight registers hold: 16 rows of 64 bytes each.
#[repr(C, align(64))]
struct Configuration([u8; 64]);

/// All of it.
static FULL: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = SIDE as u8;
        tile += 1;
    }
    Configuration(bytes)
};

/// Makes the eight registers ready.
///
/// # Safety
/// The tiles are [`there`].
#[inline(always)]
pub(crate) unsafe fn configure() {
    // SAFETY: by the contract.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const FULL, options(nostack)) };
}

/// Sets the six registers of sums to zero: tmm0, 1, 2 of the upper rows, and 3, 4, 5 of the lower.
///
/// # Safety
/// The tiles are configured.
#[inline(always)]
unsafe fn zero_sums() {
    // SAFETY: by the contract.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "tilezero tmm4",
            "tilezero tmm5",
            options(nostack, nomem),
        );
    }
}

/// Writes the six registers of sums.
///
/// # Safety
/// The tiles are configured; `out` has 32 rows of 48 floats, `out_row` apart.
#[inline(always)]
unsafe fn store_sums(out: *mut f32, out_row: usize) {
    // SAFETY: by the contract.
    unsafe {
        asm!(
            "tilestored [{out} + {stride}*1], tmm0",
            "tilestored [{out} + {stride}*1 + 64], tmm1",
            "tilestored [{out} + {stride}*1 + 128], tmm2",
            "tilestored [{lower} + {stride}*1], tmm3",
            "tilestored [{lower} + {stride}*1 + 64], tmm4",
            "tilestored [{lower} + {stride}*1 + 128], tmm5",
            out = in(reg) out,
            lower = in(reg) out.add(SIDE * out_row),
            stride = in(reg) out_row * size_of::<f32>(),
            options(nostack),
        );
    }
}

/// The sums of a step where they cannot lie in the output: at its edges, or before a bias.
#[repr(C, align(64))]
struct Sums([f32; ROWS * COLUMNS]);

impl Work {
    /// From one packed row to the next: a cache line more, so that rows do not fall on each other in the cache.
    fn row(&self) -> usize {
        self.pairs + SIDE
    }

    /// Packs rows `from ..` of `a`, zeros past the last column. Rows past the last are whatever the scratch memory holds, and are never stored.
    ///
    /// # Safety
    /// As [`run`]; `from + self.rows` is at most `a.rows`.
    unsafe fn pack(&self, scratch: &mut Vec<Pair>, a: View<'_, f32>, from: usize) -> *const Pair {
        let row = self.row();
        let needed = self.rows.next_multiple_of(ROWS) * row + SIDE;
        if scratch.len() < needed {
            scratch.resize(needed, 0);
        }
        let at = scratch.as_ptr().align_offset(64);
        let to = scratch[at..].as_mut_ptr();
        let k = a.columns;
        let written = k.div_ceil(2);
        // SAFETY: the rows lie within a's slice, and `to` has room for them.
        unsafe {
            let first = a.data.as_ptr().add(from * a.row_stride);
            if a.column_stride == 1 {
                for i in 0..self.rows {
                    round_row(first.add(i * a.row_stride), k, to.add(i * row));
                }
            } else {
                turn_rows(first, a.column_stride, k, self.rows, to, row);
            }
            for i in 0..self.rows {
                std::ptr::write_bytes(to.add(i * row + written), 0, self.pairs - written);
            }
        }
        to
    }

    /// # Safety
    /// As [`run`]; `a` is this block packed, `b` all panels, `out` its first element of the output.
    unsafe fn multiply(&self, a: *const Pair, b: *const Pair, out: *mut f32, start: Start<'_>) {
        let blocks = self.pairs.div_ceil(PAIRS);
        let tiles = self.pairs / SIDE;
        let mut sums = Sums([0.0; ROWS * COLUMNS]);
        // SAFETY: the tiles are there; the rest as below.
        unsafe {
            configure();
            for block in 0..blocks {
                // Blocks of about one size.
                let (from, to) = (tiles * block / blocks, tiles * (block + 1) / blocks);
                for j in (0..self.columns).step_by(COLUMNS) {
                    let width = (self.columns - j).min(COLUMNS);
                    for i in (0..self.rows).step_by(ROWS) {
                        let rows = (self.rows - i).min(ROWS);
                        let start = match (block, start) {
                            (0, Start::Zero) => Start::Zero,
                            (0, Start::Bias(bias)) => Start::Bias(&bias[j..j + width]),
                            _ => Start::Kept,
                        };
                        let step = Step {
                            a: a.add(i * self.row() + from * SIDE),
                            row: self.row(),
                            b: b.add((j / COLUMNS * self.pairs + from * SIDE) * COLUMNS),
                            tiles: to - from,
                        };
                        let out = out.add(i * self.columns + j);
                        let whole = rows == ROWS && width == COLUMNS;
                        match start {
                            Start::Zero | Start::Kept if whole => {
                                step.run(out, self.columns, matches!(start, Start::Kept));
                            }
                            _ => {
                                step.run(sums.0.as_mut_ptr(), COLUMNS, false);
                                store(&sums, out, self.columns, rows, width, start);
                            }
                        }
                    }
                }
            }
            asm!("tilerelease", options(nostack, nomem));
        }
    }
}

/// 32 rows of A against a panel of B, over a block of the inner dimension.
struct Step {
    a: *const Pair,
    row: usize,
    b: *const Pair,
    tiles: usize,
}

impl Step {
    /// Writes the sums, or adds them with `keep`.
    ///
    /// # Safety
    /// The tiles are configured. The operands reach over the block; `out` has 32 rows of 48 floats, `out_row` apart.
    unsafe fn run(&self, out: *mut f32, out_row: usize, keep: bool) {
        let stride = out_row * size_of::<f32>();
        // SAFETY: by the contract.
        unsafe {
            let lower = out.add(SIDE * out_row);
            if keep {
                asm!(
                    "tileloadd tmm0, [{out} + {stride}*1]",
                    "tileloadd tmm1, [{out} + {stride}*1 + 64]",
                    "tileloadd tmm2, [{out} + {stride}*1 + 128]",
                    "tileloadd tmm3, [{lower} + {stride}*1]",
                    "tileloadd tmm4, [{lower} + {stride}*1 + 64]",
                    "tileloadd tmm5, [{lower} + {stride}*1 + 128]",
                    out = in(reg) out,
                    lower = in(reg) lower,
                    stride = in(reg) stride,
                    options(nostack, readonly),
                );
            } else {
                zero_sums();
            }
            // The rows of A are loaded twice, as there are two registers beside the sums; they are near.
            asm!(
                "2:",
                "tileloadd tmm6, [{b} + {panel}*1]",
                "tileloadd tmm7, [{a} + {row}*1]",
                "tdpbf16ps tmm0, tmm7, tmm6",
                "tileloadd tmm7, [{lower} + {row}*1]",
                "tdpbf16ps tmm3, tmm7, tmm6",
                "tileloadd tmm6, [{b} + {panel}*1 + 64]",
                "tdpbf16ps tmm4, tmm7, tmm6",
                "tileloadd tmm7, [{a} + {row}*1]",
                "tdpbf16ps tmm1, tmm7, tmm6",
                "tileloadd tmm6, [{b} + {panel}*1 + 128]",
                "tdpbf16ps tmm2, tmm7, tmm6",
                "tileloadd tmm7, [{lower} + {row}*1]",
                "tdpbf16ps tmm5, tmm7, tmm6",
                "add {a}, 64",
                "add {lower}, 64",
                "add {b}, {next}",
                "dec {n}",
                "jnz 2b",
                a = inout(reg) self.a => _,
                lower = inout(reg) self.a.add(SIDE * self.row) => _,
                b = inout(reg) self.b => _,
                row = in(reg) self.row * size_of::<Pair>(),
                panel = in(reg) COLUMNS * size_of::<Pair>(),
                next = in(reg) SIDE * COLUMNS * size_of::<Pair>(),
                n = inout(reg) self.tiles => _,
                options(nostack, readonly),
            );
            store_sums(out, out_row);
        }
    }
}

/// The sums of a step, where they belong.
///
/// # Safety
/// `out` has `rows` rows of `width` floats, `out_row` apart.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn store(
    sums: &Sums,
    out: *mut f32,
    out_row: usize,
    rows: usize,
    width: usize,
    start: Start<'_>,
) {
    for i in 0..rows {
        for v in 0..COLUMNS / SIDE {
            let mask = lanes(width, v);
            // SAFETY: masked lanes are not touched.
            unsafe {
                let to = out.add(i * out_row).wrapping_add(SIDE * v);
                let mut x = _mm512_loadu_ps(sums.0.as_ptr().add(i * COLUMNS + SIDE * v));
                match start {
                    Start::Zero => {}
                    Start::Bias(bias) => {
                        let bias = bias.as_ptr().wrapping_add(SIDE * v);
                        x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, bias));
                    }
                    Start::Kept => x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, to)),
                }
                _mm512_mask_storeu_ps(to, mask, x);
            }
        }
    }
}

/// Packs a panel of `width` columns of `k` floats each, the columns `stride` apart, zeros beside them.
///
/// # Safety
/// The columns lie within one slice; `to` has room for a panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn turn_columns(from: *const f32, stride: usize, k: usize, width: usize, to: *mut Pair) {
    let pairs = k.div_ceil(2);
    for p in (0..pairs).step_by(SIDE) {
        for j in (0..COLUMNS).step_by(SIDE) {
            // SAFETY: lanes past the end are masked; columns past the width are not read; pairs past the last are not written.
            unsafe {
                let block = std::array::from_fn(|i| {
                    if j + i >= width {
                        return _mm512_setzero_si512();
                    }
                    let (column, n) = (from.add((j + i) * stride), k - 2 * p);
                    round(
                        _mm512_maskz_loadu_ps(lanes(n, 0), column.wrapping_add(2 * p)),
                        _mm512_maskz_loadu_ps(lanes(n, 1), column.wrapping_add(2 * p + SIDE)),
                    )
                });
                for (i, pairs) in turned(block).into_iter().enumerate().take(pairs - p) {
                    _mm512_storeu_si512(to.add((p + i) * COLUMNS + j).cast(), pairs);
                }
            }
        }
    }
}

/// Packs `m` rows of A whose columns lie together (`stride` apart from one to the next), `row` pairs apart.
///
/// # Safety
/// The columns lie within one slice; `to` has room for the rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn turn_rows(
    from: *const f32,
    stride: usize,
    k: usize,
    m: usize,
    to: *mut Pair,
    row: usize,
) {
    let pairs = k.div_ceil(2);
    for p in (0..pairs).step_by(SIDE) {
        for at in (0..m).step_by(SIDE) {
            // SAFETY: rows and columns past the last are not read; rows past the last are not written, and pairs past the last are
            // within the row's room, which is a multiple of a tile's.
            unsafe {
                let block = std::array::from_fn(|i| match p + i < pairs {
                    true => two_rows(from, stride, k, 2 * (p + i), at, m),
                    false => _mm512_setzero_si512(),
                });
                for (i, pairs) in turned(block).into_iter().enumerate().take(m - at) {
                    _mm512_storeu_si512(to.add((at + i) * row + p).cast(), pairs);
                }
            }
        }
    }
}

/// Sixteen rows of sixteen pairs as columns.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn turned(r: [__m512i; 16]) -> [__m512i; 16] {
    // Pairs of rows, fours, eights, sixteens: each step exchanges what is twice as far apart.
    let two: [__m512i; 16] = std::array::from_fn(|i| {
        let (a, b) = (r[i / 2 * 2], r[i / 2 * 2 + 1]);
        match i % 2 {
            0 => _mm512_unpacklo_epi32(a, b),
            _ => _mm512_unpackhi_epi32(a, b),
        }
    });
    let four: [__m512i; 16] = std::array::from_fn(|i| {
        let (a, b) = (two[i / 4 * 4 + i % 4 / 2], two[i / 4 * 4 + i % 4 / 2 + 2]);
        match i % 2 {
            0 => _mm512_unpacklo_epi64(a, b),
            _ => _mm512_unpackhi_epi64(a, b),
        }
    });
    // four[4 g + c] holds column 4 l + c of rows 4 g .. 4 g + 4 in lane l.
    let eight: [__m512i; 16] = std::array::from_fn(|i| {
        let (c, half, which) = (i % 4, i / 4 % 2, i / 8);
        let (a, b) = (four[8 * half + c], four[8 * half + 4 + c]);
        match which {
            0 => _mm512_shuffle_i32x4::<0x88>(a, b),
            _ => _mm512_shuffle_i32x4::<0xdd>(a, b),
        }
    });
    // eight[8 w + 4 h + c]: lanes 0 and 2 (w = 0) or 1 and 3 (w = 1) of the eight rows of half h.
    std::array::from_fn(|i| {
        let (c, lane) = (i % 4, i / 4);
        let (a, b) = (eight[8 * (lane % 2) + c], eight[8 * (lane % 2) + 4 + c]);
        match lane / 2 {
            0 => _mm512_shuffle_i32x4::<0x88>(a, b),
            _ => _mm512_shuffle_i32x4::<0xdd>(a, b),
        }
    })
}
