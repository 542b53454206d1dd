//! Dropout (Srivastava et al. 2014): each element is zeroed with probability p, the others grow by 1 / (1 - p).
//!
//! Gradient: the same mask applied to the gradient. The mask is a function of a [`Counter`] and the element's index, so
//! it is drawn again in the backward pass and nothing is kept. Element i is zeroed where the key's number i of 16 bits is
//! below k = p 2^16, rounded; the others grow by 1 / (1 - k / 2^16), so the expectation is exact.

pub(crate) mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::gpu::Gpu;
use crate::graph::Output;
use crate::random::Counter;
use crate::tensors::{Reading, on_kernels, tensor};
use candle_core::{Error, Result, Tensor};

/// The probability of zeroing an element, and the key of the mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The probability of zeroing, in 0..1 (1 excluded).
    pub p: f32,
    /// Names the mask; take a new step for each batch.
    pub key: Counter,
}

impl Dropout {
    /// Dropout with probability `p`; an error unless 0 <= p < 1.
    pub fn new(p: f32, key: Counter) -> Result<Self> {
        if !(0.0..1.0).contains(&p) {
            return Err(Error::Msg(format!("dropout: p = {p}, expected 0 <= p < 1")).bt());
        }
        Ok(Dropout { p, key })
    }

    /// Numbers of 16 bits below this zero their element.
    pub(crate) fn threshold(&self) -> u32 {
        ((f64::from(self.p) * 65536.0).round() as u32).min(65535)
    }

    /// What a kept element is multiplied by.
    pub(crate) fn scale(&self) -> f32 {
        (65536.0 / f64::from(65536 - self.threshold())) as f32
    }

    /// What element `i` is multiplied by.
    pub(crate) fn factor(&self, i: u64) -> f32 {
        let zeroed = u32::from(self.key.short(i)) < self.threshold();
        if zeroed { 0.0 } else { self.scale() }
    }
}

/// `x` with dropout; part of no graph. The backward pass is the same call on the gradient.
pub fn forward(x: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    let x = x.detach();
    if let Some(gpu) = Gpu::of(&[&x], &[]) {
        return cuda::forward(&gpu, &x, dropout);
    }
    if !on_kernels(&[&x]) {
        return reference::dropout(&x, dropout);
    }
    tensor(apply(&x, dropout)?, x.shape())
}

/// The gradient of the input: the mask, drawn again, on the gradient.
pub fn backward(grad: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    forward(grad, dropout)
}

/// `x` with dropout, recorded in Candle's graph.
pub fn dropout(x: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    let on_gpu = Gpu::of(&[x], &[]).is_some();
    if !on_gpu && !on_kernels(&[x]) {
        return reference::dropout(x, dropout);
    }
    let data: Output = match on_gpu {
        true => forward(x, dropout)?.into(),
        false => apply(&x.detach(), dropout)?.into(),
    };
    let dropout = *dropout;
    crate::graph::record("dropout", &[x], data, x.shape(), move |_, grad| {
        Ok(vec![Some(backward(grad, &dropout)?)])
    })
}

fn apply(x: &Tensor, dropout: &Dropout) -> Result<Vec<f32>> {
    let x = x.contiguous()?;
    let reading = Reading::of(&x);
    Ok(cpu::forward(reading.slice()?, dropout))
}
