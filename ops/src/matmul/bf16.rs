//! Products whose operands are rounded to bf16 and whose sums are f32.
//!
//! Where the processor multiplies pairs of bf16 (`vdpbf16ps`), operands are packed once: B whole, in panels of 48 columns,
//! each pair of rows side by side; A by blocks of rows, each by the task that multiplies it. A tile of 8 x 48 sums stays in
//! registers over a block of the inner dimension. With AMX the tiles are the processor's own (`amx`). Elsewhere the rounded operands go through the f32 product: the same
//! numbers but for the rounding of sums, and no faster than f32. Which of the two is measured once ([`super::rate`]).
//!
//! Tasks are blocks of rows, cut by shape: bits do not depend on the number of threads.

use super::cpu::{View, into_view};
use crate::parallel::unwritten;
use crate::path::{Level, Path, per_path};
use rayon::prelude::*;

/// What the sums start from.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    Zero,
    /// The same for every row.
    Bias(&'a [f32]),
    /// What the output holds.
    Kept,
}

/// dst = start + round(a) round(b), with `dst` row-major without gaps.
pub(crate) fn product(dst: &mut [f32], a: View<'_, f32>, b: View<'_, f32>, start: Start<'_>) {
    product_on(super::Precision::Bf16.path(), dst, a, b, start);
}

pub(crate) fn product_on(
    path: Path,
    dst: &mut [f32],
    a: View<'_, f32>,
    b: View<'_, f32>,
    start: Start<'_>,
) {
    a.check();
    b.check();
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!(dst.len(), a.rows * b.columns, "output");
    if let Start::Bias(bias) = start {
        assert_eq!(bias.len(), b.columns, "bias");
    }
    if dst.is_empty() {
        return;
    }
    if path.level() < Level::Avx512Bf16 || a.columns == 0 {
        return plain(dst, a, b, start);
    }
    let (mut ca, mut cb) = (Vec::new(), Vec::new());
    let (a, b) = (a.along_one(&mut ca), b.along_one(&mut cb));
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the path says that the processor has the instructions; the operands lie within their slices and have a
    // stride of one, and dst is rows x columns.
    unsafe {
        match path.level() {
            Level::Amx => super::amx::run(dst, a, b, start),
            _ => super::tile::run(dst, a, b, start),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    plain(dst, a, b, start);
}

/// The same by the f32 product of rounded copies.
fn plain(dst: &mut [f32], a: View<'_, f32>, b: View<'_, f32>, start: Start<'_>) {
    let width = b.columns;
    let beta = match start {
        Start::Zero => 0.0,
        Start::Bias(bias) => {
            dst.par_chunks_mut(width)
                .for_each(|row| row.copy_from_slice(bias));
            1.0
        }
        Start::Kept => 1.0,
    };
    if a.columns == 0 {
        if beta == 0.0 {
            dst.fill(0.0);
        }
        return;
    }
    let (ra, rb) = (rounded(a), rounded(b));
    into_view(dst, ra.view(), rb.view(), beta);
}

struct Rounded {
    data: Vec<f32>,
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl Rounded {
    fn view(&self) -> View<'_, f32> {
        if self.transposed {
            View::new(&self.data, self.columns, self.rows).t()
        } else {
            View::new(&self.data, self.rows, self.columns)
        }
    }
}

/// A rounded copy, in the order in which the matrix lies.
fn rounded(x: View<'_, f32>) -> Rounded {
    let transposed = x.column_stride != 1 && x.row_stride == 1;
    let lying = if transposed { x.t() } else { x };
    let path = Path::current();
    // SAFETY: every row is written below.
    let mut data = unsafe { unwritten::<f32>(x.rows * x.columns) };
    data.par_chunks_mut(lying.columns)
        .enumerate()
        .for_each(|(r, row)| {
            let from = &lying.data[r * lying.row_stride..];
            if lying.column_stride == 1 {
                round_all(path, &from[..row.len()], row);
            } else {
                for (c, y) in row.iter_mut().enumerate() {
                    *y = round(from[c * lying.column_stride]);
                }
            }
        });
    Rounded {
        data,
        rows: x.rows,
        columns: x.columns,
        transposed,
    }
}

/// To the nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
fn round(x: f32) -> f32 {
    let bits = x.to_bits();
    let up = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    let bits = if x.is_nan() { bits | 0x0040_0000 } else { up };
    f32::from_bits(bits & 0xffff_0000)
}

per_path! {
    fn round_all(from: &[f32], to: &mut [f32]) {
        for (y, &x) in to.iter_mut().zip(from) {
            *y = round(x);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn rounding_is_that_of_half() {
        let some = (0..=u32::MAX).step_by(65_521).map(f32::from_bits);
        let ties = (0..1000u32).map(|i| f32::from_bits(0x3f80_8000 + (i << 16)));
        for x in some.chain(ties).chain([f32::MAX, f32::INFINITY, -0.0]) {
            let (a, b) = (super::round(x), half::bf16::from_f32(x).to_f32());
            assert!(
                a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
                "{x}"
            );
        }
    }
}
