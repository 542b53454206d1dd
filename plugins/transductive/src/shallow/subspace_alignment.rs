//! Subspace alignment (Fernando, Habrard, Sebban & Tuytelaars 2013): the source's principal directions are turned into the target's.
//!
//! What it minimises: `| Ps M - Pt |` in the Frobenius norm over `M`, where `Ps` and `Pt` hold the first `dim` principal directions of each domain
//! as columns. The solution is `M = Ps' Pt`. Source rows become `(x - ms) Ps M`, target rows `(x - mt) Pt`.
//!
//! Defaults: `dim = 20`. The paper chooses it by a bound on the eigenvalues' gaps and by cross-validation; 20 is what Gong et al. 2012 find on
//! Office with Caltech, whose SURF features it was thus tuned on. The paper's head is `1-nn`.

use tlkit_core::Result;
use tlkit_core::recipe::Keys;

use super::align::{Align, Aligned, Pair, dim};
use super::matrix::{Mat, affine, centred, directions, mean};

/// Subspace alignment.
#[derive(Clone, Debug)]
pub(crate) struct SubspaceAlignment {
    dim: usize,
}

impl SubspaceAlignment {
    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Self {
        SubspaceAlignment {
            dim: dim(keys, 20, "Gong et al. 2012"),
        }
    }
}

impl Align for SubspaceAlignment {
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned> {
        let (ms, mt) = (mean(pair.source), mean(pair.target));
        let (xs, xt) = (centred(pair.source, &ms), centred(pair.target, &mt));
        let of = |x: &Mat, domain| directions(x, self.dim, domain);
        let (ps, pt) = (of(&xs, "source")?, of(&xt, "target")?);
        let m = ps.tr_mul(&pt);
        let dims = pt.ncols();
        Ok(Aligned::new(xs * ps * m, &xt * &pt)
            .by(affine(&pt, &mt, &vec![0.0; dims])?)
            .made()
            .saying("dim", dims as f64))
    }
}
