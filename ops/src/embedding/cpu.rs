//! f32 kernels of the embedding.

use crate::parallel::{rows_per_chunk, unwritten};
use crate::path::{Path, per_path};
use rayon::prelude::*;

/// The rows `ids`, each below the number of rows of `table`.
pub(crate) fn gather(table: &[f32], width: usize, ids: &[u32]) -> Vec<f32> {
    // SAFETY: every row is copied below.
    let mut out = unsafe { unwritten::<f32>(ids.len() * width) };
    if width == 0 {
        return out;
    }
    let per_chunk = rows_per_chunk(width);
    out.par_chunks_mut(per_chunk * width)
        .zip(ids.par_chunks(per_chunk))
        .for_each(|(out, ids)| {
            for (out, &id) in out.chunks_exact_mut(width).zip(ids) {
                out.copy_from_slice(&table[id as usize * width..][..width]);
            }
        });
    out
}

/// Adds the rows `ids`, each below the number of rows of `table`, to the rows of `sum`.
pub(crate) fn add_rows(sum: &mut [f32], table: &[f32], width: usize, ids: &[u32]) {
    if width == 0 {
        return;
    }
    let path = Path::current();
    let per_chunk = rows_per_chunk(width);
    sum.par_chunks_mut(per_chunk * width)
        .zip(ids.par_chunks(per_chunk))
        .for_each(|(sum, ids)| {
            for (sum, &id) in sum.chunks_exact_mut(width).zip(ids) {
                add(path, sum, &table[id as usize * width..][..width]);
            }
        });
}

/// A table of zeros but for the rows `ids` (increasing, each below `vocabulary`), written once.
pub(crate) fn spread(ids: &[u32], rows: &[f32], vocabulary: usize, width: usize) -> Vec<f32> {
    // SAFETY: every chunk is filled below.
    let mut table = unsafe { unwritten::<f32>(vocabulary * width) };
    if width == 0 {
        return table;
    }
    let per_chunk = rows_per_chunk(width);
    table
        .par_chunks_mut(per_chunk * width)
        .enumerate()
        .for_each(|(c, chunk)| {
            let first = c * per_chunk;
            let from = ids.partition_point(|&id| (id as usize) < first);
            let mut next = from;
            for (r, to) in chunk.chunks_exact_mut(width).enumerate() {
                if ids.get(next).is_some_and(|&id| id as usize == first + r) {
                    to.copy_from_slice(&rows[next * width..][..width]);
                    next += 1;
                } else {
                    to.fill(0.0);
                }
            }
        });
    table
}

/// Positions grouped by id, ids increasing, positions increasing within each.
pub(crate) struct ById {
    positions: Vec<u32>,
    /// Where each id's positions begin, and the end.
    starts: Vec<usize>,
}

impl ById {
    /// The positions of each id.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &[u32]> {
        self.starts.windows(2).map(|w| &self.positions[w[0]..w[1]])
    }
}

pub(crate) fn by_id(ids: &[u32], padding: Option<u32>) -> ById {
    let mut positions: Vec<u32> = (0..ids.len() as u32)
        .filter(|&p| Some(ids[p as usize]) != padding)
        .collect();
    positions.sort_by_key(|&p| ids[p as usize]);
    let id = |i: usize| ids[positions[i] as usize];
    let mut starts: Vec<usize> = (0..positions.len())
        .filter(|&i| i == 0 || id(i) != id(i - 1))
        .collect();
    starts.push(positions.len());
    ById { positions, starts }
}

/// The sum of the rows of each id, in the order of their positions.
pub(crate) fn sum_rows(grad: &[f32], width: usize, order: &ById) -> Vec<f32> {
    let path = Path::current();
    let segments: Vec<&[u32]> = order.segments().collect();
    // SAFETY: every row is first copied, then added to.
    let mut out = unsafe { unwritten::<f32>(segments.len() * width) };
    if width == 0 {
        return out;
    }
    let row = |p: u32| &grad[p as usize * width..][..width];
    out.par_chunks_exact_mut(width)
        .zip(&segments)
        .for_each(|(out, positions)| {
            out.copy_from_slice(row(positions[0]));
            for &p in &positions[1..] {
                add(path, out, row(p));
            }
        });
    out
}

per_path! {
    fn add(to: &mut [f32], x: &[f32]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to += x;
        }
    }
}
