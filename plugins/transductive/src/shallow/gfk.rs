//! Geodesic flow kernel (Gong, Shi, Sha & Grauman 2012): distances averaged over all subspaces on the way from the source's to the target's.
//!
//! Nothing is minimised. The geodesic `P(t)` on the Grassmann manifold leads from the span of the source's first `dim` principal directions to that of
//! the target's, and the kernel is `x G y = int_0^1 (P(t)' x)' (P(t)' y) dt`. With principal angles `h` between the spans, `a` the source's principal
//! vectors and `b` the unit vectors across them towards the target, `G` is a sum of two-by-two blocks over the pairs `(a, b)`,
//!
//! ```text
//! 1/2 | 1 + sin 2h / 2h      (1 - cos 2h) / 2h |        (the paper has (cos 2h - 1) / 2h in the corners:
//!     | (1 - cos 2h) / 2h    1 - sin 2h / 2h   |         its b points away from the target)
//! ```
//!
//! whose Cholesky factors give `2 dim` new features with plain distances, for both domains alike.
//!
//! Defaults: `dim = 20`, what Gong et al. 2012 find on Office with Caltech, whose SURF features it was thus tuned on, and half of the width where that is less. The features should have mean zero in
//! both domains (`scale = ["zscore"]`); means are not moved. The paper's head is `1-nn`.

use tlkit_core::recipe::Keys;
use tlkit_core::{Error, Result};

use super::align::{Align, Aligned, Pair, dim};
use super::matrix::{Mat, affine, centred, directions, mean};

/// The geodesic flow kernel.
#[derive(Clone, Debug)]
pub(crate) struct Gfk {
    dim: usize,
}

impl Gfk {
    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Self {
        Gfk {
            dim: dim(keys, 20, "Gong et al. 2012"),
        }
    }
}

impl Align for Gfk {
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned> {
        let of = |x: &Mat, domain| directions(&centred(x, &mean(x)), self.dim, domain);
        let (ps, pt) = (of(pair.source, "source")?, of(pair.target, "target")?);
        // Both spans have as many dimensions as the smaller one, and at most half of the width: two spans that fill the space are one, and from the whole space to
        // itself no geodesic leads anywhere.
        let half = (pair.source.ncols() / 2).max(1);
        let dims = ps.ncols().min(pt.ncols()).min(half);
        let root = factor(
            &ps.columns(0, dims).into_owned(),
            &pt.columns(0, dims).into_owned(),
        )?;
        let (from, to) = (vec![0.0; root.nrows()], vec![0.0; root.ncols()]);
        Ok(Aligned::new(pair.source * &root, pair.target * &root)
            .by(affine(&root, &from, &to)?)
            .made()
            .saying("dim", dims as f64))
    }
}

/// `R (width, 2 dim)` with `R R' = G`, of two orthonormal bases `(width, dim)`.
pub(crate) fn factor(ps: &Mat, pt: &Mat) -> Result<Mat> {
    let dims = ps.ncols();
    let svd = ps.tr_mul(pt).svd(true, true);
    let (Some(left), Some(right)) = (&svd.u, &svd.v_t) else {
        return Err(Error::msg("the principal angles cannot be found"));
    };
    let a = ps * left;
    let across = pt * right.transpose();
    let mut root = Mat::zeros(ps.nrows(), 2 * dims);
    for k in 0..dims {
        let cosine = svd.singular_values[k].clamp(0.0, 1.0);
        let along = a.column(k);
        // What is left of the target's principal vector beside the source's.
        let rest = across.column(k) - along * along.dot(&across.column(k));
        let sine = rest.norm();
        let angle = sine.atan2(cosine);
        if angle < 1e-9 {
            root.set_column(2 * k, &along);
            continue;
        }
        let b = rest / sine;
        let (s, c) = (
            (2.0 * angle).sin() / (2.0 * angle),
            (1.0 - (2.0 * angle).cos()) / (2.0 * angle),
        );
        let (top, corner, low) = (0.5 * (1.0 + s), 0.5 * c, 0.5 * (1.0 - s));
        // Cholesky of the block: its columns are two new features.
        let first = top.sqrt();
        let down = corner / first;
        let second = (low - down * down).max(0.0).sqrt();
        root.set_column(2 * k, &(along * first + &b * down));
        root.set_column(2 * k + 1, &(b * second));
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use tlkit_core::random::Stream;

    use super::super::heads::Head;
    use super::*;

    /// Spans of the whole space would leave every distance as it is.
    #[test]
    fn more_directions_than_half_of_the_width_are_not_taken() -> Result<()> {
        let rows = |shift: f64| {
            Mat::from_fn(30, 4, |i, j| {
                ((i * 7 + j * 3) as f64 + shift * j as f64).sin()
            })
        };
        let (source, target) = (rows(0.0), rows(2.0));
        let aligned = Gfk { dim: 20 }.align(&Pair {
            source: &source,
            labels: &[0; 30],
            classes: 1,
            target: &target,
            head: &Head::Nearest { cosine: false },
            random: Stream::new(0),
            going_on: &|| Ok(()),
        })?;
        assert_eq!(aligned.report["dim"], 2.0);
        let apart = |x: &Mat| (x.row(0) - x.row(1)).norm();
        assert!((apart(&aligned.source) - apart(&source)).abs() > 1e-3);
        Ok(())
    }

    #[test]
    fn the_kernel_is_the_average_over_the_way() {
        // Two lines in the plane, and a third direction shared: the integral by small steps.
        let angle: f64 = 0.7;
        let ps = Mat::from_column_slice(3, 2, &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let pt = Mat::from_column_slice(3, 2, &[angle.cos(), angle.sin(), 0.0, 0.0, 0.0, 1.0]);
        let root = factor(&ps, &pt).unwrap();
        let g = &root * root.transpose();
        let steps = 20_000;
        let mut sum = Mat::zeros(3, 3);
        for i in 0..steps {
            let t = (f64::from(i) + 0.5) / f64::from(steps) * angle;
            let p = Mat::from_column_slice(3, 2, &[t.cos(), t.sin(), 0.0, 0.0, 0.0, 1.0]);
            sum += &p * p.transpose() / f64::from(steps);
        }
        assert!((&g - sum).norm() < 1e-8, "{g}");
    }
}
