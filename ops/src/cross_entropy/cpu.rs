//! f32 kernels of cross-entropy.

use super::CrossEntropy;
use crate::math::{exp, lane_sums};
use crate::parallel::{rows_per_chunk, unwritten};
use crate::path::{Path, per_path};
use crate::softmax::cpu::greatest;
use rayon::prelude::*;

/// The loss of each example, and the gradient of that loss.
pub(crate) fn forward(
    logits: &[f32],
    labels: &[u32],
    classes: usize,
    options: &CrossEntropy,
) -> (Vec<f32>, Vec<f32>) {
    let path = Path::current();
    // SAFETY: each row of the gradient and each loss is written below.
    let (mut losses, mut gradient) = unsafe {
        (
            unwritten::<f32>(labels.len()),
            unwritten::<f32>(logits.len()),
        )
    };
    if classes == 0 {
        losses.fill(0.0);
        return (losses, gradient);
    }
    let spread = options.label_smoothing / classes as f64;
    // The smoothed part of the target of every class, and its sum.
    let base: Vec<f32> = (0..classes)
        .map(|c| (spread * options.weight(c)) as f32)
        .collect();
    let base_sum: f64 = (0..classes).map(|c| spread * options.weight(c)).sum();
    let per_chunk = rows_per_chunk(classes);
    gradient
        .par_chunks_mut(per_chunk * classes)
        .zip(losses.par_chunks_mut(per_chunk))
        .zip(
            logits
                .par_chunks(per_chunk * classes)
                .zip(labels.par_chunks(per_chunk)),
        )
        .for_each(|((gradient, losses), (logits, labels))| {
            let rows = gradient
                .chunks_exact_mut(classes)
                .zip(logits.chunks_exact(classes));
            for ((gradient, logits), (loss, &label)) in rows.zip(losses.iter_mut().zip(labels)) {
                if Some(label) == options.ignore_index {
                    gradient.fill(0.0);
                    *loss = 0.0;
                    continue;
                }
                let label = label as usize;
                let main = (1.0 - options.label_smoothing) * options.weight(label);
                let total = main + base_sum;
                let (max, sum, smooth) = row(path, logits, &base, total as f32, gradient);
                gradient[label] -= main as f32;
                // -Σ a (x - max) + (Σ a) ln Σ e^(x - max)
                let own = main * (f64::from(logits[label]) - f64::from(max));
                *loss = (total * f64::from(sum).ln() - own - f64::from(smooth)) as f32;
            }
        });
    (losses, gradient)
}

/// Rows of `width` elements times one factor each (or one for all) over the divisor.
pub(crate) fn scale_rows(x: &[f32], width: usize, factors: &[f32], divisor: f64) -> Vec<f32> {
    // SAFETY: every element is written below.
    let mut out = unsafe { unwritten::<f32>(x.len()) };
    if x.is_empty() {
        return out;
    }
    let per_chunk = rows_per_chunk(width);
    out.par_chunks_mut(per_chunk * width)
        .zip(x.par_chunks(per_chunk * width))
        .enumerate()
        .for_each(|(c, (out, x))| {
            for (r, (out, x)) in out
                .chunks_exact_mut(width)
                .zip(x.chunks_exact(width))
                .enumerate()
            {
                let factor = if factors.len() == 1 {
                    factors[0]
                } else {
                    factors[c * per_chunk + r]
                };
                let factor = (f64::from(factor) / divisor) as f32;
                out.iter_mut().zip(x).for_each(|(o, x)| *o = x * factor);
            }
        });
    out
}

per_path! {
    /// gradient = total softmax(logits) - base; gives the maximum, Σ e^(x - max) and Σ base (x - max).
    pub(crate) fn row(logits: &[f32], base: &[f32], total: f32, gradient: &mut [f32]) -> (f32, f32, f32) {
        let max = greatest(logits);
        for (g, &x) in gradient.iter_mut().zip(logits) {
            *g = exp::<FMA>(x - max);
        }
        let [sum, smooth] = lane_sums([&*gradient, logits, base], |[e, x, b]| {
            // A class ruled out by a logit of minus infinity, without smoothing, is not 0 times infinity.
            [e, if b == 0.0 { 0.0 } else { b * (x - max) }]
        });
        let factor = total / sum;
        for (g, b) in gradient.iter_mut().zip(base) {
            *g = *g * factor - b;
        }
        (max, sum, smooth)
    }
}
