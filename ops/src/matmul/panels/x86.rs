//! What of the product is written for AVX2.

use super::View;
use super::tile::Work;
use crate::simd::Avx2;
use std::arch::x86_64::*;

/// # Safety
/// As [`Work::run`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2(work: &Work, scratch: &mut Vec<f32>) {
    // SAFETY: by the contract.
    unsafe { work.run::<Avx2, 6, 12>(scratch) }
}

/// Packs eight columns of `b` whose elements lie together: rows of eight, `wide` apart.
///
/// # Safety
/// Eight columns of b lie at `from`; `to` has `b.rows` rows.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn turn(from: *const f32, b: View<'_, f32>, wide: usize, to: *mut f32) {
    let (column, k) = (b.column_stride, b.rows);
    let whole = k - k % 8;
    for p in (0..whole).step_by(8) {
        // SAFETY: by the contract.
        unsafe {
            let r: [__m256; 8] = std::array::from_fn(|i| _mm256_loadu_ps(from.add(i * column + p)));
            for (i, row) in transposed(r).into_iter().enumerate() {
                _mm256_storeu_ps(to.add((p + i) * wide), row);
            }
        }
    }
    for p in whole..k {
        for i in 0..8 {
            // SAFETY: by the contract.
            unsafe { *to.add(p * wide + i) = *from.add(i * column + p) };
        }
    }
}

/// Eight rows of eight as columns.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(r: [__m256; 8]) -> [__m256; 8] {
    // Pairs of rows, then fours, then the halves.
    let pairs: [__m256; 8] = std::array::from_fn(|i| {
        let (a, b) = (r[i / 2 * 2], r[i / 2 * 2 + 1]);
        match i % 2 {
            0 => _mm256_unpacklo_ps(a, b),
            _ => _mm256_unpackhi_ps(a, b),
        }
    });
    let fours: [__m256; 8] = std::array::from_fn(|i| {
        let (a, b) = (
            pairs[i / 4 * 4 + i % 4 / 2],
            pairs[i / 4 * 4 + i % 4 / 2 + 2],
        );
        match i % 2 {
            0 => _mm256_shuffle_ps::<0x44>(a, b),
            _ => _mm256_shuffle_ps::<0xee>(a, b),
        }
    });
    std::array::from_fn(|i| match i < 4 {
        true => _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]),
        false => _mm256_permute2f128_ps::<0x31>(fours[i - 4], fours[i]),
    })
}
