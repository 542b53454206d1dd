//! One checked recipe, from source to result.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use super::directory::{Directory, write_whole};
use crate::check::Checked;
use crate::data::{Domain, From, Labels, Loaded, Reading};
use crate::evaluate::{self, Prediction, Scores};
use crate::model::Model;
use crate::nn::{Param, Store};
use crate::registry::Kind;
use crate::strategy::{Selection, TargetData, Transfer};
use crate::task::{Export, Scoring};
use crate::train::{self, Domains, Event, Job, Observer, Outcome, Stop, Stoppable};
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
    /// Largest resident memory, in MiB; 0 where the system does not say.
    pub peak_rss_mb: u64,
    /// Kind and method.
    pub strategy: BTreeMap<&'static str, String>,
    /// By what, and which epoch.
    pub selection: serde_json::Value,
    /// `validation` and `test`.
    pub metrics: BTreeMap<&'static str, Scores>,
    /// What closed-form phases reported.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fits: BTreeMap<String, f64>,
    /// Class names, in the order of the probabilities.
    pub labels: Vec<String>,
    /// Hash of the weights that were kept.
    pub weights_sha256: String,
    /// Who else can load `model/`, or why nobody.
    pub model: serde_json::Value,
    /// Optimizer steps.
    pub steps: u64,
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
        }
    }
}

/// What a checked recipe works on, for a header.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Split, domain, rows: `train`, `films`, 300.
    pub rows: Vec<(&'static str, String, usize)>,
    /// Class names; none where tokens are predicted.
    pub classes: Vec<String>,
}

/// The rows by split, and the classes.
pub fn overview(c: &Checked) -> Result<Overview> {
    let given = Given::read(c)?;
    let mut rows = Vec::new();
    if let Some(d) = &given.source {
        rows.push(("source", d.name.clone(), d.inputs.len()));
    }
    match &given.target {
        TargetData::Labelled(d) => rows.push(("train", d.name.clone(), d.inputs.len())),
        TargetData::Unlabelled(d) => rows.push(("unlabelled", d.name.clone(), d.inputs.len())),
        TargetData::None => {}
    }
    if let Some(d) = &given.validation {
        rows.push(("validation", d.name.clone(), d.inputs.len()));
    }
    if let Some(d) = &given.test {
        rows.push(("test", d.name.clone(), d.inputs.len()));
    }
    let classes = match c.target.scoring() {
        Scoring::Classes(names) => names,
        Scoring::Tokens => Vec::new(),
    };
    Ok(Overview { rows, classes })
}

/// A row of the model summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The stage.
    pub stage: String,
    /// Its output.
    pub output: String,
    /// Numbers it holds.
    pub parameters: usize,
    /// Numbers that train in some phase.
    pub trainable: usize,
}

/// Domains of a checked recipe, sealed where they must be.
struct Given {
    target: TargetData,
    source: Option<Domain<Labels>>,
    validation: Option<Domain<Labels>>,
    test: Option<Domain<crate::data::Sealed<Labels>>>,
}

impl Given {
    fn read(c: &Checked) -> Result<Self> {
        let reading = Reading::new();
        let target = match c.kind {
            Kind::Inductive => c
                .target
                .domain("train", &reading)?
                .map_or(TargetData::None, TargetData::Labelled),
            Kind::Transductive => c
                .target
                .domain("unlabelled", &reading)?
                .map_or(TargetData::None, |d| TargetData::Unlabelled(d.seal())),
        };
        Ok(Given {
            target,
            source: c.source.domain(&reading)?,
            validation: c.target.domain("validation", &reading)?,
            test: c.target.domain("test", &reading)?.map(Domain::seal),
        })
    }
}

/// Builds the model and hands the transfer to `with`.
fn arranged<T>(
    c: &Checked,
    store: &Store,
    with: impl FnOnce(&mut Transfer<'_>) -> Result<T>,
) -> Result<T> {
    let needs = c.strategy.needs();
    let scope = store.scope("model");
    let encoder = if needs.scratch {
        c.source.fresh_encoder(&scope)?
    } else {
        c.source.encoder(&scope)?
    };
    let width = encoder.width();
    let head = c
        .target
        .head(&scope, c.source.as_ref(), width, needs.frozen)?;
    let classes = match c.target.scoring() {
        Scoring::Classes(names) => names.len(),
        Scoring::Tokens => 0,
    };
    let mut transfer = Transfer {
        source: c.source.as_ref(),
        target: c.target.as_ref(),
        store,
        model: Model::new(encoder, head),
        others: BTreeMap::new(),
        heads: BTreeMap::new(),
        classes,
        settings: c.settings.clone(),
    };
    c.strategy.arrange(&mut transfer)?;
    with(&mut transfer)
}

/// The model summary: stages, shapes, parameters, what trains.
pub fn summary(c: &Checked) -> Result<Vec<Layer>> {
    let store = Store::new(&Device::Cpu, DType::F32, c.seed);
    arranged(c, &store, |transfer| {
        let mut trained = std::collections::BTreeSet::new();
        for phase in c.strategy.phases(transfer)? {
            match phase {
                crate::strategy::Phase::Train(t) => {
                    for update in &t.updates {
                        trained.extend(
                            store
                                .select(&update.trains)
                                .iter()
                                .map(|p| p.name().to_string()),
                        );
                    }
                }
                // A closed-form phase writes the classifier.
                crate::strategy::Phase::Fit { .. } => {
                    if let Some(last) = transfer.model.chain().stages().last() {
                        trained.extend(last.params().iter().map(|p| p.name().to_string()));
                    }
                }
            }
        }
        let row = |s: &Arc<dyn crate::nn::Stage>| Layer {
            stage: s.name().to_string(),
            output: s.output(),
            parameters: s.params().iter().map(Param::count).sum(),
            trainable: s
                .params()
                .iter()
                .filter(|p| trained.contains(p.name()))
                .map(Param::count)
                .sum(),
        };
        Ok(transfer.model.chain().stages().iter().map(row).collect())
    })
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
        let validation = given
            .validation
            .as_ref()
            .map(|d| Loaded::labelled(d, prepare.clone()));
        if validation.is_none() {
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
        if let Some(test) = &given.test {
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
            Scoring::Tokens => Vec::new(),
        };
        let model_dir = dir.model();
        std::fs::create_dir_all(&model_dir).map_err(Error::io(&model_dir))?;
        let export = c
            .source
            .export(&transfer.model, &store, &labels, &model_dir)
            .context("model/")?;
        let result = result(
            c,
            around,
            data_sha256,
            &identity,
            &outcome,
            metrics,
            labels,
            &export,
            &store,
            started.elapsed().as_secs_f64(),
        )?;
        write_whole(&dir.result(), &pretty(&result)?)?;
        Ok(result)
    })
}

fn result(
    c: &Checked,
    around: &Surroundings<'_>,
    data_sha256: &str,
    identity: &str,
    outcome: &Outcome,
    metrics: BTreeMap<&'static str, Scores>,
    labels: Vec<String>,
    export: &Export,
    store: &Store,
    seconds: f64,
) -> Result<RunResult> {
    use sha2::Digest;
    let model = match export {
        Export::Loadable { by } => serde_json::json!({ "loadable_by": by }),
        Export::Ours { why } => serde_json::json!({ "loadable_by": null, "why": why }),
    };
    let selection = match &outcome.chosen {
        Some(best) => {
            serde_json::json!({ "by": "validation", "epoch": best.epoch, "oracle": false })
        }
        None => serde_json::json!({ "by": "last", "epoch": null, "oracle": false }),
    };
    Ok(RunResult {
        format: 1,
        recipe: around.name.clone(),
        recipe_sha256: crate::hex(&sha2::Sha256::digest(c.explained.as_bytes())),
        data_sha256: data_sha256.to_string(),
        identity: identity.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        seed: c.seed,
        status: "done".into(),
        device: "cpu".into(),
        threads: rayon::current_num_threads(),
        seconds: outcome.seconds.max(seconds),
        peak_rss_mb: peak_rss_mb(),
        strategy: [
            ("kind", c.kind.name().to_string()),
            ("method", c.method.clone()),
        ]
        .into(),
        selection,
        metrics,
        fits: outcome.fits.clone(),
        labels,
        weights_sha256: weights_sha256(store)?,
        model,
        steps: outcome.steps,
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
fn peak_rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
        .map_or(0, |kb| kb / 1024)
}
