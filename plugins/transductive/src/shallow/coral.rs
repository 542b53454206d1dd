//! CORAL (Sun, Feng & Saenko 2016, *Return of Frustratingly Easy Domain Adaptation*): the source is given the target's covariance.
//!
//! What it minimises: `| A' Cs A - Ct |` in the Frobenius norm over linear maps `A` of the source, by whitening and colouring again,
//! `A = (Cs + r I)^-1/2 (Ct + r I)^1/2`. The paper's features have mean zero in both domains; here the source's mean is moved to the
//! target's, which is the same thing on them. The target's rows stay as they are, so the head answers on them directly.
//!
//! Defaults: `regularisation = 1` in units of the features' mean variance over both domains. On features of variance 1 that is the paper's
//! `r = 1`; elsewhere it does not hang on their scale. It was tuned on nothing. The paper's head is `svm`.

use tlkit_core::Result;
use tlkit_core::recipe::Keys;

use super::align::{Align, Aligned, Pair, relative};
use super::matrix::{centred, covariance, mean, moved, power, ridge};

/// CORAL.
#[derive(Clone, Debug)]
pub(crate) struct Coral {
    regularisation: f64,
}

impl Coral {
    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Self {
        Coral {
            regularisation: keys
                .f64("regularisation")
                .above(0.0)
                .default(1.0, "Sun et al. 2016, on features of variance 1")
                .help("added to both covariances, in units of the features' mean variance")
                .read(),
        }
    }
}

impl Align for Coral {
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned> {
        let (ms, mt) = (mean(pair.source), mean(pair.target));
        let (xs, xt) = (centred(pair.source, &ms), centred(pair.target, &mt));
        let (cs, ct) = (covariance(&xs), covariance(&xt));
        let by = relative(self.regularisation, &[&cs, &ct]);
        let a = power(ridge(cs, by), -0.5)? * power(ridge(ct, by), 0.5)?;
        Ok(Aligned::source_moved(moved(xs * a, &mt), pair.target))
    }
}
