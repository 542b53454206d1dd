//! The inner loop: 32 rows against 32 columns, by the processor's tiles or by pairs of bf16 in vectors.
//!
//! Of 32 elements of the inner dimension the right operand has two tiles of each part, the first 16 columns and those after them. Rows of the left one may
//! lie anywhere, if only sixteen are as far from each other; the lines of a row's parts lie together. With four tile registers of sums and two tiles of each operand, a tile is loaded once or twice for the products of its parts and not, as with six
//! registers of sums, for each of them.

use crate::matmul::amx::configure;
use crate::matmul::tile::as_bf16;
use crate::path::{Level, Path};
use std::arch::asm;
use std::arch::x86_64::*;

/// Two neighbours of the inner dimension, as bf16.
pub(super) type Pair = u32;
/// Pairs in a line of a tile: 64 bytes.
pub(super) const LINE: usize = 16;
/// Pairs in a tile.
pub(super) const TILE: usize = 16 * LINE;
/// Rows and columns of a step, and elements of the inner dimension.
pub(super) const SIDE: usize = 32;
/// Rows of a tile.
pub(super) const HALF: usize = 16;
/// Most steps of the inner dimension whose sums begin at zero.
pub(super) const STEPS: usize = 18;

/// Pairs of an operand in one step.
pub(super) const fn pairs(parts: usize) -> usize {
    parts * 2 * TILE
}

/// The sums of a step.
#[repr(C, align(64))]
pub(super) struct Sums(pub(super) [f32; SIDE * SIDE]);

/// Sixteen rows of the left operand.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    /// The first one's line of the first part.
    pub(super) at: *const Pair,
    /// Bytes from a row to the next.
    pub(super) apart: usize,
}

impl Lines {
    /// Rows one after another.
    pub(super) fn dense(at: *const Pair, parts: usize) -> Self {
        Lines {
            at,
            apart: parts * LINE * size_of::<Pair>(),
        }
    }
}

/// What multiplies. One exists only where the processor has its instructions: [`Engine::of`] makes it of a path, and nothing else can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conv2d) struct Engine(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// AMX's tiles.
    Tiles,
    /// AVX-512's products of pairs of bf16, for operands of one part.
    Pairs,
}

impl Engine {
    /// That of a path, for operands that are rounded to one part or split into more.
    pub(super) fn of(path: Path, rounded: bool) -> Option<Self> {
        match path.level() {
            Level::Amx => Some(Engine(Kind::Tiles)),
            Level::Avx512Bf16 if rounded => Some(Engine(Kind::Pairs)),
            _ => None,
        }
    }

    /// Calls `f` between making what multiplies ready and giving it back.
    pub(super) fn with(self, f: impl FnOnce()) {
        match self.0 {
            // SAFETY: an engine is only where its instructions are.
            Kind::Tiles => unsafe {
                configure();
                f();
                asm!("tilerelease", options(nostack, nomem));
            },
            Kind::Pairs => f(),
        }
    }

    /// Writes the sums of some steps to 32 rows of 32 floats, one after another.
    ///
    /// # Safety
    /// Within [`Self::with`]. The rows have `P` parts (one or three, one for [`Kind::Pairs`]), `b` as many steps, and `out` has room for the sums.
    #[inline(always)]
    pub(super) unsafe fn run<const P: usize>(
        self,
        a: &[[Lines; 2]],
        b: *const Pair,
        out: *mut f32,
    ) {
        // SAFETY: by the contract.
        unsafe {
            match self.0 {
                Kind::Tiles => tiles::<P>(a, b, out),
                Kind::Pairs if P == 1 => products(a, b, out),
                Kind::Pairs => unreachable!("pairs of bf16 have one part"),
            }
        }
    }
}

/// Rows whose sums are in registers, two vectors each.
const ROWS: usize = 8;

/// [`Engine::run`] by pairs.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn products(a: &[[Lines; 2]], b: *const Pair, out: *mut f32) {
    for (row, half) in (0..SIDE).step_by(ROWS).map(|row| (row, row / HALF)) {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        // SAFETY: by the contract of `run`.
        unsafe {
            for (i, lines) in a.iter().enumerate() {
                let b = b.add(i * pairs(1));
                let Lines { at, apart } = lines[half];
                let first = at.cast::<u8>().add(row % HALF * apart);
                let rows: [*const Pair; ROWS] =
                    std::array::from_fn(|r| first.add(r * apart).cast());
                for p in 0..LINE {
                    let columns = [line(b.add(p * LINE)), line(b.add(TILE + p * LINE))];
                    for (sums, row) in sums.iter_mut().zip(rows) {
                        let x = as_bf16(_mm512_set1_epi32(*row.add(p) as i32));
                        for (sum, column) in sums.iter_mut().zip(columns) {
                            *sum = _mm512_dpbf16_ps(*sum, x, column);
                        }
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (half, sum) in sums.into_iter().enumerate() {
                    _mm512_storeu_ps(out.add((row + r) * SIDE + half * HALF), sum);
                }
            }
        }
    }
}

/// Sixteen pairs.
///
/// # Safety
/// They are there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn line(from: *const Pair) -> __m512bh {
    // SAFETY: by the contract.
    as_bf16(unsafe { _mm512_loadu_si512(from.cast()) })
}

/// Loads a part of the two tiles of A.
macro_rules! a {
    ($part:literal) => {
        concat!(
            "tileloadd tmm4, [{upper} + {upper_apart}*1 + ",
            $part,
            "*64]\n",
            "tileloadd tmm5, [{lower} + {lower_apart}*1 + ",
            $part,
            "*64]\n",
        )
    };
}

/// Loads a part of the two tiles of B.
macro_rules! b {
    ($part:literal) => {
        concat!(
            "tileloadd tmm6, [{b} + {line}*1 + ",
            $part,
            "*2048]\n",
            "tileloadd tmm7, [{b} + {line}*1 + ",
            $part,
            "*2048 + 1024]\n",
        )
    };
}

/// What is loaded, multiplied.
macro_rules! four {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6\ntdpbf16ps tmm2, tmm5, tmm6\ntdpbf16ps tmm1, tmm4, tmm7\ntdpbf16ps tmm3, tmm5, tmm7\n"
    };
}

/// [`Engine::run`] by tiles.
///
/// # Safety
/// The tiles are configured, the rows have `P` parts (one or three), `b` as many steps, and `out` has room for the sums.
#[inline(always)]
unsafe fn tiles<const P: usize>(a: &[[Lines; 2]], b: *const Pair, out: *mut f32) {
    // SAFETY: by the contract.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            options(nostack, nomem),
        );
        for (i, [upper, lower]) in a.iter().enumerate() {
            let b = b.add(i * pairs(P));
            if P == 1 {
                asm!(
                    a!("0"),
                    b!("0"),
                    four!(),
                    upper = in(reg) upper.at,
                    upper_apart = in(reg) upper.apart,
                    lower = in(reg) lower.at,
                    lower_apart = in(reg) lower.apart,
                    b = in(reg) b,
                    line = in(reg) 64usize,
                    options(nostack, readonly),
                );
            } else {
                // All but the products of parts whose numbers (from zero) come to three or more.
                asm!(
                    a!("2"),
                    b!("0"),
                    four!(),
                    a!("1"),
                    four!(),
                    b!("1"),
                    four!(),
                    a!("0"),
                    four!(),
                    b!("2"),
                    four!(),
                    b!("0"),
                    four!(),
                    upper = in(reg) upper.at,
                    upper_apart = in(reg) upper.apart,
                    lower = in(reg) lower.at,
                    lower_apart = in(reg) lower.apart,
                    b = in(reg) b,
                    line = in(reg) 64usize,
                    options(nostack, readonly),
                );
            }
        }
        asm!(
            "tilestored [{out} + {row}*1], tmm0",
            "tilestored [{out} + {row}*1 + 64], tmm1",
            "tilestored [{out} + {row}*1 + 2048], tmm2",
            "tilestored [{out} + {row}*1 + 2112], tmm3",
            out = in(reg) out,
            row = in(reg) SIDE * size_of::<f32>(),
            options(nostack),
        );
    }
}
