//! From a folder to a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};

use super::plugins::{Plugged, restore};
use super::write::blob;
use super::{Card, FILE, MORE};
use crate::check::{Measured, read_metrics};
use crate::data::{
    Domain, Found, FoundRows, Labels, Loaded, Prepare, Reader, Resolve, RowForm, Samples,
};
use crate::evaluate::{self, Scores, probabilities};
use crate::metrics::{Judge, softmax};
use crate::model::{MapKinds, Model};
use crate::nn::{NormMode, Select, Stage, Store, Weights};
use crate::recipe::{Report, Written};
use crate::registry::{Context, Registry, SavedData};
use crate::strategy::State;
use crate::task::{SourceTask, TargetTask};
use crate::train::{Observer, Place, predict};
use crate::{Context as _, Error, Result};

/// A trained model, loaded again.
pub struct Saved {
    /// Class names, in the order of the probabilities.
    pub classes: Arc<Vec<String>>,
    /// What a row is made of.
    pub rows: RowForm,
    /// The recipe's file stem.
    pub recipe: String,
    /// Encoder, head and maps.
    pub model: Model,
    plugged: Plugged,
    metrics: Vec<serde_json::Value>,
    prepare: Arc<dyn Prepare>,
    target: Box<dyn TargetTask>,
    store: Store,
    temperature: Option<f64>,
    judge: Judge,
}

/// What a person must know who asks about few rows.
const BY_BATCH: &str = "the model normalises by the statistics of the rows that it is asked about together (`batch_norm = \"adapt\"`): what is said of a row depends on \
     those beside it; ask about many at once, of all classes";

/// Nothing but the folder itself.
struct Here(PathBuf);

impl Resolve for Here {
    fn resolve(&self, name: &str, _: &Path) -> Result<Found> {
        match name {
            "." => Ok(Found::Folder(self.0.clone())),
            other => Err(Error::msg(format!(
                "{}/{FILE} names `{other}`, which is not in this folder",
                self.0.display()
            ))),
        }
    }
}

impl Saved {
    /// Whether a folder holds a model that tlkit wrote.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Loads the model of a folder `model/`.
    ///
    /// # Errors
    /// There is none; it was written by a newer tlkit; its strategy changed the network in a way that cannot be made again;
    /// tensors are missing.
    pub fn open(folder: &Path, registry: &Registry) -> Result<Saved> {
        let path = folder.join(FILE);
        let card = card(folder)?;
        let rows = card
            .rows
            .clone()
            .ok_or_else(|| Error::msg(format!("{}: no `rows`", path.display())))?;
        let classes = Arc::new(card.classes.clone());
        let mut plugged = restore(registry, &card);
        let (source, target) = tasks(folder, &plugged, &card, &classes, &rows)?;
        let weights = weights(source.as_ref(), folder)?;
        let store = Store::saved_in(&Device::Cpu, DType::F32, weights);
        let model = build(
            source.as_ref(),
            target.as_ref(),
            &store,
            &card,
            plugged.registry.maps(),
        )?;
        // Nothing trains, so a table may stay in its file.
        store.train_only(&Select::Nothing);
        let prepare = prepared(source.as_ref(), &card)?;
        if card.batch_norm == NormMode::Adapt {
            plugged.notes.push(BY_BATCH.into());
        }
        Ok(Saved {
            classes,
            rows,
            recipe: card.recipe,
            model,
            plugged,
            metrics: card.metrics,
            prepare,
            target,
            store,
            temperature: card.temperature,
            judge: Judge {
                level: card.level,
                crops: card.crops,
                ..Judge::default()
            },
        })
    }

    /// What opens its rows: the registry that it was opened with, and what the plugins that it needs bring.
    pub fn registry(&self) -> &Registry {
        &self.plugged.registry
    }

    /// What to know of its answers: that a plugin was built anew since the model was made; that rows are answered by the rows beside them.
    pub fn notes(&self) -> &[String] {
        &self.plugged.notes
    }

    /// Why plugins of the run were not loaded. The model does not need them; its files may.
    pub fn not_loaded(&self) -> &[String] {
        &self.plugged.failed
    }

    /// The same, scored also by the metrics that the run's recipe named; and a note for each that is not there any more.
    pub fn measured(self) -> (Saved, Vec<String>) {
        let (mut metrics, mut notes) = (Vec::new(), Vec::new());
        for metric in &self.metrics {
            let values = serde_json::json!({ "evaluate": { "metrics": [metric] } });
            let Ok(written) = Written::of_values("metrics", &values) else {
                continue;
            };
            let evaluate = written.keys().table("evaluate");
            let registry = &self.plugged.registry;
            metrics.extend(read_metrics(
                &evaluate,
                registry,
                true,
                &self.target.metrics(),
            ));
            if let Some(why) = written.noted().diagnostics().first() {
                let why = std::iter::once(why.title());
                let why = why.chain(self.not_loaded().iter().map(String::as_str));
                let why: Vec<&str> = why.collect();
                notes.push(format!("not measured: {}", why.join("; ")));
            }
        }
        let task = self.target;
        let target: Box<dyn TargetTask> = match metrics.is_empty() {
            true => task,
            false => Box::new(Measured { task, metrics }),
        };
        (Saved { target, ..self }, notes)
    }

    /// What opens files of rows, where the task says so.
    pub fn reader(&self) -> Option<Arc<dyn Reader>> {
        self.target.reader()
    }

    /// Whether what is said of a row hangs on that row alone (but for last digits): not where each batch's own statistics normalise it.
    pub fn one_by_one(&self) -> bool {
        self.model.norm != NormMode::Adapt
    }

    /// The probabilities of every row, by class, in the order of the rows.
    pub fn probabilities(
        &self,
        inputs: Arc<dyn Samples>,
        observer: &dyn Observer,
    ) -> Result<Vec<Vec<f32>>> {
        let domain = Domain {
            name: "the data".into(),
            inputs,
            labels: (),
        };
        let rows = Loaded::unlabelled(&domain, self.prepare.clone());
        probabilities(&self.model, &rows, &self.store, observer, self.judge.crops)
    }

    /// The features of every row, `(rows, width)`, what enters the classifier; and the probabilities, as [`Saved::probabilities`] has them.
    pub fn features(
        &self,
        inputs: Arc<dyn Samples>,
        observer: &dyn Observer,
    ) -> Result<(Vec<Vec<f32>>, Vec<Vec<f32>>)> {
        let domain = Domain {
            name: "the data".into(),
            inputs: inputs.clone(),
            labels: (),
        };
        let rows = Loaded::unlabelled(&domain, self.prepare.clone());
        let (features, logits) = predict(&self.model, &rows, &self.store, "features", observer)?;
        let said = match self.judge.crops {
            0 | 1 => softmax(&logits.to_dtype(DType::F32)?.to_vec2()?),
            _ => self.probabilities(inputs, observer)?,
        };
        Ok((features.to_dtype(DType::F32)?.to_vec2()?, said))
    }

    /// Rows with their labels as classes of this model; `name` is what reports call them.
    ///
    /// # Errors
    /// There is no label column; a label is empty, or no class of this model.
    pub fn labelled(&self, name: &str, rows: &FoundRows) -> Result<Loaded> {
        let Some(column) = rows.label else {
            let was = self.rows.label.as_deref().unwrap_or("label");
            let there = rows.rows.columns().join("`, `");
            return Err(Error::msg(format!(
                "{name}: which column is the label? The run's was `{was}`, and the data has `{there}`; `--label` names it"
            )));
        };
        let class = |row: usize| -> Result<u32> {
            let label = rows.rows.name(row, column)?;
            let class = self.classes.iter().position(|c| *c == label);
            class.map(|c| c as u32).ok_or_else(|| {
                let what = format!(
                    "the label `{label}` is no class of this run; its classes are {}",
                    self.classes.join(", ")
                );
                rows.rows.wrong(row, column, what)
            })
        };
        let labels = Labels {
            classes: (0..rows.rows.len()).map(class).collect::<Result<_>>()?,
            names: self.classes.clone(),
        };
        let domain = Domain {
            name: name.to_string(),
            inputs: rows.inputs.clone(),
            labels,
        };
        Ok(Loaded::labelled(&domain, self.prepare.clone()))
    }

    /// Scores the model on labelled rows as the run scored its test rows: with intervals, and with the temperature that its
    /// validation rows gave.
    pub fn scores(&self, rows: &Loaded, observer: &dyn Observer) -> Result<Scores> {
        evaluate::judged(
            &self.model,
            rows,
            self.target.as_ref(),
            &self.store,
            observer,
            &self.judge,
            evaluate::Temperature::Given(self.temperature),
        )
    }
}

/// Reads the card of a folder.
///
/// # Errors
/// There is none; it was written by a newer tlkit; its strategy changed the network in a way that cannot be made again.
pub(super) fn card(folder: &Path) -> Result<Card> {
    let path = folder.join(FILE);
    let bytes = std::fs::read(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::msg(format!(
            "{} has no {FILE}, which tlkit needs to load a model; run the recipe again",
            folder.display()
        )),
        _ => Error::io(&path)(e),
    })?;
    let card: Card = serde_json::from_slice(&bytes)
        .map_err(|e| Error::msg(format!("{}: {e}", path.display())))?;
    if card.format != 1 {
        return Err(Error::msg(format!(
            "{}: format {}, and this tlkit reads format 1; use the version that wrote it, {}",
            path.display(),
            card.format,
            card.version
        )));
    }
    if let Some(why) = &card.refused {
        return Err(Error::msg(format!(
            "the model in {} cannot be loaded: {why}",
            folder.display()
        )));
    }
    Ok(card)
}

/// The preparation of the domain that the model is for.
pub(super) fn prepared(source: &dyn SourceTask, card: &Card) -> Result<Arc<dyn Prepare>> {
    let plain = source.prepare()?;
    let Some(state) = &card.prepare else {
        return Ok(plain);
    };
    Ok(plain.restored(state)?.unwrap_or(plain))
}

fn task(table: &serde_json::Map<String, serde_json::Value>) -> String {
    let name = table.get("task").and_then(|t| t.as_str());
    name.unwrap_or_default().to_string()
}

/// What is wrong with a card, by its file alone: its values were never lines of a recipe.
fn wrong(file: &str, report: &Report) -> Error {
    let all = report.diagnostics().iter();
    let titles: Vec<&str> = all.map(|d| d.title()).collect();
    Error::msg(format!("{file}: {}", titles.join("; ")))
}

/// Source and target task by the keys of the card.
pub(super) fn tasks(
    folder: &Path,
    plugged: &Plugged,
    card: &Card,
    classes: &Arc<Vec<String>>,
    rows: &RowForm,
) -> Result<(Box<dyn SourceTask>, Box<dyn TargetTask>)> {
    let name = folder.join(FILE).display().to_string();
    let values = serde_json::json!({ "source": card.source, "target": card.target });
    let written = Written::of_values(&name, &values).map_err(|r| wrong(&name, &r))?;
    let registry = &plugged.registry;
    let root = written.keys();
    let here: Arc<dyn Resolve> = Arc::new(Here(folder.to_path_buf()));
    let cx = Context {
        checkpoint: card
            .source
            .contains_key("checkpoint")
            .then(|| Found::Folder(folder.to_path_buf())),
        saved: Some(Arc::new(SavedData {
            classes: classes.clone(),
            rows: rows.clone(),
        })),
        ..Context::new(registry, &here, folder)
    };
    let unknown = |what: &str, task: &str| {
        let mut words = format!(
            "{name}: this tlkit does not have the {what} task `{task}` that the model was made with"
        );
        if !plugged.failed.is_empty() {
            words.push_str(&format!(": {}", plugged.failed.join("; ")));
        }
        Error::msg(words)
    };
    let (source_keys, target_keys) = (root.table("source"), root.table("target"));
    let source = registry
        .sources()
        .get(&task(&card.source))
        .ok_or_else(|| unknown("source", &task(&card.source)))?;
    let target = registry
        .targets()
        .get(&task(&card.target))
        .ok_or_else(|| unknown("target", &task(&card.target)))?;
    let (source, target) = (source(&source_keys, &cx), target(&target_keys, &cx));
    // Keys that a part does not read any more do no harm to a finished model: they are no errors here.
    let report = written.noted();
    if report.errors() > 0 {
        return Err(wrong(&name, &report));
    }
    let (Some(mut source), Some(target)) = (source, target) else {
        return Err(Error::msg(format!(
            "{name}: the tasks of this model cannot be made again"
        )));
    };
    source.expect_width(target.input_width())?;
    Ok((source, target))
}

/// The parameters of a folder, under the names that the model has.
pub(super) fn weights(source: &dyn SourceTask, folder: &Path) -> Result<Weights> {
    let exported = source.exported(folder)?;
    match blob(folder, MORE) {
        None => Ok(exported),
        Some(file) => {
            let more = Weights::open(&format!("{}/{MORE}", folder.display()), &file, &|n| {
                Some(n.to_string())
            })?;
            Ok(exported.over(more))
        }
    }
}

/// The model of a card, its parameters from the store's weights.
pub(super) fn build(
    source: &dyn SourceTask,
    target: &dyn TargetTask,
    store: &Store,
    card: &Card,
    kinds: &MapKinds,
) -> Result<Model> {
    let scope = store.scope("model");
    let encoder = source.fresh_encoder(&scope)?;
    let width = encoder.width();
    let mut head = target.head(&scope, source, width, card.frozen)?;
    // A strategy may end the network earlier: neighbours vote on the features themselves.
    let kept = |s: &Arc<dyn Stage>| card.stages.iter().any(|n| n == s.name());
    head.stages.retain(kept);
    head.pool = head.pool.min(head.stages.len());
    let mut model = Model::new(encoder, head);
    let saved = store
        .saved()
        .ok_or_else(|| Error::msg("a store without saved weights"))?;
    let (mut maps, mut adjust) = (Vec::new(), Vec::new());
    for (i, map) in card.maps.iter().enumerate() {
        let prefix = format!("map/{i}/");
        let mut state = State {
            json: map.json.clone(),
            ..State::default()
        };
        let names: Vec<String> = saved.names().map(str::to_string).collect();
        for name in names {
            if let Some(rest) = name.strip_prefix(&prefix)
                && let Some(t) = saved.tensor(&name)?
            {
                state.tensors.push((rest.to_string(), t));
            }
        }
        let made = kinds.load(&map.kind, &state).context(&map.kind)?;
        match map.place {
            Place::Features => maps.push(made),
            Place::Logits => adjust.push(made),
        }
    }
    model.set_maps(maps, adjust);
    model.norm = card.batch_norm;
    saved.finish()?;
    let made: Vec<&str> = model.chain().stages().iter().map(|s| s.name()).collect();
    if made != card.stages {
        return Err(Error::msg(format!(
            "the model was made of the stages {}, and comes back as {}",
            card.stages.join(", "),
            made.join(", ")
        )));
    }
    Ok(model)
}
