//! What every method here needs of linear algebra, in f64: covariances, eigenvectors with a sign, powers of a symmetric matrix.
//!
//! An eigenvector has no sign of its own, so that its largest entry is made positive: the same data gives the same bits.

use candle_core::{DType, Device, Tensor};
use nalgebra::{Cholesky, DMatrix, SymmetricEigen};
use tlkit_core::model::Affine;
use tlkit_core::{Error, Result};

/// A matrix; data has a row a sample.
pub(crate) type Mat = DMatrix<f64>;

/// `(rows, width)` of numbers.
pub(crate) fn of(tensor: &Tensor) -> Result<Mat> {
    let (rows, width) = tensor.dims2()?;
    let values = tensor.to_dtype(DType::F64)?.flatten_all()?;
    Ok(Mat::from_row_slice(rows, width, &values.to_vec1::<f64>()?))
}

/// The numbers row after row.
pub(crate) fn row_major(x: &Mat) -> Vec<f64> {
    x.transpose().as_slice().to_vec()
}

/// As a tensor in f32.
pub(crate) fn tensor(x: &Mat) -> Result<Tensor> {
    let values: Vec<f32> = row_major(x).iter().map(|v| *v as f32).collect();
    Ok(Tensor::from_vec(values, x.shape(), &Device::Cpu)?)
}

/// The map `x -> (x - from) A + to`, where `A` is `(width, out)`.
pub(crate) fn affine(a: &Mat, from: &[f64], to: &[f64]) -> Result<Affine> {
    let moved = Mat::from_row_slice(1, from.len(), from) * a;
    let bias: Vec<f32> = moved
        .iter()
        .zip(to.iter().chain(std::iter::repeat(&0.0)))
        .map(|(m, t)| (t - m) as f32)
        .collect();
    Ok(Affine {
        weight: tensor(&a.transpose())?,
        bias: Tensor::from_vec(bias, a.ncols(), &Device::Cpu)?,
    })
}

/// The mean of every column.
pub(crate) fn mean(x: &Mat) -> Vec<f64> {
    let n = x.nrows().max(1) as f64;
    x.column_iter().map(|c| c.sum() / n).collect()
}

/// Without these means.
pub(crate) fn centred(x: &Mat, mean: &[f64]) -> Mat {
    let mut x = x.clone();
    for (mut column, m) in x.column_iter_mut().zip(mean) {
        column.add_scalar_mut(-m);
    }
    x
}

/// The same with a mean put on.
pub(crate) fn moved(mut x: Mat, mean: &[f64]) -> Mat {
    for (mut column, m) in x.column_iter_mut().zip(mean) {
        column.add_scalar_mut(*m);
    }
    x
}

/// The covariance of centred rows, over n - 1.
pub(crate) fn covariance(centred: &Mat) -> Mat {
    let n = centred.nrows().saturating_sub(1).max(1) as f64;
    centred.tr_mul(centred) / n
}

/// Adds a number to the diagonal.
pub(crate) fn ridge(mut a: Mat, by: f64) -> Mat {
    for i in 0..a.nrows() {
        a[(i, i)] += by;
    }
    a
}

/// Eigenvalues of a symmetric matrix, the largest first, and their vectors as columns, the largest entry of each positive.
pub(crate) fn eigen(a: Mat) -> Result<(Vec<f64>, Mat)> {
    // The two halves of a product differ in their last bits.
    let even = (&a + a.transpose()) * 0.5;
    if even.iter().any(|v| !v.is_finite()) {
        return Err(Error::msg(
            "a matrix made of the features is not finite; scale the features",
        ));
    }
    let n = even.nrows();
    let found = SymmetricEigen::new(even);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| {
        let (a, b) = (found.eigenvalues[i], found.eigenvalues[j]);
        b.total_cmp(&a).then(i.cmp(&j))
    });
    let values = order.iter().map(|&i| found.eigenvalues[i]).collect();
    let mut vectors = Mat::zeros(n, n);
    for (to, &from) in order.iter().enumerate() {
        let v = found.eigenvectors.column(from);
        let sign = if largest(v.iter().copied()) < 0.0 {
            -1.0
        } else {
            1.0
        };
        vectors.set_column(to, &(v * sign));
    }
    Ok((values, vectors))
}

/// The entry farthest from zero, the first among equals.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(
        0.0,
        |best: f64, v| if v.abs() > best.abs() { v } else { best },
    )
}

/// A symmetric positive matrix to a power.
pub(crate) fn power(a: Mat, exponent: f64) -> Result<Mat> {
    let (values, vectors) = eigen(a)?;
    let top = values.first().copied().unwrap_or(0.0).max(0.0);
    let floor = top * 1e-14;
    let mut scaled = vectors.clone();
    for (mut column, value) in scaled.column_iter_mut().zip(&values) {
        // A direction without any variance stays without.
        column *= if *value > floor {
            value.powf(exponent)
        } else {
            0.0
        };
    }
    Ok(scaled * vectors.transpose())
}

/// The largest `most` solutions of `B v = w A v`, `A` positive definite, as columns with `v A v = 1`.
pub(crate) fn generalised(b: &Mat, a: &Mat, most: usize) -> Result<Mat> {
    let Some(root) = Cholesky::new(a.clone()) else {
        return Err(Error::msg(
            "the features lie in fewer directions than they have columns; give a larger `regularisation`",
        ));
    };
    let lower = root.l();
    let solve = |m: &Mat| -> Result<Mat> {
        lower.solve_lower_triangular(m).ok_or_else(|| {
            Error::msg("a matrix made of the features is singular; give a larger `regularisation`")
        })
    };
    let half = solve(b)?;
    let whole = solve(&half.transpose())?;
    let (_, vectors) = eigen(whole)?;
    let kept = vectors.columns(0, most.min(vectors.ncols())).into_owned();
    let mut found = lower
        .tr_solve_lower_triangular(&kept)
        .ok_or_else(|| Error::msg("a matrix made of the features is singular"))?;
    for mut v in found.column_iter_mut() {
        if largest(v.iter().copied()) < 0.0 {
            v.neg_mut();
        }
    }
    Ok(found)
}

/// The first principal directions of centred rows as columns `(width, dim)`; fewer where the rows lie in fewer.
pub(crate) fn principal(centred: &Mat, dim: usize) -> Result<Mat> {
    let (rows, width) = centred.shape();
    // The smaller of the two square matrices has the same eigenvalues.
    if width <= rows {
        let (values, vectors) = eigen(covariance(centred))?;
        let kept = rank(&values).min(dim);
        return Ok(vectors.columns(0, kept).into_owned());
    }
    let (values, left) = eigen(centred * centred.transpose())?;
    let kept = rank(&values).min(dim);
    let mut found = centred.tr_mul(&left.columns(0, kept));
    for mut v in found.column_iter_mut() {
        let length = v.norm();
        let sign = if largest(v.iter().copied()) < 0.0 {
            -1.0
        } else {
            1.0
        };
        v *= sign / length;
    }
    Ok(found)
}

/// The same; an error where a domain has no direction at all.
pub(crate) fn directions(centred: &Mat, dim: usize, domain: &str) -> Result<Mat> {
    let found = principal(centred, dim)?;
    match found.ncols() {
        0 => Err(Error::msg(format!(
            "the rows of the {domain} do not vary, so they have no principal directions; give more rows, or take `method = \"coral\"`"
        ))),
        _ => Ok(found),
    }
}

fn rank(values: &[f64]) -> usize {
    let top = values.first().copied().unwrap_or(0.0);
    values
        .iter()
        .filter(|v| **v > top * 1e-12 && **v > 0.0)
        .count()
}

/// Squared distances between the rows of two matrices.
pub(crate) fn distances(x: &Mat, y: &Mat) -> Mat {
    let squares = |m: &Mat| -> Vec<f64> { m.row_iter().map(|r| r.norm_squared()).collect() };
    let (a, b) = (squares(x), squares(y));
    let mut d = x * y.transpose() * -2.0;
    for (j, mut column) in d.column_iter_mut().enumerate() {
        for (i, v) in column.iter_mut().enumerate() {
            *v = (*v + a[i] + b[j]).max(0.0);
        }
    }
    d
}

/// Source over target.
pub(crate) fn stacked(source: &Mat, target: &Mat) -> Mat {
    let (n, m, width) = (source.nrows(), target.nrows(), source.ncols());
    let mut both = Mat::zeros(n + m, width);
    both.rows_mut(0, n).copy_from(source);
    both.rows_mut(n, m).copy_from(target);
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(rows: usize, width: usize, seed: u64) -> Mat {
        let values = tlkit_core::random::Stream::new(seed).normals(rows * width);
        Mat::from_row_iterator(rows, width, values.into_iter().map(f64::from))
    }

    #[test]
    fn powers_multiply_back() {
        let a = covariance(&noise(40, 6, 1));
        let half = power(a.clone(), 0.5).unwrap();
        assert!((&half * &half - &a).norm() < 1e-12);
        let back = power(a.clone(), -1.0).unwrap();
        assert!((back * &a - Mat::identity(6, 6)).norm() < 1e-10);
    }

    #[test]
    fn generalised_vectors_solve_their_equation() {
        let a = ridge(covariance(&noise(40, 6, 2)), 0.1);
        let b = covariance(&noise(40, 6, 3));
        let v = generalised(&b, &a, 3).unwrap();
        let unit = v.transpose() * &a * &v;
        assert!((unit - Mat::identity(3, 3)).norm() < 1e-10);
        let values = v.transpose() * &b * &v;
        for k in 0..3 {
            let gap = &b * v.column(k) - &a * v.column(k) * values[(k, k)];
            assert!(gap.norm() < 1e-10, "{k}");
        }
        assert!(values[(0, 0)] >= values[(1, 1)] && values[(1, 1)] >= values[(2, 2)]);
    }

    #[test]
    fn principal_directions_are_the_same_by_either_matrix() {
        let x = noise(9, 5, 4);
        let x = centred(&x, &mean(&x));
        let tall = principal(&x, 3).unwrap();
        // The same rows with five more columns that are all zero.
        let wide = principal(&x.clone().resize_horizontally(12, 0.0), 3).unwrap();
        assert!((wide.rows(0, 5) - tall).norm() < 1e-10);
    }

    #[test]
    fn an_affine_map_moves_from_one_mean_to_another() {
        let a = noise(3, 2, 5);
        let map = affine(&a, &[1.0, 2.0, 3.0], &[-1.0, 4.0]).unwrap();
        use tlkit_core::model::Map;
        let x = Tensor::new(&[[1f32, 2.0, 3.0]], &Device::Cpu).unwrap();
        let y = map.apply(&x).unwrap().to_vec2::<f32>().unwrap();
        assert!((y[0][0] + 1.0).abs() < 1e-5 && (y[0][1] - 4.0).abs() < 1e-5);
    }
}
