//! f32 kernels of attention: one task for each (sentence, head), each on one thread.

use super::Saved;
use crate::dropout::{Dropout, cpu::mask_in_place};
use crate::matmul::{View, cpu::raw};
use crate::parallel::{Shared, unwritten};
use crate::path::Path;
use crate::softmax::cpu::{pull_back_rows, softmax_rows};
use crate::tensors::Reading;
use candle_core::{Error, Result, Tensor};
use gemm::Parallelism;
use rayon::prelude::*;
use std::cell::RefCell;

/// Up to this length the probabilities are kept.
const KEEP: usize = 128;

/// Where the dropout mask of a (sentence, head) begins, by the length that all are padded to. Within it, element (i, j) is draw i * keys + j, so that
/// none is wasted on padding.
pub(crate) fn first_draw(task: usize, length: usize) -> u64 {
    task as u64 * (length * length).next_multiple_of(128) as u64
}

/// A (batch, length, width) operand with its strides.
#[derive(Clone, Copy)]
struct Operand<'a> {
    data: &'a [f32],
    batch_stride: usize,
    row_stride: usize,
}

impl<'a> Operand<'a> {
    fn of(reading: &'a Reading<'_>, t: &Tensor) -> Result<Self> {
        Ok(Operand {
            data: reading.unstrided()?,
            batch_stride: t.stride()[0],
            row_stride: t.stride()[1],
        })
    }

    /// The first `rows` rows of one head of one sentence.
    fn head(&self, task: &Task, rows: usize) -> View<'a, f32> {
        let from = task.sentence * self.batch_stride + task.head * task.dim;
        View {
            // Without a token there is nothing to begin at.
            data: self.data.get(from..).unwrap_or(&[]),
            rows,
            columns: task.dim,
            row_stride: self.row_stride,
            column_stride: 1,
        }
    }
}

/// A (batch, length, width) result, whose rows are `row_stride` apart, shared by the tasks.
#[derive(Clone, Copy)]
struct Output {
    data: Shared<f32>,
    length: usize,
    row_stride: usize,
    /// Column of the first head.
    column: usize,
}

impl Output {
    /// Writes scale * a b into the first rows of the task's head and zeros into the rest.
    ///
    /// # Safety
    /// The buffer holds batch x `length` rows of `row_stride` elements, a b has at most `length` rows and `dim` columns,
    /// and no other task has the same sentence and head (with the same `column`).
    unsafe fn write(self, task: &Task, a: View<'_, f32>, b: View<'_, f32>, scale: f32) {
        let rows = if a.columns == 0 { 0 } else { a.rows };
        let first =
            task.sentence * self.length * self.row_stride + self.column + task.head * task.dim;
        // SAFETY: rows of this sentence and columns of this head, which are this task's alone.
        unsafe {
            if rows > 0 {
                let dst = self.data.at(first);
                raw(
                    dst,
                    self.row_stride,
                    1,
                    None,
                    a,
                    b,
                    scale,
                    Parallelism::None,
                );
            }
            for row in rows..self.length {
                std::ptr::write_bytes(self.data.at(first + row * self.row_stride), 0, task.dim);
            }
        }
    }
}

struct Task {
    sentence: usize,
    head: usize,
    dim: usize,
    /// Keys of a sentence, those that are masked among them.
    length: usize,
    /// Queries and keys that are computed.
    queries: usize,
    keys: usize,
    /// Where the probabilities lie in what is kept.
    offset: usize,
    /// Where its dropout mask begins.
    first_draw: u64,
}

impl Task {
    fn area(&self) -> usize {
        self.queries * self.keys
    }
}

fn tasks(saved: &Saved) -> Result<Vec<Task>> {
    let ((batch, asked, width), length) = (saved.q.dims3()?, saved.k.dim(1)?);
    let mut offset = 0;
    let mut tasks = Vec::with_capacity(batch * saved.heads);
    for sentence in 0..batch {
        let (queries, keys) = saved.mask.extent(sentence, asked, length);
        for head in 0..saved.heads {
            tasks.push(Task {
                sentence,
                head,
                dim: width / saved.heads,
                length,
                queries,
                keys,
                offset,
                first_draw: first_draw(sentence * saved.heads + head, length),
            });
            offset += queries * keys;
        }
    }
    Ok(tasks)
}

fn scale(dim: usize) -> f32 {
    (1.0 / (dim as f64).sqrt()) as f32
}

/// P = softmax(scale Q Kᵀ) with the keys masked.
fn probabilities(
    path: Path,
    saved: &Saved,
    task: &Task,
    q: View<'_, f32>,
    k: View<'_, f32>,
    p: &mut [f32],
) {
    // SAFETY: p has queries x keys elements and is borrowed mutably.
    unsafe {
        let factor = scale(task.dim);
        raw(
            p.as_mut_ptr(),
            task.keys,
            1,
            None,
            q,
            k.t(),
            factor,
            Parallelism::None,
        );
    }
    if let Some(keep) = saved.mask.row(task.sentence, task.length) {
        for row in p.chunks_exact_mut(task.keys) {
            for (p, &keep) in row.iter_mut().zip(keep) {
                *p = if keep { *p } else { f32::NEG_INFINITY };
            }
        }
    }
    softmax_rows(path, p, task.keys);
}

fn drop_out(path: Path, dropout: &Dropout, task: &Task, p: &mut [f32]) {
    mask_in_place(
        path,
        p,
        dropout.key,
        task.first_draw,
        dropout.threshold(),
        dropout.scale(),
    );
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends `n` floats of this thread's scratch memory, contents unspecified.
fn with_scratch<R>(n: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < n {
            scratch.resize(n, 0.0);
        }
        f(&mut scratch[..n])
    })
}

/// The output, and the probabilities if they are worth keeping.
pub(crate) fn forward(saved: &Saved) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
    let path = Path::current();
    let ((_, asked, width), length) = (saved.q.dims3()?, saved.k.dim(1)?);
    let (rq, rk, rv) = (
        Reading::of(&saved.q),
        Reading::of(&saved.k),
        Reading::of(&saved.v),
    );
    let (q, k, v) = (
        Operand::of(&rq, &saved.q)?,
        Operand::of(&rk, &saved.k)?,
        Operand::of(&rv, &saved.v)?,
    );
    let tasks = tasks(saved)?;
    let keep = length <= KEEP;
    let kept = if keep {
        tasks.iter().map(Task::area).sum()
    } else {
        0
    };
    // SAFETY: every task writes its head of its sentence (every element of y belongs to one) and its probabilities.
    let (mut y, mut p) = unsafe {
        (
            unwritten::<f32>(saved.q.elem_count()),
            unwritten::<f32>(kept),
        )
    };
    let output = Output {
        data: Shared::new(&mut y),
        length: asked,
        row_stride: width,
        column: 0,
    };
    let shared = Shared::new(&mut p);
    tasks.par_iter().for_each(|task| {
        let area = task.area();
        with_scratch(2 * area, |scratch| {
            let (scratch_p, dropped) = scratch.split_at_mut(area);
            let p = if keep {
                // SAFETY: the tasks' offsets cut the buffer into disjoint parts.
                unsafe { std::slice::from_raw_parts_mut(shared.at(task.offset), area) }
            } else {
                scratch_p
            };
            if area > 0 {
                let (q, k) = (q.head(task, task.queries), k.head(task, task.keys));
                probabilities(path, saved, task, q, k, p);
            }
            let p = match &saved.dropout {
                Some(d) if area > 0 => {
                    dropped.copy_from_slice(p);
                    drop_out(path, d, task, dropped);
                    &*dropped
                }
                _ => &*p,
            };
            let v = v.head(task, task.keys);
            // SAFETY: one task for each sentence and head.
            unsafe { output.write(task, View::new(p, task.queries, task.keys), v, 1.0) };
        });
    });
    Ok((y, keep.then_some(p)))
}

/// The gradients of q, k and v; packed, all three side by side in the first vector.
pub(crate) fn backward(saved: &Saved, grad: &Tensor, packed: bool) -> Result<[Vec<f32>; 3]> {
    let path = Path::current();
    if grad.dims() != saved.q.dims() {
        return Err(Error::ShapeMismatchBinaryOp {
            lhs: saved.q.shape().clone(),
            rhs: grad.shape().clone(),
            op: "attention backward",
        }
        .bt());
    }
    let grad = grad.detach().contiguous()?;
    let (rq, rk, rv) = (
        Reading::of(&saved.q),
        Reading::of(&saved.k),
        Reading::of(&saved.v),
    );
    let rg = Reading::of(&grad);
    let (q, k, v, g) = (
        Operand::of(&rq, &saved.q)?,
        Operand::of(&rk, &saved.k)?,
        Operand::of(&rv, &saved.v)?,
        Operand::of(&rg, &grad)?,
    );
    let ((_, asked, width), length) = (saved.q.dims3()?, saved.k.dim(1)?);
    let (n, all) = (saved.q.elem_count(), saved.k.elem_count());
    // SAFETY: every task writes its head of its sentence in all three gradients.
    let mut gradients: [Vec<f32>; 3] = unsafe {
        if packed {
            [unwritten(3 * n), Vec::new(), Vec::new()]
        } else {
            [unwritten(n), unwritten(all), unwritten(all)]
        }
    };
    let [dq, dk, dv] = if packed {
        let data = Shared::new(&mut gradients[0]);
        std::array::from_fn(|i| Output {
            data,
            length,
            row_stride: 3 * width,
            column: i * width,
        })
    } else {
        let alone = |gradient: &mut Vec<f32>, length| Output {
            data: Shared::new(gradient),
            length,
            row_stride: width,
            column: 0,
        };
        let [q, k, v] = gradients.each_mut();
        [alone(q, asked), alone(k, length), alone(v, length)]
    };
    tasks(saved)?.par_iter().for_each(|task| {
        let area = task.area();
        let (queries, keys) = (task.queries, task.keys);
        with_scratch(3 * area, |scratch| {
            let (ds, rest) = scratch.split_at_mut(area);
            let (again, dropped) = rest.split_at_mut(area);
            let (q, k) = (q.head(task, queries), k.head(task, keys));
            let (v, g) = (v.head(task, keys), g.head(task, queries));
            let p = match &saved.probabilities {
                Some(p) => &p[task.offset..task.offset + area],
                None => {
                    if area > 0 {
                        probabilities(path, saved, task, q, k, again);
                    }
                    &*again
                }
            };
            if area > 0 {
                // SAFETY: ds has queries x keys elements and is borrowed mutably.
                unsafe {
                    raw(
                        ds.as_mut_ptr(),
                        keys,
                        1,
                        None,
                        g,
                        v.t(),
                        1.0,
                        Parallelism::None,
                    )
                };
            }
            let used = match &saved.dropout {
                Some(d) if area > 0 => {
                    dropped.copy_from_slice(p);
                    drop_out(path, d, task, dropped);
                    drop_out(path, d, task, ds);
                    &*dropped
                }
                _ => p,
            };
            if area > 0 {
                pull_back_rows(path, p, ds, keys);
            }
            let factor = scale(task.dim);
            let ds = View::new(&*ds, queries, keys);
            // SAFETY: one task for each sentence and head, and three disjoint outputs.
            unsafe {
                dv.write(task, View::new(used, queries, keys).t(), g, 1.0);
                dq.write(task, ds, k, factor);
                dk.write(task, ds.t(), q, factor);
            }
        });
    });
    Ok(gradients)
}
