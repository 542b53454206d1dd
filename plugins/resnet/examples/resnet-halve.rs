//! Writes a model's weights in half precision: `cargo run --release -p tlkit-resnet --example resnet-halve -- MODEL FOLDER`
//!
//! MODEL is the `model/` of a run. FOLDER gets its kernels and classifier in f16, norms and statistics as they are, and its
//! config.json; reading converts back.

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
        .map(|(name, t)| match t.rank() {
            // Norms are few numbers, and variances may be small ones.
            1 => Ok((name, t)),
            _ => Ok((name, t.to_dtype(DType::F16)?)),
        })
        .collect::<candle_core::Result<BTreeMap<String, Tensor>>>()?;
    let meta = [("format".to_string(), "pt".to_string())].into();
    let bytes = safetensors::serialize(&half, Some(meta))?;
    std::fs::write(folder.join("model.safetensors"), &bytes)?;
    std::fs::copy(model.join("config.json"), folder.join("config.json"))?;
    println!("{:.2} MB in {}", bytes.len() as f64 / 1e6, folder.display());
    Ok(())
}
