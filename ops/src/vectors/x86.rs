//! Several rows at once, by the vectors of x86. The compiler, left to itself, turns such loops into shuffles.

use std::arch::x86_64::*;

use super::SUMS;
use crate::path::{Level, Path};

/// The inner products of as many of the first rows as go by blocks, and how many those were.
pub(super) fn dots(path: Path, rows: &[f64], x: &[f64], out: &mut [f64]) -> usize {
    let width = x.len();
    assert_eq!(rows.len(), out.len() * width);
    let block = match path.level() {
        Level::Plain => return 0,
        Level::Avx2 => 2,
        _ => 4,
    };
    let whole = width / SUMS * SUMS;
    let mut sums = [[0.0; SUMS]; 4];
    let blocks = out.len() / block;
    for b in 0..blocks {
        let first = b * block;
        let at = rows[first * width..].as_ptr();
        // SAFETY: a `Path` of this level exists only where the features were detected; `block` rows of `width` numbers lie at `at`, and `whole`, a
        // multiple of `SUMS`, is no more than `width`, which `x` has too.
        unsafe {
            match block {
                2 => two(at, width, x.as_ptr(), whole, &mut sums),
                _ => four(at, width, x.as_ptr(), whole, &mut sums),
            }
        }
        for (i, sums) in sums.iter().enumerate().take(block) {
            let row = &rows[(first + i) * width..(first + i + 1) * width];
            let rest = row[whole..].iter().zip(&x[whole..]);
            let rest: f64 = rest.map(|(x, y)| x * y).sum();
            out[first + i] = sums.iter().sum::<f64>() + rest;
        }
    }
    blocks * block
}

/// Sums of the products of four rows, each sixteenth number in a sum of its own.
#[target_feature(enable = "avx512f")]
unsafe fn four(
    rows: *const f64,
    width: usize,
    x: *const f64,
    whole: usize,
    out: &mut [[f64; SUMS]; 4],
) {
    let mut sums = [[_mm512_setzero_pd(); 2]; 4];
    for k in (0..whole).step_by(SUMS) {
        for half in 0..2 {
            // SAFETY: by the contract of `dots`.
            unsafe {
                let x = _mm512_loadu_pd(x.add(k + 8 * half));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let row = _mm512_loadu_pd(rows.add(i * width + k + 8 * half));
                    // Rounded one by one, as everywhere.
                    sums[half] = _mm512_add_pd(sums[half], _mm512_mul_pd(row, x));
                }
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.chunks_exact_mut(8).zip(sums) {
            // SAFETY: eight numbers lie there.
            unsafe { _mm512_storeu_pd(out.as_mut_ptr(), sum) };
        }
    }
}

/// Of two rows, by half the width: there are half as many registers.
#[target_feature(enable = "avx2")]
unsafe fn two(
    rows: *const f64,
    width: usize,
    x: *const f64,
    whole: usize,
    out: &mut [[f64; SUMS]; 4],
) {
    let mut sums = [[_mm256_setzero_pd(); 4]; 2];
    for k in (0..whole).step_by(SUMS) {
        for quarter in 0..4 {
            // SAFETY: by the contract of `dots`.
            unsafe {
                let x = _mm256_loadu_pd(x.add(k + 4 * quarter));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let row = _mm256_loadu_pd(rows.add(i * width + k + 4 * quarter));
                    sums[quarter] = _mm256_add_pd(sums[quarter], _mm256_mul_pd(row, x));
                }
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.chunks_exact_mut(4).zip(sums) {
            // SAFETY: four numbers lie there.
            unsafe { _mm256_storeu_pd(out.as_mut_ptr(), sum) };
        }
    }
}

/// Adds as many of the first rows as go by blocks of four, and says how many those were.
pub(super) fn add_all(path: Path, to: &mut [f64], scales: &[f64], rows: &[f64]) -> usize {
    let width = to.len();
    assert_eq!(rows.len(), scales.len() * width);
    let level = path.level();
    if level == Level::Plain {
        return 0;
    }
    let blocks = scales.len() / 4;
    for b in 0..blocks {
        let scales = [0, 1, 2, 3].map(|i| scales[4 * b + i]);
        let at = rows[4 * b * width..].as_ptr();
        // SAFETY: a `Path` of this level exists only where the features were detected; four rows of `width` numbers lie at `at`.
        let done = unsafe {
            match level {
                Level::Avx2 => add_four_256(to, scales, at),
                _ => add_four_512(to, scales, at),
            }
        };
        for (k, to) in to.iter_mut().enumerate().skip(done) {
            for (i, scale) in scales.iter().enumerate() {
                *to += scale * rows[(4 * b + i) * width + k];
            }
        }
    }
    4 * blocks
}

#[target_feature(enable = "avx512f")]
unsafe fn add_four_512(to: &mut [f64], scales: [f64; 4], rows: *const f64) -> usize {
    let width = to.len();
    let scales = scales.map(|s| _mm512_set1_pd(s));
    for (k, to) in to.chunks_exact_mut(8).enumerate() {
        // SAFETY: by the contract of `add_all`.
        unsafe {
            let mut sum = _mm512_loadu_pd(to.as_ptr());
            for (i, scale) in scales.iter().enumerate() {
                let row = _mm512_loadu_pd(rows.add(i * width + 8 * k));
                sum = _mm512_add_pd(sum, _mm512_mul_pd(*scale, row));
            }
            _mm512_storeu_pd(to.as_mut_ptr(), sum);
        }
    }
    width / 8 * 8
}

#[target_feature(enable = "avx2")]
unsafe fn add_four_256(to: &mut [f64], scales: [f64; 4], rows: *const f64) -> usize {
    let width = to.len();
    let scales = scales.map(|s| _mm256_set1_pd(s));
    for (k, to) in to.chunks_exact_mut(4).enumerate() {
        // SAFETY: by the contract of `add_all`.
        unsafe {
            let mut sum = _mm256_loadu_pd(to.as_ptr());
            for (i, scale) in scales.iter().enumerate() {
                let row = _mm256_loadu_pd(rows.add(i * width + 4 * k));
                sum = _mm256_add_pd(sum, _mm256_mul_pd(*scale, row));
            }
            _mm256_storeu_pd(to.as_mut_ptr(), sum);
        }
    }
    width / 4 * 4
}
