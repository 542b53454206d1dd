//! Linear optimal transport (Flamary, Lounici & Ferrari 2019, after Dowson & Landau 1982): the map of least effort between two Gaussians that have the
//! domains' means and covariances.
//!
//! What it minimises: `E |x - T(x)|^2` over maps that take `N(ms, Cs)` to `N(mt, Ct)`. The solution is
//! `T(x) = mt + A (x - ms)`, `A = Cs^-1/2 (Cs^1/2 Ct Cs^1/2)^1/2 Cs^-1/2`. CORAL's map has the same image, but turns the source more than it must.
//!
//! Defaults: `regularisation = 0.01` of the features' mean variance, added to both covariances: directions with next to no variance
//! would be stretched without end. (Ours; the paper leaves it open. It was tuned on nothing.)

use tlkit_core::Result;
use tlkit_core::recipe::Keys;

use super::align::{Align, Aligned, Pair, relative};
use super::matrix::{centred, covariance, mean, moved, power, ridge};

/// The Monge map between Gaussians.
#[derive(Clone, Debug)]
pub(crate) struct LinearOt {
    regularisation: f64,
}

impl LinearOt {
    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Self {
        LinearOt {
            regularisation: keys
                .f64("regularisation")
                .above(0.0)
                .default(0.01, "ours: a hundredth of the mean variance")
                .help("added to both covariances, in units of the features' mean variance")
                .read(),
        }
    }
}

impl Align for LinearOt {
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned> {
        let (ms, mt) = (mean(pair.source), mean(pair.target));
        let (xs, xt) = (centred(pair.source, &ms), centred(pair.target, &mt));
        let (cs, ct) = (covariance(&xs), covariance(&xt));
        let by = relative(self.regularisation, &[&cs, &ct]);
        let (cs, ct) = (ridge(cs, by), ridge(ct, by));
        let (half, back) = (power(cs.clone(), 0.5)?, power(cs, -0.5)?);
        let middle = power(&half * ct * &half, 0.5)?;
        let a = &back * middle * &back;
        Ok(Aligned::source_moved(moved(xs * a, &mt), pair.target))
    }
}
