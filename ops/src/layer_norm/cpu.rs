//! f32 kernels of layer normalisation.

use crate::dropout::{Dropout, cpu::masked_add};
use crate::math::{fma, lane_sums};
use crate::parallel::{rows_per_chunk, rows_per_reduction, sum_partials, unwritten};
use crate::path::{Path, per_path};
use rayon::prelude::*;

pub(crate) struct Output {
    pub(crate) y: Vec<f32>,
    pub(crate) mean: Vec<f32>,
    pub(crate) rstd: Vec<f32>,
}

/// The normalised rows, and the sum with the residual if there is one.
pub(crate) fn forward(
    x: &[f32],
    residual: Option<(&[f32], Option<&Dropout>)>,
    weight: &[f32],
    bias: &[f32],
    eps: f32,
) -> (Output, Option<Vec<f32>>) {
    let path = Path::current();
    let width = weight.len();
    let rows = x.len().checked_div(width).unwrap_or(0);
    let per_chunk = rows_per_chunk(width);
    let chunk = per_chunk * width;
    // SAFETY: each chunk below writes every element of its part: `normalise` all of y, mean and rstd, `add` and
    // `masked_add` all of the sum.
    let (mut y, mut mean, mut rstd, mut sum) = unsafe {
        (
            unwritten::<f32>(x.len()),
            unwritten::<f32>(rows),
            unwritten::<f32>(rows),
            unwritten::<f32>(if residual.is_some() { x.len() } else { 0 }),
        )
    };
    if rows == 0 {
        return (Output { y, mean, rstd }, residual.map(|_| sum));
    }
    let outputs = y
        .par_chunks_mut(chunk)
        .zip(mean.par_chunks_mut(per_chunk))
        .zip(rstd.par_chunks_mut(per_chunk))
        .map(|((y, mean), rstd)| (y, mean, rstd));
    match residual {
        None => outputs
            .zip(x.par_chunks(chunk))
            .for_each(|((y, mean, rstd), x)| normalise(path, x, weight, bias, eps, y, mean, rstd)),
        Some((residual, dropout)) => outputs
            .zip(sum.par_chunks_mut(chunk))
            .zip(x.par_chunks(chunk).zip(residual.par_chunks(chunk)))
            .enumerate()
            .for_each(|(c, (((y, mean, rstd), sum), (x, residual)))| {
                match dropout {
                    None => add(path, x, residual, sum),
                    Some(d) => masked_add(
                        path,
                        x,
                        residual,
                        sum,
                        d.key,
                        (c * chunk) as u64,
                        d.threshold(),
                        d.scale(),
                    ),
                }
                normalise(path, sum, weight, bias, eps, y, mean, rstd);
            }),
    }
    (Output { y, mean, rstd }, residual.map(|_| sum))
}

/// The gradients of x, weight and bias.
pub(crate) fn backward(
    x: &[f32],
    mean: &[f32],
    rstd: &[f32],
    weight: &[f32],
    grad: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let path = Path::current();
    let width = weight.len();
    let per_chunk = rows_per_reduction(width);
    let chunk = per_chunk * width;
    let chunks = mean.len().div_ceil(per_chunk);
    // SAFETY: `pull_back` writes every element of its chunk.
    let mut gx = unsafe { unwritten::<f32>(x.len()) };
    // The partial sums of the weight's gradient and of the bias's, side by side in one row for each chunk.
    let mut partials = vec![0f32; chunks * 2 * width];
    if !x.is_empty() {
        gx.par_chunks_mut(chunk)
            .zip(partials.par_chunks_exact_mut(2 * width))
            .zip(x.par_chunks(chunk).zip(grad.par_chunks(chunk)))
            .zip(mean.par_chunks(per_chunk).zip(rstd.par_chunks(per_chunk)))
            .for_each(|(((gx, sums), (x, grad)), (mean, rstd))| {
                let (gw, gb) = sums.split_at_mut(width);
                pull_back(path, x, mean, rstd, weight, grad, gx, gw, gb);
            });
    }
    let mut gw = sum_partials(&partials, 2 * width);
    let gb = gw.split_off(width);
    (gx, gw, gb)
}

per_path! {
    pub(crate) fn add(x: &[f32], residual: &[f32], sum: &mut [f32]) {
        for (s, (x, r)) in sum.iter_mut().zip(x.iter().zip(residual)) {
            *s = x + r;
        }
    }
}

per_path! {
    /// Normalises rows of `weight.len()` elements.
    pub(crate) fn normalise(
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        eps: f32,
        y: &mut [f32],
        mean: &mut [f32],
        rstd: &mut [f32],
    ) {
        let width = weight.len();
        let bias = &bias[..width];
        for (r, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
            let [sum] = lane_sums([x], |[x]| [x]);
            let m = sum / width as f32;
            let [square] = lane_sums([x], |[x]| [(x - m) * (x - m)]);
            let s = 1.0 / (square / width as f32 + eps).sqrt();
            for i in 0..width {
                y[i] = fma::<FMA>((x[i] - m) * s, weight[i], bias[i]);
            }
            mean[r] = m;
            rstd[r] = s;
        }
    }
}

per_path! {
    /// Writes the gradient of x for some rows and adds to those of the weight and the bias.
    pub(crate) fn pull_back(
        x: &[f32],
        mean: &[f32],
        rstd: &[f32],
        weight: &[f32],
        grad: &[f32],
        gx: &mut [f32],
        gw: &mut [f32],
        gb: &mut [f32],
    ) {
        let width = weight.len();
        let (gw, gb) = (&mut gw[..width], &mut gb[..width]);
        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(gx.chunks_exact_mut(width));
        for (r, ((x, grad), gx)) in rows.enumerate() {
            let (m, s) = (mean[r], rstd[r]);
            let [g_sum, gz_sum] = lane_sums([x, grad, weight], |[x, dy, w]| {
                let g = dy * w;
                [g, g * ((x - m) * s)]
            });
            let (g_mean, gz_mean) = (g_sum / width as f32, gz_sum / width as f32);
            for i in 0..width {
                let z = (x[i] - m) * s;
                let dy = grad[i];
                gx[i] = s * (dy * weight[i] - g_mean - z * gz_mean);
                gw[i] = fma::<FMA>(dy, z, gw[i]);
                gb[i] += dy;
            }
        }
    }
}
