//! BERT: text in, features out.
//!
//! A trainable BERT on tlkit's own differentiable operations (Candle's has none for layer norm: it trains 2 of its 103
//! tensors, and the loss still falls). What is registered:
//!
//! - source task `bert`: any checkpoint of `model_type: bert` in the HF layout, or a fresh network of a stated shape
//! - target task `text-classification`: texts or pairs of texts, with BERT's own head by default
//! - target task `masked-language-modelling`: pre-training
//! - target task `text-vectors`: plain texts to vectors, which a teacher teaches
//!
//! Where to look: [`source`](BertSource) is the front door; `encoder`, `embeddings` and `layer` are the network, with hand-written
//! ways back; `tokenizer` and `prepare` turn texts into batches; `checkpoint` and `export` read and write the HF layout.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::Registry;

mod checkpoint;
mod classification;
mod config;
mod embeddings;
mod encoder;
mod export;
mod layer;
mod mlm;
mod pooling;
mod prepare;
mod source;
mod source_head;
mod tokenizer;
mod vectors;

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
pub use vectors::TextVectors;

/// Adds everything of this crate to a registry.
pub fn register(registry: &mut Registry) -> Result<()> {
    registry.source("bert", &["bert"], Arc::new(BertSource::make))?;
    registry.target("text-classification", Arc::new(TextClassification::make))?;
    registry.target(
        "masked-language-modelling",
        Arc::new(MaskedLanguageModelling::make),
    )?;
    registry.target("text-vectors", Arc::new(TextVectors::make))
}
