//! `model/` in the HF layout.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::DType;
use tlkit_core::model::Model;
use tlkit_core::nn::Store;
use tlkit_core::run::{write_json, write_tensors, write_whole};
use tlkit_core::task::Export;
use tlkit_core::{Error, Result};

use crate::config::BertConfig;
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
    json["architectures"] = serde_json::json!([architecture]);
    if !labels.is_empty() {
        let index = labels.iter().enumerate();
        json["id2label"] = index
            .clone()
            .map(|(i, l)| (i.to_string(), serde_json::json!(l)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        json["label2id"] = index
            .map(|(i, l)| (l.clone(), serde_json::json!(i)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    json["tlkit"] = serde_json::json!({ "head": usual });
    write_json(to, "config.json", &json)?;
    write_whole(&to.join("tokenizer.json"), tokens.to_json()?.as_bytes())?;
    let more = serde_json::json!({ "tokenizer_class": "BertTokenizerFast", "model_max_length": config.max_position_embeddings });
    write_whole(
        &to.join("tokenizer_config.json"),
        more.to_string().as_bytes(),
    )?;
    write_tensors(to, &tensors)?;
    Ok(export)
}
