//! Files of `model/` as transformers and timm read them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::Tensor;
use serde_json::Value;

use super::directory::write_whole;
use crate::{Error, Result};

/// Writes JSON as a file of this name.
///
/// # Errors
/// The folder cannot be written.
pub fn write_json(folder: &Path, name: &str, json: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(json).map_err(|e| Error::msg(e.to_string()))?;
    write_whole(&folder.join(name), text.as_bytes())
}

/// Writes `model.safetensors`, with the metadata that transformers asks for.
///
/// # Errors
/// The folder cannot be written.
pub fn write_tensors(folder: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let metadata: HashMap<String, String> = [("format".to_string(), "pt".to_string())].into();
    let bytes = safetensors::serialize(tensors, Some(metadata))
        .map_err(|e| Error::msg(format!("model.safetensors: {e}")))?;
    write_whole(&folder.join("model.safetensors"), &bytes)
}
