//! f32 kernel of the gradient of the weights: outer products over pixels, by slices of pixels, panels and taps.

use super::cpu::{Gathered, Panel, panels};
use super::geometry::Shape;
use super::kernel::{self, Outer};
use crate::parallel::{Shared, each, unwritten};
use crate::path::{Path, per_path};
use std::cell::RefCell;

/// Pixels summed at a time: a panel of 64 columns of their gradients takes 32 KiB of the first-level cache.
const PIXELS: usize = 128;
/// Tasks that there should be, whatever the number of threads.
pub(super) const TASKS: usize = 16;
/// Fewest pixels in a slice: each slice leaves partial sums as large as the weights.
pub(super) const SLICE: usize = 1024;

thread_local! {
    static SCRATCH: RefCell<(Vec<*const f32>, Vec<usize>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new(), Vec::new())) };
}

/// The gradient of the weights `(out, in / groups, height, width)`. With `scale`, that of weights which were multiplied by it
/// (one value an output channel); and for each output channel the inner product of the given weights with the gradient
/// of the multiplied ones.
pub(super) fn backward_weight(
    path: Path,
    x: &[f32],
    grad: &[f32],
    s: &Shape,
    scale: Option<(&[f32], &[f32])>,
) -> (Vec<f32>, Vec<f32>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(engine) = super::tiles::engine(path, s) {
        return super::tiles::backward_weight(engine, path, x, grad, s, scale);
    }
    let gathered = Gathered::new(x, s);
    let inner = gathered.place.len();
    let class = &gathered.class;
    let pixels = class.rows();
    let panels = panels(path, s.conv.groups, s.columns(), s.depth(), inner);
    let whole = panels.last().map_or(0, |p| p.offset + inner * p.wide);
    let taps = class.taps.len();
    let slices = (pixels / SLICE).clamp(1, TASKS.div_ceil(panels.len()));
    let parts = TASKS.div_ceil(panels.len() * slices);
    // Parts of the inner dimension: taps, or channels of the only tap.
    let (tap_parts, channel_parts) = if parts == 1 {
        (1, 1)
    } else if taps >= parts.min(4) {
        (taps, 1)
    } else {
        (taps, parts.div_ceil(taps).min(gathered.depth.div_ceil(24)))
    };
    // SAFETY: every slice writes its sums for each panel, tap and channel: the first block of pixels does not read them.
    let mut partial = unsafe { unwritten::<f32>(slices * whole) };
    if pixels == 0 {
        partial.fill(0.0);
    }
    let shared = Shared::new(&mut partial);
    let zeros = vec![0f32; gathered.depth + 16];
    let zeros = zeros.as_slice();
    let mut tasks = Vec::new();
    for slice in 0..slices {
        for panel in &panels {
            for t in 0..tap_parts {
                for c in 0..channel_parts {
                    tasks.push((slice, panel, t, c));
                }
            }
        }
    }
    let source = gathered.source();
    each(tasks.len(), &|i| {
        let (slice, panel, t, c) = tasks[i];
        let (from, to) = (pixels * slice / slices, pixels * (slice + 1) / slices);
        let own_taps = taps * t / tap_parts..taps * (t + 1) / tap_parts;
        let cut = |c: usize| gathered.depth * c / channel_parts;
        let mut own = class.clone();
        own.taps = class.taps[own_taps.clone()].to_vec();
        SCRATCH.with_borrow_mut(|(table, at, packed)| {
            for first in (from..to).step_by(PIXELS) {
                let n = PIXELS.min(to - first);
                own.table(
                    source,
                    panel.channel,
                    zeros.as_ptr(),
                    first,
                    n,
                    n,
                    table,
                    at,
                );
                pack(path, &grad[first * s.o..], s.o, n, panel, packed);
                for (i, tap) in own.taps.iter().enumerate() {
                    let row = tap.index * gathered.depth;
                    // SAFETY: the table's pointers are to `depth` floats each; `packed` has a row for each pixel; the sums
                    // of this slice, panel, tap and these channels are this task's alone.
                    unsafe {
                        kernel::outer(
                            path,
                            &Outer {
                                x: &table[i * n..(i + 1) * n],
                                grad: packed.as_ptr(),
                                width: panel.width,
                                channels: cut(c)..cut(c + 1),
                                out: shared.at(slice * whole + panel.offset + row * panel.wide),
                                fresh: first == from,
                            },
                        );
                    }
                }
            }
        });
    });
    // Slices summed in order, back in the weights' own layout.
    // SAFETY: each chunk below is written whole.
    let mut out = unsafe { unwritten::<f32>(s.o * inner) };
    let mut dots = vec![0f32; if scale.is_some() { s.o } else { 0 }];
    let shared = Shared::new(&mut out);
    let shared_dots = Shared::new(&mut dots);
    let jobs: Vec<(Panel, usize)> = panels
        .iter()
        .flat_map(|&p| (0..p.width).step_by(16).map(move |at| (p, at)))
        .collect();
    each(jobs.len(), &|i| {
        let (p, at) = jobs[i];
        let valid = (p.width - at).min(16);
        let first = p.column + at;
        // SAFETY: filters first .. first + valid are this job's alone.
        let to = unsafe { std::slice::from_raw_parts_mut(shared.at(first * inner), valid * inner) };
        unpack(
            path,
            &partial[p.offset + at..],
            whole,
            slices,
            inner,
            &gathered.place,
            p.wide,
            to,
            valid,
        );
        if let Some((weight, scale)) = scale {
            for i in 0..valid {
                let o = first + i;
                let filter = &mut to[i * inner..(i + 1) * inner];
                let dot = scale_row(path, filter, &weight[o * inner..(o + 1) * inner], scale[o]);
                // SAFETY: as above.
                unsafe { *shared_dots.at(o) = dot };
            }
        }
    });
    (out, dots)
}

/// Packs the gradients of `n` pixels: a row of the panel's columns each, zeros beside them.
fn pack(path: Path, grad: &[f32], columns: usize, n: usize, panel: &Panel, to: &mut Vec<f32>) {
    to.resize(n * panel.wide, 0.0);
    let to = &mut to[..n * panel.wide];
    pack_pixels(
        path,
        grad,
        columns,
        panel.column,
        panel.width,
        panel.wide,
        to,
    );
}

per_path! {
    fn pack_pixels(grad: &[f32], columns: usize, column: usize, width: usize, wide: usize, to: &mut [f32]) {
        for (p, to) in to.chunks_exact_mut(wide).enumerate() {
            to[..width].copy_from_slice(&grad[p * columns + column..][..width]);
            to[width..].fill(0.0);
        }
    }
}

per_path! {
    /// The reverse of packing filters as columns, summed over slices `apart`.
    fn unpack(
        partial: &[f32],
        apart: usize,
        slices: usize,
        k: usize,
        place: &[usize],
        wide: usize,
        to: &mut [f32],
        valid: usize,
    ) {
        let place = &place[..k];
        let mut block = [[0f32; 16]; 16];
        for from in (0..k).step_by(16) {
            let n = (k - from).min(16);
            for j in 0..n {
                let row = place[from + j] * wide;
                let sums = &mut block[j];
                sums[..valid].copy_from_slice(&partial[row..][..valid]);
                for slice in 1..slices {
                    for (s, p) in sums[..valid].iter_mut().zip(&partial[slice * apart + row..][..valid]) {
                        *s += p;
                    }
                }
            }
            for i in 0..valid {
                let filter = &mut to[i * k + from..][..n];
                for j in 0..n {
                    filter[j] = block[j][i];
                }
            }
        }
    }
}

per_path! {
    /// Multiplies a row in place and returns its inner product, before that, with another.
    pub(super) fn scale_row(row: &mut [f32], with: &[f32], scale: f32) -> f32 {
        let [dot] = crate::math::lane_sums([&*row, with], |[a, b]| [a * b]);
        for x in row.iter_mut() {
            *x *= scale;
        }
        dot
    }
}
