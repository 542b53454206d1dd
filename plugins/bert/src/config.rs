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
    /// The padding token.
    #[serde(default)]
    pub pad_token_id: u32,
    /// Only `absolute` is known.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
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
        let config: BertConfig =
            serde_json::from_str(text).map_err(|e| Error::msg(format!("{name}: {e}")))?;
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
