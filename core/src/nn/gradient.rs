//! Gradients that are not the derivative of what was computed: scaled ones, and ones that came from elsewhere.
//!
//! Both rest on `x - x.detach()`: zero in value, to the bit, and `x` in its gradient.

use candle_core::Tensor;

use crate::{Error, Result};

/// `x`, its gradient times `factor` on the way back. With a negative factor this is gradient reversal (Ganin et al. 2016): what
/// follows learns to tell domains apart, what comes before learns to prevent it.
pub fn scale_gradient(x: &Tensor, factor: f64) -> Result<Tensor> {
    let still = x.detach();
    Ok((&still + scaled(&(x - &still)?, factor)?)?)
}

/// `x` times a number, its gradient too. (`x * 0.0` in Candle cuts the graph: a schedule that starts at zero would look dead.)
pub(crate) fn scaled(x: &Tensor, factor: f64) -> Result<Tensor> {
    let factor = Tensor::new(factor, x.device())?.to_dtype(x.dtype())?;
    Ok(x.broadcast_mul(&factor)?)
}

/// A scalar of this value whose gradient with respect to each tensor is the one given: a loss whose derivative was worked out by hand,
/// or on the other side of a border.
pub fn with_gradients(value: f64, gradients: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (x, gradient) in gradients {
        if x.dims() != gradient.dims() {
            return Err(Error::msg(format!(
                "a gradient of shape {:?} for a tensor of shape {:?}",
                gradient.dims(),
                x.dims()
            )));
        }
        let product = (*x * gradient.detach())?.sum_all()?;
        let zero = (&product - product.detach())?;
        sum = Some(match sum {
            Some(s) => (s + zero)?,
            None => zero,
        });
    }
    match sum {
        Some(s) => Ok((s + value)?),
        None => Err(Error::msg("a loss that depends on nothing")),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn a_scaled_gradient_leaves_the_value_to_the_bit() -> Result<()> {
        let x = Var::new(&[0.1f32, -3.3, 1e-30, 7e20], &Device::Cpu)?;
        let y = scale_gradient(&x, -0.7)?;
        let bits = |t: &Tensor| -> Result<Vec<u32>> {
            Ok(t.to_vec1::<f32>()?.iter().map(|v| v.to_bits()).collect())
        };
        assert_eq!(bits(&y)?, bits(&x)?);
        let grads = (y * 3.0)?.sum_all()?.backward()?;
        assert_eq!(
            bits(grads.get(&x).unwrap())?,
            [(-0.7f32 * 3.0).to_bits(); 4]
        );
        Ok(())
    }

    #[test]
    fn given_gradients_arrive_and_the_value_is_exact() -> Result<()> {
        let (x, y) = (
            Var::new(&[1f32, 2.0], &Device::Cpu)?,
            Var::new(&[[0.3f32]], &Device::Cpu)?,
        );
        let g = Tensor::new(&[0.25f32, -4.0], &Device::Cpu)?;
        let h = Tensor::new(&[[9f32]], &Device::Cpu)?;
        let loss = with_gradients(0.123, &[(&x, &g), (&y, &h)])?;
        assert_eq!(loss.to_scalar::<f32>()?, 0.123);
        let grads = loss.backward()?;
        assert_eq!(grads.get(&x).unwrap().to_vec1::<f32>()?, [0.25, -4.0]);
        assert_eq!(grads.get(&y).unwrap().to_vec2::<f32>()?, [[9.0]]);
        assert!(with_gradients(0.0, &[(&x, &h)]).is_err());
        Ok(())
    }
}
