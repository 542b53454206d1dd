//! `model/` of a network that no other library has: its numbers by name, and what it is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::Tensor;
use serde_json::Value;

use super::directory::write_whole;
use crate::model::Model;
use crate::{Error, Result};

/// Writes `config.json` and `model.safetensors`. Tensors go by their names in the model: `hidden.0.weight`, `classifier.bias`.
///
/// # Errors
/// The folder cannot be written.
pub fn write_network(config: &Value, model: &Model, to: &Path) -> Result<()> {
    let said = |e: &dyn std::fmt::Display| Error::msg(e.to_string());
    let text = serde_json::to_string_pretty(config).map_err(|e| said(&e))?;
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
    write_whole(&to.join("model.safetensors"), &bytes)
}
