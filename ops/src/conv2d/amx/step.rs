//! The tiles' inner loop: 32 rows against 32 columns.
//!
//! Of 32 elements of the inner dimension the right operand has two tiles of each part, the first 16 columns and those after them. Rows of the left one may
//! lie anywhere, if only sixteen are as far from each other; the lines of a row's parts lie together. With four registers of sums and two tiles of each operand, a tile is loaded once or twice for the products of its parts and not, as with six
//! registers of sums, for each of them.

use std::arch::asm;

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

/// Writes the sums of some steps to 32 rows of 32 floats, one after another.
///
/// # Safety
/// The tiles are configured, the rows have `P` parts (one or three), `b` as many steps, and `out` has room for the sums.
#[inline(always)]
pub(super) unsafe fn run<const P: usize>(a: &[[Lines; 2]], b: *const Pair, out: *mut f32) {
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
