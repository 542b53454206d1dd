//! A finished run as a source task: its network, and its weights by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Card;
use super::open::{card, tasks, weights};
use super::plugins::restore;
use crate::data::{Prepare, View};
use crate::model::Model;
use crate::nn::{NormMode, Scope, Stage, Store, Weights};
use crate::registry::Registry;
use crate::run::Directory;
use crate::strategy::Defaults;
use crate::task::{Encoder, Export, Finished, Pretext, PretextLoss, SourceTask};
use crate::{Error, Result};

/// The model of a finished run (`source.run`).
pub(crate) struct FinishedRun {
    inner: Box<dyn SourceTask>,
    card: Card,
    finished: Finished,
    digest: String,
}

impl FinishedRun {
    /// From the folder of a run, or of its `model/`.
    pub fn open(folder: &Path, registry: &Registry) -> Result<Self> {
        let run = Directory::at(folder);
        let folder: PathBuf = match folder.join(super::FILE).is_file() {
            true => folder.to_path_buf(),
            false if !run.finished() => {
                return Err(Error::msg(format!(
                    "{} is no finished run; `tlkit runs` lists those there are",
                    folder.display()
                )));
            }
            false => run.model(),
        };
        let card = card(&folder)?;
        if !card.maps.is_empty() {
            return Err(Error::msg(format!(
                "the model in {} was changed by `{}` in closed form, and such a one cannot be a source",
                folder.display(),
                card.method
            )));
        }
        let rows = card
            .rows
            .clone()
            .ok_or_else(|| Error::msg(format!("{}: no `rows`", folder.display())))?;
        let classes = Arc::new(card.classes.clone());
        let plugged = restore(registry, &card);
        let (inner, _) = tasks(&folder, &plugged, &card, &classes, &rows)?;
        let digest = digest(&folder)?;
        Ok(FinishedRun {
            inner,
            finished: Finished {
                folder,
                frozen: card.frozen,
                stages: card.stages.clone(),
                weighted: card.weighted.clone(),
            },
            card,
            digest,
        })
    }

    /// The source task that it was trained from.
    pub fn task(&self) -> &str {
        self.card.source["task"].as_str().unwrap_or_default()
    }

    /// The classes that it knows.
    pub fn classes(&self) -> Arc<Vec<String>> {
        Arc::new(self.card.classes.clone())
    }
}

/// Of the weights.
fn digest(folder: &Path) -> Result<String> {
    use sha2::Digest;
    let mut sha = sha2::Sha256::new();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let weights = path.extension().is_some_and(|e| e == "safetensors");
        if weights || path.file_name().is_some_and(|n| n == super::FILE) {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        sha.update(std::fs::read(&path).map_err(Error::io(&path))?);
        sha.update([0]);
    }
    Ok(format!("run {}", crate::hex(&sha.finalize())))
}

/// Puts the weights of a finished run into a model made for them, every one by its name.
pub(crate) fn take(
    source: &dyn SourceTask,
    finished: &Finished,
    model: &Model,
    store: &Store,
) -> Result<()> {
    let made: Vec<&str> = model.chain().stages().iter().map(|s| s.name()).collect();
    if made != finished.stages {
        return Err(Error::msg(format!(
            "source.run: the run's model has the stages {}, and this recipe makes {}; give [target] the keys of the run",
            finished.stages.join(", "),
            made.join(", ")
        )));
    }
    let weights = weights(source, &finished.folder)?;
    for p in store.all() {
        let value = weights.tensor(p.name())?.ok_or_else(|| {
            Error::msg(format!(
                "{} has no tensor {}",
                finished.folder.display(),
                p.name()
            ))
        })?;
        if value.dims() != p.dims() {
            return Err(Error::msg(format!(
                "{}: {} has the shape {:?}, and {:?} is wanted",
                finished.folder.display(),
                p.name(),
                value.dims(),
                p.dims()
            )));
        }
        p.var()
            .set(&value.to_dtype(store.dtype())?.to_device(store.device())?)?;
    }
    store.touch();
    Ok(())
}

impl SourceTask for FinishedRun {
    fn defaults(&self) -> Defaults {
        self.inner.defaults()
    }

    fn trains(&self) -> bool {
        self.inner.trains()
    }

    fn has_layers(&self) -> bool {
        self.inner.has_layers()
    }

    fn expect_width(&mut self, width: Option<usize>) -> Result<()> {
        let had = self.card.rows.as_ref().map(|r| r.width).filter(|w| *w > 0);
        match (had, width) {
            (Some(had), Some(width)) if had != width => Err(Error::msg(format!(
                "the run learned from vectors of {had} numbers, and these have {width}"
            ))),
            _ => Ok(()),
        }
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        super::open::prepared(self.inner.as_ref(), &self.card)
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        self.inner.fresh_encoder(scope)
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        self.inner.fresh_encoder(scope)
    }

    fn pooling(
        &self,
        scope: &Scope<'_>,
        choice: Option<&str>,
        frozen: bool,
    ) -> Result<Vec<Arc<dyn Stage>>> {
        let was = self.card.target.get("pooling").and_then(Value::as_str);
        self.inner.pooling(scope, choice.or(was), frozen)
    }

    fn poolings(&self) -> &[&'static str] {
        self.inner.poolings()
    }

    fn finished(&self) -> Option<&Finished> {
        Some(&self.finished)
    }

    fn scratch_defaults(&self) -> Defaults {
        self.inner.scratch_defaults()
    }

    fn reads(&self) -> Option<&'static str> {
        self.inner.reads()
    }

    fn takes(&self, kind: &str) -> bool {
        self.inner.takes(kind)
    }

    fn batch_norm(&self) -> bool {
        self.inner.batch_norm()
    }

    fn norm_mode(&self, fresh: bool) -> Option<NormMode> {
        self.inner.norm_mode(fresh)
    }

    fn shape(&self) -> Option<Vec<usize>> {
        self.inner.shape()
    }

    fn pooled(&self, pooling: &str) -> Option<usize> {
        self.inner.pooled(pooling)
    }

    fn exported(&self, folder: &Path) -> Result<Weights> {
        self.inner.exported(folder)
    }

    fn head_dropout(&self) -> f64 {
        self.inner.head_dropout()
    }

    fn head_init(&self) -> f64 {
        self.inner.head_init()
    }

    fn pretext(&self, name: &str, scope: &Scope<'_>) -> Result<Option<Pretext>> {
        self.inner.pretext(name, scope)
    }

    fn pretext_loss(&self, name: &str) -> Option<(View, PretextLoss)> {
        self.inner.pretext_loss(name)
    }

    fn export(&self, model: &Model, store: &Store, labels: &[String], to: &Path) -> Result<Export> {
        self.inner.export(model, store, labels, to)
    }

    fn saved(&self, keys: &mut Map<String, Value>) {
        *keys = self.card.source.clone();
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn ancestor(&self) -> Option<String> {
        Some(self.digest.clone())
    }
}
