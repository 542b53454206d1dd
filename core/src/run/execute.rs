//! One checked recipe, from source to result.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::DType;
use serde::Serialize;

use super::arrange::{arranged, looked_back, phases};
use super::directory::{Directory, write_whole};
use super::embedding::embedding;
use super::given::{Given, Prepares};
use super::result::{Identity, RunResult, Scored, result};
use super::{saved, thumbnails, trained_on};
use crate::cache::Cache;
use crate::check::Checked;
use crate::data::{Domain, From, Labels, Loaded, Prepare};
use crate::device::Place;
use crate::evaluate::{self, Prediction, Scores};
use crate::nn::Store;
use crate::random::Stream;
use crate::registry::Kind;
use crate::select::Look;
use crate::strategy::{Selection, TargetData};
use crate::task::{Export, Scoring};
use crate::train::{self, Deciding, Domains, Event, Job, Observer, Shared, Stop, Stoppable};
use crate::{Context, Error, Result};

/// The method that adapts nothing, and that every adaptation is compared with.
pub(crate) const SOURCE_ONLY: &str = "source-only";

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
    /// Where runs that begin alike leave their beginnings to each other.
    pub shared: Option<PathBuf>,
}

/// Runs a checked recipe once, whatever it says of folds and grids. On return the run directory is complete.
pub fn execute(c: &Checked, around: &Surroundings<'_>) -> Result<RunResult> {
    execute_as(c, around, &Part::whole(c))
}

/// What a run is a part of.
pub(super) struct Part<'a> {
    /// The recipe that the directory belongs to; of a chosen point, the recipe with the grid.
    pub of: &'a Checked,
    /// Whether the test is opened, and `model/` written: not for a point of a grid.
    pub test: bool,
    /// What is known of the grid.
    pub tuned: Option<serde_json::Value>,
    /// Seconds spent before.
    pub seconds: f64,
}

impl<'a> Part<'a> {
    /// A run of its own.
    pub fn whole(of: &'a Checked) -> Self {
        Part {
            of,
            test: true,
            tuned: None,
            seconds: 0.0,
        }
    }
}

/// Makes the run directory of a recipe, and says in it what it is.
pub(super) fn begin(c: &Checked, around: &Surroundings<'_>) -> Result<()> {
    let dir = &around.directory;
    dir.create()?;
    write_whole(&dir.recipe(), c.replayable.as_bytes())?;
    write_whole(
        &dir.identity(),
        &pretty(&Identity::of(c, &around.name, &c.identity()))?,
    )
}

/// Runs a checked recipe as a part of something.
pub(super) fn execute_as(
    c: &Checked,
    around: &Surroundings<'_>,
    part: &Part<'_>,
) -> Result<RunResult> {
    let dir = &around.directory;
    begin(part.of, around)?;
    let identity = c.identity();
    let device = Place::named(&c.device).unwrap_or(Place::Cpu).open()?;
    let store = Store::new(&device, DType::F32, c.seed);
    let given = Given::read(c)?;
    let prepares = given.prepares(c.source.prepare()?)?;
    let prepare = prepares.target.clone();
    let started = std::time::Instant::now();
    arranged(c, &store, |transfer| {
        let mut domains = Domains::default();
        if let Some(source) = &given.source {
            domains = domains.with(
                From::Source,
                Loaded::labelled(source, prepares.source.clone()),
            );
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
        let transductive = c.kind == Kind::Transductive;
        let labelled = |d: &Domain<Labels>| Loaded::labelled(d, prepare.clone());
        // In a transductive run the source has the rows that training is looked at by.
        let validation = match transductive {
            true => &given.source_validation,
            false => &given.validation,
        };
        let of_validation = match transductive {
            true => &prepares.source,
            false => &prepares.target,
        };
        let validation = validation.as_ref().filter(|_| scored);
        let validation = validation.map(|d| Loaded::labelled(d, of_validation.clone()));
        let deciding = transductive
            .then(|| deciding(c, &given, &prepares))
            .flatten();
        // Which classes are how frequent is counted on rows that were not learned from.
        if let Some(rows) = given.source_validation.as_ref() {
            let rows = Loaded::labelled(rows, prepares.source.clone());
            domains = domains.with(From::Validation, rows);
        }
        // What has no labels to be scored by is scored by the strategy's own loss.
        if let Some(rows) = given.validation.as_ref().filter(|_| !scored) {
            let rows = Loaded::unlabelled(rows, prepare.clone());
            domains = domains.with(From::Validation, rows);
        }
        if given.validation.is_none() && !transductive {
            transfer.settings.select = Selection::Last;
        }
        let phases = phases(c, transfer)?;
        let job = Job {
            identity: identity.clone(),
            seed: c.seed,
            domains,
            validation,
            validated: if transductive { "source" } else { "validation" },
            deciding,
            trained: c.source.finished().is_some(),
            // Of what is no adaptation there is no before.
            // (A point of a grid is asked too: the run goes on from the checkpoint of the best of them.)
            before: (transductive && c.method != SOURCE_ONLY).then_some(c.judge.crops),
            observer: around.observer,
            stop: around.stop.clone(),
            checkpoint: Some(dir.checkpoint()),
            metrics: Some(dir.metrics()),
            checkpoint_every: c.checkpoint_every,
            max_steps: c.max_steps,
            maps: c.maps.clone(),
            cache: if c.cache { Cache::of_the_user() } else { None },
            shared: around.shared.clone().map(|folder| Shared {
                folder,
                of: c.beginning(),
            }),
        };
        let outcome = train::run(transfer, phases, &job)?;
        // What a chosen point of a grid left is no sitting that was cut short.
        if outcome.resumed_at.is_some() && part.tuned.is_none() {
            around
                .observer
                .event(&Event::Note("went on from a checkpoint"));
        }
        let heeding = Stoppable {
            observer: around.observer,
            stop: &around.stop,
        };
        let mut metrics = BTreeMap::new();
        let validation = match transductive {
            true => given.validation.as_ref().map(labelled),
            false => None,
        };
        if let Some(v) = validation
            .as_ref()
            .or(job.validation.as_ref().filter(|_| !transductive))
        {
            let target = c.target.as_ref();
            let scores = evaluate::judged(
                &transfer.model,
                v,
                target,
                &store,
                &heeding,
                &c.judge,
                evaluate::Temperature::Fitted,
            )
            .map_err(|e| e.after(outcome.steps))?;
            metrics.insert("validation", scores);
        }
        let mut predictions = Vec::new();
        let (mut baselines, mut worth, mut baseline) = (Vec::new(), None, None);
        let temperature = metrics.get("validation").and_then(Scores::temperature);
        if let Some(test) = given.test.as_ref().filter(|_| scored && part.test) {
            let (scores, rows) = evaluate::test(
                &transfer.model,
                test,
                prepare.clone(),
                c.target.as_ref(),
                &store,
                &heeding,
                &c.judge,
                temperature,
            )
            .map_err(|e| e.after(outcome.steps))?;
            metrics.insert("test", scores);
            predictions = rows;
            if let Some(logits) = &outcome.before {
                let (scores, against) = evaluate::before(logits, test, &predictions, &c.judge);
                baseline = Some(serde_json::json!({ "source_only": { "test": scores } }));
                worth = Some(against);
            }
            if let (TargetData::Labelled(train), false) = (&given.target, transductive) {
                (baselines, worth) = evaluate::beside(
                    &c.baselines,
                    train,
                    test,
                    &predictions,
                    &c.judge,
                    // A yardstick is the same for all seeds of the run.
                    Stream::new(0).purpose("baselines"),
                    &heeding,
                )?;
            }
        }
        write_predictions(dir, &predictions)?;
        let closed = c.strategy.needs().closed_form;
        let resumed = outcome.resumed_at.is_some();
        // What moved the source in closed form is not kept: whoever goes on has the picture of the sitting that fitted it, a grid that of its point.
        let kept = closed && resumed && dir.embedding().exists();
        if transductive && scored && (part.test || closed) && !kept {
            let model = &transfer.model;
            let drawn = embedding(c, &given, &prepares, model, &store, resumed, &heeding)?;
            if let Some(drawn) = drawn {
                write_whole(&dir.embedding(), &pretty(&drawn)?)?;
            }
        }
        if let Some(test) = &given.test {
            let pictures = c.pictures.as_deref();
            thumbnails::write(dir, test.inputs.as_ref(), &predictions, pictures)?;
        }
        let labels = match c.target.scoring() {
            Scoring::Classes(names) => names,
            Scoring::Tokens | Scoring::Vectors => Vec::new(),
        };
        let (export, reloads) = if part.test {
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
                &prepare,
                temperature,
                &model_dir,
            )
            .context("model/")?;
            (export, reloads)
        } else {
            let why = "a point of a grid leaves no model".to_string();
            (Export::Ours { why: why.clone() }, Err(why))
        };
        trained_on::write(&dir.trained_on(), &given.learned_from())?;
        let (layers, moved) = looked_back(c, &store)?;
        let moved = serde_json::json!({ "format": 1, "tensors": moved });
        write_whole(&dir.liveness(), &pretty(&moved)?)?;
        // What stands beside the result says itself what it cost.
        let beside: f64 = baselines.iter().map(|b| b.seconds).sum();
        let scored = Scored {
            metrics,
            baselines,
            baseline,
            worth,
            labels,
            layers,
        };
        let result = result(
            c,
            around,
            part,
            &outcome,
            scored,
            &export,
            &reloads,
            (&transfer.model, &store),
            started.elapsed().as_secs_f64() - beside,
        )?;
        write_whole(&dir.result(), &pretty(&result)?)?;
        Ok(result)
    })
}

/// What decides which epoch of an adaptation is kept.
fn deciding(c: &Checked, given: &Given, prepares: &Prepares) -> Option<Deciding> {
    let prepare = &prepares.target;
    let labelled = |d: &Domain<Labels>| Loaded::labelled(d, prepare.clone());
    match c.settings.select {
        Selection::Last | Selection::Validation => None,
        Selection::TargetValidation => given
            .validation
            .as_ref()
            .map(|d| Deciding::Labelled(Box::new(labelled(d)))),
        Selection::Oracle => {
            let test = given.test.as_ref()?;
            let open = evaluate::opened(test, prepare.clone());
            Some(Deciding::Labelled(Box::new(open)))
        }
        Selection::LabelFree(by) => {
            let target = match (&given.watched, &given.target) {
                (Some(d), _) => looked_at(d.unlabelled(), prepare),
                (None, TargetData::Unlabelled(d)) => looked_at(d.unlabelled(), prepare),
                (None, TargetData::Labelled(d)) => looked_at(d.unlabelled(), prepare),
                (None, TargetData::None) => return None,
            };
            // Rows that were learned from would flatter every candidate.
            let source = given.source_validation.as_ref();
            Some(Deciding::LabelFree {
                by,
                minimises: c.strategy.needs().minimises,
                look: Box::new(Look {
                    source: source.map(|d| {
                        let all = Domain {
                            name: d.name.clone(),
                            inputs: d.inputs.clone(),
                            labels: d.labels.clone(),
                        };
                        let some = Look::drawn(d.inputs.len());
                        Loaded::labelled(&all.picked(&some), prepares.source.clone())
                    }),
                    target,
                }),
            })
        }
    }
}

/// Rows of the target for a selector.
fn looked_at(d: Domain<()>, prepare: &Arc<dyn Prepare>) -> Loaded {
    let some = Look::drawn(d.inputs.len());
    Loaded::unlabelled(&d.picked(&some), prepare.clone())
}

pub(super) fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
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
