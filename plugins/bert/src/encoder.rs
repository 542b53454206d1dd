//! A trainable BERT encoder, after Devlin et al. 2019 and transformers' `modeling_bert.py`: token, position and segment embeddings, then
//! layers of self-attention and a feed-forward part, each with a residual and a layer norm behind it.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::nn::{Flow, Init, Param, Pass, Role, Scope, Stage};
use tlkit_core::task::Encoder;
use tlkit_core::{Error, Result};
use tlkit_ops::attention::KeyMask;
use tlkit_ops::dropout::Dropout;

use crate::config::BertConfig;
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

struct Embeddings {
    words: Param,
    positions: Param,
    types: Param,
    norm: Norm,
    dropout: f64,
}

impl Embeddings {
    fn new(scope: &Scope<'_>, config: &BertConfig) -> Result<Self> {
        let init = Init::Normal(config.initializer_range);
        let table = |name: &str, rows: usize| {
            scope.param(
                &format!("{name}.weight"),
                &[rows, config.hidden_size],
                Role::Embedding,
                init,
            )
        };
        Ok(Embeddings {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            types: table("token_type_embeddings", config.type_vocab_size)?,
            norm: Norm::new(&scope.sub("LayerNorm"), config)?,
            dropout: config.hidden_dropout_prob,
        })
    }
}

impl Stage for Embeddings {
    fn name(&self) -> &str {
        "embeddings"
    }

    fn params(&self) -> Vec<Param> {
        let mut all = vec![
            self.words.clone(),
            self.positions.clone(),
            self.types.clone(),
        ];
        all.extend(self.norm.params());
        all
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let (rows, length) = x.hidden.dims2()?;
        let most = self.positions.dims()[0];
        if length > most {
            return Err(Error::msg(format!(
                "a text of {length} tokens is longer than the {most} positions of this BERT"
            )));
        }
        let width = self.words.dims()[1];
        let ids = x.hidden.flatten_all()?;
        let words = tlkit_ops::embedding::embedding(&self.words.tensor(), &ids, None)?
            .reshape((rows, length, width))?;
        let types = x.batch.want("type_ids")?.flatten_all()?;
        let types = tlkit_ops::embedding::embedding(&self.types.tensor(), &types, None)?
            .reshape((rows, length, width))?;
        let positions = self.positions.tensor().narrow(0, 0, length)?.unsqueeze(0)?;
        let sum = (words + types)?.broadcast_add(&positions)?;
        let y = tlkit_ops::layer_norm::layer_norm(
            &sum,
            &self.norm.weight.tensor(),
            &self.norm.bias.tensor(),
            self.norm.eps,
        )?;
        Ok(x.with(drop(&y, self.dropout, pass, "embeddings")?))
    }

    fn output(&self) -> String {
        format!("(length, {})", self.words.dims()[1])
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

/// The batch's key mask.
pub(crate) fn key_mask(x: &Flow) -> Result<KeyMask> {
    Ok(KeyMask::from_tensor(x.batch.want("attention_mask")?)?)
}
