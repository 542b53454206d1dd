//! Eigenvalues and eigenvectors of a symmetric matrix: Householder's reduction to three diagonals, then QL with implicit shifts (Golub and
//! Van Loan, Matrix Computations, sections 8.3 and 8.5).

use tlkit_ops::vectors::dot;

/// Eigenvalues in no particular order, and the eigenvectors, one a row. `a` is `(n, n)`, row by row.
pub(super) fn symmetric(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    // The rows of z end as eigenvectors.
    let mut z = vec![0.0; n * n];
    (0..n).for_each(|i| z[i * n + i] = 1.0);
    let mut off = vec![0.0; n];
    for k in 0..n.saturating_sub(1) {
        let mut v: Vec<f64> = (k + 1..n).map(|i| a[i * n + k]).collect();
        let norm = dot(&v, &v).sqrt();
        let alpha = if v[0] > 0.0 { -norm } else { norm };
        off[k] = alpha;
        v[0] -= alpha;
        let length = dot(&v, &v).sqrt();
        if norm == 0.0 || length == 0.0 {
            continue;
        }
        v.iter_mut().for_each(|x| *x /= length);
        reflect_both(&mut a, n, k + 1, &v);
        // Rows of z are columns of the product of reflections.
        let mut sums = vec![0.0; n];
        for (i, x) in v.iter().enumerate() {
            let row = &z[(k + 1 + i) * n..][..n];
            sums.iter_mut().zip(row).for_each(|(s, r)| *s += x * r);
        }
        for (i, x) in v.iter().enumerate() {
            let row = &mut z[(k + 1 + i) * n..][..n];
            row.iter_mut()
                .zip(&sums)
                .for_each(|(r, s)| *r -= 2.0 * x * s);
        }
    }
    let mut d: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    tridiagonal(&mut d, &mut off, &mut z, n);
    (d, z)
}

/// `H A H` of the block from `from` on, with `H = 1 - 2 v v^T`.
fn reflect_both(a: &mut [f64], n: usize, from: usize, v: &[f64]) {
    let row = |i: usize| (from + i) * n + from..(from + i) * n + n;
    let mut w: Vec<f64> = (0..v.len()).map(|i| dot(&a[row(i)], v)).collect();
    let k = dot(&w, v);
    w.iter_mut().zip(v).for_each(|(w, v)| *w -= k * v);
    for i in 0..v.len() {
        let (vi, wi) = (v[i], w[i]);
        let block = &mut a[row(i)];
        for ((x, vj), wj) in block.iter_mut().zip(v).zip(&w) {
            *x -= 2.0 * (vi * wj + wi * vj);
        }
    }
}

/// Diagonalises the diagonal `d` and the one beside it, `e`; rotates the rows of `z` along.
fn tridiagonal(d: &mut [f64], e: &mut [f64], z: &mut [f64], n: usize) {
    for l in 0..n {
        // Two or three rounds do; the bound is for matrices that hold no numbers.
        for _ in 0..60 {
            let split = (l..n - 1).find(|&m| {
                let scale = d[m].abs() + d[m + 1].abs();
                e[m].abs() <= f64::EPSILON * scale
            });
            let m = split.unwrap_or(n - 1);
            if m == l {
                break;
            }
            let half = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let root = half.hypot(1.0).copysign(half);
            let mut g = d[m] - d[l] + e[l] / (half + root);
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut whole = true;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    whole = false;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = d[i + 1] - p;
                let r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                let (low, high) = z.split_at_mut((i + 1) * n);
                let low = &mut low[i * n..];
                for (x, y) in low.iter_mut().zip(&mut high[..n]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
            if whole {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn vectors_and_values_make_the_matrix_again() {
        for n in [1usize, 2, 3, 17, 40] {
            let draws = Stream::new(n as u64).normals(n * n);
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..n {
                    a[i * n + j] = f64::from(draws[i * n + j]) + f64::from(draws[j * n + i]);
                }
            }
            if n == 17 {
                // Of low rank, with equal eigenvalues.
                a.fill(1.0);
            }
            let (values, vectors) = symmetric(a.clone(), n);
            for i in 0..n {
                for j in 0..n {
                    let sum: f64 = (0..n)
                        .map(|k| values[k] * vectors[k * n + i] * vectors[k * n + j])
                        .sum();
                    assert!((sum - a[i * n + j]).abs() < 1e-10, "{n}: {i}, {j}");
                    let one = dot(&vectors[i * n..][..n], &vectors[j * n..][..n]);
                    let wanted = if i == j { 1.0 } else { 0.0 };
                    assert!((one - wanted).abs() < 1e-10);
                }
            }
        }
    }
}
