//! Products on slices, with their bounds checked: by the `gemm` crate, or by a kernel of this crate: [`panels`] where the path is below
//! AVX-512, `thirds` where it has tiles and the shape is worth it.

use super::panels;
#[cfg(target_arch = "x86_64")]
use super::{amx::thirds, bf16::Start};
use crate::parallel::unwritten;
use crate::path::{Level, Path};
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
            // A product that wraps would lie within.
            let down = (self.rows - 1).checked_mul(self.row_stride);
            let along = (self.columns - 1).checked_mul(self.column_stride);
            let last = down.zip(along).and_then(|(d, a)| d.checked_add(a));
            assert!(
                last.is_some_and(|last| last < self.data.len()),
                "matrix reaches past its slice"
            );
        }
    }
}

impl<'a> View<'a, f32> {
    /// Itself if one of its strides is one, otherwise a copy.
    pub(super) fn along_one(self, copy: &'a mut Vec<f32>) -> Self {
        if self.row_stride == 1 || self.column_stride == 1 {
            return self;
        }
        copy.reserve(self.rows * self.columns);
        for r in 0..self.rows {
            let from = &self.data[r * self.row_stride..];
            copy.extend((0..self.columns).map(|c| from[c * self.column_stride]));
        }
        View::new(copy, self.rows, self.columns)
    }
}

/// Threads for one product: those of the current pool.
fn parallelism() -> Parallelism {
    match rayon::current_num_threads() {
        1 => Parallelism::None,
        n => Parallelism::Rayon(n),
    }
}

/// dst = scale * a b, added to what `dst` holds if `keep`, by a kernel of this crate: whether there is one for this path and shape.
///
/// # Safety
/// `a` and `b` lie within their slices; `dst` has rows of `b.columns` elements, `row_stride` apart, one for each of `a`'s, valid for writing
/// (and for reading, with `keep`), which nothing else touches meanwhile.
#[allow(clippy::too_many_arguments)]
unsafe fn ours(
    path: Path,
    dst: *mut f32,
    row_stride: usize,
    keep: bool,
    a: View<'_, f32>,
    b: View<'_, f32>,
    scale: f32,
    alone: bool,
) -> bool {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if m * n * k == 0 {
        return false;
    }
    if panels::takes(path) {
        // SAFETY: by the contract of this function; nothing is empty.
        unsafe { panels::run(path, dst, row_stride, keep, a, b, scale, alone) };
        return true;
    }
    #[cfg(target_arch = "x86_64")]
    if path.level() == Level::Amx && scale == 1.0 && thirds::takes(n, k) {
        let (mut ca, mut cb) = (Vec::new(), Vec::new());
        let (a, b) = (a.along_one(&mut ca), b.along_one(&mut cb));
        let start = if keep { Start::Kept } else { Start::Zero };
        // SAFETY: the path says that the tiles are there; a stride of each is one; the rest as above.
        unsafe { thirds::run(dst, row_stride, start, a, b, alone) };
        return true;
    }
    false
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
    let one = T::of(1.0);
    if column_stride == 1
        && keep.is_none_or(|k| k == one)
        && let (Some(a), Some(b), Some(scale)) = (T::f32s(a), T::f32s(b), T::f32(scale))
    {
        let path = Path::current();
        let alone = matches!(parallelism, Parallelism::None);
        // SAFETY: T is f32; a and b lie within their slices (checked above); dst by the contract of this function.
        if unsafe {
            ours(
                path,
                dst.cast(),
                row_stride,
                keep.is_some(),
                a,
                b,
                scale,
                alone,
            )
        } {
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

/// A row-major slice as a matrix of `rows` x `columns`, stored transposed or not.
fn operand<T: Element>(of: &[T], transposed: bool, rows: usize, columns: usize) -> View<'_, T> {
    match transposed {
        true => View::new(of, columns, rows).t(),
        false => View::new(of, rows, columns),
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
    into_view(dst, operand(a, ta, m, k), operand(b, tb, k, n), beta);
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
            let (a, b) = (operand(a, ta, m, k), operand(b, tb, k, n));
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

/// a b, with `bias` added to each row, by a kernel that starts from it: nothing where the path and the shape have none.
pub(crate) fn biased(a: View<'_, f32>, b: View<'_, f32>, bias: &[f32]) -> Option<Vec<f32>> {
    #[cfg(target_arch = "x86_64")]
    if Path::current().level() == Level::Amx && a.rows > 0 && thirds::takes(b.columns, a.columns) {
        a.check();
        b.check();
        assert_eq!(a.columns, b.rows, "inner dimensions");
        assert_eq!(bias.len(), b.columns, "bias");
        let (mut ca, mut cb) = (Vec::new(), Vec::new());
        let (a, b) = (a.along_one(&mut ca), b.along_one(&mut cb));
        let alone = rayon::current_num_threads() == 1;
        // SAFETY: every element is written below.
        let mut out = unsafe { unwritten::<f32>(a.rows * b.columns) };
        let start = Start::Bias(bias);
        // SAFETY: the path says that the tiles are there; a stride of each is one, and they lie within their slices.
        unsafe { thirds::run(out.as_mut_ptr(), b.columns, start, a, b, alone) };
        return Some(out);
    }
    None
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
