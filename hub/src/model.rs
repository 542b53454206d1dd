//! A checkpoint: which of a repository's files are needed. A repository has the same weights in several formats, and only one
//! of them is downloaded.

use std::path::PathBuf;

use serde_json::Value;
use tlkit_core::{Error, Result};

use crate::cache::Tree;
use crate::event::Event;
use crate::repository::{Repository, State, listed};

/// Small files that say how the weights are used: network, tokenizer, pooling, preparation of images.
const ASIDE: [&str; 16] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "preprocessor_config.json",
    "processor_config.json",
];

/// Of those, the ones without which a model is another and nothing fails.
const UNMISSED: [&str; 4] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
    "preprocessor_config.json",
];

/// Weights, the first that is there; an index names the files that it is cut into. Pickles last: they are code.
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

impl Repository<'_> {
    /// The folder of the checkpoint, with all that is needed in it.
    pub fn checkpoint(&self, state: &State) -> Result<PathBuf> {
        for file in ASIDE.iter().filter(|f| state.tree.contains_key(**f)) {
            self.file(state, file)?;
        }
        let Some(weights) = weights(&state.tree) else {
            return Err(match &state.shut {
                Some(shut) if !state.complete => self.absent(shut, "`model.safetensors`"),
                _ => self.no_weights(&state.tree),
            });
        };
        if !state.complete
            && let Some(shut) = &state.shut
            && !state.tree.contains_key("config.json")
        {
            return Err(self.absent(shut, "`config.json`"));
        }
        let path = self.file(state, weights)?;
        if weights.ends_with(".index.json") {
            for shard in shards(&path)? {
                self.file(state, &shard)?;
            }
        }
        self.note_unknown(state);
        Ok(self.cache.snapshot(&state.commit))
    }

    /// Says which files may be missing, where the cache is all that can be asked.
    fn note_unknown(&self, state: &State) {
        let cache = &self.cache;
        let known = |f: &str| state.tree.contains_key(f) || cache.has_not(&state.commit, f);
        let unknown = UNMISSED.iter().filter(|f| !known(f));
        let unknown: Vec<String> = unknown.map(|f| f.to_string()).collect();
        if state.is_guessed() && !unknown.is_empty() {
            self.emit(&Event::Note(&format!(
                "`{}`: the cache does not say whether the repository has {}; the model is used as if it had not. Run it once with the hub to know",
                self.name,
                listed(&unknown)
            )));
        }
    }

    fn no_weights(&self, tree: &Tree) -> Error {
        let large: Vec<String> = tree
            .keys()
            .filter(|n| {
                [
                    ".safetensors",
                    ".bin",
                    ".h5",
                    ".msgpack",
                    ".onnx",
                    ".gguf",
                    ".pth",
                    ".pt",
                ]
                .iter()
                .any(|end| n.ends_with(end))
            })
            .cloned()
            .collect();
        let there = match large.is_empty() {
            true => "it has no weights at all".to_string(),
            false => format!("it has {}", listed(&large)),
        };
        Error::msg(format!(
            "`{}`: there is no model.safetensors and no pytorch_model.bin in it; {there}",
            self.name
        ))
    }
}

fn weights(tree: &Tree) -> Option<&'static str> {
    WEIGHTS.into_iter().find(|w| tree.contains_key(*w))
}

/// The files that an index names, each once.
fn shards(index: &std::path::Path) -> Result<Vec<String>> {
    let wrong = || Error::msg(format!("{}: not an index of weights", index.display()));
    let text = std::fs::read_to_string(index).map_err(Error::io(index))?;
    let json: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
    let map = json["weight_map"].as_object().ok_or_else(wrong)?;
    let mut names: Vec<String> = map
        .values()
        .filter_map(|v| v.as_str().map(str::to_string))
        .collect();
    names.sort();
    names.dedup();
    match names.iter().all(|n| !n.contains(['/', '\\']) && n != "..") {
        true => Ok(names),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_format_of_the_weights_is_taken() {
        let tree = |names: &[&str]| -> Tree {
            names
                .iter()
                .map(|n| (n.to_string(), Default::default()))
                .collect()
        };
        let all = ["pytorch_model.bin", "model.safetensors", "tf_model.h5"];
        assert_eq!(weights(&tree(&all)), Some("model.safetensors"));
        assert_eq!(weights(&tree(&all[..1])), Some("pytorch_model.bin"));
        assert_eq!(
            weights(&tree(&[
                "model.safetensors.index.json",
                "pytorch_model.bin"
            ])),
            Some("model.safetensors.index.json")
        );
        assert_eq!(weights(&tree(&["tf_model.h5"])), None);
    }
}
