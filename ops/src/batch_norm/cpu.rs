//! f32 kernels of batch normalisation.
//!
//! Sums over rows are f64: a channel whose deviation is small beside its mean magnifies every rounding of the mean, and a deep
//! network in training magnifies it again.

use crate::math::fma;
use crate::parallel::{rows_per_chunk, rows_per_reduction, unwritten};
use crate::path::{Path, per_path};
use rayon::prelude::*;

/// Mean, what its rounding to f32 left out, and variance of each column: of each chunk apart, then put together in chunk order
/// (Chan, Golub and LeVeque 1983).
pub(super) fn moments(x: &[f32], width: usize) -> [Vec<f32>; 3] {
    let path = Path::current();
    let chunk = rows_per_reduction(width) * width;
    let mut partials = vec![0f64; x.len().div_ceil(chunk) * 2 * width];
    partials
        .par_chunks_exact_mut(2 * width)
        .zip(x.par_chunks(chunk))
        .for_each(|(sums, x)| {
            let (mean, squares) = sums.split_at_mut(width);
            chunk_moments(path, x, mean, squares);
        });
    let (mut mean, mut squares) = (vec![0f64; width], vec![0f64; width]);
    let mut seen = 0f64;
    for (partial, x) in partials.chunks_exact(2 * width).zip(x.chunks(chunk)) {
        let n = (x.len() / width) as f64;
        let all = seen + n;
        for c in 0..width {
            let apart = partial[c] - mean[c];
            mean[c] += apart * n / all;
            squares[c] += partial[width + c] + apart * apart * seen * n / all;
        }
        seen = all;
    }
    [
        mean.iter().map(|&m| m as f32).collect(),
        mean.iter()
            .map(|&m| (m - f64::from(m as f32)) as f32)
            .collect(),
        squares.iter().map(|&s| (s / seen) as f32).collect(),
    ]
}

per_path! {
    /// Mean and sum of squared differences from it, for each column.
    pub(super) fn chunk_moments(x: &[f32], mean: &mut [f64], squares: &mut [f64]) {
        let width = mean.len();
        let squares = &mut squares[..width];
        let mut rows = 0f64;
        for x in x.chunks_exact(width) {
            for c in 0..width {
                mean[c] += f64::from(x[c]);
            }
            rows += 1.0;
        }
        for m in mean.iter_mut() {
            *m /= rows;
        }
        for x in x.chunks_exact(width) {
            for c in 0..width {
                let d = f64::from(x[c]) - mean[c];
                squares[c] += d * d;
            }
        }
    }
}

/// (x - mean) scale + bias, the residual added, ReLU.
pub(super) fn apply(
    x: &[f32],
    mean: &[f32],
    scale: &[f32],
    bias: &[f32],
    residual: Option<&[f32]>,
    relu: bool,
) -> Vec<f32> {
    let path = Path::current();
    let width = mean.len();
    let chunk = rows_per_chunk(width) * width;
    // SAFETY: `normalise` writes its chunk whole.
    let mut y = unsafe { unwritten::<f32>(x.len()) };
    if x.is_empty() {
        return y;
    }
    y.par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .enumerate()
        .for_each(|(i, (y, x))| {
            let residual = residual.map_or(&[][..], |r| &r[i * chunk..][..x.len()]);
            normalise(path, x, mean, scale, bias, residual, relu, y);
        });
    y
}

per_path! {
    pub(super) fn normalise(
        x: &[f32],
        mean: &[f32],
        scale: &[f32],
        bias: &[f32],
        residual: &[f32],
        relu: bool,
        y: &mut [f32],
    ) {
        let width = mean.len();
        let (scale, bias) = (&scale[..width], &bias[..width]);
        let least = if relu { 0.0 } else { f32::NEG_INFINITY };
        for (r, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
            if residual.is_empty() {
                for c in 0..width {
                    let v = fma::<FMA>(x[c] - mean[c], scale[c], bias[c]);
                    y[c] = if v < least { least } else { v };
                }
            } else {
                let residual = &residual[r * width..][..width];
                for c in 0..width {
                    let v = fma::<FMA>(x[c] - mean[c], scale[c], bias[c]) + residual[c];
                    y[c] = if v < least { least } else { v };
                }
            }
        }
    }
}

/// The gradients of x, weight and bias.
pub(super) fn backward(
    x: &[f32],
    mean: &[f32],
    rstd: &[f32],
    weight: &[f32],
    grad: &[f32],
    batch: bool,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let path = Path::current();
    let width = mean.len();
    let chunk = rows_per_reduction(width) * width;
    let mut partials = vec![0f64; x.len().div_ceil(chunk) * 2 * width];
    partials
        .par_chunks_exact_mut(2 * width)
        .zip(x.par_chunks(chunk).zip(grad.par_chunks(chunk)))
        .for_each(|(sums, (x, grad))| {
            let (products, plain) = sums.split_at_mut(width);
            sum_chunk(path, x, mean, grad, products, plain);
        });
    let mut sums = vec![0f64; 2 * width];
    for partial in partials.chunks_exact(2 * width) {
        for (s, p) in sums.iter_mut().zip(partial) {
            *s += p;
        }
    }
    let n = (x.len() / width.max(1)) as f64;
    // dx = scale dy + slope (x - mean) + shift
    let scale: Vec<f32> = weight.iter().zip(rstd).map(|(w, r)| w * r).collect();
    let mut slope = vec![0f32; width];
    let mut shift = vec![0f32; width];
    for c in 0..width {
        if batch {
            let (scale, rstd) = (f64::from(scale[c]), f64::from(rstd[c]));
            slope[c] = (-scale * rstd * rstd * sums[c] / n) as f32;
            shift[c] = (-scale * sums[width + c] / n) as f32;
        }
        sums[c] *= f64::from(rstd[c]);
    }
    let dw = sums[..width].iter().map(|&s| s as f32).collect();
    let db = sums[width..].iter().map(|&s| s as f32).collect();
    // SAFETY: `spread` writes its chunk whole.
    let mut dx = unsafe { unwritten::<f32>(x.len()) };
    if !x.is_empty() {
        dx.par_chunks_mut(chunk)
            .zip(x.par_chunks(chunk).zip(grad.par_chunks(chunk)))
            .for_each(|(dx, (x, grad))| spread(path, x, mean, grad, &scale, &slope, &shift, dx));
    }
    (dx, dw, db)
}

per_path! {
    /// Adds Σ dy (x - mean) and Σ dy for each column.
    pub(super) fn sum_chunk(x: &[f32], mean: &[f32], grad: &[f32], products: &mut [f64], plain: &mut [f64]) {
        let width = mean.len();
        let (products, plain) = (&mut products[..width], &mut plain[..width]);
        for (x, grad) in x.chunks_exact(width).zip(grad.chunks_exact(width)) {
            for c in 0..width {
                products[c] += f64::from(grad[c]) * f64::from(x[c] - mean[c]);
                plain[c] += f64::from(grad[c]);
            }
        }
    }
}

per_path! {
    pub(super) fn spread(
        x: &[f32],
        mean: &[f32],
        grad: &[f32],
        scale: &[f32],
        slope: &[f32],
        shift: &[f32],
        dx: &mut [f32],
    ) {
        let width = mean.len();
        let (scale, slope, shift) = (&scale[..width], &slope[..width], &shift[..width]);
        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
        for ((x, grad), dx) in rows {
            for c in 0..width {
                dx[c] = fma::<FMA>(scale[c], grad[c], fma::<FMA>(slope[c], x[c] - mean[c], shift[c]));
            }
        }
    }
}
