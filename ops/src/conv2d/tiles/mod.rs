//! The convolution by products of bf16. On AMX f32 is the sum of three bf16, as in [`crate::matmul::amx`]'s f32 product, whose precision and exceptions hold
//! here too, or rounded to one; by AVX-512's pairs it is rounded to one.
//!
//! Pixels are split into parts once for all taps ([`planes`]), in memory that stays in the second-level cache; then each tap's rows are lines of 64
//! bytes copied from them. [`step`] multiplies. The gradient of the weights has the pixels as its inner dimension ([`outer`]).
//!
//! The inner dimension goes over blocks of 32 channels and, in each, over the taps: what taps share is near. Each element of an output is summed in
//! that order, by parts of [`step::STEPS`] steps, each from zero.

mod outer;
mod planes;
mod step;
mod table;
#[cfg(test)]
mod tests;

use super::cpu::Finish;
use super::geometry::{Class, Shape, forward as forward_class, transposed};
use crate::matmul::Precision;
use crate::parallel::{Shared, each, unwritten};
use crate::path::Path;
pub(super) use outer::backward_weight;
use planes::{Planes, Scratch, Source, Weights, lanes};
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::ops::Range;
pub(super) use step::Engine;
use step::{HALF, LINE, Lines, Pair, SIDE, STEPS, Sums, pairs};
use table::{OUTSIDE, Sight, Table};

/// Parts of a float.
const PARTS: usize = 3;
/// Most groups of 32 rows in a task: what it gathers for a block stays in the second-level cache.
const GROUPS: usize = 8;

/// What multiplies, where convolutions of such weights come here: where blocks of 32 channels are not mostly zeros. The pixels do not count, so that what is
/// computed of an image does not depend on which others are beside it.
pub(super) fn engine(path: Path, s: &Shape) -> Option<Engine> {
    let whole = |n: usize| n.next_multiple_of(SIDE);
    let (c, o) = (s.c, s.o);
    let few = s.n.max(1) * s.h * s.w < OUTSIDE as usize && s.o * s.c * s.taps() < i32::MAX as usize;
    let full = s.conv.groups == 1 && 3 * c * o >= 2 * whole(c) * whole(o);
    Engine::of(path, s.conv.precision == Precision::Bf16).filter(|_| full && few)
}

/// [`super::cpu::forward`] on tiles.
pub(super) fn forward(
    engine: Engine,
    x: &[f32],
    weight: &[f32],
    scale: Option<&[f32]>,
    s: &Shape,
    finish: Finish<'_>,
) -> Vec<f32> {
    let taps = s.taps();
    let weights = Weights {
        data: weight,
        columns: s.o,
        column: s.c * taps,
        depth: s.c,
        deep: taps,
        column_scale: scale,
        deep_scale: None,
    };
    let source = Source {
        data: x,
        size: (s.h, s.w),
        depth: s.c,
    };
    let classes = [forward_class(s)];
    Product::new(engine, &classes, source, weights, finish)
        .run_in(s.conv.precision, s.n * s.oh * s.ow)
}

/// [`super::cpu::backward_x`] on tiles.
pub(super) fn backward_x(
    engine: Engine,
    weight: &[f32],
    scale: Option<&[f32]>,
    grad: &[f32],
    s: &Shape,
    finish: Finish<'_>,
) -> Vec<f32> {
    let taps = s.taps();
    let weights = Weights {
        data: weight,
        columns: s.c,
        column: taps,
        depth: s.o,
        deep: s.c * taps,
        column_scale: None,
        deep_scale: scale,
    };
    let source = Source {
        data: grad,
        size: (s.oh, s.ow),
        depth: s.o,
    };
    Product::new(engine, &transposed(s), source, weights, finish)
        .run_in(s.conv.precision, s.n * s.h * s.w)
}

/// What a task works in, of products and of gradients alike.
#[derive(Default)]
struct Memory {
    table: Table,
    planes: Scratch,
    a: Scratch,
    lines: Vec<[Lines; 2]>,
    b: Scratch,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Gathered rows times weights.
struct Product<'a> {
    engine: Engine,
    classes: &'a [Class],
    source: Source<'a>,
    weights: Weights<'a>,
    finish: Finish<'a>,
    zeros: Vec<Pair>,
}

/// Rows of a class against panels of 32 columns.
struct Task {
    class: usize,
    rows: Range<usize>,
    panels: Range<usize>,
}

impl<'a> Product<'a> {
    fn new(
        engine: Engine,
        classes: &'a [Class],
        source: Source<'a>,
        weights: Weights<'a>,
        finish: Finish<'a>,
    ) -> Self {
        Product {
            engine,
            classes,
            source,
            weights,
            finish,
            zeros: vec![0; PARTS * LINE],
        }
    }

    fn panels(&self) -> usize {
        self.weights.columns.div_ceil(SIDE)
    }

    fn run_in(&self, precision: Precision, pixels: usize) -> Vec<f32> {
        match precision {
            Precision::F32 => self.run::<PARTS>(pixels),
            Precision::Bf16 => self.run::<1>(pixels),
        }
    }

    /// The output, of so many pixels.
    fn run<const P: usize>(&self, pixels: usize) -> Vec<f32> {
        let columns = self.weights.columns;
        if let Some(bias) = self.finish.bias {
            assert_eq!(bias.len(), columns, "bias");
        }
        for like in [self.finish.add, self.finish.keep].into_iter().flatten() {
            assert_eq!(like.len(), pixels * columns, "laid out as the output");
        }
        assert_eq!(
            self.classes.iter().map(Class::rows).sum::<usize>(),
            pixels,
            "every pixel is in one class"
        );
        // SAFETY: the classes hold every pixel once, and their tasks every row and panel.
        let mut out = unsafe { unwritten::<f32>(pixels * columns) };
        let out_of = Shared::new(&mut out);
        // The smaller operand is packed whole, once; of the other one each task packs what it multiplies.
        let (tasks, whole) = match pixels < columns {
            true => (self.by_panels(), Whole::Planes(self.split::<P>())),
            false => (self.by_rows(), Whole::Weights(self.pack::<P>())),
        };
        each(tasks.len(), &|i| {
            let task = &tasks[i];
            MEMORY.with_borrow_mut(|memory| {
                // SAFETY: the engine is there; a task's rows and panels are its own.
                unsafe { self.task::<P>(task, &whole, memory, out_of.at(0)) };
            });
        });
        out
    }

    fn by_rows(&self) -> Vec<Task> {
        let threads = rayon::current_num_threads();
        let mut tasks = Vec::new();
        for (class, of) in self.classes.iter().enumerate() {
            let rows = of.rows();
            let groups = rows.div_ceil(SIDE);
            // As many for each thread.
            let n = groups
                .div_ceil(GROUPS)
                .next_multiple_of(threads)
                .min(groups);
            tasks.extend((0..n).map(|i| Task {
                class,
                rows: groups * i / n * SIDE..(groups * (i + 1) / n * SIDE).min(rows),
                panels: 0..self.panels(),
            }));
        }
        tasks
    }

    fn by_panels(&self) -> Vec<Task> {
        let panels = self.panels();
        let n = (2 * rayon::current_num_threads()).min(panels);
        let mut tasks = Vec::new();
        for (class, of) in self.classes.iter().enumerate() {
            // Rows that stay in the cache.
            for from in (0..of.rows()).step_by(2 * GROUPS * SIDE) {
                tasks.extend((0..n).map(|i| Task {
                    class,
                    rows: from..(from + 2 * GROUPS * SIDE).min(of.rows()),
                    panels: panels * i / n..panels * (i + 1) / n,
                }));
            }
        }
        tasks
    }

    /// All weights, packed: class by class, panel by panel.
    fn pack<const P: usize>(&self) -> Packed {
        let (blocks, panels) = (self.source.blocks(), self.panels());
        let mut from = Vec::with_capacity(self.classes.len());
        let (mut jobs, mut at) = (Vec::new(), 0);
        for class in self.classes {
            from.push(at);
            for panel in 0..panels {
                for block in 0..blocks {
                    jobs.push((at, panel, block, class));
                    at += class.taps.len();
                }
            }
        }
        // SAFETY: the loop below writes every step.
        let mut data = unsafe { unwritten::<Pair>(at * pairs(P) + LINE) };
        let aligned = data.as_ptr().align_offset(64);
        let to = Shared::new(&mut data[aligned..]);
        each(jobs.len(), &|i| {
            let (at, panel, block, class): (usize, usize, usize, &Class) = jobs[i];
            // SAFETY: an engine has these instructions; each job writes its own steps.
            unsafe {
                let to = to.at(at * pairs(P));
                self.weights.pack::<P>(panel, block, &class.taps, to);
            }
        });
        Packed {
            data,
            aligned,
            from,
        }
    }

    /// All pixels, split.
    fn split<const P: usize>(&self) -> (Vec<Pair>, Planes) {
        let depth = self.source.depth;
        let pixels = self.source.data.len() / depth;
        let pitch = planes::pitch(self.source.blocks(), P);
        // SAFETY: the loop below writes every pixel.
        let mut data = unsafe { unwritten::<Pair>(pixels * pitch + LINE) };
        let aligned = data.as_ptr().align_offset(64);
        let to = Shared::new(&mut data[aligned..]);
        const MANY: usize = 64;
        each(pixels.div_ceil(MANY), &|i| {
            let mine = i * MANY..((i + 1) * MANY).min(pixels);
            // SAFETY: an engine has these instructions; each job writes its own pixels.
            unsafe {
                let to = to.at(mine.start * pitch);
                self.source.split::<P>(mine, 0, depth, to);
            }
        });
        let planes = Planes {
            data: data[aligned..].as_ptr(),
            first: 0,
            pitch,
        };
        (data, planes)
    }

    /// # Safety
    /// `whole` belongs to this product; nobody else touches the task's rows and columns of `out`.
    unsafe fn task<const P: usize>(
        &self,
        task: &Task,
        whole: &Whole,
        memory: &mut Memory,
        out: *mut f32,
    ) {
        let Memory {
            table,
            planes,
            a,
            lines,
            b,
        } = memory;
        let class = &self.classes[task.class];
        let (blocks, taps) = (self.source.blocks(), class.taps.len());
        let steps = blocks * taps;
        let rows = task.rows.len();
        let seen = table.fill(class, self.source.size, task.rows.start, rows);
        let planes = match whole {
            Whole::Planes((_, planes)) => *planes,
            Whole::Weights(_) => {
                let room = planes.room(seen.len() * planes::pitch(blocks, P));
                // SAFETY: room for these pixels.
                unsafe { self.source.split::<P>(seen, 0, self.source.depth, room) }
            }
        };
        let groups = rows.div_ceil(SIDE);
        // A class without taps still writes what its sums start from.
        let parts = steps.div_ceil(STEPS).max(1);
        for part in 0..parts {
            let some = steps * part / parts..steps * (part + 1) / parts;
            let n = some.len();
            let a = a.steps(groups * n, P);
            lines.clear();
            for group in 0..groups {
                for (i, step) in some.clone().enumerate() {
                    lines.push(std::array::from_fn(|half| {
                        // SAFETY: the table's pixels were split; there is room for as many rows.
                        unsafe {
                            let to = a.add((group * n + i) * pairs(P) + half * HALF * P * LINE);
                            let row = group * SIDE + half * HALF;
                            self.lines::<P>(table, &planes, step % taps, step / taps, row, to)
                        }
                    }));
                }
            }
            let mut sums = Sums([0.0; SIDE * SIDE]);
            // SAFETY: operands reach over the part.
            self.engine.with(|| unsafe {
                for panel in task.panels.clone() {
                    let b = match whole {
                        Whole::Weights(packed) => {
                            let from = packed.from[task.class] + panel * steps + some.start;
                            packed.data[packed.aligned..]
                                .as_ptr()
                                .wrapping_add(from * pairs(P))
                        }
                        Whole::Planes(_) => {
                            let b = b.steps(n, P);
                            let mut step = some.start;
                            while step < some.end {
                                let first = step % taps;
                                let last = taps.min(first + some.end - step);
                                let to = b.add((step - some.start) * pairs(P));
                                let taps = &class.taps[first..last];
                                self.weights
                                    .pack::<P>(panel, step / class.taps.len(), taps, to);
                                step += last - first;
                            }
                            b
                        }
                    };
                    for group in 0..groups {
                        let a = &lines[group * n..(group + 1) * n];
                        self.engine.run::<P>(a, b, sums.0.as_mut_ptr());
                        let from = group * SIDE;
                        let at = &table.at[from..(from + SIDE).min(rows)];
                        self.store(&sums, at, panel, part == 0, part + 1 == parts, out);
                    }
                }
            });
        }
    }

    /// A block of channels of what sixteen rows see through a tap: where it lies in the planes or, if it does not lie evenly, gathered.
    ///
    /// # Safety
    /// The processor has AVX-512 F; the table's pixels are in the planes; there is room for the rows.
    unsafe fn lines<const P: usize>(
        &self,
        table: &Table,
        planes: &Planes,
        tap: usize,
        block: usize,
        row: usize,
        to: *mut Pair,
    ) -> Lines {
        let zeros = self.zeros.as_ptr();
        match table.sight(tap, row) {
            Sight::Zeros => Lines {
                at: zeros,
                apart: 0,
            },
            // SAFETY: by the contract.
            Sight::Run { first, apart } => unsafe {
                Lines {
                    at: planes.at(first, block, P),
                    apart: apart * planes.pitch * size_of::<Pair>(),
                }
            },
            Sight::Scattered => {
                // SAFETY: by the contract.
                unsafe {
                    planes::gather::<P>(planes, block, table.rows(tap, row, HALF), zeros, to)
                };
                Lines::dense(to, P)
            }
        }
    }

    /// Sums where they belong: added to the bias at first and to what is there then, and finished at last. `at` are pixels of the output.
    ///
    /// # Safety
    /// The processor has AVX-512 F; the pixels are the output's, and what is added or asked is laid out alike.
    #[target_feature(enable = "avx512f")]
    unsafe fn store(
        &self,
        sums: &Sums,
        at: &[usize],
        panel: usize,
        first: bool,
        last: bool,
        out: *mut f32,
    ) {
        let Finish {
            bias,
            add,
            relu,
            keep,
            ..
        } = self.finish;
        let zero = _mm512_setzero_ps();
        let columns = self.weights.columns;
        for half in 0..2 {
            let column = panel * SIDE + half * 16;
            let mask = lanes(columns.saturating_sub(column));
            let load = |p: *const f32, at: usize| {
                // SAFETY: masked lanes are not touched.
                unsafe { _mm512_maskz_loadu_ps(mask, p.wrapping_add(at)) }
            };
            let bias = bias.map_or(zero, |b| load(b.as_ptr(), column));
            for (row, &pixel) in sums.0.chunks_exact(SIDE).zip(at) {
                let at = pixel * columns + column;
                // SAFETY: as above.
                unsafe {
                    let mut x = _mm512_loadu_ps(row.as_ptr().add(half * 16));
                    x = _mm512_add_ps(x, if first { bias } else { load(out, at) });
                    if last {
                        if let Some(add) = add {
                            x = _mm512_add_ps(x, load(add.as_ptr(), at));
                        }
                        if relu {
                            // The other way round NaN would become zero.
                            x = _mm512_max_ps(zero, x);
                        }
                        if let Some(keep) = keep {
                            let kept = load(keep.as_ptr(), at);
                            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(kept, zero);
                            x = _mm512_maskz_mov_ps(positive, x);
                        }
                    }
                    _mm512_mask_storeu_ps(out.wrapping_add(at), mask, x);
                }
            }
        }
    }
}

/// The operand that was packed for all tasks.
enum Whole {
    Planes((Vec<Pair>, Planes)),
    Weights(Packed),
}

struct Packed {
    data: Vec<Pair>,
    aligned: usize,
    /// Each class's first step.
    from: Vec<usize>,
}
