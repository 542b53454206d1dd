//! What can be named in a recipe, by name. Built-ins and strangers register alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::audit::Overlap;
use crate::baseline::Baseline;
use crate::data::{Fold, Found, Pictures, Reader, Resolve, RowForm, Shared};
use crate::metrics::Metric;
use crate::model::{LoadMap, MapKinds};
use crate::recipe::{Keys, Written};
use crate::run::{Directory, as_it_was};
use crate::strategy::Strategy;
use crate::task::{SourceTask, TargetTask};
use crate::{Error, Result};

/// What a maker has besides the keys of its table.
#[derive(Clone)]
pub struct Context {
    /// Finds files by name.
    pub resolve: Arc<dyn Resolve>,
    /// Opens data files.
    pub readers: Vec<Arc<dyn Reader>>,
    /// The recipe's folder.
    pub folder: PathBuf,
    /// Whether the target's labels are sealed.
    pub transductive: bool,
    /// Whether the method leaves the encoder as it is.
    pub frozen: bool,
    /// Whether the method is a closed form: it learns from all rows of the source.
    pub closed_form: bool,
    /// `[source]`, where a labelled source domain may stand in it: in a transductive recipe.
    pub source_keys: Option<Keys>,
    /// The classes, where a finished run is the source.
    pub classes: Option<Arc<Vec<String>>>,
    /// What becomes of training rows that are also rows to judge by.
    pub overlap: Overlap,
    /// The network that `source.checkpoint` stands for, when it was found.
    pub checkpoint: Option<Found>,
    /// What else can be made by name: a second source task ([`Context::source`]).
    pub registry: Registry,
    /// What is known of the rows where a trained model is made again: no data file is opened then, and none is asked for.
    pub saved: Option<Arc<SavedData>>,
    /// Which fold of the training rows is the test, in a cross-validation.
    pub fold: Option<Fold>,
    /// How many folds there are, where every one of them is to be run.
    pub folds: Option<usize>,
}

/// What is known of a model's rows when they are not there.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedData {
    /// The classes' names.
    pub classes: Arc<Vec<String>>,
    /// What a row is made of.
    pub rows: RowForm,
}

impl Context {
    /// For the recipes of a folder; inductive, no checkpoint yet.
    pub fn new(registry: &Registry, resolve: &Arc<dyn Resolve>, folder: &Path) -> Self {
        Context {
            resolve: resolve.clone(),
            readers: registry.readers().to_vec(),
            folder: folder.to_path_buf(),
            transductive: false,
            frozen: false,
            closed_form: false,
            source_keys: None,
            classes: None,
            overlap: Overlap::default(),
            checkpoint: None,
            registry: registry.clone(),
            saved: None,
            fold: None,
            folds: None,
        }
    }

    /// A source task beside the recipe's own: a teacher. `name` is a checkpoint, or the folder of a finished run, whose `model/` is meant.
    /// `more` are further keys of a `[source]`, one a line.
    pub fn source(&self, name: &str, more: &str) -> Result<Box<dyn SourceTask>> {
        let found = finished(name, self.resolve.resolve(name, &self.folder)?)?;
        let kind = found.model_type().ok_or_else(|| {
            Error::msg(format!(
                "{name} is no checkpoint: it has no config.json that names a `model_type`"
            ))
        })?;
        let make = self.registry.source_for(&kind);
        let make = make.and_then(|task| self.registry.sources.get(task));
        let make = make.ok_or_else(|| {
            let known: Vec<_> = self
                .registry
                .model_types
                .keys()
                .map(String::as_str)
                .collect();
            Error::msg(format!(
                "{name} is of the type `{kind}`, and no source task reads that; known are {}",
                known.join(", ")
            ))
        })?;
        // A run's texts are as long as they were there.
        let length = match (&found, more.contains("max_length")) {
            (Found::Folder(folder), false) => as_it_was(folder).and_then(|run| run.max_length),
            _ => None,
        };
        let length = length.map_or_else(String::new, |n| format!("max_length = {n}\n"));
        // A JSON string is a TOML string.
        let text = format!(
            "[source]\ncheckpoint = {}\n{length}{more}",
            serde_json::json!(name)
        );
        let at = self.folder.join("source.toml").display().to_string();
        let written = Written::parse(&at, &text, &[]).map_err(|r| Error::msg(r.to_string()))?;
        let cx = Context {
            checkpoint: Some(found),
            ..self.clone()
        };
        let made = make(&written.keys().table("source"), &cx);
        let report = written.finish();
        match (made, report.diagnostics().first()) {
            (Some(made), None) => Ok(made),
            (_, Some(first)) => Err(Error::msg(format!("{name}: {}", first.title()))),
            (None, None) => Err(Error::msg(format!("{name} cannot be built"))),
        }
    }
}

impl Context {
    /// Why the network of a finished run does not give the run's answers, if so: maps that it ends in, batch norm by the batch.
    ///
    /// # Errors
    /// Nothing of this name is there.
    pub fn changed(&self, name: &str) -> Result<Option<String>> {
        let found = finished(name, self.resolve.resolve(name, &self.folder)?)?;
        Ok(match &found {
            Found::Folder(folder) => as_it_was(folder).and_then(|run| run.changed),
            _ => None,
        })
    }
}

/// The `model/` of a finished run, or what was found as it is.
fn finished(name: &str, found: Found) -> Result<Found> {
    let Found::Folder(folder) = &found else {
        return Ok(found);
    };
    if folder.join("config.json").is_file() || !folder.join("recipe.toml").is_file() {
        return Ok(found);
    }
    match Directory::at(folder).finished() {
        true => Ok(Found::Folder(Directory::at(folder).model())),
        false => Err(Error::msg(format!(
            "{name} is a run that has not finished; `tlkit run --resume` goes on with it"
        ))),
    }
}

/// Makes a task or strategy from its keys. On an error it notes a diagnostic and returns `None`; on a blank recipe
/// (for the schema) it reads every key and returns `None`.
pub type Make<T> = Arc<dyn Fn(&Keys, &Context) -> Option<Box<T>> + Send + Sync>;

/// Makes a metric from its own keys; on a blank recipe it reads every key and returns `None`.
pub type MakeMetric = Arc<dyn Fn(&Keys) -> Option<Arc<dyn Metric>> + Send + Sync>;

/// Whether a strategy needs the target's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tasks differ, the target has labels.
    Inductive,
    /// The domains differ, the target's labels are sealed.
    Transductive,
}

impl Kind {
    /// As a recipe writes it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Inductive => "inductive",
            Kind::Transductive => "transductive",
        }
    }
}

/// What an experiment puts beside a method in closed form: a method that adapts nothing, with the keys that both have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// The method: `source-head`.
    pub method: &'static str,
    /// Keys of `[strategy]` that the twin is given as the method has them.
    pub keys: &'static [&'static str],
}

/// A strategy's entry.
#[derive(Clone)]
pub struct StrategyEntry {
    /// The kind it belongs to.
    pub kind: Kind,
    /// One line for help.
    pub about: &'static str,
    /// Whether it trains no network, and what stands beside it then ([`Registry::closed_form`]).
    pub closed_form: Option<Twin>,
    /// Whether the encoder stays as it is ([`Registry::frozen`]).
    pub frozen: bool,
    /// Makes it.
    pub make: Make<dyn Strategy>,
}

/// A library of a plugin that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// What the plugin is called.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Of the file.
    pub sha256: String,
    /// What of it recipes can name: ``source task `net` ``, `reader of .zz`.
    pub brings: Vec<String>,
    /// Whether the recipe names it. The others lie in the user's own folder.
    pub named: bool,
}

impl Library {
    /// Whether a recipe of these values has something of it.
    pub(crate) fn serves(&self, values: &Value) -> bool {
        let named = |kind: &str, name: &Value| {
            let name = name.as_str().unwrap_or_default();
            self.brings.contains(&format!("{kind} `{name}`"))
        };
        let metrics = values["evaluate"]["metrics"].as_array();
        named("source task", &values["source"]["task"])
            || named("target task", &values["target"]["task"])
            || named("strategy", &values["strategy"]["method"])
            || (metrics.into_iter().flatten()).any(|m| {
                let name = if m.is_string() { m } else { &m["name"] };
                named("metric", name)
            })
            || ["source", "target"].iter().any(|t| self.reads(&values[*t]))
    }

    /// Whether a file that is named there has an ending of its readers.
    fn reads(&self, values: &Value) -> bool {
        match values {
            Value::String(name) => {
                let endings = self.brings.iter();
                let mut endings = endings.filter_map(|b| b.strip_prefix("reader of "));
                endings.any(|e| name.ends_with(e))
            }
            Value::Array(all) => all.iter().any(|v| self.reads(v)),
            Value::Object(all) => all.values().any(|v| self.reads(v)),
            _ => false,
        }
    }
}

/// A library that a trained model was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it was.
    pub path: PathBuf,
    /// The file that it must be, where the recipe pinned it.
    pub sha256: Option<String>,
    /// Whether everybody may write it.
    pub allow_writable: bool,
}

/// Knows how to load what a recipe's `[[plugins]]` name.
pub trait Plugins: Send + Sync {
    /// Reads `[[plugins]]` and adds what they bring. Errors are noted at their places.
    fn add(&self, root: &Keys, folder: &Path, registry: &mut Registry);
    /// Adds what the library of a trained model brings, in the place of what other libraries bring under the same names.
    ///
    /// # Errors
    /// It is not there, or cannot be loaded.
    fn restore(&self, wanted: &Wanted, registry: &mut Registry) -> Result<Library>;
}

/// Everything that recipes can name.
#[derive(Clone, Default)]
pub struct Registry {
    sources: BTreeMap<String, Make<dyn SourceTask>>,
    targets: BTreeMap<String, Make<dyn TargetTask>>,
    strategies: BTreeMap<String, StrategyEntry>,
    readers: Vec<Arc<dyn Reader>>,
    pictures: Option<Arc<dyn Pictures>>,
    baselines: Vec<(String, Arc<dyn Baseline>)>,
    metrics: BTreeMap<String, MakeMetric>,
    model_types: BTreeMap<String, String>,
    maps: MapKinds,
    plugins: Option<Arc<dyn Plugins>>,
    libraries: Vec<Library>,
    shared: Option<Arc<Shared>>,
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for recipes that are checked one after the other and name the same files: each file is opened and looked through once, and the images of the same
    /// rows are held against each other once.
    pub fn sharing(&self) -> Registry {
        Registry {
            shared: Some(self.shared.clone().unwrap_or_default()),
            ..self.clone()
        }
    }

    pub(crate) fn shared(&self) -> Option<&Shared> {
        self.shared.as_deref()
    }

    /// Adds a source task. `model_types` are the values of `model_type` in a checkpoint's `config.json` that it reads,
    /// so that a recipe may leave out `source.task`.
    pub fn source(
        &mut self,
        name: &str,
        model_types: &[&str],
        make: Make<dyn SourceTask>,
    ) -> Result<()> {
        for t in model_types {
            self.model_types.insert((*t).to_string(), name.to_string());
        }
        taken(
            "source task",
            name,
            self.sources.insert(name.to_string(), make).is_some(),
        )
    }

    /// Adds a target task.
    pub fn target(&mut self, name: &str, make: Make<dyn TargetTask>) -> Result<()> {
        taken(
            "target task",
            name,
            self.targets.insert(name.to_string(), make).is_some(),
        )
    }

    /// Adds a strategy.
    pub fn strategy(
        &mut self,
        name: &str,
        kind: Kind,
        about: &'static str,
        make: Make<dyn Strategy>,
    ) -> Result<()> {
        let entry = StrategyEntry {
            kind,
            about,
            closed_form: None,
            frozen: false,
            make,
        };
        taken(
            "strategy",
            name,
            self.strategies.insert(name.to_string(), entry).is_some(),
        )
    }

    /// Says that a strategy trains no network, as [`crate::strategy::Needs::closed_form`] does: a source without weights of its own wants to know, its features
    /// are the inputs then, and so does who would set rows of the source aside. `twin` is the same without the adaptation.
    pub fn closed_form(&mut self, name: &str, twin: Twin) {
        if let Some(entry) = self.strategies.get_mut(name) {
            entry.closed_form = Some(twin);
        }
    }

    /// Says that a strategy leaves the encoder as it is, which a source without weights of its own wants to know as well.
    pub fn frozen(&mut self, name: &str) {
        if let Some(entry) = self.strategies.get_mut(name) {
            entry.frozen = true;
        }
    }

    /// Adds a reader of data files.
    pub fn reader(&mut self, reader: Arc<dyn Reader>) {
        self.readers.push(reader);
    }

    /// Adds a reader that is asked before the others.
    pub fn first_reader(&mut self, reader: Arc<dyn Reader>) {
        self.readers.insert(0, reader);
    }

    /// Says who opens images.
    pub fn set_pictures(&mut self, pictures: Arc<dyn Pictures>) {
        self.pictures = Some(pictures);
    }

    /// Who opens images, where somebody does.
    pub fn pictures(&self) -> Option<&Arc<dyn Pictures>> {
        self.pictures.as_ref()
    }

    /// Says who loads the plugins that recipes name.
    pub fn plugins(&mut self, plugins: Arc<dyn Plugins>) {
        self.plugins = Some(plugins);
    }

    /// This one, and what the recipe's own plugins bring.
    pub(crate) fn with_plugins(&self, root: &Keys, folder: &Path) -> Registry {
        let mut all = self.clone();
        // Those of another recipe, whose registry this was.
        all.libraries.retain(|l| !l.named);
        match &self.plugins {
            Some(plugins) => plugins.add(root, folder, &mut all),
            None => root.reserved("plugins", "this program loads no plugins"),
        }
        all
    }

    /// Adds what the library of a trained model brings.
    ///
    /// # Errors
    /// Those of whoever loads it.
    pub(crate) fn restore(&mut self, wanted: &Wanted) -> Result<Library> {
        match self.plugins.clone() {
            Some(plugins) => plugins.restore(wanted, self),
            None => Err(Error::msg("this program loads no plugins")),
        }
    }

    /// Notes a library that something here is of; of one recipe in the order in which it names them.
    pub fn library(&mut self, library: Library) {
        self.libraries.push(library);
    }

    /// The libraries that something here is of.
    pub fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// Adds a baseline. Where a recipe names none, those that suit its inputs stand beside a result in the order they were added.
    pub fn baseline(&mut self, name: &str, baseline: Arc<dyn Baseline>) -> Result<()> {
        let was = self.baselines.iter().any(|(n, _)| n == name);
        self.baselines.push((name.to_string(), baseline));
        taken("baseline", name, was)
    }

    /// Baselines, in the order they were added.
    pub fn baselines(&self) -> &[(String, Arc<dyn Baseline>)] {
        &self.baselines
    }

    /// Adds a metric of class predictions, which `evaluate.metrics` can name.
    pub fn metric(&mut self, name: &str, make: MakeMetric) -> Result<()> {
        let was = self.metrics.insert(name.to_string(), make).is_some();
        taken("metric", name, was)
    }

    /// Metrics by name.
    pub fn metrics(&self) -> &BTreeMap<String, MakeMetric> {
        &self.metrics
    }

    /// Adds a kind of map, so that checkpoints can hold it.
    pub fn map(&mut self, kind: &str, load: LoadMap) -> Result<()> {
        taken("kind of map", kind, !self.maps.add(kind, load))
    }

    /// Kinds of map.
    pub fn maps(&self) -> &MapKinds {
        &self.maps
    }

    /// Source tasks by name.
    pub fn sources(&self) -> &BTreeMap<String, Make<dyn SourceTask>> {
        &self.sources
    }

    /// Target tasks by name.
    pub fn targets(&self) -> &BTreeMap<String, Make<dyn TargetTask>> {
        &self.targets
    }

    /// Strategies by name.
    pub fn strategies(&self) -> &BTreeMap<String, StrategyEntry> {
        &self.strategies
    }

    /// Readers, in the order they were added.
    pub fn readers(&self) -> &[Arc<dyn Reader>] {
        &self.readers
    }

    /// The source task that reads checkpoints of this `model_type`.
    pub fn source_for(&self, model_type: &str) -> Option<&str> {
        self.model_types.get(model_type).map(String::as_str)
    }
}

fn taken(what: &str, name: &str, was: bool) -> Result<()> {
    if was {
        Err(Error::msg(format!(
            "the {what} `{name}` is registered twice"
        )))
    } else {
        Ok(())
    }
}
