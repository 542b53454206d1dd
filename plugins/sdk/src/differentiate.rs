//! A loss term from its value alone.

use candle_core::{Tensor, Var};
use tlkit_core::Result;
use tlkit_core::strategy::Valued;

/// The value of `f` at taps and parameters, and the gradients that Candle's graph gives. `f` answers a scalar. An input that the value
/// does not depend on gets zeros.
///
/// # Errors
/// Those of `f`, and a value that is no scalar.
pub fn differentiate(
    taps: &[Tensor],
    params: &[Tensor],
    f: impl FnOnce(&[Tensor], &[Tensor]) -> candle_core::Result<Tensor>,
) -> Result<Valued> {
    let vars = |all: &[Tensor]| -> Result<Vec<Var>> {
        all.iter().map(|t| Ok(Var::from_tensor(t)?)).collect()
    };
    let tensors =
        |all: &[Var]| -> Vec<Tensor> { all.iter().map(|v| v.as_tensor().clone()).collect() };
    let (taps, params) = (vars(taps)?, vars(params)?);
    let value = f(&tensors(&taps), &tensors(&params))?;
    let grads = value.backward()?;
    let gradients = |all: &[Var]| -> Result<Vec<Tensor>> {
        let one = |v: &Var| match grads.get(v) {
            Some(g) => Ok(g.detach()),
            None => Ok(v.zeros_like()?.detach()),
        };
        all.iter().map(one).collect()
    };
    Ok(Valued {
        value: f64::from(
            value
                .to_dtype(candle_core::DType::F32)?
                .to_scalar::<f32>()?,
        ),
        taps: gradients(&taps)?,
        params: gradients(&params)?,
    })
}
