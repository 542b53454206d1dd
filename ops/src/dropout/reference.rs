//! Dropout as a product with the mask as a tensor.

use super::Dropout;
use candle_core::{Device, Result, Shape, Tensor};

/// The mask, 0 or 1 / (1 - p) for each element, as f32 on the CPU.
pub fn mask<S: Into<Shape>>(shape: S, dropout: &Dropout) -> Result<Tensor> {
    let shape = shape.into();
    let mask: Vec<f32> = (0..shape.elem_count() as u64)
        .map(|i| dropout.factor(i))
        .collect();
    Tensor::from_vec(mask, shape, &Device::Cpu)
}

/// x times the mask.
pub fn dropout(x: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    let mask = mask(x.shape(), dropout)?
        .to_dtype(x.dtype())?
        .to_device(x.device())?;
    x.mul(&mask)
}
