//! Writes the card, and sees at once whether the model can be made again.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde_json::{Map, Value};

use super::open::{build, weights};
use super::{Card, FILE, MORE};
use crate::check::Checked;
use crate::data::{Blob, Domain, Loaded, Prepare};
use crate::evaluate::probabilities;
use crate::model::Model;
use crate::nn::{NormMode, Param, Stage, Store};
use crate::run::write_whole;
use crate::task::{Scoring, SourceTask};
use crate::train::{Place, SavedMap, Silent};
use crate::{Error, Result};

/// Which of the keys that weigh a loss or smooth its labels a `[target]` has.
fn weighted(target: &Value) -> Option<&'static str> {
    let smoothed = target["label_smoothing"].as_f64();
    match target["class_weights"].is_null() {
        false => Some("class_weights"),
        true => smoothed.filter(|s| *s > 0.0).map(|_| "label_smoothing"),
    }
}

/// Keys of `[target]` and `[source]` that only training reads. Paths among them are nobody's business who is given the model.
const TRAINING: [&str; 12] = [
    "train",
    "unlabelled",
    "validation",
    "test",
    "split",
    "limit",
    "per_class",
    "domain",
    "overlap",
    "class_weights",
    "label_smoothing",
    "run",
];

/// Whether `predict` can make the model again; the reason where it cannot.
pub(in crate::run) type Reloads = std::result::Result<(), String>;

/// Writes `tlkit.json`, and `tlkit.safetensors` where something is to go there, into a folder that holds the exported model. `probe`
/// are a few rows that both models must answer alike.
pub(in crate::run) fn write(
    c: &Checked,
    recipe: &str,
    model: &Model,
    store: &Store,
    probe: Option<&Domain<()>>,
    prepare: &Arc<dyn Prepare>,
    temperature: Option<f64>,
    folder: &Path,
) -> Result<Reloads> {
    let mut card = Card {
        format: 1,
        version: env!("CARGO_PKG_VERSION").into(),
        recipe: recipe.to_string(),
        method: c.method.clone(),
        refused: None,
        source: Map::new(),
        target: Map::new(),
        weighted: None,
        classes: Vec::new(),
        rows: None,
        frozen: match c.source.finished() {
            Some(finished) => finished.frozen,
            None => c.strategy.needs().frozen,
        },
        plugins: super::plugins::of(c),
        metrics: c.values["evaluate"]["metrics"]
            .as_array()
            .cloned()
            .unwrap_or_default(),
        prepare: prepare.state(),
        stages: Vec::new(),
        batch_norm: NormMode::Frozen,
        maps: Vec::new(),
        temperature,
        level: c.judge.level,
        crops: c.judge.crops,
    };
    // What an earlier attempt left would be taken for ours.
    let _ = std::fs::remove_file(folder.join(MORE));
    let reloads = match describe(c, model, &mut card) {
        Ok(()) => {
            more(c.source.as_ref(), model, store, folder)?;
            same(c, model, store, probe, prepare, folder, &card).map_err(|e| e.to_string())
        }
        Err(why) => Err(why),
    };
    card.refused = reloads.clone().err();
    let text = serde_json::to_vec_pretty(&card).map_err(|e| Error::msg(e.to_string()))?;
    write_whole(&folder.join(FILE), &text)?;
    Ok(reloads)
}

/// Everything but tensors.
fn describe(c: &Checked, model: &Model, card: &mut Card) -> Reloads {
    let classes = match c.target.scoring() {
        Scoring::Classes(classes) => classes,
        Scoring::Tokens => {
            return Err("the run predicts hidden tokens, and not classes of rows".into());
        }
        Scoring::Vectors => return Err("the run makes vectors, and not classes of rows".into()),
    };
    let table = |name: &str| -> Map<String, Value> {
        let values = c.values[name].as_object().cloned().unwrap_or_default();
        let kept = values.into_iter();
        kept.filter(|(k, _)| !TRAINING.contains(&k.as_str()))
            .collect()
    };
    card.classes = classes;
    if model.norm == NormMode::Adapt {
        card.batch_norm = NormMode::Adapt;
    }
    card.source = table("source");
    c.source.saved(&mut card.source);
    card.target = table("target");
    card.weighted = weighted(&c.values["target"]).map(str::to_string);
    // What the family chose where the recipe did not say may hang on files that are not exported.
    let pool = model.head.stages[..model.head.pool].last();
    if let Some(last) = pool.filter(|s| c.source.poolings().contains(&s.name())) {
        card.target.insert("pooling".into(), last.name().into());
    }
    let rows = c.target.row_form().map_err(|e| e.to_string())?;
    card.rows = Some(rows.ok_or("its target task does not say what a row is made of")?);
    let stages = model.chain().stages().iter();
    card.stages = stages.map(|s| s.name().to_string()).collect();
    let maps = model.maps().iter().map(|m| (Place::Features, m));
    let adjust = model.adjust().iter().map(|m| (Place::Logits, m));
    for (place, map) in maps.chain(adjust) {
        let kind = map.kind().to_string();
        if !c.maps.knows(&kind) {
            return Err(format!(
                "the strategy `{}` left a map of the kind `{kind}`, which nothing here can make again",
                c.method
            ));
        }
        let json = map.save().json;
        card.maps.push(SavedMap { place, kind, json });
    }
    Ok(())
}

/// The tensors of maps, and parameters that `model.safetensors` does not have as they are.
fn more(source: &dyn SourceTask, model: &Model, store: &Store, folder: &Path) -> Result<()> {
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    let maps = model.maps().iter().chain(model.adjust());
    for (i, map) in maps.enumerate() {
        let named = map.save().tensors.into_iter();
        tensors.extend(named.map(|(n, t)| (format!("map/{i}/{n}"), t)));
    }
    let exported = source.exported(folder)?;
    for p in store.all() {
        if !p.name().starts_with("model.") {
            continue;
        }
        if exported.dims(p.name()) != Some(p.dims()) {
            let value = p.detached().to_dtype(DType::F32)?;
            tensors.insert(p.name().to_string(), value);
        }
    }
    if tensors.is_empty() {
        return Ok(());
    }
    let meta: HashMap<String, String> = [("format".to_string(), "tlkit".to_string())].into();
    let bytes = safetensors::serialize(&tensors, Some(meta))
        .map_err(|e| Error::msg(format!("{MORE}: {e}")))?;
    write_whole(&folder.join(MORE), &bytes)
}

/// Makes the model again from the folder and compares stages, every bit of every parameter, and every bit of a few answers.
fn same(
    c: &Checked,
    model: &Model,
    store: &Store,
    probe: Option<&Domain<()>>,
    prepare: &Arc<dyn Prepare>,
    folder: &Path,
    card: &Card,
) -> Result<()> {
    let saved = weights(c.source.as_ref(), folder)?;
    // On the same device: another adds in another order.
    let again = Store::saved_in(store.device(), DType::F32, saved);
    let made = build(c.source.as_ref(), c.target.as_ref(), &again, card, &c.maps)?;
    let changed = |what: String| {
        Error::msg(format!(
            "the strategy `{}` changed the network ({what}), and a change of that kind cannot be made again",
            c.method
        ))
    };
    let names = |m: &Model| -> Vec<String> {
        let stages = m.chain().stages().iter();
        stages.map(|s| s.name().to_string()).collect()
    };
    if names(&made) != names(model) {
        return Err(changed(format!(
            "its stages are {}",
            names(model).join(", ")
        )));
    }
    // What a strategy put beside the network (adapters, merged by now) is not saved; the probe sees whether it still matters.
    let own = |stage: &Arc<dyn Stage>| -> Vec<Param> {
        let params = stage.params().into_iter();
        params.filter(|p| p.name().starts_with("model.")).collect()
    };
    for (old, new) in model.chain().stages().iter().zip(made.chain().stages()) {
        let (old, new) = (own(old), own(new));
        if old.len() != new.len() {
            return Err(changed(format!(
                "{} parameters of a stage are {}",
                new.len(),
                old.len()
            )));
        }
        for (old, new) in old.iter().zip(&new) {
            if old.name() != new.name() {
                return Err(changed(format!("{} is {}", new.name(), old.name())));
            }
            if !equal(&old.detached(), &new.detached())? {
                return Err(changed(format!(
                    "{} is saved with other numbers",
                    old.name()
                )));
            }
        }
    }
    let Some(probe) = probe else { return Ok(()) };
    let rows = Loaded::unlabelled(probe, prepare.clone());
    let prepared = super::open::prepared(c.source.as_ref(), card)?;
    let rows_again = Loaded::unlabelled(probe, prepared);
    // All of the network, and nothing of the probe in the cache.
    let mut whole = model.clone();
    whole.freeze(None);
    let old = probabilities(&whole, &rows, store, &Silent, 1)?;
    let new = probabilities(&made, &rows_again, &again, &Silent, 1)?;
    let bits = |rows: Vec<Vec<f32>>| -> Vec<u32> {
        rows.into_iter().flatten().map(f32::to_bits).collect()
    };
    match bits(old) == bits(new) {
        true => Ok(()),
        false => Err(changed("it answers otherwise".into())),
    }
}

/// Bit for bit, in f32.
fn equal(a: &Tensor, b: &Tensor) -> Result<bool> {
    if a.dims() != b.dims() {
        return Ok(false);
    }
    let bits = |t: &Tensor| -> Result<Vec<f32>> {
        Ok(t.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?)
    };
    let (a, b) = (bits(a)?, bits(b)?);
    Ok(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()))
}

/// A file of the folder, for a loader.
pub(super) fn blob(folder: &Path, name: &str) -> Option<Blob> {
    Some(folder.join(name))
        .filter(|p| p.is_file())
        .map(Blob::Path)
}
