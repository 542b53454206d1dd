//! One checked recipe, from source to result.

use std::collections::BTreeMap;
use std::io::Write;

use candle_core::{DType, Device};
use serde::Serialize;

use super::arrange::{arranged, looked_back};
use super::directory::{Directory, write_whole};
use super::given::Given;
use super::result::{Identity, RunResult, result};
use super::{saved, trained_on};
use crate::cache::Cache;
use crate::check::Checked;
use crate::data::{From, Loaded};
use crate::evaluate::{self, Prediction, Scores};
use crate::nn::Store;
use crate::strategy::{Selection, TargetData};
use crate::task::Scoring;
use crate::train::{self, Domains, Event, Job, Observer, Stop, Stoppable};
use crate::{Context, Error, Result};

/// Around a run.
pub struct Surroundings<'a> {
    /// The run directory; made when it is not there.
    pub directory: Directory,
    /// The recipe's file stem.
    pub name: String,
    /// Hears what happens.
    pub observer: &'a dyn Observer,
    /// Asks to stop.
    pub stop: Stop,
}

/// Runs a checked recipe. On return the run directory is complete.
pub fn execute(c: &Checked, around: &Surroundings<'_>) -> Result<RunResult> {
    let dir = &around.directory;
    dir.create()?;
    let data_sha256 = &c.data_sha256();
    let identity = c.identity();
    write_whole(&dir.recipe(), c.replayable.as_bytes())?;
    write_whole(
        &dir.identity(),
        &pretty(&Identity::of(c, &around.name, &identity))?,
    )?;
    let device = Device::Cpu;
    let store = Store::new(&device, DType::F32, c.seed);
    let given = Given::read(c)?;
    let prepare = c.source.prepare()?;
    let started = std::time::Instant::now();
    arranged(c, &store, |transfer| {
        let mut domains = Domains::default();
        if let Some(source) = &given.source {
            domains = domains.with(From::Source, Loaded::labelled(source, prepare.clone()));
        }
        match &given.target {
            TargetData::Labelled(d) => {
                domains = domains.with(From::Target, Loaded::labelled(d, prepare.clone()))
            }
            TargetData::Unlabelled(d) => {
                domains = domains.with(From::Target, Loaded::unlabelled(d, prepare.clone()))
            }
            TargetData::None => {}
        }
        if let Some(test) = &given.test {
            domains = domains.with(From::TargetTest, Loaded::unlabelled(test, prepare.clone()));
        }
        let scored = c.target.scoring() != Scoring::Vectors;
        let validation = given
            .validation
            .as_ref()
            .filter(|_| scored)
            .map(|d| Loaded::labelled(d, prepare.clone()));
        // What has no labels to be scored by is scored by the strategy's own loss.
        if let Some(rows) = given.validation.as_ref().filter(|_| !scored) {
            let rows = Loaded::unlabelled(rows, prepare.clone());
            domains = domains.with(From::Validation, rows);
        }
        if given.validation.is_none() {
            transfer.settings.select = Selection::Last;
        }
        let phases = c.strategy.phases(transfer)?;
        let job = Job {
            identity: identity.clone(),
            seed: c.seed,
            domains,
            validation,
            observer: around.observer,
            stop: around.stop.clone(),
            checkpoint: Some(dir.checkpoint()),
            metrics: Some(dir.metrics()),
            checkpoint_every: c.checkpoint_every,
            max_steps: c.max_steps,
            maps: c.maps.clone(),
            cache: if c.cache { Cache::of_the_user() } else { None },
        };
        let outcome = train::run(transfer, phases, &job)?;
        if outcome.resumed_at.is_some() {
            around
                .observer
                .event(&Event::Note("went on from a checkpoint"));
        }
        let heeding = Stoppable {
            observer: around.observer,
            stop: &around.stop,
        };
        let mut metrics = BTreeMap::new();
        if let Some(v) = &job.validation {
            metrics.insert(
                "validation",
                Scores::of(&transfer.model, v, c.target.as_ref(), &store, &heeding)?,
            );
        }
        let mut predictions = Vec::new();
        if let Some(test) = given.test.as_ref().filter(|_| scored) {
            let (scores, rows) = evaluate::test(
                &transfer.model,
                test,
                prepare.clone(),
                c.target.as_ref(),
                &store,
                &heeding,
            )?;
            metrics.insert("test", scores);
            predictions = rows;
        }
        write_predictions(dir, &predictions)?;
        let labels = match c.target.scoring() {
            Scoring::Classes(names) => names,
            Scoring::Tokens | Scoring::Vectors => Vec::new(),
        };
        let model_dir = dir.model();
        std::fs::create_dir_all(&model_dir).map_err(Error::io(&model_dir))?;
        let export = c
            .source
            .export(&transfer.model, &store, &labels, &model_dir)
            .context("model/")?;
        let reloads = saved::write(
            c,
            &around.name,
            &transfer.model,
            &store,
            given.probe().as_ref(),
            &model_dir,
        )
        .context("model/")?;
        trained_on::write(&dir.trained_on(), &given.learned_from())?;
        let (layers, moved) = looked_back(c, &store)?;
        let moved = serde_json::json!({ "format": 1, "tensors": moved });
        write_whole(&dir.liveness(), &pretty(&moved)?)?;
        let result = result(
            c,
            around,
            data_sha256,
            &identity,
            &outcome,
            metrics,
            labels,
            layers,
            &export,
            &reloads,
            &store,
            started.elapsed().as_secs_f64(),
        )?;
        write_whole(&dir.result(), &pretty(&result)?)?;
        Ok(result)
    })
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|e| Error::msg(e.to_string()))
}

fn write_predictions(dir: &Directory, rows: &[Prediction]) -> Result<()> {
    let mut text = Vec::new();
    for row in rows {
        let line = serde_json::to_string(row).map_err(|e| Error::msg(e.to_string()))?;
        writeln!(text, "{line}").map_err(Error::io(dir.predictions()))?;
    }
    write_whole(&dir.predictions(), &text)
}
