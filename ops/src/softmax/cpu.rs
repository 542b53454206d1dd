//! f32 kernels of softmax on rows.

use crate::math::{LANES, exp, lane_sums};
use crate::parallel::{rows_per_chunk, unwritten};
use crate::path::{Path, per_path};
use rayon::prelude::*;

pub(crate) fn forward(x: &[f32], keep: Option<&[u8]>, width: usize) -> Vec<f32> {
    let path = Path::current();
    let mut y = x.to_vec();
    if x.is_empty() {
        return y;
    }
    let chunk = rows_per_chunk(width) * width;
    y.par_chunks_mut(chunk).enumerate().for_each(|(c, y)| {
        if let Some(keep) = keep {
            mask(path, y, &keep[c * chunk..c * chunk + y.len()]);
        }
        softmax_rows(path, y, width);
    });
    y
}

pub(crate) fn backward(y: &[f32], grad: &[f32], width: usize) -> Vec<f32> {
    let path = Path::current();
    // SAFETY: each row is copied from `grad` and then changed in place.
    let mut gx = unsafe { unwritten::<f32>(y.len()) };
    if y.is_empty() {
        return gx;
    }
    let chunk = rows_per_chunk(width) * width;
    gx.par_chunks_mut(chunk)
        .zip(y.par_chunks(chunk).zip(grad.par_chunks(chunk)))
        .for_each(|(gx, (y, grad))| {
            gx.copy_from_slice(grad);
            pull_back_rows(path, y, gx, width);
        });
    gx
}

per_path! {
    /// Sets x to minus infinity where `keep` is 0.
    pub(crate) fn mask(x: &mut [f32], keep: &[u8]) {
        for (x, &k) in x.iter_mut().zip(keep) {
            *x = if k == 0 { f32::NEG_INFINITY } else { *x };
        }
    }
}

/// The greatest of a row, by lanes; minus infinity for an empty one. NaN does not win.
#[inline(always)]
pub(crate) fn greatest(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for l in 0..LANES {
            lanes[l] = if block[l] > lanes[l] {
                block[l]
            } else {
                lanes[l]
            };
        }
    }
    let max = lanes
        .into_iter()
        .fold(f32::NEG_INFINITY, |m, x| if x > m { x } else { m });
    rest.iter().fold(max, |m, &x| if x > m { x } else { m })
}

per_path! {
    /// Softmax of rows of `width` elements in place. Elements at minus infinity become 0; a row of nothing else becomes
    /// zeros. NaN stays NaN.
    pub(crate) fn softmax_rows(x: &mut [f32], width: usize) {
        for x in x.chunks_exact_mut(width) {
            let max = greatest(x);
            if max == f32::NEG_INFINITY {
                for x in x.iter_mut() {
                    *x = if x.is_nan() { *x } else { 0.0 };
                }
                continue;
            }
            for x in x.iter_mut() {
                *x = exp::<FMA>(*x - max);
            }
            let [sum] = lane_sums([&*x], |[x]| [x]);
            let scale = 1.0 / sum;
            for x in x.iter_mut() {
                *x *= scale;
            }
        }
    }
}

per_path! {
    /// The gradient of rows of `width` elements, from their output; `grad` is changed in place.
    pub(crate) fn pull_back_rows(y: &[f32], grad: &mut [f32], width: usize) {
        for (y, grad) in y.chunks_exact(width).zip(grad.chunks_exact_mut(width)) {
            let [dot] = lane_sums([y, &*grad], |[y, g]| [y * g]);
            for (g, &y) in grad.iter_mut().zip(y) {
                *g = y * (*g - dot);
            }
        }
    }
}
