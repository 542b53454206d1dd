//! Writes `model/`: config.json and model.safetensors.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::Tensor;
use tlkit_core::model::Model;
use tlkit_core::nn::Activation;
use tlkit_core::run::write_whole;
use tlkit_core::task::Export;
use tlkit_core::{Error, Result};

use crate::mlp::Shape;

/// Tensors go by their names in the model: `hidden.0.weight`, `classifier.bias`.
pub(crate) fn export(shape: &Shape, model: &Model, labels: &[String], to: &Path) -> Result<Export> {
    let activation = match shape.activation {
        Activation::None => "none",
        Activation::Relu => "relu",
        Activation::Gelu => "gelu",
        Activation::Tanh => "tanh",
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
    let said = |e: &dyn std::fmt::Display| Error::msg(e.to_string());
    let text = serde_json::to_string_pretty(&config).map_err(|e| said(&e))?;
    write_whole(&to.join("config.json"), text.as_bytes())?;

    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for stage in model.chain().stages() {
        for p in stage.params() {
            let name = p.name().strip_prefix("model.").unwrap_or(p.name());
            tensors.insert(name.to_string(), p.detached());
        }
    }
    let metadata: HashMap<String, String> = [("format".to_string(), "pt".to_string())].into();
    let bytes = safetensors::serialize(&tensors, Some(metadata)).map_err(|e| said(&e))?;
    write_whole(&to.join("model.safetensors"), &bytes)?;
    Ok(Export::Ours {
        why: "no other library has this network".into(),
    })
}
