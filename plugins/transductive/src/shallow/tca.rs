//! Transfer component analysis (Pan, Tsang, Kwok & Yang 2011): few directions in which the two domains' means lie together.
//!
//! What it minimises: the squared distance between the domains' means (the maximum mean discrepancy of the kernel) with a penalty `r |W|^2`, while the
//! variance of all rows in the new features is held; the eigenproblem is in [`super::components`].
//!
//! Defaults: `dim = 100`, `regularisation = 1`, `kernel = "linear"`, which Long et al. 2013 give TCA and JDA on Office with Caltech: that is what they were tuned
//! on. The head there is `1-nn`.

use tlkit_core::Result;
use tlkit_core::recipe::Keys;

use super::align::{Align, Aligned, Pair};
use super::components::{Components, between};
use super::matrix::{Mat, stacked};

/// Transfer component analysis.
#[derive(Clone, Debug)]
pub(crate) struct Tca {
    components: Components,
}

impl Tca {
    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Self {
        Tca {
            components: Components::read(keys),
        }
    }
}

impl Align for Tca {
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned> {
        let (n, m) = (pair.source.nrows(), pair.target.nrows());
        let prepared = self
            .components
            .prepared(&stacked(pair.source, pair.target))?;
        let all = |count: usize| (0..count).collect::<Vec<_>>();
        let e = between((n, m), &all(n), &all(m)).unwrap_or_default();
        let found = self
            .components
            .solve(&prepared, &Mat::from_column_slice(n + m, 1, &e))?;
        let dims = found.rows.ncols();
        Ok(Aligned::split(found, n).made().saying("dim", dims as f64))
    }
}
