//! A trainable BERT encoder, after Devlin et al. 2019 and transformers' `modeling_bert.py`: token, position and segment embeddings, then
//! layers of self-attention and a feed-forward part, each with a residual and a layer norm behind it.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use tlkit_core::Result;
use tlkit_core::nn::{Flow, Init, Param, Pass, Role, Scope, Stage};
use tlkit_core::task::Encoder;
use tlkit_ops::Precision;
use tlkit_ops::attention::KeyMask;
use tlkit_ops::dropout::Dropout;

use crate::config::BertConfig;
use crate::embeddings::Embeddings;
use crate::layer::Layer;

/// Embeddings and layers.
pub struct BertEncoder {
    stages: Vec<Arc<dyn Stage>>,
    width: usize,
}

impl BertEncoder {
    /// Under a scope whose names are those of transformers' `BertModel`.
    pub fn new(scope: &Scope<'_>, config: &BertConfig) -> Result<Self> {
        let mut stages: Vec<Arc<dyn Stage>> =
            vec![Arc::new(Embeddings::new(&scope.sub("embeddings"), config)?)];
        for i in 0..config.num_hidden_layers {
            let layer = Layer::new(
                &format!("encoder.{i}"),
                &scope.sub(&format!("encoder.layer.{i}")),
                config,
            )?;
            stages.push(Arc::new(layer));
        }
        Ok(BertEncoder {
            stages,
            width: config.hidden_size,
        })
    }
}

impl Encoder for BertEncoder {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// Scale and shift of a layer norm.
pub(crate) struct Norm {
    pub weight: Param,
    pub bias: Param,
    pub eps: f64,
}

impl Norm {
    pub fn new(scope: &Scope<'_>, config: &BertConfig) -> Result<Self> {
        Ok(Norm {
            weight: scope.param(
                "weight",
                &[config.hidden_size],
                Role::NormWeight,
                Init::Ones,
            )?,
            bias: scope.param("bias", &[config.hidden_size], Role::NormBias, Init::Zeros)?,
            eps: config.layer_norm_eps,
        })
    }

    pub fn params(&self) -> [Param; 2] {
        [self.weight.clone(), self.bias.clone()]
    }
}

/// Dropout while training.
pub(crate) fn drop(x: &Tensor, p: f64, pass: &Pass, place: &str) -> Result<Tensor> {
    match dropout(p, pass, place)? {
        None => Ok(x.clone()),
        Some(d) => Ok(tlkit_ops::dropout::dropout(x, &d)?),
    }
}

/// The dropout of a place, if any is on.
pub(crate) fn dropout(p: f64, pass: &Pass, place: &str) -> Result<Option<Dropout>> {
    if !pass.training || p == 0.0 {
        return Ok(None);
    }
    Ok(Some(Dropout::new(p as f32, pass.counter(place))?))
}

/// The batch's mask again where the batch is on a GPU, but on the CPU: each layer looks at it there, and would wait for the device.
pub(crate) const MASK_ON_HOST: &str = "attention_mask_on_host";

/// The batch's key mask.
pub(crate) fn key_mask(x: &Flow) -> Result<KeyMask> {
    let mask = match x.batch.get(MASK_ON_HOST) {
        Some(mask) => mask,
        None => x.batch.want("attention_mask")?,
    };
    Ok(KeyMask::from_tensor(mask)?)
}

/// Activations as a GPU keeps them at this precision: bf16 takes half the memory and half the traffic. (On a CPU only the factors of products
/// are rounded, and activations stay f32.)
pub(crate) fn kept(h: &Tensor, pass: &Pass) -> Result<Tensor> {
    match pass.precision {
        Precision::Bf16 if !h.device().is_cpu() => Ok(h.to_dtype(DType::BF16)?),
        _ => Ok(h.clone()),
    }
}

/// Activations in f32 again, for what sums over many of them.
pub(crate) fn full(h: &Tensor) -> Result<Tensor> {
    match h.dtype() {
        DType::BF16 => Ok(h.to_dtype(DType::F32)?),
        _ => Ok(h.clone()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_timed_step_has_its_mask_on_the_host_as_training_has() {
        let step = include_str!("../examples/bert-step.rs");
        assert!(step.contains(&format!("\"{}\"", super::MASK_ON_HOST)));
    }
}
