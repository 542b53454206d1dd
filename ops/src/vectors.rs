//! Vectors of f64: most of what a closed-form fit does.
//!
//! Products and sums are rounded one by one and in a fixed order, so every instruction set gives the same bits.

use crate::path::{Path, per_path};

#[cfg(target_arch = "x86_64")]
mod x86;

/// Sums side by side: one sum alone would have to wait for each addition before it makes the next.
const SUMS: usize = 16;

per_path! {
    fn dot_on(a: &[f64], b: &[f64]) -> f64 {
        let (a, b) = (a.chunks_exact(SUMS), b.chunks_exact(SUMS));
        let rest = a.remainder().iter().zip(b.remainder());
        let rest: f64 = rest.map(|(x, y)| x * y).sum();
        let mut sums = [0.0; SUMS];
        for (a, b) in a.zip(b) {
            for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += x * y;
            }
        }
        sums.iter().sum::<f64>() + rest
    }
}

per_path! {
    fn add_scaled_on(to: &mut [f64], scale: f64, x: &[f64]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to += scale * x;
        }
    }
}

/// The inner product of two vectors of one length.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    dot_on(Path::current(), a, b)
}

/// Adds `scale` times one vector to another of its length.
pub fn add_scaled(to: &mut [f64], scale: f64, x: &[f64]) {
    debug_assert_eq!(to.len(), x.len());
    add_scaled_on(Path::current(), to, scale, x);
}

/// The inner products of rows `(out.len(), x.len())`, row after row, with a vector: bit for bit what [`dot`] gives for each.
pub fn dots(rows: &[f64], x: &[f64], out: &mut [f64]) {
    dots_on(Path::current(), rows, x, out);
}

fn dots_on(path: Path, rows: &[f64], x: &[f64], out: &mut [f64]) {
    let width = x.len();
    assert_eq!(rows.len(), out.len() * width, "rows of the vector's length");
    // Some rows at once where there are instructions for it, and `x` is read once for them.
    #[cfg(target_arch = "x86_64")]
    let done = x86::dots(path, rows, x, out);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (i, out) in out.iter_mut().enumerate().skip(done) {
        *out = dot_on(path, &rows[i * width..(i + 1) * width], x);
    }
}

/// Adds rows `(scales.len(), to.len())`, each times its scale: bit for bit what [`add_scaled`] gives row after row.
pub fn add_all(to: &mut [f64], scales: &[f64], rows: &[f64]) {
    add_all_on(Path::current(), to, scales, rows);
}

fn add_all_on(path: Path, to: &mut [f64], scales: &[f64], rows: &[f64]) {
    let width = to.len();
    assert_eq!(
        rows.len(),
        scales.len() * width,
        "rows of the vector's length"
    );
    // Some rows in one go over `to`, each number in the order of the rows.
    #[cfg(target_arch = "x86_64")]
    let done = x86::add_all(path, to, scales, rows);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (i, scale) in scales.iter().enumerate().skip(done) {
        add_scaled_on(path, to, *scale, &rows[i * width..(i + 1) * width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_gives_the_same_bits() {
        for n in [0, 1, 15, 16, 17, 250] {
            let a: Vec<f64> = (0..n).map(|i| f64::from(i).sin()).collect();
            let b: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
            let exact: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            let plain = dot(&a, &b);
            assert!((plain - exact).abs() < 1e-14, "{n}: {plain} {exact}");
            let mut to = b.clone();
            add_scaled(&mut to, -0.3, &a);
            let wanted = b.iter().zip(&a).map(|(b, a)| b + -0.3 * a);
            assert!(to.iter().copied().eq(wanted), "{n}");
            for path in Path::all() {
                assert_eq!(dot_on(path, &a, &b).to_bits(), plain.to_bits(), "{n}");
                let mut on = b.clone();
                add_scaled_on(path, &mut on, -0.3, &a);
                assert_eq!(on, to, "{n}");
            }
        }
    }

    #[test]
    fn rows_together_have_the_bits_of_rows_one_by_one() {
        for (n, width) in [(1, 5), (4, 16), (7, 37), (10, 256), (3, 1), (5, 0)] {
            let number = |i: usize| (1.7 * i as f64).sin();
            let rows: Vec<f64> = (0..n * width).map(number).collect();
            let x: Vec<f64> = (0..width).map(|i| number(i + 1000)).collect();
            let scales: Vec<f64> = (0..n).map(|i| number(i + 2000)).collect();
            let row = |r: usize| &rows[r * width..(r + 1) * width];
            let mut sum = x.clone();
            (0..n).for_each(|r| add_scaled(&mut sum, scales[r], row(r)));
            let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let single: Vec<f64> = (0..n).map(|r| dot(row(r), &x)).collect();
            for path in Path::all() {
                let mut out = vec![f64::NAN; n];
                dots_on(path, &rows, &x, &mut out);
                assert_eq!(bits(&out), bits(&single), "{n} x {width}, {path:?}");
                let mut to = x.clone();
                add_all_on(path, &mut to, &scales, &rows);
                assert_eq!(bits(&to), bits(&sum), "{n} x {width}, {path:?}");
            }
        }
    }
}
