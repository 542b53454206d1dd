//! Work split into fixed chunks, so that results do not depend on the number of threads.
//!
//! Every chunk is a constant number of rows or elements, a function of the shapes alone. Which thread takes which chunk
//! changes nothing; where chunks are summed, they are summed in chunk order by one thread (or by column ranges).

use rayon::prelude::*;

/// Elements that one chunk should hold: 64 KiB of f32, which stays in the second-level cache.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Calls `f` for each of `0 .. n`, a task each. One function for all kernels whose tasks are large: the pool's machinery is in the binary once for them.
pub(crate) fn each(n: usize, f: &(dyn Fn(usize) + Sync)) {
    (0..n).into_par_iter().with_max_len(1).for_each(f);
}

/// Rows in one chunk of rows of `width` elements.
pub(crate) fn rows_per_chunk(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

/// Rows in one chunk when each chunk leaves a row of partial sums behind: larger, so that the partial sums stay a
/// small part of the traffic.
pub(crate) fn rows_per_reduction(width: usize) -> usize {
    (4 * CHUNK / width.max(1)).max(16)
}

/// A vector of `n` elements whose contents are unspecified.
///
/// # Safety
/// Every element must be written before it is read. (Zeroing first would cost one more pass over memory, and most
/// kernels here are bound by memory.)
#[allow(clippy::uninit_vec)]
pub(crate) unsafe fn unwritten<T: Copy>(n: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(n);
    // SAFETY: the capacity is n, T is plain data (f32, f64, u32), and the caller writes before reading.
    unsafe { out.set_len(n) };
    out
}

/// A pointer to disjoint parts of one buffer, handed to several tasks.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T>(*mut T);

// SAFETY: only the pointer crosses; every use states why the parts touched are disjoint.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Shared(slice.as_mut_ptr())
    }

    /// A part of a buffer, from this pointer on.
    ///
    /// # Safety
    /// The pointer is into a buffer that lives as long as this is used.
    pub(crate) unsafe fn from_raw(pointer: *mut T) -> Self {
        Shared(pointer)
    }

    /// The pointer to element `offset`.
    ///
    /// # Safety
    /// `offset` lies within the buffer.
    pub(crate) unsafe fn at(self, offset: usize) -> *mut T {
        // SAFETY: by the contract above.
        unsafe { self.0.add(offset) }
    }
}

/// Sums rows of `width` partial sums, in row order: the second half of a chunked reduction.
pub(crate) fn sum_partials(partials: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0f32; width];
    if width == 0 {
        return out;
    }
    out.par_chunks_mut(1024).enumerate().for_each(|(c, out)| {
        let from = c * 1024;
        for row in partials.chunks_exact(width) {
            for (o, p) in out.iter_mut().zip(&row[from..]) {
                *o += p;
            }
        }
    });
    out
}
