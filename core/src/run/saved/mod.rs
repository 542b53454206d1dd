//! A trained model on its own: `model/tlkit.json` beside what other libraries read, so that `predict` needs no training data.
//!
//! | file | what |
//! |---|---|
//! | `tlkit.json` | the keys that make source task and head again, class names, what a row is made of, maps |
//! | `model.safetensors` | the weights, as the source task exports them |
//! | `tlkit.safetensors` | the tensors of maps, and weights that are not in `model.safetensors` under their own names; absent where there are none |
//!
//! [`write`] makes the model again at once and compares: what could not be reloaded says so when it is written, not when it is needed.
//! [`Saved::open`] reads the header of the weights and then each tensor straight into its place; it opens no data and hashes nothing.

mod open;
mod plugins;
mod source;
mod write;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::RowForm;
use crate::metrics::Judge;
use crate::nn::NormMode;
use crate::train::SavedMap;

pub use open::Saved;
pub(crate) use source::FinishedRun;
pub(crate) use source::take;
pub(super) use write::{Reloads, write};

fn one() -> usize {
    1
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

fn usual_level() -> f64 {
    Judge::default().level
}

/// The file.
pub(crate) const FILE: &str = "tlkit.json";
/// What is not in there.
const MORE: &str = "tlkit.safetensors";

/// The mode that needs no word: predictions by the stored statistics.
fn is_frozen(mode: &NormMode) -> bool {
    *mode != NormMode::Adapt
}

/// `model/tlkit.json`, format 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    /// 1.
    format: u32,
    /// tlkit's version.
    version: String,
    /// The recipe's file stem.
    recipe: String,
    /// The strategy that trained it.
    method: String,
    /// Why it cannot be made again, if so; the rest may be absent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// `[source]` without what only training reads.
    #[serde(default)]
    source: Map<String, Value>,
    /// `[target]` without what only training reads.
    #[serde(default)]
    target: Map<String, Value>,
    /// The key of `[target]` under which the loss was no plain cross-entropy (`class_weights`, `label_smoothing`), where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weighted: Option<String>,
    /// Class names, in the order of the probabilities.
    #[serde(default)]
    classes: Vec<String>,
    /// What a row is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<RowForm>,
    /// Whether the head was made for an encoder that does not train.
    #[serde(default)]
    frozen: bool,
    /// The libraries of plugins that the recipe named, or had something of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    plugins: Vec<plugins::Plugin>,
    /// `evaluate.metrics`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Value>,
    /// What the preparation found in the domain that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prepare: Option<Value>,
    /// The stages, input to output: a model that is made again must have the same.
    #[serde(default)]
    stages: Vec<String>,
    /// How batch norm behaves, where it uses the batch's statistics at prediction too.
    #[serde(default, skip_serializing_if = "is_frozen")]
    batch_norm: NormMode,
    /// Maps of features, then those of logits.
    #[serde(default)]
    maps: Vec<SavedMap>,
    /// What the logits are divided by before probabilities are taken at their word: fitted on the run's validation rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    /// How sure the run's intervals are.
    #[serde(default = "usual_level")]
    level: f64,
    /// Cuts of each image that a prediction is averaged over.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    crops: usize,
}

/// What the model of a finished run needs to answer as it was evaluated, beside its weights.
pub(crate) struct AsItWas {
    /// The longest text, in tokens.
    pub max_length: Option<u64>,
    /// Why its network alone does not give its answers, if so.
    pub changed: Option<String>,
}

/// Of the `model/` of a run; none where the folder is not one.
pub(crate) fn as_it_was(folder: &Path) -> Option<AsItWas> {
    let card = open::card(folder).ok()?;
    let changed = match (card.maps.is_empty(), card.batch_norm) {
        (false, _) => Some(format!("`{}` changed it in closed form", card.method)),
        (_, NormMode::Adapt) => Some("its batch norms use each batch's statistics".to_string()),
        _ => None,
    };
    Some(AsItWas {
        max_length: card.source.get("max_length").and_then(Value::as_u64),
        changed,
    })
}
