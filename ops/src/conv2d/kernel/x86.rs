//! The tiles of a convolution that fit the registers of x86.

use super::{Block, Outer, block_of, outer_of};
use crate::simd::{Avx2, Avx512};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn rows_avx512(block: &Block<'_>) {
    // SAFETY: by the contract of `rows`.
    unsafe {
        match block.width.div_ceil(16) {
            1 => block_of::<Avx512, 12, 1>(block),
            2 => block_of::<Avx512, 12, 2>(block),
            3 => block_of::<Avx512, 8, 3>(block),
            _ => block_of::<Avx512, 6, 4>(block),
        }
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn rows_avx2(block: &Block<'_>) {
    // SAFETY: as above.
    unsafe {
        match block.width.div_ceil(8) {
            1 => block_of::<Avx2, 12, 1>(block),
            _ => block_of::<Avx2, 6, 2>(block),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn outer_avx512(job: &Outer<'_>) {
    // SAFETY: by the contract of `outer`.
    unsafe {
        match job.width.div_ceil(16) {
            1 => outer_of::<Avx512, 12, 1>(job),
            2 => outer_of::<Avx512, 12, 2>(job),
            3 => outer_of::<Avx512, 8, 3>(job),
            _ => outer_of::<Avx512, 6, 4>(job),
        }
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn outer_avx2(job: &Outer<'_>) {
    // SAFETY: as above.
    unsafe {
        match job.width.div_ceil(8) {
            1 => outer_of::<Avx2, 12, 1>(job),
            _ => outer_of::<Avx2, 6, 2>(job),
        }
    }
}
