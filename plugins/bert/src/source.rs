//! BERT as a source task: a checkpoint, or a network of a stated shape.

use std::path::Path;
use std::sync::Arc;

use tlkit_core::data::{Found, Prepare, View, note_unresolved};
use tlkit_core::model::Model;
use tlkit_core::nn::{Activation, Dense, Linear, Param, Scope, Stage, Store, Weights};
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::Defaults;
use tlkit_core::task::{Encoder, Export, Head, Pretext, PretextLoss, SourceTask};
use tlkit_core::train::OptimizerSpec;
use tlkit_core::{Error, Result};

use crate::checkpoint::{Checkpoint, expected_leftover};
use crate::config::BertConfig;
use crate::encoder::BertEncoder;
use crate::pooling::{FirstToken, Max, Mean};
use crate::prepare::TextPrepare;
use crate::tokenizer::Tokens;

/// The poolings that a recipe may choose.
pub(crate) const POOLINGS: [&str; 4] = ["pooler", "first-token", "mean", "max"];

/// A BERT.
pub struct BertSource {
    config: BertConfig,
    /// Instead of what config.json says, while training; never exported.
    dropout: Option<f64>,
    mask_rate: f64,
    checkpoint: Option<Checkpoint>,
    tokens: Tokens,
    frozen_pooling: &'static str,
    digest: String,
    /// A run of tlkit trained it.
    ours: bool,
}

impl BertSource {
    /// From the keys of `[source]`.
    pub fn make(keys: &Keys, cx: &Context) -> Option<Box<dyn SourceTask>> {
        let max_length = keys
            .usize("max_length")
            .range(4..)
            .help("longest text, in tokens; the rest is cut")
            .unset("128, or the checkpoint's positions")
            .optional();
        let dropout = keys
            .f64("dropout")
            .range(0.0..1.0)
            .help("everywhere in the network while it trains")
            .unset("what config.json says; 0.1 without one")
            .optional();
        let mask_rate = keys
            .f64("mask_rate")
            .range(0.01..=0.9)
            .default(0.15, "Devlin et al. 2019")
            .help("share of the tokens that masked language modelling hides")
            .read();
        let name = keys.string("checkpoint").optional();
        let made = match (&cx.checkpoint, keys.is_blank()) {
            (Some(found), _) => {
                for key in ["layers", "width", "heads", "positions", "vocabulary"] {
                    keys.refuse(
                        key,
                        format!("`{key}` belongs to a network without a checkpoint"),
                    )
                    .help("leave it out: the checkpoint's config.json says it");
                }
                let name = name.as_deref().unwrap_or("checkpoint");
                Self::loaded(name, found, max_length, cx.saved.is_none())
            }
            // The checkpoint was named and not found: that is the error, and it is noted.
            (None, false) if name.is_some() => return None,
            (None, blank) => {
                let named = keys.has("vocabulary");
                let made = Self::stated(keys, cx, max_length);
                // A missing vocabulary is noted where it is read.
                if blank || !named {
                    return None;
                }
                made
            }
        };
        match made {
            Ok(source) => Some(Box::new(BertSource {
                dropout,
                mask_rate,
                ..source
            })),
            Err(e) => {
                let at = if name.is_some() {
                    keys.at("checkpoint")
                } else {
                    keys.at("vocabulary")
                };
                note_unresolved(keys, at, &e);
                None
            }
        }
    }

    /// `hashed`: whether its digest is wanted. A trained model that is made again starts no run, and nothing is kept under its
    /// digest; hashing would be most of the time of its loading.
    fn loaded(name: &str, found: &Found, max_length: Option<usize>, hashed: bool) -> Result<Self> {
        let checkpoint = Checkpoint::open(name, found)?;
        let config = checkpoint.config.clone();
        let positions = config.max_position_embeddings;
        if let Some(n) = max_length.filter(|&n| n > positions) {
            return Err(Error::msg(format!(
                "max_length is {n}, and this checkpoint has {positions} positions"
            )));
        }
        let tokens = Tokens::of(found, max_length.unwrap_or(128.min(positions)))?;
        if tokens.size() > config.vocab_size {
            return Err(Error::msg(format!(
                "{name}: the tokenizer has ids up to {} and the embeddings {} rows",
                tokens.size() - 1,
                config.vocab_size
            )));
        }
        let frozen_pooling = sentence_pooling(found)?;
        let digest = match hashed {
            true => pooled_digest(checkpoint.digest()?, frozen_pooling),
            false => String::new(),
        };
        Ok(BertSource {
            dropout: None,
            mask_rate: 0.15,
            frozen_pooling,
            config,
            checkpoint: Some(checkpoint),
            tokens,
            digest,
            ours: found.is_ours(),
        })
    }

    fn stated(keys: &Keys, cx: &Context, max_length: Option<usize>) -> Result<Self> {
        let why = "a small BERT (Turc et al. 2019)";
        let layers = keys
            .usize("layers")
            .range(1..=48)
            .default(4usize, why)
            .help("depth, where there is no checkpoint")
            .read();
        let width = keys
            .usize("width")
            .range(8..=4096)
            .default(256usize, why)
            .help("width, where there is no checkpoint")
            .read();
        let heads = keys
            .usize("heads")
            .range(1..=64)
            .default(4usize, why)
            .help("attention heads, where there is no checkpoint")
            .read();
        let positions = keys
            .usize("positions")
            .range(4..=8192)
            .default(256usize, "longer than most reviews")
            .help("longest text it can ever take")
            .read();
        let vocabulary = keys
            .data("vocabulary")
            .help("a folder with tokenizer.json or vocab.txt, where there is no checkpoint")
            .example("builtin:bert-mini");
        // For the schema: beside a checkpoint there is none to name.
        if keys.is_blank() {
            let _ = vocabulary
                .unset("the checkpoint's; without one it must be written")
                .optional();
            return Err(Error::msg("blank"));
        }
        let name = vocabulary
            .required()
            .into_iter()
            .next()
            .map(|(name, _)| name)
            .unwrap_or_default();
        let found = cx.resolve.resolve(&name, &cx.folder)?;
        if let Some(n) = max_length.filter(|&n| n > positions) {
            keys.error(
                keys.at_key("max_length"),
                format!("{n} tokens, and the network has {positions} positions"),
            )
            .help("raise `positions`, or lower this");
        }
        let tokens = Tokens::of(&found, max_length.unwrap_or(128).min(positions))?;
        let text = serde_json::json!({ "vocab_size": tokens.size(), "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": 4 * width, "max_position_embeddings": positions });
        let config = BertConfig::parse("[source]", &text.to_string())?;
        let digest = stated_digest(&text, &tokens)?;
        Ok(BertSource {
            dropout: None,
            mask_rate: 0.15,
            config,
            checkpoint: None,
            tokens,
            frozen_pooling: "mean",
            digest,
            ours: false,
        })
    }

    /// The configuration to train with.
    fn training(&self) -> BertConfig {
        let mut config = self.config.clone();
        if let Some(p) = self.dropout {
            config.hidden_dropout_prob = p;
            config.attention_probs_dropout_prob = p;
            config.classifier_dropout = None;
        }
        config
    }

    fn scoped<'a>(&self, scope: &Scope<'a>) -> Scope<'a> {
        scope.sub("bert")
    }

    /// The checkpoint's head of masked language modelling, under a prefix; `None` where it has none, where its head computes otherwise than
    /// ours, and where the encoder, whose token embeddings are `words`, starts from fresh weights.
    fn prediction_head(&self, words: &Param, prefix: &str) -> Result<Option<Arc<Weights>>> {
        let ours = self.ours || crate::export::other_prediction_head(&self.config).is_none();
        match &self.checkpoint {
            Some(checkpoint) if ours && words.loaded() => checkpoint.prediction_head(prefix),
            _ => Ok(None),
        }
    }
}

/// Of a network without a checkpoint: its shape and all of its tokenizer. (Two vocabularies may be of one length.)
fn stated_digest(shape: &serde_json::Value, tokens: &Tokens) -> Result<String> {
    use sha2::Digest;
    let tokenizer = sha2::Sha256::digest(tokens.to_json()?.as_bytes());
    Ok(format!("{shape} {}", tlkit_core::hex(&tokenizer)))
}

/// A checkpoint's, with its pooling where that is not the usual one: the file that says it may be there for one run and not for another.
fn pooled_digest(checkpoint: String, pooling: &str) -> String {
    match pooling {
        "mean" => checkpoint,
        other => format!("{checkpoint} {other}"),
    }
}

/// What `1_Pooling/config.json` of a sentence encoder says; the mean where there is none, and of a trained model's whose head gives vectors what that ends with.
fn sentence_pooling(found: &Found) -> Result<&'static str> {
    let file = match found {
        Found::Folder(dir) => Some(dir.join("1_Pooling/config.json"))
            .filter(|p| p.is_file())
            .map(tlkit_core::data::Blob::Path),
        _ => found.file("1_Pooling/config.json"),
    };
    let Some(file) = file else {
        return Ok(trained_pooling(found)?.unwrap_or("mean"));
    };
    let json: serde_json::Value = serde_json::from_str(&file.text("1_Pooling/config.json")?)
        .map_err(|e| Error::msg(format!("1_Pooling/config.json: {e}")))?;
    Ok(pooling_of(&json).unwrap_or_else(|modes| {
        eprintln!(
            "note: 1_Pooling/config.json pools by {modes}, which is not here: the mean is taken, unless `target.pooling` says otherwise"
        );
        "mean"
    }))
}

/// What the vectors of a model that was trained for vectors were pooled by: its head, as config.json names it, ends there.
fn trained_pooling(found: &Found) -> Result<Option<&'static str>> {
    let Some(file) = found.file("config.json") else {
        return Ok(None);
    };
    let json: serde_json::Value = serde_json::from_str(&file.text("config.json")?)
        .map_err(|e| Error::msg(format!("config.json: {e}")))?;
    let head = json["tlkit"]["head"].as_array();
    let last = head.and_then(|stages| stages.last()?.as_str());
    Ok(last.and_then(|last| POOLINGS.into_iter().find(|p| *p == last)))
}

/// As sentence-transformers writes it: a flag for each mode, or `pooling_mode` by name, as newer versions do; an error with the modes that are none of
/// [`POOLINGS`].
fn pooling_of(json: &serde_json::Value) -> std::result::Result<&'static str, String> {
    let said = match &json["pooling_mode"] {
        serde_json::Value::String(one) => vec![one.as_str()],
        serde_json::Value::Array(all) => all.iter().filter_map(|v| v.as_str()).collect(),
        _ => {
            let flags = json.as_object().into_iter().flatten();
            let on = flags.filter(|(_, v)| v.as_bool() == Some(true));
            on.filter_map(|(k, _)| k.strip_prefix("pooling_mode_"))
                .collect()
        }
    };
    match said[..] {
        [] | ["mean" | "mean_tokens"] => Ok("mean"),
        ["cls" | "cls_token"] => Ok("first-token"),
        ["max" | "max_tokens"] => Ok("max"),
        _ => Err(format!("`{}`", said.join("` and `"))),
    }
}

impl SourceTask for BertSource {
    fn takes(&self, kind: &str) -> bool {
        matches!(kind, "text" | "a pair of texts")
    }

    fn untrained(&self) -> Option<&'static str> {
        self.checkpoint.is_none().then_some("task")
    }

    fn defaults(&self) -> Defaults {
        Defaults {
            family: format!("BERT, width {}", self.config.hidden_size),
            optimizer: OptimizerSpec::AdamW {
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.01,
            },
            learning_rate: self.config.learning_rate(),
            head_multiple: 1.0,
            schedule: "linear",
            warmup: 0.1,
            batch_size: 16,
            clip: Some(1.0),
        }
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(TextPrepare::new(
            self.tokens.clone(),
            self.config.pad_token_id,
            self.mask_rate,
            self.digest.clone(),
        )))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        let Some(checkpoint) = &self.checkpoint else {
            return self.fresh_encoder(scope);
        };
        let scope = self.scoped(scope);
        let weights = checkpoint.weights(scope.prefix())?;
        let encoder = BertEncoder::new(&scope.with_weights(weights.clone()), &self.training())?;
        let report = weights.finish()?;
        let odd: Vec<&String> = report
            .unexpected
            .iter()
            .filter(|n| !expected_leftover(n))
            .collect();
        if let Some(first) = odd.first() {
            eprintln!(
                "note: {} tensors of {} are not used, {first} first among them",
                odd.len(),
                checkpoint.name
            );
        }
        if checkpoint.absent_layers > 0 {
            eprintln!(
                "note: {} has {} layers fewer than its config.json says; the encoder is that much shorter",
                checkpoint.name, checkpoint.absent_layers
            );
        }
        Ok(Arc::new(encoder))
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        Ok(Arc::new(BertEncoder::new(
            &self.scoped(scope).fresh(),
            &self.training(),
        )?))
    }

    fn pooling(
        &self,
        scope: &Scope<'_>,
        choice: Option<&str>,
        frozen: bool,
    ) -> Result<Vec<Arc<dyn Stage>>> {
        // BERT's pooler only where it trains: on a frozen encoder it is worth less than the mean.
        let choice = choice.unwrap_or(if frozen {
            self.frozen_pooling
        } else {
            "pooler"
        });
        Ok(match choice {
            "mean" => vec![Arc::new(Mean)],
            "max" => vec![Arc::new(Max)],
            "first-token" => vec![Arc::new(FirstToken)],
            _ => {
                let scope = self.scoped(scope).sub("pooler.dense");
                let weights = match &self.checkpoint {
                    Some(c) => Some(
                        c.weights(
                            self.scoped(&scope.store().scope(trim(scope.prefix())))
                                .prefix(),
                        )?,
                    ),
                    None => None,
                };
                // Sentence encoders come without a pooler; then it starts fresh, as transformers does it.
                let has = |w: &Weights| w.dims(&format!("{}.weight", scope.prefix())).is_some();
                let scope = match weights {
                    Some(w) if has(&w) => scope.with_weights(w),
                    _ => scope.fresh(),
                };
                let h = self.config.hidden_size;
                let dense = Linear::new(&scope, h, h, self.config.initializer_range)?;
                vec![
                    Arc::new(FirstToken),
                    Arc::new(Dense::new("pooler", dense, Activation::Tanh)),
                ]
            }
        })
    }

    fn poolings(&self) -> &[&'static str] {
        &POOLINGS
    }

    fn source_head(&self, scope: &Scope<'_>) -> Result<Option<(Head, Vec<String>)>> {
        match &self.checkpoint {
            Some(checkpoint) => crate::source_head::read(checkpoint, scope),
            None => Ok(None),
        }
    }

    fn pretext(&self, name: &str, scope: &Scope<'_>) -> Result<Option<Pretext>> {
        if name != "mlm" {
            return Ok(None);
        }
        // A target's head lies in its model, a strategy's beside `model`.
        let of = scope.prefix().strip_suffix(crate::mlm::HEAD);
        let of = of.map_or("model", |model| model.trim_end_matches('.'));
        let words = crate::mlm::words(&scope.store().scope(of))?;
        let (width, std) = (self.config.hidden_size, self.config.initializer_range);
        let scope = match self.prediction_head(&words, scope.prefix())? {
            Some(weights) => scope.clone().with_weights(weights),
            None => scope.fresh().apart(self.ancestor()),
        };
        let head = crate::mlm::head(&scope, words, width, std)?;
        Ok(Some(Pretext { head }))
    }

    fn pretext_loss(&self, name: &str) -> Option<(View, PretextLoss)> {
        (name == "mlm").then(|| (View::Masked, Arc::new(crate::mlm::loss) as PretextLoss))
    }

    fn head_dropout(&self) -> f64 {
        let config = self.training();
        config
            .classifier_dropout
            .unwrap_or(config.hidden_dropout_prob)
    }

    fn head_init(&self) -> f64 {
        self.config.initializer_range
    }

    fn export(&self, model: &Model, store: &Store, labels: &[String], to: &Path) -> Result<Export> {
        crate::export::write(&self.config, &self.tokens, model, store, labels, to)
    }

    fn saved(&self, keys: &mut serde_json::Map<String, serde_json::Value>) {
        // A network of a stated shape has a config.json now, as any checkpoint.
        for key in ["layers", "width", "heads", "positions", "vocabulary"] {
            keys.remove(key);
        }
        keys.insert("checkpoint".into(), ".".into());
        keys.insert("max_length".into(), self.tokens.max_length().into());
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn ancestor(&self) -> Option<String> {
        self.ours.then(|| self.digest.clone())
    }
}

/// `model.bert.pooler.dense` to `model`.
fn trim(prefix: &str) -> &str {
    prefix.strip_suffix(".bert.pooler.dense").unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As sentence-transformers has written it, and as it writes it now.
    #[test]
    fn poolings_of_sentence_encoders_are_read() {
        let of = |json: &str| pooling_of(&serde_json::from_str(json).unwrap());
        for (json, pooling) in [
            (
                r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#,
                "first-token",
            ),
            (
                r#"{"pooling_mode_mean_tokens": true, "include_prompt": true}"#,
                "mean",
            ),
            (r#"{"pooling_mode_max_tokens": true}"#, "max"),
            (
                r#"{"embedding_dimension": 384, "pooling_mode": "cls"}"#,
                "first-token",
            ),
            (r#"{"pooling_mode": ["max"]}"#, "max"),
            ("{}", "mean"),
        ] {
            assert_eq!(of(json), Ok(pooling), "{json}");
        }
        assert_eq!(
            of(r#"{"pooling_mode": "lasttoken"}"#),
            Err("`lasttoken`".into())
        );
        let two = r#"{"pooling_mode_cls_token": true, "pooling_mode_max_tokens": true}"#;
        assert!(of(two).is_err());
    }

    /// A model that was trained for vectors gives them by the pooling it was trained with; one with a classifier, by the mean.
    #[test]
    fn the_pooling_that_vectors_were_trained_with_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let of = |head: &str| {
            let config = format!(r#"{{"tlkit": {{"head": {head}}}}}"#);
            std::fs::write(dir.path().join("config.json"), config).unwrap();
            sentence_pooling(&Found::Folder(dir.path().to_path_buf())).unwrap()
        };
        assert_eq!(of(r#"["first-token"]"#), "first-token");
        assert_eq!(of(r#"["first-token", "pooler"]"#), "pooler");
        assert_eq!(of(r#"["max"]"#), "max");
        assert_eq!(of(r#"["first-token", "classifier"]"#), "mean");
        assert_eq!(of("null"), "mean");
        let folder = dir.path().join("1_Pooling");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config.json"), r#"{"pooling_mode": "cls"}"#).unwrap();
        assert_eq!(of(r#"["max"]"#), "first-token");
    }

    #[test]
    fn another_pooling_is_another_digest() {
        let of = |pooling: &str| pooled_digest("a".into(), pooling);
        assert_eq!(of("mean"), "a");
        assert_ne!(of("first-token"), of("mean"));
        assert_ne!(of("first-token"), of("max"));
    }

    #[test]
    fn vocabularies_of_one_length_are_two_digests() {
        let dir = tempfile::tempdir().unwrap();
        let shape = serde_json::json!({ "hidden_size": 8 });
        let digest = |words: &str| {
            let text = format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{words}\n");
            std::fs::write(dir.path().join("vocab.txt"), text).unwrap();
            let tokens = Tokens::of(&Found::Folder(dir.path().to_path_buf()), 16).unwrap();
            stated_digest(&shape, &tokens).unwrap()
        };
        assert_eq!(digest("good\nfilm"), digest("good\nfilm"));
        assert_ne!(digest("good\nfilm"), digest("film\ngood"));
    }
}
