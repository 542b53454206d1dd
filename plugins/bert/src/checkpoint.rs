//! A BERT checkpoint in the HF layout: which tensors, under which names, how deep.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::data::{Blob, Found};
use tlkit_core::nn::Weights;
use tlkit_core::{Error, Result};

use crate::config::BertConfig;
use crate::mlm;

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PICKLE: &str = "pytorch_model.bin";

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
    weights: Stored,
}

/// Where the weights lie.
#[derive(Clone)]
enum Stored {
    /// In safetensors, of which one is read when a tensor of it is asked for: their names, and where they are.
    Files(Vec<(String, Blob)>),
    /// In PyTorch's own format, which is read at once.
    Here(Arc<BTreeMap<String, Tensor>>),
}

impl Checkpoint {
    /// Opens it: config.json and the names in the weights' files.
    pub fn open(name: &str, found: &Found) -> Result<Self> {
        let config = found.file("config.json").ok_or_else(|| {
            Error::msg(format!(
                "{name} has no config.json; a checkpoint is a folder in the HF layout"
            ))
        })?;
        let mut config =
            BertConfig::parse(&format!("{name}/config.json"), &config.text("config.json")?)?;
        let mut checkpoint = Checkpoint {
            name: name.to_string(),
            found: found.clone(),
            weights: stored(name, found)?,
            absent_layers: 0,
            config: config.clone(),
        };
        let depth = depth(&checkpoint.named(&|n| Some(canonical(n)))?);
        // Exactly the last layers may be absent: then the encoder is shorter. Anything else is caught when tensors are taken.
        checkpoint.absent_layers = config.num_hidden_layers.saturating_sub(depth);
        if depth > 0 {
            config.num_hidden_layers = config.num_hidden_layers.min(depth);
        }
        checkpoint.config = config;
        Ok(checkpoint)
    }

    /// Its tensors, renamed to live under `prefix` with transformers' `BertModel` names.
    pub fn weights(&self, prefix: &str) -> Result<Arc<Weights>> {
        let rename = |n: &str| Some(format!("{prefix}.{}", canonical(n)));
        Ok(Arc::new(self.named(&rename)?))
    }

    /// The tensors of its head of masked language modelling, renamed to live under `prefix`; `None` where the file does not have them all.
    pub(crate) fn prediction_head(&self, prefix: &str) -> Result<Option<Arc<Weights>>> {
        let rename = |n: &str| {
            let own = canonical(n);
            let rest = own.strip_prefix(mlm::HEAD)?.strip_prefix('.')?;
            Some(format!("{prefix}.{rest}"))
        };
        let weights = self.named(&rename)?;
        let (width, words) = (self.config.hidden_size, self.config.vocab_size);
        let whole = mlm::shapes(width, words)
            .iter()
            .all(|(name, shape)| weights.dims(&format!("{prefix}.{name}")) == Some(&shape[..]));
        Ok(whole.then(|| Arc::new(weights)))
    }

    fn named(&self, rename: &dyn Fn(&str) -> Option<String>) -> Result<Weights> {
        let open = |(file, blob): &(String, Blob)| {
            Weights::open(&format!("{}/{file}", self.name), blob, rename)
        };
        match &self.weights {
            Stored::Files(files) => {
                let mut all = open(&files[0])?;
                for file in &files[1..] {
                    all = all.over(open(file)?);
                }
                Ok(all)
            }
            Stored::Here(tensors) => {
                let named = tensors.iter();
                let named = named.filter_map(|(n, t)| Some((rename(n)?, t.clone())));
                let file = format!("{}/{PICKLE}", self.name);
                Ok(Weights::from_tensors(&file, named.collect()))
            }
        }
    }

    /// A hash of its weights and its tokenizer.
    pub fn digest(&self) -> Result<String> {
        use sha2::Digest;
        let mut sha = sha2::Sha256::new();
        let weights: Vec<&str> = match &self.weights {
            Stored::Files(files) => files.iter().map(|(name, _)| name.as_str()).collect(),
            Stored::Here(_) => vec![PICKLE],
        };
        // What `tokenizer_config.json` says is how a `vocab.txt` is used.
        let tokenizer = ["tokenizer.json", "vocab.txt", "tokenizer_config.json"];
        let all = ["config.json"].into_iter().chain(weights).chain(tokenizer);
        for name in all {
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

/// How many layers, from the first on without a gap, have any tensor.
fn depth(weights: &Weights) -> usize {
    let names: Vec<&str> = weights.names().collect();
    let has = |i: usize| {
        let layer = format!("encoder.layer.{i}.");
        names.iter().any(|n| n.starts_with(&layer))
    };
    (0..).take_while(|&i| has(i)).count()
}

/// One file, several with an index, or PyTorch's own.
fn stored(name: &str, found: &Found) -> Result<Stored> {
    if let Some(blob) = found.file(WHOLE) {
        return Ok(Stored::Files(vec![(WHOLE.into(), blob)]));
    }
    if let Some(index) = found.file(INDEX) {
        let files = shards(&format!("{name}/{INDEX}"), &index.text(INDEX)?)?;
        let blob = |file: String| match found.file(&file) {
            Some(blob) => Ok((file, blob)),
            None => Err(Error::msg(format!(
                "{name} has no {file}, which {INDEX} names; a part of it was not copied"
            ))),
        };
        let files: Result<Vec<_>> = files.into_iter().map(blob).collect();
        return Ok(Stored::Files(files?));
    }
    let Some(pickle) = found.file(PICKLE) else {
        let why = match found.file("pytorch_model.bin.index.json") {
            Some(_) => "has weights in several files of PyTorch's; save them as safetensors first (`save_pretrained` does)".to_string(),
            None => format!("has no {WHOLE} and no {PICKLE}"),
        };
        return Err(Error::msg(format!("{name} {why}")));
    };
    let tensors = tlkit_pickle::read(&format!("{name}/{PICKLE}"), &pickle.bytes()?);
    Ok(Stored::Here(Arc::new(tensors.map_err(Error::msg)?)))
}

/// The files that an index names, each once.
fn shards(file: &str, text: &str) -> Result<Vec<String>> {
    let wrong = |why: &str| Error::msg(format!("{file}: {why}"));
    let json: serde_json::Value = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
    let map = json["weight_map"].as_object();
    let names = map.into_iter().flatten().map(|(_, file)| file.as_str());
    let mut names: Vec<String> = names
        .map(|n| {
            n.filter(|n| !n.contains(['/', '\\']) && *n != "..")
                .map(str::to_string)
        })
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("it names what is no file beside it"))?;
    names.sort();
    names.dedup();
    match names.is_empty() {
        true => Err(wrong("it names no file")),
        false => Ok(names),
    }
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

    /// An index and the files that it names are one checkpoint; what is not beside it is said.
    #[test]
    fn weights_in_several_files_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        write(
            "config.json",
            br#"{"vocab_size": 7, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 8,
                "max_position_embeddings": 16}"#,
        );
        let zeros =
            || Tensor::zeros(2, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let file = |name: &str| safetensors::serialize([(name, zeros())], None).unwrap();
        write(
            "a.safetensors",
            &file("bert.encoder.layer.0.output.LayerNorm.gamma"),
        );
        write(
            "b.safetensors",
            &file("bert.encoder.layer.1.output.LayerNorm.gamma"),
        );
        let index = |b: &str| {
            let map = format!(
                r#"{{"weight_map": {{"x": "b.safetensors", "y": "a.safetensors", "z": "{b}"}}}}"#
            );
            write(INDEX, map.as_bytes());
            Checkpoint::open("test", &Found::Folder(dir.path().to_path_buf()))
        };
        let checkpoint = index("b.safetensors").unwrap();
        assert_eq!(
            (
                checkpoint.config.num_hidden_layers,
                checkpoint.absent_layers
            ),
            (2, 1)
        );
        let weights = checkpoint.weights("model").unwrap();
        let names: Vec<&str> = weights.names().collect();
        let norm = |i| format!("model.encoder.layer.{i}.output.LayerNorm.weight");
        assert_eq!(names, [norm(0), norm(1)]);
        let digest = checkpoint.digest().unwrap();
        write(
            "b.safetensors",
            &file("bert.encoder.layer.1.output.LayerNorm.beta"),
        );
        assert_ne!(index("a.safetensors").unwrap().digest().unwrap(), digest);
        for (file, words) in [
            (
                "c.safetensors",
                "has no c.safetensors, which model.safetensors.index.json names",
            ),
            ("../a.safetensors", "what is no file beside it"),
        ] {
            let error = index(file).err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
        }
        write(INDEX, b"{}");
        let open = || Checkpoint::open("test", &Found::Folder(dir.path().to_path_buf()));
        assert!(open().err().unwrap().to_string().contains("names no file"));
        std::fs::remove_file(dir.path().join(INDEX)).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(
            error.contains("has no model.safetensors and no pytorch_model.bin"),
            "{error}"
        );
        write(PICKLE, b"\x80\x02cos\nsystem\n)R.");
        let error = open().err().unwrap().to_string();
        assert!(error.contains("PyTorch did not write"), "{error}");
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
