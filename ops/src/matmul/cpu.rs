//! Products on slices, with their bounds checked: by the `gemm` crate, or by [`panels`] where the path is below AVX-512.

use super::panels;
use crate::parallel::unwritten;
use crate::path::Path;
use crate::tensors::{Element, Reading};
use candle_core::{Result, Tensor};
use gemm::Parallelism;

/// A matrix within a slice: element (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// The elements, the first one at index 0.
    pub data: &'a [T],
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Elements from one row to the next.
    pub row_stride: usize,
    /// Elements from one column to the next.
    pub column_stride: usize,
}

impl<'a, T: Element> View<'a, T> {
    /// A row-major matrix without gaps.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        View {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        View {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// A 2-D tensor as it lies, or its transpose.
    pub(crate) fn of(reading: &'a Reading<'_>, t: &Tensor, transposed: bool) -> Result<Self> {
        let (rows, columns) = t.dims2()?;
        let stride = t.stride();
        let view = View {
            data: reading.unstrided::<T>()?,
            rows,
            columns,
            row_stride: stride[0],
            column_stride: stride[1],
        };
        Ok(if transposed { view.t() } else { view })
    }

    pub(crate) fn check(&self) {
        if self.rows > 0 && self.columns > 0 {
            let last = (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
            assert!(last < self.data.len(), "matrix reaches past its slice");
        }
    }
}

/// Threads for one product: those of the current pool.
fn parallelism() -> Parallelism {
    match rayon::current_num_threads() {
        1 => Parallelism::None,
        n => Parallelism::Rayon(n),
    }
}

/// dst = keep * dst + scale * a b on raw strides; `keep` = None writes without reading.
///
/// # Safety
/// `dst` is valid for writing (and reading, with `keep`) at every element of a `a.rows` x `b.columns` matrix with these
/// strides, no two of them the same, and nothing else touches them meanwhile.
pub(crate) unsafe fn raw<T: Element>(
    dst: *mut T,
    row_stride: usize,
    column_stride: usize,
    keep: Option<T>,
    a: View<'_, T>,
    b: View<'_, T>,
    scale: T,
    parallelism: Parallelism,
) {
    a.check();
    b.check();
    assert_eq!(a.columns, b.rows, "inner dimensions");
    let path = Path::current();
    if panels::takes(path) && column_stride == 1 && a.columns > 0 && a.rows * b.columns > 0 {
        let one = T::of(1.0);
        if keep.is_none_or(|k| k == one)
            && let (Some(a), Some(b), Some(scale)) = (T::f32s(a), T::f32s(b), T::f32(scale))
        {
            let alone = matches!(parallelism, Parallelism::None);
            // SAFETY: T is f32; a and b lie within their slices (checked above); dst by the contract of this function.
            unsafe {
                panels::run(
                    path,
                    dst.cast(),
                    row_stride,
                    keep.is_some(),
                    a,
                    b,
                    scale,
                    alone,
                );
            }
            return;
        }
    }
    // SAFETY: a and b lie within their slices (checked above); dst by the contract of this function.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            dst,
            column_stride as isize,
            row_stride as isize,
            keep.is_some(),
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            keep.unwrap_or_default(),
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `dst = beta * dst + a b`, with `dst` row-major of `a.rows` x `b.columns`. With `beta` = 0, `dst` is not read.
///
/// # Panics
/// If a shape does not fit.
pub fn into_view<T: Element>(dst: &mut [T], a: View<'_, T>, b: View<'_, T>, beta: T) {
    assert_eq!(
        dst.len(),
        a.rows * b.columns,
        "output of {} x {}",
        a.rows,
        b.columns
    );
    let keep = (beta != T::default()).then_some(beta);
    // SAFETY: dst has exactly rows x columns elements and is borrowed mutably.
    unsafe {
        raw(
            dst.as_mut_ptr(),
            b.columns,
            1,
            keep,
            a,
            b,
            T::of(1.0),
            parallelism(),
        );
    }
}

/// `dst = beta * dst + op(a) op(b)` on row-major slices: op(a) is `m` x `k`, op(b) `k` x `n`, and `ta` (`tb`) says that
/// `a` (`b`) is stored transposed. With `beta` = 0, `dst` is not read.
///
/// # Panics
/// If a length does not fit.
pub fn into<T: Element>(
    dst: &mut [T],
    a: &[T],
    ta: bool,
    b: &[T],
    tb: bool,
    (m, n, k): (usize, usize, usize),
    beta: T,
) {
    let a = if ta {
        View::new(a, k, m).t()
    } else {
        View::new(a, m, k)
    };
    let b = if tb {
        View::new(b, n, k).t()
    } else {
        View::new(b, k, n)
    };
    into_view(dst, a, b, beta);
}

/// The product of each of `batch` pairs of matrices that lie one after another, in parallel over the batch.
///
/// Each product runs on one thread; shapes and transposes are as in [`into`].
///
/// # Panics
/// If a length does not fit.
pub fn into_batched<T: Element>(
    dst: &mut [T],
    a: &[T],
    ta: bool,
    b: &[T],
    tb: bool,
    batch: usize,
    (m, n, k): (usize, usize, usize),
    beta: T,
) {
    use rayon::prelude::*;
    assert_eq!(dst.len(), batch * m * n, "output of {batch} products");
    assert_eq!(a.len(), batch * m * k, "left operand of {batch} products");
    assert_eq!(b.len(), batch * k * n, "right operand of {batch} products");
    let keep = (beta != T::default()).then_some(beta);
    if m * n == 0 {
        return;
    }
    dst.par_chunks_exact_mut(m * n)
        .enumerate()
        .for_each(|(i, dst)| {
            let a = &a[i * m * k..(i + 1) * m * k];
            let b = &b[i * k * n..(i + 1) * k * n];
            let a = if ta {
                View::new(a, k, m).t()
            } else {
                View::new(a, m, k)
            };
            let b = if tb {
                View::new(b, n, k).t()
            } else {
                View::new(b, k, n)
            };
            // SAFETY: dst has exactly m x n elements and is borrowed mutably.
            unsafe {
                raw(
                    dst.as_mut_ptr(),
                    n,
                    1,
                    keep,
                    a,
                    b,
                    T::of(1.0),
                    Parallelism::None,
                );
            }
        });
}

/// The product in a new vector.
pub(crate) fn fresh<T: Element>(a: View<'_, T>, b: View<'_, T>) -> Vec<T> {
    let n = a.rows * b.columns;
    if a.columns == 0 {
        return vec![T::default(); n];
    }
    // SAFETY: gemm writes every element and, with beta = 0, reads none.
    let mut out = unsafe { unwritten::<T>(n) };
    into_view(&mut out, a, b, T::default());
    out
}
