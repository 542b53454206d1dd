//! One step of a table of which few rows have a gradient.

use super::{CHUNK, Rule, Stepped};
use crate::path::Path;
use rayon::prelude::*;

/// A table, the gradient of some of its rows, and its state.
pub(super) struct Table<'a, T> {
    /// The table, row by row.
    pub(super) param: &'a mut [T],
    /// The rows with a gradient, increasing, each of the table.
    pub(super) ids: &'a [u32],
    /// Their gradients.
    pub(super) rows: &'a [T],
    /// As many slices as the rule keeps, each as long as the table.
    pub(super) state: Vec<&'a mut [T]>,
    pub(super) rule: Rule,
    pub(super) step: u64,
    /// Which rows have ever had a gradient, where that is known.
    pub(super) touched: Option<&'a mut [bool]>,
}

/// Some rows of a table.
struct Chunk<'a, T> {
    /// The first row's number.
    first: usize,
    param: &'a mut [T],
    state: Vec<&'a mut [T]>,
    touched: Option<&'a mut [bool]>,
}

/// One step of every row, in parallel; lengths were checked.
pub(super) fn step_table<T: Stepped>(table: Table<'_, T>, width: usize, grad_scale: f64) {
    if width == 0 {
        return;
    }
    let path = Path::current();
    let zeros = vec![T::default(); width];
    let rows = (CHUNK / width).max(1);
    let mut states: Vec<_> = (table.state.into_iter())
        .map(|s| s.chunks_mut(rows * width))
        .collect();
    let mut touched = table.touched.map(|t| t.chunks_mut(rows));
    let mut chunks: Vec<Chunk<'_, T>> = (table.param.chunks_mut(rows * width))
        .enumerate()
        .map(|(i, param)| Chunk {
            first: i * rows,
            param,
            state: states.iter_mut().filter_map(Iterator::next).collect(),
            touched: touched.as_mut().and_then(Iterator::next),
        })
        .collect();
    let (ids, grads, rule, step) = (table.ids, table.rows, &table.rule, table.step);
    chunks.par_iter_mut().for_each(|chunk| {
        let n = chunk.param.len() / width;
        let mut next = ids.partition_point(|&id| (id as usize) < chunk.first);
        let mut row = 0;
        while row < n {
            let here = ids.get(next).map_or(n, |&id| id as usize - chunk.first);
            if row < here {
                // A run of rows without a gradient, which are alike in having had one or not.
                let had = |r: usize| chunk.touched.as_ref().is_none_or(|t| t[r]);
                let end = (row..here.min(n)).find(|&r| had(r) != had(row));
                let end = end.unwrap_or(here.min(n));
                let run = &mut chunk.param[row * width..end * width];
                if had(row) || !T::still(path, run, rule) {
                    for r in row..end {
                        one(path, chunk, r, &zeros, rule, step, grad_scale);
                    }
                }
                row = end;
            } else {
                let grad = &grads[next * width..][..width];
                one(path, chunk, row, grad, rule, step, grad_scale);
                if let Some(touched) = &mut chunk.touched {
                    touched[row] = true;
                }
                (row, next) = (row + 1, next + 1);
            }
        }
    });
}

/// One row.
fn one<T: Stepped>(
    path: Path,
    chunk: &mut Chunk<'_, T>,
    row: usize,
    grad: &[T],
    rule: &Rule,
    step: u64,
    scale: f64,
) {
    let at = row * grad.len()..(row + 1) * grad.len();
    let mut state: Vec<&mut [T]> = (chunk.state.iter_mut())
        .map(|s| &mut s[at.clone()])
        .collect();
    T::step(
        path,
        &mut chunk.param[at],
        grad,
        &mut state,
        rule,
        step,
        scale,
    );
}
