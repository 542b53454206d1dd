//! f32 kernels of GELU after a bias.

use super::Kind;
use crate::math::{fma, normal_cdf, sigmoid};
use crate::parallel::{CHUNK, rows_per_chunk, rows_per_reduction, sum_partials, unwritten};
use crate::path::{Path, per_path};
use rayon::prelude::*;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

/// 1 / √(2π)
const BELL: f32 = (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2) as f32;
/// 2 √(2/π): the argument of the sigmoid is this times v + 0.044715 v³.
const TWICE: f32 = (FRAC_2_SQRT_PI * SQRT_2) as f32;
const CUBIC: f32 = 0.044_715;

pub(crate) fn forward(x: &[f32], bias: Option<&[f32]>, width: usize, kind: Kind) -> Vec<f32> {
    let path = Path::current();
    // SAFETY: the kernels write every element of their chunk.
    let mut y = unsafe { unwritten::<f32>(x.len()) };
    if x.is_empty() {
        return y;
    }
    // Without a bias the rows do not matter.
    let chunk = if bias.is_some() {
        rows_per_chunk(width) * width
    } else {
        CHUNK
    };
    y.par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .for_each(|(y, x)| match (bias, kind) {
            (Some(b), Kind::Erf) => biased_erf(path, x, b, y),
            (Some(b), Kind::Tanh) => biased_tanh(path, x, b, y),
            (None, Kind::Erf) => plain_erf(path, x, y),
            (None, Kind::Tanh) => plain_tanh(path, x, y),
        });
    y
}

pub(crate) fn backward(
    x: &[f32],
    bias: Option<&[f32]>,
    grad: &[f32],
    width: usize,
    kind: Kind,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let path = Path::current();
    // SAFETY: the kernels write every element of their chunk.
    let mut gx = unsafe { unwritten::<f32>(x.len()) };
    let Some(bias) = bias else {
        gx.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK).zip(grad.par_chunks(CHUNK)))
            .for_each(|(gx, (x, grad))| match kind {
                Kind::Erf => plain_erf_back(path, x, grad, gx),
                Kind::Tanh => plain_tanh_back(path, x, grad, gx),
            });
        return (gx, None);
    };
    if x.is_empty() {
        return (gx, Some(vec![0.0; width]));
    }
    let chunk = rows_per_reduction(width) * width;
    let mut partials = vec![0f32; x.len().div_ceil(chunk) * width];
    gx.par_chunks_mut(chunk)
        .zip(partials.par_chunks_exact_mut(width))
        .zip(x.par_chunks(chunk).zip(grad.par_chunks(chunk)))
        .for_each(|((gx, gb), (x, grad))| match kind {
            Kind::Erf => biased_erf_back(path, x, bias, grad, gx, gb),
            Kind::Tanh => biased_tanh_back(path, x, bias, grad, gx, gb),
        });
    (gx, Some(sum_partials(&partials, width)))
}

#[inline(always)]
fn erf_value<const FMA: bool>(v: f32) -> f32 {
    v * normal_cdf::<FMA>(v).0
}

#[inline(always)]
fn erf_slope<const FMA: bool>(v: f32) -> f32 {
    let (cdf, bell) = normal_cdf::<FMA>(v);
    fma::<FMA>(v * BELL, bell, cdf)
}

#[inline(always)]
fn tanh_value<const FMA: bool>(v: f32) -> f32 {
    v * sigmoid::<FMA>(TWICE * v * fma::<FMA>(CUBIC * v, v, 1.0)).0
}

#[inline(always)]
fn tanh_slope<const FMA: bool>(v: f32) -> f32 {
    let square = v * v;
    let (s, ds) = sigmoid::<FMA>(TWICE * v * fma::<FMA>(CUBIC, square, 1.0));
    let du = TWICE * fma::<FMA>(3.0 * CUBIC, square, 1.0);
    fma::<FMA>(v * du, ds, s)
}

/// The four kernels of one kind.
macro_rules! kernels {
    ($value:ident, $slope:ident, $plain:ident, $biased:ident, $plain_back:ident, $biased_back:ident) => {
        per_path! {
            pub(crate) fn $plain(x: &[f32], y: &mut [f32]) {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = $value::<FMA>(x);
                }
            }
        }
        per_path! {
            pub(crate) fn $biased(x: &[f32], bias: &[f32], y: &mut [f32]) {
                let width = bias.len();
                for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
                    for ((y, &x), &b) in y.iter_mut().zip(x).zip(bias) {
                        *y = $value::<FMA>(x + b);
                    }
                }
            }
        }
        per_path! {
            pub(crate) fn $plain_back(x: &[f32], grad: &[f32], gx: &mut [f32]) {
                for ((gx, &x), &g) in gx.iter_mut().zip(x).zip(grad) {
                    *gx = g * $slope::<FMA>(x);
                }
            }
        }
        per_path! {
            /// Writes the gradient of x and adds to that of the bias.
            pub(crate) fn $biased_back(x: &[f32], bias: &[f32], grad: &[f32], gx: &mut [f32], gb: &mut [f32]) {
                let width = bias.len();
                let gb = &mut gb[..width];
                let rows = x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(gx.chunks_exact_mut(width));
                for ((x, grad), gx) in rows {
                    for i in 0..width {
                        let g = grad[i] * $slope::<FMA>(x[i] + bias[i]);
                        gx[i] = g;
                        gb[i] += g;
                    }
                }
            }
        }
    };
}
kernels!(
    erf_value,
    erf_slope,
    plain_erf,
    biased_erf,
    plain_erf_back,
    biased_erf_back
);
kernels!(
    tanh_value,
    tanh_slope,
    plain_tanh,
    biased_tanh,
    plain_tanh_back,
    biased_tanh_back
);
