//! GELU in plain Candle operations.

use super::Kind;
use candle_core::{Result, Tensor};

/// gelu(x + bias).
pub fn bias_gelu(x: &Tensor, bias: Option<&Tensor>, kind: Kind) -> Result<Tensor> {
    let v = match bias {
        Some(b) => x.broadcast_add(b)?,
        None => x.clone(),
    };
    let twice = match kind {
        Kind::Erf => ((&v * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?,
        Kind::Tanh => {
            let cube = ((v.sqr()? * &v)? * 0.044715)?;
            let u = ((&v + cube)?
                * (std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2))?;
            (u.tanh()? + 1.0)?
        }
    };
    (v * 0.5)?.mul(&twice)
}
