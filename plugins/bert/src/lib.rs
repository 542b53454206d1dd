//! BERT: text in, features out.
//!
//! A trainable BERT on tlkit's own differentiable operations (Candle's has none for layer norm: it trains 2 of its 103
//! tensors, and the loss still falls). What is registered:
//!
//! - source task `bert`: any checkpoint of `model_type: bert` in the HF layout, or a fresh network of a stated shape
//! - target task `text-classification`: texts or pairs of texts, with BERT's own head by default
//! - target task `masked-language-modelling`: pre-training
//!
//! Where to look: [`source`](BertSource) is the front door; `encoder` and `layer` are the network, `layer` with a hand-written way
//! back; `tokenizer` and `prepare` turn texts into batches; `checkpoint` and `export` read and write the HF layout.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::registry::Registry;
use tlkit_ops::cross_entropy::{CrossEntropy, cross_entropy};

mod checkpoint;
mod classification;
mod config;
mod encoder;
mod export;
mod layer;
mod mlm;
mod pooling;
mod prepare;
mod source;
mod tokenizer;

pub use checkpoint::Checkpoint;
pub use classification::TextClassification;
pub use config::BertConfig;
pub use encoder::BertEncoder;
pub use layer::Layer;
pub use mlm::MaskedLanguageModelling;
pub use pooling::{FirstToken, Max, Mean};
pub use prepare::TextPrepare;
pub use source::BertSource;
pub use tokenizer::Tokens;

/// Adds everything of this crate to a registry.
pub fn register(registry: &mut Registry) -> Result<()> {
    registry.source("bert", &["bert"], Arc::new(BertSource::make))?;
    registry.target("text-classification", Arc::new(TextClassification::make))?;
    registry.target(
        "masked-language-modelling",
        Arc::new(MaskedLanguageModelling::make),
    )
}

/// Cross-entropy of `logits` `(rows, classes)` and `labels` `(rows,)`.
pub(crate) fn loss(
    logits: &Tensor,
    labels: &Tensor,
    smoothing: f64,
    weights: Option<&[f32]>,
) -> Result<Tensor> {
    let options = CrossEntropy {
        label_smoothing: smoothing,
        weights: weights.map(<[f32]>::to_vec),
        ..CrossEntropy::default()
    };
    Ok(cross_entropy(logits, labels, &options)?)
}
