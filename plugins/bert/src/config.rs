//! `config.json` of a BERT, as transformers writes it.

use serde::{Deserialize, Serialize};
use tlkit_core::{Error, Result};

/// The shape of a BERT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width.
    pub hidden_size: usize,
    /// Depth.
    pub num_hidden_layers: usize,
    /// Attention heads a layer.
    pub num_attention_heads: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// `gelu`, `gelu_new`, `gelu_pytorch_tanh` or `relu`.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// Dropout after each part.
    #[serde(default = "tenth")]
    pub hidden_dropout_prob: f64,
    /// Dropout on attention's probabilities.
    #[serde(default = "tenth")]
    pub attention_probs_dropout_prob: f64,
    /// Dropout before the classifier; the hidden one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier_dropout: Option<f64>,
    /// Longest text, in tokens.
    pub max_position_embeddings: usize,
    /// Kinds of segments.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// Deviation of new weights.
    #[serde(default = "deviation")]
    pub initializer_range: f64,
    /// Inside the root of layer norm.
    #[serde(default = "eps")]
    pub layer_norm_eps: f64,
    /// The padding token; 0 where the file has none, or null.
    #[serde(default, deserialize_with = "or_zero")]
    pub pad_token_id: u32,
    /// Only `absolute` is known.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
}

/// What of a `config.json` says that the tensors are no BERT's, whatever they are called.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    model_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

fn or_zero<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<u32, D::Error> {
    Ok(Option::<u32>::deserialize(from)?.unwrap_or(0))
}

fn gelu() -> String {
    "gelu".into()
}
fn tenth() -> f64 {
    0.1
}
fn two() -> usize {
    2
}
fn deviation() -> f64 {
    0.02
}
fn eps() -> f64 {
    1e-12
}
fn absolute() -> String {
    "absolute".into()
}

impl BertConfig {
    /// Reads and checks it.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let broken = |e: serde_json::Error| Error::msg(format!("{name}: {e}"));
        let kind: Kind = serde_json::from_str(text).map_err(broken)?;
        // RoBERTa and its kin have BERT's tensors and count their positions otherwise; a decoder does not look ahead.
        if let Some(other) = kind.model_type.filter(|t| t != "bert") {
            return Err(Error::msg(format!(
                "{name}: the checkpoint is a `{other}`, and only `bert` computes as a BERT does, whatever its tensors are called"
            )));
        }
        if kind.is_decoder {
            return Err(Error::msg(format!(
                "{name}: `is_decoder` is true: its tokens look at those before them alone, which is not done here"
            )));
        }
        let config: BertConfig = serde_json::from_str(text).map_err(broken)?;
        config
            .check()
            .map_err(|why| Error::msg(format!("{name}: {why}")))?;
        Ok(config)
    }

    /// What is wrong with it, if anything.
    pub fn check(&self) -> std::result::Result<(), String> {
        if self.num_attention_heads == 0
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            return Err(format!(
                "a width of {} cannot be cut into {} heads",
                self.hidden_size, self.num_attention_heads
            ));
        }
        if self.pad_token_id as usize >= self.vocab_size {
            return Err(format!(
                "`pad_token_id` is {}, and the vocabulary has {} tokens",
                self.pad_token_id, self.vocab_size
            ));
        }
        if self.position_embedding_type != "absolute" {
            return Err(format!(
                "position embeddings of type `{}` are not supported, only `absolute`",
                self.position_embedding_type
            ));
        }
        if !matches!(
            self.hidden_act.as_str(),
            "gelu" | "gelu_new" | "gelu_pytorch_tanh" | "relu"
        ) {
            return Err(format!(
                "the activation `{}` is not supported; known are gelu, gelu_new, gelu_pytorch_tanh and relu",
                self.hidden_act
            ));
        }
        for (name, p) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            (
                "attention_probs_dropout_prob",
                self.attention_probs_dropout_prob,
            ),
        ] {
            if !(0.0..1.0).contains(&p) {
                return Err(format!("{name} is {p}, and must be at least 0 and below 1"));
            }
        }
        Ok(())
    }

    /// The learning rate that suits the width: 2e-5 at 768 (Devlin et al. 2019), 5e-5 at 384, 1e-4 at 256 and less.
    pub fn learning_rate(&self) -> f64 {
        match self.hidden_size {
            0..=256 => 1e-4,
            257..=512 => 5e-5,
            _ => 2e-5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tensors of RoBERTa are called as BERT's, and its positions begin elsewhere.
    #[test]
    fn what_computes_otherwise_is_refused_by_its_name() {
        let config = |more: &str| {
            let text = format!(
                r#"{{"vocab_size": 7, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
                    "max_position_embeddings": 16{more}}}"#
            );
            BertConfig::parse("config.json", &text)
        };
        let refused = |more: &str| config(more).expect_err("refused").to_string();
        assert!(refused(r#", "model_type": "roberta""#).contains("is a `roberta`"));
        assert!(refused(r#", "is_decoder": true"#).contains("`is_decoder` is true"));
        for fine in [
            "",
            r#", "model_type": "bert", "is_decoder": false"#,
            r#", "pad_token_id": null"#,
        ] {
            assert_eq!(config(fine).expect(fine).pad_token_id, 0);
        }
    }
}
