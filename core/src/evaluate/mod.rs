//! Scoring. The one place where sealed labels are opened.
//!
//! An epoch wants a few numbers ([`Scores::of`]); the end of a run wants all of them, with intervals ([`judged`], [`test`]), and what stands
//! beside them ([`beside`]).

mod beside;

use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde::Serialize;

use crate::data::{Domain, Labels, Loaded, Prepare, Reading, Sealed};
use crate::metrics::{Classification, Judge, softmax};
use crate::model::Model;
use crate::nn::{Flow, Store};
use crate::random::Stream;
use crate::task::{Scoring, TargetTask};
use crate::train::{EVALUATION_BATCH, Observer, predict_cuts};
use crate::{Error, Result};

pub use beside::{Beside, Worth, before, beside, words};

/// Scores on one set of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scores {
    /// Of classes.
    Classes(Classification),
    /// Of masked tokens.
    Tokens {
        /// Masked positions.
        n: usize,
        /// Mean cross-entropy, in nats.
        loss: f64,
        /// Share of masked tokens found.
        accuracy: f64,
    },
}

/// What the model said of one row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The row's name.
    pub id: String,
    /// The true class.
    pub label: String,
    /// The class with the largest probability.
    pub prediction: String,
    /// By class, in the order of the classes.
    pub probabilities: Vec<f32>,
    /// What a person sees of the row: the beginning of its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

/// Characters of a row that predictions keep.
const PREVIEW: usize = 300;

impl Scores {
    /// Scores a model on labelled rows.
    pub fn of(
        model: &Model,
        rows: &Loaded,
        target: &dyn TargetTask,
        store: &Store,
        observer: &dyn Observer,
    ) -> Result<Self> {
        match target.scoring() {
            Scoring::Classes(names) => {
                let probabilities = softmax(&logits(model, rows, store, observer, 1)?);
                let truth = &labels(rows)?.classes;
                let scores = Classification::of(&probabilities, truth, names.len());
                let scores = scores.with(&target.metrics(), &probabilities, truth)?;
                Ok(Scores::Classes(scores))
            }
            Scoring::Tokens => tokens(model, rows, target, store),
            Scoring::Vectors => Err(Error::msg("vectors have no score")),
        }
    }

    /// By name, for curves and tables.
    pub fn values(&self) -> Vec<(&str, f64)> {
        match self {
            Scores::Classes(c) => {
                let usual = [
                    ("accuracy", c.accuracy),
                    ("macro_f1", c.macro_f1),
                    ("mcc", c.mcc),
                    ("ece", c.ece),
                    ("loss", c.loss),
                ];
                let own = c.own.iter().map(|(name, value)| (name.as_str(), *value));
                usual.into_iter().chain(own).collect()
            }
            Scores::Tokens { loss, accuracy, .. } => vec![("accuracy", *accuracy), ("loss", *loss)],
        }
    }

    /// The temperature that these rows gave; `None` where no classes are predicted.
    pub fn temperature(&self) -> Option<f64> {
        match self {
            Scores::Classes(c) => c.temperature(),
            Scores::Tokens { .. } => None,
        }
    }

    /// What selection compares: a score (larger is better), and the loss that decides between equals.
    pub fn rank(&self) -> (f64, f64) {
        match self {
            Scores::Classes(c) => (c.accuracy, c.loss),
            Scores::Tokens { loss, .. } => (-loss, *loss),
        }
    }
}

/// Where the temperature of the scores comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Temperature {
    /// Fitted on the rows that are scored: validation rows.
    Fitted,
    /// Other rows gave it, or none did.
    Given(Option<f64>),
}

/// Scores a model on labelled rows with all detail.
pub fn judged(
    model: &Model,
    rows: &Loaded,
    target: &dyn TargetTask,
    store: &Store,
    observer: &dyn Observer,
    judge: &Judge,
    temperature: Temperature,
) -> Result<Scores> {
    let names = match target.scoring() {
        Scoring::Tokens => return tokens(model, rows, target, store),
        Scoring::Vectors => return Err(Error::msg("vectors have no score")),
        Scoring::Classes(names) => names,
    };
    let logits = logits(model, rows, store, observer, judge.crops)?;
    let truth = &labels(rows)?.classes;
    let scores = match temperature {
        Temperature::Fitted => Classification::judged_and_fitted(&logits, truth, &names, judge),
        Temperature::Given(t) => Classification::judged(&logits, truth, &names, t, judge),
    };
    let scores = scores.with(&target.metrics(), &softmax(&logits), truth)?;
    Ok(Scores::Classes(scores))
}

/// Opens the seal of the test rows, once the selection is final, and scores them. `temperature` is what validation rows gave.
pub fn test(
    model: &Model,
    domain: &Domain<Sealed<Labels>>,
    prepare: Arc<dyn Prepare>,
    target: &dyn TargetTask,
    store: &Store,
    observer: &dyn Observer,
    judge: &Judge,
    temperature: Option<f64>,
) -> Result<(Scores, Vec<Prediction>)> {
    let rows = Loaded::unlabelled(domain, prepare.clone());
    let names = match target.scoring() {
        Scoring::Tokens => return Ok((tokens(model, &rows, target, store)?, Vec::new())),
        Scoring::Vectors => return Err(Error::msg("vectors have no score")),
        Scoring::Classes(names) => names,
    };
    let logits = logits(model, &rows, store, observer, judge.crops)?;
    let labels = domain.labels.open(&Reading::new());
    let truth = &labels.classes;
    let scores = Classification::judged(&logits, truth, &names, temperature, judge);
    let probabilities = softmax(&logits);
    let scores = scores.with(&target.metrics(), &probabilities, truth)?;
    let scores = Scores::Classes(scores);
    let predictions = probabilities
        .into_iter()
        .zip(&labels.classes)
        .enumerate()
        .map(|(row, (p, &label))| {
            Ok(Prediction {
                id: domain.inputs.id(row),
                label: names[label as usize].clone(),
                prediction: names[crate::metrics::argmax(&p).0].clone(),
                probabilities: p,
                input: domain.inputs.input(row)?.preview(PREVIEW),
            })
        })
        .collect::<Result<_>>()?;
    Ok((scores, predictions))
}

/// Opens the seal of the test rows before the selection is final: the run is an oracle's, and marked.
pub(crate) fn opened(domain: &Domain<Sealed<Labels>>, prepare: Arc<dyn Prepare>) -> Loaded {
    let open = Domain {
        name: domain.name.clone(),
        inputs: domain.inputs.clone(),
        labels: domain.labels.open(&Reading::new()).clone(),
    };
    Loaded::labelled(&open, prepare)
}

/// The probabilities of every row, by class, averaged over so many cuts of it.
pub(crate) fn probabilities(
    model: &Model,
    rows: &Loaded,
    store: &Store,
    observer: &dyn Observer,
    crops: usize,
) -> Result<Vec<Vec<f32>>> {
    Ok(softmax(&logits(model, rows, store, observer, crops)?))
}

fn labels(rows: &Loaded) -> Result<&Labels> {
    rows.labels
        .as_ref()
        .ok_or_else(|| Error::msg(format!("{} has no labels", rows.name)))
}

fn logits(
    model: &Model,
    rows: &Loaded,
    store: &Store,
    observer: &dyn Observer,
    crops: usize,
) -> Result<Vec<Vec<f32>>> {
    let logits = predict_cuts(model, rows, store, "evaluation", observer, crops)?;
    Ok(logits.to_dtype(DType::F32)?.to_vec2::<f32>()?)
}

/// The mean loss over masked positions; masks are drawn by a stream of their own, the same at every epoch.
fn tokens(model: &Model, rows: &Loaded, target: &dyn TargetTask, store: &Store) -> Result<Scores> {
    let random = Stream::new(0).purpose("evaluation");
    let (mut n, mut loss, mut right) = (0usize, 0.0, 0.0);
    for batch in rows.by_length(EVALUATION_BATCH)? {
        let examples = rows.examples(&batch, target.view(), random)?;
        let batch = Arc::new(rows.collate(&examples, store.device())?);
        let chain = model.chain();
        let logits = chain
            .run(
                0,
                chain.stages().len(),
                Flow::start(&batch),
                &model.evaluation(),
            )?
            .hidden;
        let targets = batch.want("targets")?;
        let k = targets.elem_count();
        if k == 0 {
            continue;
        }
        let mean = target
            .loss(&logits, None, &batch)?
            .to_dtype(DType::F64)?
            .to_scalar::<f64>()?;
        let guess: Tensor = logits.argmax(candle_core::D::Minus1)?;
        let hits = guess
            .eq(targets)?
            .to_dtype(DType::F64)?
            .sum_all()?
            .to_scalar::<f64>()?;
        n += k;
        loss += mean * k as f64;
        right += hits;
    }
    let total = n.max(1) as f64;
    if !loss.is_finite() {
        return Err(Error::msg(format!(
            "the loss over {} is {loss}: what the model says there is not finite; a smaller learning_rate helps most often",
            rows.name
        )));
    }
    Ok(Scores::Tokens {
        n,
        loss: loss / total,
        accuracy: right / total,
    })
}
