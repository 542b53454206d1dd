//! The gradient of the weights: products whose inner dimension are pixels.

use super::planes::{self, Source};
use super::step::{Engine, HALF, LINE, Lines, Pair, SIDE, Sums, pairs};
use super::{MEMORY, Memory, PARTS};
use crate::conv2d::geometry::{Shape, forward as forward_class};
use crate::conv2d::weights::{SLICE, TASKS, scale_row};
use crate::matmul::Precision;
use crate::parallel::{Shared, each, unwritten};
use crate::path::{Path, per_path};
use std::ops::Range;

/// Most steps of pixels whose sums begin at zero: the gradients of as many, of all channels, stay in the second-level cache.
const STEPS: usize = 12;
/// Sums of 32 output channels and 32 input channels.
const SQUARE: usize = SIDE * SIDE;

/// [`super::super::weights::backward_weight`] on tiles.
pub(in crate::conv2d) fn backward_weight(
    engine: Engine,
    path: Path,
    x: &[f32],
    grad: &[f32],
    s: &Shape,
    scale: Option<(&[f32], &[f32])>,
) -> (Vec<f32>, Vec<f32>) {
    let job = Job::new(engine, x, grad, s);
    let whole = job.taps() * job.inputs * job.outputs * SQUARE;
    // SAFETY: every slice writes its sums: the first block of pixels does not read them.
    let mut partial = unsafe { unwritten::<f32>(job.slices * whole + LINE) };
    let aligned = partial.as_ptr().align_offset(64);
    let partial = &mut partial[aligned..];
    let shared = Shared::new(partial);
    let cuts = (2 * rayon::current_num_threads())
        .div_ceil(job.slices)
        .min(job.inputs);
    each(job.slices * cuts, &|i| {
        let (slice, cut) = (i / cuts, i % cuts);
        let inputs = job.inputs * cut / cuts..job.inputs * (cut + 1) / cuts;
        MEMORY.with_borrow_mut(|memory| {
            // SAFETY: the engine is there; the sums of this slice and these channels are this task's alone.
            unsafe {
                let to = shared.at(slice * whole);
                match s.conv.precision {
                    Precision::F32 => job.task::<PARTS>(slice, inputs, memory, to),
                    Precision::Bf16 => job.task::<1>(slice, inputs, memory, to),
                }
            }
        });
    });
    // Slices summed in order, in the weights' own layout.
    let inner = s.depth() * s.taps();
    // SAFETY: each filter below is written whole.
    let mut out = unsafe { unwritten::<f32>(s.o * inner) };
    let mut dots = vec![0f32; if scale.is_some() { s.o } else { 0 }];
    let (filters, of_dots) = (Shared::new(&mut out), Shared::new(&mut dots));
    let partial = &*partial;
    each(s.o, &|o| {
        // SAFETY: this filter is this call's alone.
        let filter = unsafe { std::slice::from_raw_parts_mut(filters.at(o * inner), inner) };
        let from = o / SIDE * SQUARE + o % SIDE * SIDE;
        let partial = &partial[from..];
        let (slices, taps) = (job.slices, job.taps());
        gather(path, partial, slices, whole, taps, job.outputs, s.c, filter);
        if let Some((weight, scale)) = scale {
            let dot = scale_row(path, filter, &weight[o * inner..(o + 1) * inner], scale[o]);
            // SAFETY: as above.
            unsafe { *of_dots.at(o) = dot };
        }
    });
    (out, dots)
}

struct Job<'a> {
    engine: Engine,
    source: Source<'a>,
    grad: &'a [f32],
    shape: &'a Shape,
    class: crate::conv2d::geometry::Class,
    /// Blocks of 32 input and output channels.
    inputs: usize,
    outputs: usize,
    /// Steps of 32 pixels, and slices of them: a function of the shape alone.
    steps: usize,
    slices: usize,
    zeros: Vec<Pair>,
}

impl<'a> Job<'a> {
    fn new(engine: Engine, x: &'a [f32], grad: &'a [f32], s: &'a Shape) -> Self {
        let class = forward_class(s);
        let pixels = class.rows();
        Job {
            engine,
            source: Source {
                data: x,
                size: (s.h, s.w),
                depth: s.c,
            },
            grad,
            shape: s,
            class,
            inputs: s.c.div_ceil(SIDE),
            outputs: s.o.div_ceil(SIDE),
            steps: pixels.div_ceil(SIDE),
            slices: (pixels / SLICE).clamp(1, TASKS.div_ceil(s.o.div_ceil(2 * SIDE))),
            zeros: vec![0; PARTS * LINE],
        }
    }

    fn taps(&self) -> usize {
        self.class.taps.len()
    }

    /// A slice's sums for some blocks of input channels.
    ///
    /// # Safety
    /// Nobody else touches these sums.
    unsafe fn task<const P: usize>(
        &self,
        slice: usize,
        inputs: Range<usize>,
        memory: &mut Memory,
        sums_of: *mut f32,
    ) {
        let Memory {
            table,
            planes,
            a,
            lines,
            b,
        } = memory;
        let (from, to) = (
            self.steps * slice / self.slices,
            self.steps * (slice + 1) / self.slices,
        );
        let (pixels, columns) = (self.class.rows(), self.shape.o);
        let channel = inputs.start * SIDE;
        let width = (inputs.end * SIDE).min(self.shape.c) - channel;
        let zeros = self.zeros.as_ptr();
        let mut sums = Sums([0.0; SQUARE]);
        // Without pixels sums are still written.
        let blocks = (to - from).div_ceil(STEPS).max(1);
        for block in 0..blocks {
            let some =
                from + (to - from) * block / blocks..from + (to - from) * (block + 1) / blocks;
            let (first, n) = (some.start * SIDE, some.len());
            let rows = (some.end * SIDE).min(pixels) - first.min(pixels);
            let seen = table.fill(&self.class, self.source.size, first, rows);
            let room = planes.room(seen.len() * planes::pitch(inputs.len(), P));
            let (a, b) = (a.steps(self.outputs * n, P), b.steps(n, P));
            // SAFETY: there is room for these pixels and steps; the gradient has a row for each pixel; each square of sums is this task's.
            unsafe {
                let planes = self.source.split::<P>(seen, channel, width, room);
                lines.clear();
                for output in 0..self.outputs {
                    for i in 0..n {
                        let pixel = first + i * SIDE;
                        let from = self.grad.as_ptr().add(pixel * columns);
                        let to = a.add((output * n + i) * pairs(P));
                        let column = (output * SIDE, columns);
                        planes::turn::<P>(from, columns, pixels - pixel, column, to);
                        let lower = to.add(HALF * P * LINE);
                        lines.push([Lines::dense(to, P), Lines::dense(lower, P)]);
                    }
                }
                self.engine.with(|| {
                    for tap in 0..self.taps() {
                        for input in inputs.clone() {
                            for i in 0..n {
                                let rows = table.rows(tap, i * SIDE, SIDE);
                                let to = b.add(i * pairs(P));
                                planes::across::<P>(&planes, input - inputs.start, rows, zeros, to);
                            }
                            for output in 0..self.outputs {
                                let at = (tap * self.inputs + input) * self.outputs + output;
                                let to = sums_of.add(at * SQUARE);
                                let a = &lines[output * n..(output + 1) * n];
                                if block == 0 {
                                    self.engine.run::<P>(a, b, to);
                                } else {
                                    self.engine.run::<P>(a, b, sums.0.as_mut_ptr());
                                    let to = std::slice::from_raw_parts_mut(to, SQUARE);
                                    add(Path::current(), &sums.0, to);
                                }
                            }
                        }
                    }
                });
            }
        }
    }
}

per_path! {
    fn add(from: &[f32], to: &mut [f32]) {
        for (y, x) in to.iter_mut().zip(from) {
            *y += x;
        }
    }
}

per_path! {
    /// A filter `(channel, tap)` of the slices' sums, `apart` from one to the next: `partial` begins with the filter's row of the first square.
    fn gather(
        partial: &[f32],
        slices: usize,
        apart: usize,
        taps: usize,
        outputs: usize,
        channels: usize,
        filter: &mut [f32],
    ) {
        let inputs = channels.div_ceil(SIDE);
        for tap in 0..taps {
            for input in 0..inputs {
                let at = (tap * inputs + input) * outputs * SQUARE;
                let mut row = [0f32; SIDE];
                row.copy_from_slice(&partial[at..at + SIDE]);
                for slice in 1..slices {
                    for (x, y) in row.iter_mut().zip(&partial[slice * apart + at..][..SIDE]) {
                        *x += y;
                    }
                }
                let n = SIDE.min(channels - input * SIDE);
                for (i, x) in row[..n].iter().enumerate() {
                    filter[(input * SIDE + i) * taps + tap] = *x;
                }
            }
        }
    }
}
