//! f32 kernels of the linear layer.

use crate::matmul::{
    View,
    cpu::{biased, fresh},
    into_view,
};
use crate::parallel::{rows_per_chunk, rows_per_reduction, sum_partials, unwritten};
use crate::path::{Path, per_path};
use rayon::prelude::*;

/// x w + b, with w already seen as (in, out).
pub(crate) fn forward(x: View<'_, f32>, w: View<'_, f32>, bias: Option<&[f32]>) -> Vec<f32> {
    let Some(bias) = bias else {
        return fresh(x, w);
    };
    if let Some(y) = biased(x, w, bias) {
        return y;
    }
    let width = w.columns;
    // SAFETY: every row is copied from the bias below.
    let mut y = unsafe { unwritten::<f32>(x.rows * width) };
    if width == 0 {
        return y;
    }
    y.par_chunks_mut(rows_per_chunk(width) * width)
        .for_each(|chunk| {
            for row in chunk.chunks_exact_mut(width) {
                row.copy_from_slice(bias);
            }
        });
    if x.columns > 0 {
        into_view(&mut y, x, w, 1.0);
    }
    y
}

/// The sum of every column of a row-major matrix with `width` columns, by fixed chunks of rows in order.
pub fn column_sums(x: &[f32], width: usize) -> Vec<f32> {
    if width == 0 {
        return Vec::new();
    }
    let chunk = rows_per_reduction(width) * width;
    let path = Path::current();
    let mut partials = vec![0f32; x.len().div_ceil(chunk) * width];
    partials
        .par_chunks_exact_mut(width)
        .zip(x.par_chunks(chunk))
        .for_each(|(sums, x)| add_rows(path, sums, x));
    sum_partials(&partials, width)
}

per_path! {
    /// Adds each row of `x` to `sums`.
    pub(crate) fn add_rows(sums: &mut [f32], x: &[f32]) {
        let width = sums.len();
        // Four rows at a time, so that the sums are loaded and stored a quarter as often.
        let mut fours = x.chunks_exact(4 * width);
        for four in &mut fours {
            let (a, rest) = four.split_at(width);
            let (b, rest) = rest.split_at(width);
            let (c, d) = rest.split_at(width);
            for i in 0..width {
                sums[i] += (a[i] + b[i]) + (c[i] + d[i]);
            }
        }
        for row in fours.remainder().chunks_exact(width) {
            for (s, v) in sums.iter_mut().zip(row) {
                *s += v;
            }
        }
    }
}
