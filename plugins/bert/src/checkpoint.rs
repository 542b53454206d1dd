//! A BERT checkpoint in the HF layout: which tensors, under which names, how deep.

use std::sync::Arc;

use tlkit_core::data::{Blob, Found};
use tlkit_core::nn::Weights;
use tlkit_core::{Error, Result};

use crate::config::BertConfig;

/// Files of a checkpoint.
#[derive(Clone)]
pub struct Checkpoint {
    /// How the recipe calls it.
    pub name: String,
    /// Its files.
    pub found: Found,
    /// Its shape; the depth is that of the file, which may be less than config.json says.
    pub config: BertConfig,
    /// Layers that config.json promises and the file does not have.
    pub absent_layers: usize,
    weights: Blob,
}

impl Checkpoint {
    /// Opens it: config.json and the names in the weights' file.
    pub fn open(name: &str, found: &Found) -> Result<Self> {
        let config = found.file("config.json").ok_or_else(|| {
            Error::msg(format!(
                "{name} has no config.json; a checkpoint is a folder in the HF layout"
            ))
        })?;
        let mut config =
            BertConfig::parse(&format!("{name}/config.json"), &config.text("config.json")?)?;
        let Some(weights) = found.file("model.safetensors") else {
            let has = |file: &str| found.file(file).is_some();
            let why = match () {
                () if has("model.safetensors.index.json") => {
                    "has weights that are cut into several files; join them to one model.safetensors first"
                }
                () if has("pytorch_model.bin") => {
                    "has pytorch_model.bin, which is a pickle; convert it to model.safetensors first"
                }
                () => "has no model.safetensors",
            };
            return Err(Error::msg(format!("{name} {why}")));
        };
        let depth = depth(&weights, name)?;
        // Exactly the last layers may be absent: then the encoder is shorter. Anything else is caught when tensors are taken.
        let absent_layers = config.num_hidden_layers.saturating_sub(depth);
        if depth > 0 {
            config.num_hidden_layers = config.num_hidden_layers.min(depth);
        }
        Ok(Checkpoint {
            name: name.to_string(),
            found: found.clone(),
            config,
            absent_layers,
            weights,
        })
    }

    /// Its tensors, renamed to live under `prefix` with transformers' `BertModel` names.
    pub fn weights(&self, prefix: &str) -> Result<Arc<Weights>> {
        let rename = |n: &str| Some(format!("{prefix}.{}", canonical(n)));
        let file = format!("{}/model.safetensors", self.name);
        Ok(Arc::new(Weights::open(&file, &self.weights, &rename)?))
    }

    /// A hash of its weights and its tokenizer.
    pub fn digest(&self) -> Result<String> {
        use sha2::Digest;
        let mut sha = sha2::Sha256::new();
        for name in [
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "vocab.txt",
            // Says how a `vocab.txt` is used.
            "tokenizer_config.json",
        ] {
            if let Some(file) = self.found.file(name) {
                sha.update(name.as_bytes());
                file.pieces(|piece| sha.update(piece))?;
            }
        }
        Ok(tlkit_core::hex(&sha.finalize()))
    }
}

/// A tensor's name without the `bert.` in front, and with today's names for the norms' tensors.
pub(crate) fn canonical(name: &str) -> String {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    if let Some(start) = name.strip_suffix("LayerNorm.gamma") {
        return format!("{start}LayerNorm.weight");
    }
    match name.strip_suffix("LayerNorm.beta") {
        Some(start) => format!("{start}LayerNorm.bias"),
        None => name.to_string(),
    }
}

/// Tensors that are in many checkpoints and that no part of the encoder takes.
pub(crate) fn expected_leftover(name: &str) -> bool {
    name.ends_with("position_ids")
        || name.contains(".pooler.")
        || name.contains(".cls.")
        || name.contains(".classifier.")
}

/// How many layers, from the first on without a gap, have any tensor in the file.
fn depth(weights: &Blob, name: &str) -> Result<usize> {
    let file = format!("{name}/model.safetensors");
    let weights = Weights::open(&file, weights, &|n| Some(canonical(n)))?;
    let names: Vec<&str> = weights.names().collect();
    let has = |i: usize| {
        names
            .iter()
            .any(|n| n.starts_with(&format!("encoder.layer.{i}.")))
    };
    Ok((0..).take_while(|&i| has(i)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_tokenization_is_another_digest() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "config.json",
            r#"{"vocab_size": 7, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
                "max_position_embeddings": 16}"#,
        );
        let tensor =
            candle_core::Tensor::zeros(2, candle_core::DType::F32, &candle_core::Device::Cpu);
        let tensors = [("embeddings.LayerNorm.weight", tensor.unwrap())];
        let bytes = safetensors::serialize(tensors, None).unwrap();
        std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nA\n");
        let digest = || {
            let found = Found::Folder(dir.path().to_path_buf());
            Checkpoint::open("test", &found).unwrap().digest().unwrap()
        };
        write("tokenizer_config.json", r#"{"do_lower_case": true}"#);
        let lower = digest();
        assert_eq!(digest(), lower);
        write("tokenizer_config.json", r#"{"do_lower_case": false}"#);
        assert_ne!(digest(), lower);
    }

    #[test]
    fn old_names_are_read() {
        assert_eq!(
            canonical("bert.embeddings.LayerNorm.gamma"),
            "embeddings.LayerNorm.weight"
        );
        assert_eq!(
            canonical("encoder.layer.0.output.LayerNorm.beta"),
            "encoder.layer.0.output.LayerNorm.bias"
        );
        assert_eq!(canonical("pooler.dense.weight"), "pooler.dense.weight");
    }
}
