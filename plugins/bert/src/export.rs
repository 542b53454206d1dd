//! `model/` in the HF layout.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::DType;
use serde_json::{Value, json};
use tlkit_core::model::Model;
use tlkit_core::nn::Store;
use tlkit_core::run::{write_json, write_tensors, write_whole};
use tlkit_core::task::Export;
use tlkit_core::{Error, Result};

use crate::config::BertConfig;
use crate::mlm;
use crate::tokenizer::Tokens;

/// Writes config.json, model.safetensors and tokenizer.json.
pub(crate) fn write(
    config: &BertConfig,
    tokens: &Tokens,
    model: &Model,
    store: &Store,
    labels: &[String],
    to: &Path,
) -> Result<Export> {
    let mut tensors = BTreeMap::new();
    for p in store.all() {
        if let Some(name) = p.name().strip_prefix("model.") {
            tensors.insert(name.to_string(), p.detached().to_dtype(DType::F32)?);
        }
    }
    let usual: Vec<&str> = model.head.stages.iter().map(|s| s.name()).collect();
    let classifier = usual == ["first-token", "pooler", "head.dropout.0", "classifier"];
    let masked = usual == ["masked-tokens", "vocabulary"];
    let mapped = model.maps().len() + model.adjust().len() > 0;
    let (architecture, export) = if mapped {
        let why = "the strategy left maps on features or logits, which transformers does not have"
            .to_string();
        ("BertModel", Export::Ours { why })
    } else if classifier {
        (
            "BertForSequenceClassification",
            Export::Loadable {
                by: "transformers AutoModelForSequenceClassification.from_pretrained".into(),
            },
        )
    } else if let (true, Some(why)) = (masked, other_prediction_head(config)) {
        ("BertModel", Export::Ours { why })
    } else if masked {
        // transformers ties the decoder to the embeddings and reads its bias under this name too.
        if let Some(bias) = tensors.get("cls.predictions.bias").cloned() {
            tensors.insert("cls.predictions.decoder.bias".into(), bias);
        }
        (
            "BertForMaskedLM",
            Export::Loadable {
                by: "transformers AutoModelForMaskedLM.from_pretrained".into(),
            },
        )
    } else {
        let why = format!(
            "transformers has no BERT with the head {}; the encoder loads with AutoModel.from_pretrained",
            usual.join(", ")
        );
        ("BertModel", Export::Ours { why })
    };
    let mut json = serde_json::to_value(config).map_err(|e| Error::msg(e.to_string()))?;
    json["model_type"] = "bert".into();
    json["architectures"] = json!([architecture]);
    if !labels.is_empty() {
        let index = labels.iter().enumerate();
        json["id2label"] = index
            .clone()
            .map(|(i, l)| (i.to_string(), json!(l)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        json["label2id"] = index
            .map(|(i, l)| (l.clone(), json!(i)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    json["tlkit"] = json!({ "head": usual });
    write_json(to, "config.json", &json)?;
    let tokenizer = tokens.to_json()?;
    write_whole(&to.join("tokenizer.json"), tokenizer.as_bytes())?;
    let more = tokenizer_config(&tokenizer, tokens.max_length())?;
    write_whole(
        &to.join("tokenizer_config.json"),
        more.to_string().as_bytes(),
    )?;
    write_tensors(to, &tensors)?;
    Ok(export)
}

/// Why transformers' head of masked language modelling is another one than ours, where it is: theirs takes activation and layer norm from the
/// configuration.
pub(crate) fn other_prediction_head(config: &BertConfig) -> Option<String> {
    let same = config.hidden_act == "gelu" && config.layer_norm_eps == mlm::EPS;
    (!same).then(|| {
        format!(
            "its head of masked language modelling has gelu and a layer norm with {:e}, and transformers' would have {} and {:e}; \
             the encoder loads with AutoModel.from_pretrained",
            mlm::EPS,
            config.hidden_act,
            config.layer_norm_eps
        )
    })
}

/// tokenizer_config.json. transformers' `BertTokenizerFast` makes normalizer and pre-tokenizer of the keys here, whatever tokenizer.json
/// says; so they stand here, and a tokenizer that these keys cannot describe is a `PreTrainedTokenizerFast`, which is tokenizer.json as it is.
fn tokenizer_config(tokenizer: &str, max_length: usize) -> Result<Value> {
    let t: Value = serde_json::from_str(tokenizer).map_err(|e| Error::msg(e.to_string()))?;
    let mut more = json!({ "model_max_length": max_length });
    let (model, n) = (&t["model"], &t["normalizer"]);
    let prefix = model["continuing_subword_prefix"].as_str();
    let berts = model["type"] == "WordPiece"
        && prefix.is_none_or(|p| p == "##")
        && n["type"] == "BertNormalizer"
        && n["clean_text"] != false
        && t["pre_tokenizer"]["type"] == "BertPreTokenizer";
    if berts {
        more["tokenizer_class"] = "BertTokenizerFast".into();
        more["do_lower_case"] = n["lowercase"].clone();
        more["strip_accents"] = n["strip_accents"].clone();
        more["tokenize_chinese_chars"] = n["handle_chinese_chars"].clone();
    } else {
        more["tokenizer_class"] = "PreTrainedTokenizerFast".into();
        more["model_input_names"] = json!(["input_ids", "token_type_ids", "attention_mask"]);
    }
    for (role, token) in special(&t) {
        more[role] = token.into();
    }
    Ok(more)
}

/// The special tokens by what they are for, where the tokenizer has one of the usual names.
fn special(t: &Value) -> Vec<(&'static str, String)> {
    let added = t["added_tokens"].as_array();
    let known = |token: &str| {
        let vocabulary = &t["model"]["vocab"];
        // Unigram's is a list of pieces and their scores.
        let pieces = vocabulary.as_array();
        vocabulary.get(token).is_some()
            || pieces.is_some_and(|all| all.iter().any(|piece| piece[0] == token))
            || added.is_some_and(|all| all.iter().any(|a| a["content"] == token))
    };
    let roles: [(&'static str, [&str; 2]); 5] = [
        ("unk_token", ["[UNK]", "<unk>"]),
        ("sep_token", ["[SEP]", "</s>"]),
        ("pad_token", ["[PAD]", "<pad>"]),
        ("cls_token", ["[CLS]", "<s>"]),
        ("mask_token", ["[MASK]", "<mask>"]),
    ];
    let found = roles.into_iter().filter_map(|(role, names)| {
        let name = names.into_iter().find(|name| known(name))?;
        Some((role, name.to_string()))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Device;
    use tlkit_core::data::Found;

    use super::*;
    use crate::encoder::BertEncoder;

    const WORDS: [&str; 7] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "Film"];

    /// The tokenizer of a list of words, as the checkpoint's `tokenizer_config.json` has it.
    fn of_vocabulary(folder: &Path, config: &str) -> Tokens {
        std::fs::write(folder.join("vocab.txt"), WORDS.join("\n")).unwrap();
        std::fs::write(folder.join("tokenizer_config.json"), config).unwrap();
        Tokens::of(&Found::Folder(folder.to_path_buf()), 16).unwrap()
    }

    #[test]
    fn what_the_normalizer_does_is_said_to_transformers() {
        let dir = tempfile::tempdir().unwrap();
        let said = |config: &str| {
            let tokens = of_vocabulary(dir.path(), config);
            tokenizer_config(&tokens.to_json().unwrap(), 24).unwrap()
        };
        let cased = said(
            r#"{"do_lower_case": false, "strip_accents": false, "tokenize_chinese_chars": false}"#,
        );
        assert_eq!(
            cased,
            json!({
                "model_max_length": 24, "tokenizer_class": "BertTokenizerFast", "do_lower_case": false, "strip_accents": false,
                "tokenize_chinese_chars": false, "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
                "mask_token": "[MASK]",
            })
        );
        let usual = said("{}");
        assert_eq!(
            [
                &usual["do_lower_case"],
                &usual["strip_accents"],
                &usual["tokenize_chinese_chars"]
            ],
            [&json!(true), &Value::Null, &json!(true)]
        );
    }

    /// What BERT's own class cannot be told is left to tokenizer.json.
    #[test]
    fn a_tokenizer_of_another_kind_is_loaded_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = of_vocabulary(dir.path(), "{}").to_json().unwrap();
        let mut plain: Value = serde_json::from_str(&tokens).unwrap();
        plain["normalizer"] = Value::Null;
        let mut sequence = plain.clone();
        sequence["normalizer"] =
            json!({"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "NFD"}]});
        let unigram = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
            "model": {"type": "Unigram", "unk_id": 1, "byte_fallback": false,
                      "vocab": [["<pad>", 0.0], ["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["a", -1.0]]},
        });
        for (kind, unk, mask) in [
            (&plain, "[UNK]", json!("[MASK]")),
            (&sequence, "[UNK]", json!("[MASK]")),
            (&unigram, "<unk>", Value::Null),
        ] {
            std::fs::write(dir.path().join("tokenizer.json"), kind.to_string()).unwrap();
            let tokens = Tokens::of(&Found::Folder(dir.path().to_path_buf()), 16).unwrap();
            let said = tokenizer_config(&tokens.to_json().unwrap(), 24).unwrap();
            assert_eq!(said["tokenizer_class"], "PreTrainedTokenizerFast");
            assert_eq!(said["unk_token"], unk);
            assert_eq!(said["mask_token"], mask);
            assert!(said.get("do_lower_case").is_none());
        }
    }

    /// transformers' head takes activation and epsilon from config.json, ours has BERT's.
    #[test]
    fn a_prediction_head_that_transformers_makes_otherwise_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = of_vocabulary(dir.path(), "{}");
        let export = |more: &str| {
            let text = format!(
                r#"{{"vocab_size": 7, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
                    "max_position_embeddings": 16{more}}}"#
            );
            let config = BertConfig::parse("config.json", &text).unwrap();
            let store = Store::new(&Device::Cpu, DType::F32, 0);
            let scope = store.scope("model");
            let encoder = BertEncoder::new(&scope.sub("bert"), &config).unwrap();
            let words = mlm::words(&scope).unwrap();
            let head = mlm::head(&scope.sub("cls.predictions"), words, 8, 0.02).unwrap();
            let model = Model::new(Arc::new(encoder), head);
            let export = write(&config, &tokens, &model, &store, &[], dir.path()).unwrap();
            let text = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
            let json: Value = serde_json::from_str(&text).unwrap();
            (export, json["architectures"][0].clone())
        };
        let (theirs, architecture) = export("");
        assert!(matches!(theirs, Export::Loadable { .. }));
        assert_eq!(architecture, "BertForMaskedLM");
        for (more, words) in [
            (r#", "hidden_act": "gelu_new""#, "gelu_new and 1e-12"),
            (r#", "layer_norm_eps": 1e-5"#, "gelu and 1e-5"),
        ] {
            let (ours, architecture) = export(more);
            assert_eq!(architecture, "BertModel");
            match ours {
                Export::Ours { why } => assert!(why.contains(words), "{why}"),
                Export::Loadable { by } => panic!("loadable by {by}"),
            }
        }
    }
}
