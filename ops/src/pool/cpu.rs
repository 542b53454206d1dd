//! f32 kernels of max-pooling.

use super::Window;
use crate::parallel::unwritten;
use crate::path::{Path, per_path};
use rayon::prelude::*;

type Spans = Vec<(usize, usize)>;

/// The maxima and the number of each within its window.
pub(super) fn max_forward(
    x: &[f32],
    window: &Window,
    (n, h, w, c): (usize, usize, usize, usize),
    (oh, ow): (usize, usize),
) -> (Vec<f32>, Vec<u16>) {
    let path = Path::current();
    let (rows, columns) = (window.spans(true, h, oh), window.spans(false, w, ow));
    // SAFETY: `max_row` writes its row whole.
    let (mut y, mut places) = unsafe {
        (
            unwritten::<f32>(n * oh * ow * c),
            unwritten::<u16>(n * oh * ow * c),
        )
    };
    if !y.is_empty() {
        y.par_chunks_mut(ow * c)
            .zip(places.par_chunks_mut(ow * c))
            .enumerate()
            .for_each(|(r, (y, places))| {
                let image = &x[r / oh * h * w * c..(r / oh + 1) * h * w * c];
                max_row(path, image, rows[r % oh], &columns, w, c, y, places);
            });
    }
    (y, places)
}

per_path! {
    fn max_row(
        image: &[f32],
        rows: (usize, usize),
        columns: &Spans,
        w: usize,
        c: usize,
        y: &mut [f32],
        places: &mut [u16],
    ) {
        for ((y, places), &(left, right)) in y.chunks_exact_mut(c).zip(places.chunks_exact_mut(c)).zip(columns) {
            y.fill(f32::NEG_INFINITY);
            places.fill(0);
            let mut place = 0u16;
            for a in rows.0..rows.1 {
                for b in left..right {
                    let x = &image[(a * w + b) * c..][..c];
                    for i in 0..c {
                        // NaN wins, and stays.
                        let better = x[i] > y[i] || x[i].is_nan();
                        y[i] = if better { x[i] } else { y[i] };
                        places[i] = if better { place } else { places[i] };
                    }
                    place += 1;
                }
            }
        }
    }
}

/// The gradient of the input.
pub(super) fn max_backward(
    grad: &[f32],
    places: &[u16],
    window: &Window,
    (n, h, w, c): (usize, usize, usize, usize),
    (oh, ow): (usize, usize),
) -> Vec<f32> {
    let path = Path::current();
    let (rows, columns) = (window.spans(true, h, oh), window.spans(false, w, ow));
    // Each input row adds up what the windows over it hold, in their order.
    let over_rows = transposed(&rows, h);
    // SAFETY: `spread_row` writes its row whole.
    let mut dx = unsafe { unwritten::<f32>(n * h * w * c) };
    if !dx.is_empty() {
        dx.par_chunks_mut(w * c).enumerate().for_each(|(r, dx)| {
            let (image, a) = (r / h, r % h);
            dx.fill(0.0);
            for &i in &over_rows[a] {
                let at = (image * oh + i) * ow * c;
                spread_row(
                    path,
                    &grad[at..at + ow * c],
                    &places[at..at + ow * c],
                    a - rows[i].0,
                    &columns,
                    c,
                    dx,
                );
            }
        });
    }
    dx
}

/// The windows that hold each place.
fn transposed(spans: &[(usize, usize)], places: usize) -> Vec<Vec<usize>> {
    let mut over = vec![Vec::new(); places];
    for (i, &(from, to)) in spans.iter().enumerate() {
        for over in &mut over[from..to] {
            over.push(i);
        }
    }
    over
}

per_path! {
    /// Adds to an input row what one row of windows holds of it: it is their row number `row`.
    fn spread_row(grad: &[f32], places: &[u16], row: usize, columns: &Spans, c: usize, dx: &mut [f32]) {
        for (j, &(left, right)) in columns.iter().enumerate() {
            let (grad, places) = (&grad[j * c..][..c], &places[j * c..][..c]);
            for b in left..right {
                let place = (row * (right - left) + b - left) as u16;
                let dx = &mut dx[b * c..][..c];
                for i in 0..c {
                    dx[i] += if places[i] == place { grad[i] } else { 0.0 };
                }
            }
        }
    }
}
