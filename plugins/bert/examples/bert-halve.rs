//! Writes a model's weights in half precision: `cargo run --release -p tlkit-bert --example bert-halve -- MODEL FOLDER`
//!
//! MODEL is the `model/` of a run. FOLDER gets the encoder's tensors in f16 and a config.json without a head; reading converts
//! back.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder] = &args[..] else {
        return Err("usage: halve MODEL FOLDER".into());
    };
    let (model, folder) = (Path::new(model), Path::new(folder));
    std::fs::create_dir_all(folder)?;
    let tensors = candle_core::safetensors::load(model.join("model.safetensors"), &Device::Cpu)?;
    let half = tensors
        .into_iter()
        // Heads belong to their task, not to the encoder that is carried over.
        .filter(|(name, _)| name.starts_with("bert."))
        .map(|(name, t)| Ok((name, t.to_dtype(DType::F16)?)))
        .collect::<candle_core::Result<BTreeMap<String, Tensor>>>()?;
    let meta = [("format".to_string(), "pt".to_string())].into();
    let bytes = safetensors::serialize(&half, Some(meta))?;
    std::fs::write(folder.join("model.safetensors"), &bytes)?;
    let config = std::fs::read_to_string(model.join("config.json"))?;
    let mut config: serde_json::Value = serde_json::from_str(&config)?;
    if let Some(map) = config.as_object_mut() {
        for key in ["id2label", "label2id", "tlkit"] {
            map.remove(key);
        }
    }
    config["architectures"] = serde_json::json!(["BertModel"]);
    let text = serde_json::to_string_pretty(&config)? + "\n";
    std::fs::write(folder.join("config.json"), text)?;
    println!("{:.1} MB in {}", bytes.len() as f64 / 1e6, folder.display());
    Ok(())
}
