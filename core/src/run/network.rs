//! `model/` of a network that no other library has: its numbers by name, and what it is.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use serde_json::Value;

use super::exported::{write_json, write_tensors};
use crate::Result;
use crate::model::Model;

/// Writes `config.json`, with a key `tlkit` besides what is given, and `model.safetensors`. Tensors go by their names in the model: `hidden.0.weight`, `classifier.bias`.
///
/// # Errors
/// The folder cannot be written.
pub fn write_network(config: &Value, model: &Model, to: &Path) -> Result<()> {
    let mut config = config.clone();
    config["tlkit"] = serde_json::json!({ "version": env!("CARGO_PKG_VERSION") });
    write_json(to, "config.json", &config)?;
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for stage in model.chain().stages() {
        for p in stage.params() {
            let name = p.name().strip_prefix("model.").unwrap_or(p.name());
            tensors.insert(name.to_string(), p.detached());
        }
    }
    write_tensors(to, &tensors)
}
