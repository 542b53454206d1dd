//! What a run leaves in `result.json` and `identity.json`.

use std::collections::BTreeMap;

use candle_core::DType;
use serde::{Deserialize, Serialize};

use super::arrange::Layer;
use super::execute::{Part, Surroundings};
use super::opened::Opened;
use super::saved::Reloads;
use crate::Result;
use crate::audit::Audit;
use crate::check::Checked;
use crate::evaluate::{Beside, Scores, Worth};
use crate::model::Model;
use crate::nn::Store;
use crate::registry::Kind;
use crate::strategy::Selection;
use crate::task::Export;
use crate::train::Outcome;

/// What a run leaves in `result.json`, format 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// 1.
    pub format: u32,
    /// The recipe's file stem.
    pub recipe: String,
    /// Of the complete recipe.
    pub recipe_sha256: String,
    /// Of every input and label used.
    pub data_sha256: String,
    /// What a checkpoint must agree with.
    pub identity: String,
    /// tlkit's version.
    pub version: String,
    /// The run's seed.
    pub seed: u64,
    /// `done`.
    pub status: String,
    /// Where it ran.
    pub device: String,
    /// Threads it could use.
    pub threads: usize,
    /// Seconds of training and evaluation, over all sittings.
    pub seconds: f64,
    /// Of those, seconds that another run of an experiment had spent on the beginning that this one took up.
    #[serde(skip_serializing_if = "none")]
    pub seconds_taken_up: f64,
    /// Largest resident memory, in MiB; 0 where the system does not say.
    pub peak_rss_mb: u64,
    /// Kind and method.
    pub strategy: BTreeMap<&'static str, String>,
    /// By what, and which epoch.
    pub selection: serde_json::Value,
    /// `validation` and `test`.
    pub metrics: BTreeMap<&'static str, Scores>,
    /// The rows that it was tested on, and by how many runs of its folder they were opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_rows: Option<Opened>,
    /// What was found in the rows before training.
    pub audit: Audit,
    /// What stands beside the test scores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub baselines: Vec<Beside>,
    /// The source model before it was adapted, on the same test rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<serde_json::Value>,
    /// The result against the best of them; of an adaptation, against the source model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worth: Option<Worth>,
    /// The grid that this run was chosen from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuned: Option<serde_json::Value>,
    /// What closed-form phases reported.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fits: BTreeMap<String, f64>,
    /// Class names, in the order of the probabilities.
    pub labels: Vec<String>,
    /// Hash of the weights that were kept.
    pub weights_sha256: String,
    /// Who else can load `model/`, or why nobody; whether tlkit can, or why not.
    pub model: serde_json::Value,
    /// Optimizer steps.
    pub steps: u64,
    /// The model, stage by stage.
    pub layers: Vec<Layer>,
}

/// What a run leaves in `identity.json` when it starts, so that a resume can name what is different.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// 1.
    pub format: u32,
    /// The recipe's file stem.
    pub recipe: String,
    /// Of all below.
    pub identity: String,
    /// Every value of the recipe, by table and key.
    pub values: serde_json::Value,
    /// Of every input and label that the run may use.
    pub data_sha256: String,
    /// Of the weights it starts from.
    pub source_digest: String,
    /// tlkit's version.
    pub version: String,
    /// The plugins that the recipe names or has something of, and the sha256 of each library. What of them the run depends on is in the
    /// identity already: this says by name what changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, String>,
}

impl Identity {
    /// Of a checked recipe; `name` is its file stem, `identity` what [`Checked::identity`] says.
    pub fn of(c: &Checked, name: &str, identity: &str) -> Self {
        Identity {
            format: 1,
            recipe: name.to_string(),
            identity: identity.to_string(),
            values: c.values.clone(),
            data_sha256: c.data_sha256(),
            source_digest: c.source.digest(),
            version: env!("CARGO_PKG_VERSION").into(),
            plugins: (c.libraries.iter())
                .map(|l| (l.name.clone(), l.sha256.clone()))
                .collect(),
        }
    }
}

/// What evaluation gave.
pub(super) struct Scored {
    pub metrics: BTreeMap<&'static str, Scores>,
    pub baselines: Vec<Beside>,
    pub baseline: Option<serde_json::Value>,
    pub worth: Option<Worth>,
    pub labels: Vec<String>,
    pub layers: Vec<Layer>,
}

fn none(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// Puts together what is known when a run is done.
pub(super) fn result(
    c: &Checked,
    around: &Surroundings<'_>,
    part: &Part<'_>,
    outcome: &Outcome,
    scored: Scored,
    export: &Export,
    reloads: &Reloads,
    (net, store): (&Model, &Store),
    seconds: f64,
) -> Result<RunResult> {
    use sha2::Digest;
    let mut model = match export {
        Export::Loadable { by } => serde_json::json!({ "loadable_by": by }),
        Export::Ours { why } => serde_json::json!({ "loadable_by": null, "why": why }),
    };
    model["reloads"] = reloads.is_ok().into();
    if let Err(why) = reloads {
        model["reloads_why"] = why.as_str().into();
    }
    let selection = selection(c, outcome, part.tuned.is_some());
    Ok(RunResult {
        format: 1,
        recipe: around.name.clone(),
        recipe_sha256: crate::hex(&sha2::Sha256::digest(part.of.explained.as_bytes())),
        data_sha256: c.data_sha256(),
        identity: part.of.identity(),
        version: env!("CARGO_PKG_VERSION").into(),
        seed: c.seed,
        status: "done".into(),
        device: crate::device::name_of(store.device()),
        threads: rayon::current_num_threads(),
        seconds: part.seconds + outcome.earlier + seconds,
        seconds_taken_up: outcome.taken_up,
        peak_rss_mb: peak_rss_mb(),
        strategy: [
            ("kind", c.kind.name().to_string()),
            ("method", c.method.clone()),
        ]
        .into(),
        selection,
        test_rows: match scored.metrics.contains_key("test") {
            true => Opened::by(c, &around.directory)?,
            false => None,
        },
        metrics: scored.metrics,
        audit: c.audit()?.clone(),
        baselines: scored.baselines,
        baseline: scored.baseline,
        worth: scored.worth,
        tuned: part.tuned.clone(),
        fits: outcome.fits.clone(),
        labels: scored.labels,
        weights_sha256: of_maps(weights_sha256(store)?, net)?,
        model,
        steps: outcome.steps,
        layers: scored.layers,
    })
}

/// By what the epoch was chosen, and whether that saw the target's labels.
fn selection(c: &Checked, outcome: &Outcome, of_grid: bool) -> serde_json::Value {
    if c.kind == Kind::Inductive {
        return match &outcome.chosen {
            Some(best) => {
                serde_json::json!({ "by": "validation", "epoch": best.epoch, "oracle": false })
            }
            None => serde_json::json!({ "by": "last", "epoch": null, "oracle": false }),
        };
    }
    let by = &c.settings.select;
    let rows = |split: &str| c.target.domain(split, &crate::data::Reading::new());
    let labelled = || {
        let n = rows("validation").ok().flatten();
        format!("target validation ({})", n.map_or(0, |d| d.inputs.len()))
    };
    let name = match by {
        Selection::TargetValidation => labelled(),
        // The epoch was chosen without labels, and the point of the grid with them.
        other if of_grid => format!("{}, of a grid, by {} within", labelled(), other.name()),
        other => other.name().to_string(),
    };
    // The epoch of the source phase is not what was chosen.
    let epoch = outcome.chosen.filter(|_| *by != Selection::Last);
    let mut selection = serde_json::json!({
        "by": name,
        "epoch": epoch.map(|b| b.epoch),
        "oracle": *by == Selection::Oracle || c.strategy.needs().target_labels,
    });
    if epoch.is_some_and(|b| b.twin) {
        selection["of"] = "source-only".into();
    }
    if matches!(by, Selection::LabelFree(_)) {
        selection["collapsed_epochs"] = outcome.collapsed.clone().into();
        selection["without_labels"] = outcome.signs.clone().into();
    }
    if let Some(words) = &outcome.diverged {
        selection["diverged"] = words.as_str().into();
    }
    selection
}

/// The hash of a model's weights with those of its maps, where a closed form has left any: they are the model as much as its weights.
fn of_maps(weights: String, model: &Model) -> Result<String> {
    use sha2::Digest;
    let places = [("features", model.maps()), ("logits", model.adjust())];
    if places.iter().all(|(_, maps)| maps.is_empty()) {
        return Ok(weights);
    }
    let mut sha = sha2::Sha256::new();
    sha.update(weights.as_bytes());
    for (place, maps) in places {
        for map in maps {
            let state = map.save();
            sha.update(format!("\n{place} {} {}", map.kind(), state.json).as_bytes());
            for (name, tensor) in &state.tensors {
                sha.update(format!("\n{name} {:?} ", tensor.dims()).as_bytes());
                let values = tensor.flatten_all()?.to_dtype(DType::F64)?;
                for v in values.to_vec1::<f64>()? {
                    sha.update(v.to_le_bytes());
                }
            }
        }
    }
    Ok(crate::hex(&sha.finalize()))
}

/// A hash of every parameter's bits, by name in order.
pub fn weights_sha256(store: &Store) -> Result<String> {
    use sha2::Digest;
    let mut sha = sha2::Sha256::new();
    for p in store.all() {
        sha.update(p.name().as_bytes());
        for v in p
            .detached()
            .flatten_all()?
            .to_dtype(DType::F32)?
            .to_vec1::<f32>()?
        {
            sha.update(v.to_le_bytes());
        }
    }
    Ok(crate::hex(&sha.finalize()))
}

/// Largest resident memory so far, in MiB (Linux).
pub(super) fn peak_rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
        .map_or(0, |kb| kb / 1024)
}
