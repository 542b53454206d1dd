//! Writes `model/`: config.json and model.safetensors.

use std::path::Path;

use tlkit_core::Result;
use tlkit_core::model::Model;
use tlkit_core::nn::Activation;
use tlkit_core::run::write_network;
use tlkit_core::task::Export;

use crate::mlp::Shape;

/// What the network is, beside its numbers.
pub(crate) fn export(shape: &Shape, model: &Model, labels: &[String], to: &Path) -> Result<Export> {
    let activation = match shape.activation {
        Activation::None => "none",
        Activation::Relu => "relu",
        Activation::Gelu => "gelu",
        Activation::Tanh => "tanh",
        Activation::Sigmoid => "sigmoid",
    };
    let config = serde_json::json!({
        "model_type": "tlkit-features",
        "inputs": shape.inputs,
        "hidden": shape.hidden,
        "activation": activation,
        "dropout": shape.dropout,
        "batch_norm": shape.batch_norm,
        "labels": labels,
    });
    write_network(&config, model, to)?;
    Ok(Export::Ours {
        why: "no other library has this network".into(),
    })
}
