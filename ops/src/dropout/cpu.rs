//! f32 kernels of dropout.

use super::Dropout;
use crate::parallel::{CHUNK, unwritten};
use crate::path::{Path, per_path};
use crate::random::{Counter, for_shorts};
use rayon::prelude::*;

pub(crate) fn forward(x: &[f32], dropout: &Dropout) -> Vec<f32> {
    let path = Path::current();
    // SAFETY: `masked` writes every element of its chunk.
    let mut out = unsafe { unwritten::<f32>(x.len()) };
    out.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .enumerate()
        .for_each(|(c, (out, x))| {
            masked(
                path,
                x,
                out,
                dropout.key,
                (c * CHUNK) as u64,
                dropout.threshold(),
                dropout.scale(),
            );
        });
    out
}

per_path! {
    /// out = x with the mask of elements `first`, `first + 1`, ...
    pub(crate) fn masked(x: &[f32], out: &mut [f32], key: Counter, first: u64, threshold: u32, scale: f32) {
        let n = x.len();
        let out = &mut out[..n];
        for_shorts(key, first, n, |at, words| {
            let m = words.len();
            for ((o, &x), &w) in out[at..at + m].iter_mut().zip(&x[at..at + m]).zip(words) {
                *o = if w < threshold { 0.0 } else { x * scale };
            }
        });
    }
}

per_path! {
    /// x multiplied in place by the mask of elements `first`, `first + 1`, ...
    pub(crate) fn mask_in_place(x: &mut [f32], key: Counter, first: u64, threshold: u32, scale: f32) {
        for_shorts(key, first, x.len(), |at, words| {
            for (x, &w) in x[at..at + words.len()].iter_mut().zip(words) {
                *x = if w < threshold { 0.0 } else { *x * scale };
            }
        });
    }
}

per_path! {
    /// out = residual + x with the mask of elements `first`, `first + 1`, ...
    pub(crate) fn masked_add(
        x: &[f32],
        residual: &[f32],
        out: &mut [f32],
        key: Counter,
        first: u64,
        threshold: u32,
        scale: f32,
    ) {
        let n = x.len();
        let (out, residual) = (&mut out[..n], &residual[..n]);
        for_shorts(key, first, n, |at, words| {
            let to = at + words.len();
            let inputs = x[at..to].iter().zip(&residual[at..to]).zip(words);
            for (o, ((&x, &r), &w)) in out[at..to].iter_mut().zip(inputs) {
                *o = r + if w < threshold { 0.0 } else { x * scale };
            }
        });
    }
}
