//! `deep-jdot`: joint distribution optimal transport in a deep network (Damodaran et al., ECCV 2018).
//!
//! Each batch of source and target rows is paired off at the least total cost, where a pair costs `alpha` times the distance of its features and
//! `beta` times the loss of the source's label at the target's prediction; then the network is trained to make the pairs cheaper:
//!
//! ```text
//! task loss + sum over pairs (alpha |f(x_s) - f(x_t)|^2 / width + beta * -log p(y_s | x_t)) / rows
//! ```
//!
//! The pairing is exact (between as many rows of both; [`crate::assignment`]) and has no gradient. The paper has 0.001 and 0.0001 for the two
//! factors, for unscaled squared distances on digits; here the distance is a mean over features, so that the factors mean the same at any width, and
//! they are 1 and 0.1. That is the paper's ratio, and was preferred to a ratio of 1 on six made-up shifts of two Gaussians, by the target's accuracy: it is tuned on
//! those.

use candle_core::{DType, Tensor};
use tlkit_core::data::From;
use tlkit_core::nn::Select;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Needs, Objective, Phase, Step, Strategy, Term, Transfer};
use tlkit_core::{Error, Result};

use crate::assignment::assign;
use crate::losses::{log_loss, log_softmax, squared_distances};
use crate::phases::{adaptation, beside_twin, update};

/// Source rows paired with target rows at the least cost.
#[derive(Clone)]
pub struct DeepJdot {
    alpha: f64,
    beta: f64,
}

impl DeepJdot {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let alpha = keys
            .f64("alpha")
            .above(0.0)
            .default(1.0, "the distance is a mean over features")
            .help("of the distance between a pair's features")
            .read();
        let beta = keys
            .f64("beta")
            .above(0.0)
            .default(
                0.1,
                "a tenth of `alpha`, as Damodaran et al. 2018; preferred to 1 on made-up shifts",
            )
            .help("of the loss of a source row's label at its pair's prediction")
            .read();
        Some(Box::new(DeepJdot { alpha, beta }))
    }
}

impl Strategy for DeepJdot {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            moves_features: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let update = update(
            "deep-jdot",
            transfer,
            Select::name("model.*"),
            Paired(self.clone()),
        );
        let feeds = [From::Source, From::Target];
        let phase = adaptation("deep-jdot", transfer, &feeds, vec![update]);
        Ok(beside_twin(transfer, phase))
    }
}

struct Paired(DeepJdot);

/// The distance of the pairs' features and the loss of their labels, at the cheapest pairing of as many rows of both.
pub fn transport(
    source: &Tensor,
    labels: &Tensor,
    target: &Tensor,
    logits: &Tensor,
    alpha: f64,
    beta: f64,
) -> Result<[Tensor; 2]> {
    let rows = source.dim(0)?.min(target.dim(0)?);
    let width = source.dim(1)? as f64;
    let [source, labels, target, logits] =
        [source, labels, target, logits].map(|t| t.narrow(0, 0, rows));
    let (source, labels, target, logits) = (source?, labels?, target?, logits?);
    let apart = (squared_distances(&source.detach(), &target.detach())? * (alpha / width))?;
    // Row s, column t: -log p(y_s | x_t).
    let said = log_softmax(&logits.detach())?.t()?.contiguous()?;
    let wrong = (said.index_select(&labels, 0)? * -beta)?;
    let cost = (apart + wrong)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let pair: Vec<u32> = assign(&cost)
        .ok_or_else(|| Error::msg("the costs of a batch cannot be compared"))?
        .into_iter()
        .map(|t| t as u32)
        .collect();
    let pair = Tensor::new(pair, source.device())?;
    let apart = (source - target.index_select(&pair, 0)?)?;
    let apart = (apart.sqr()?.sum_all()? * (1.0 / (width * rows as f64)))?;
    let wrong = log_loss(&logits.index_select(&pair, 0)?, &labels)?.mean_all()?;
    Ok([apart, wrong])
}

impl Objective for Paired {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let views = [step.view(0), step.view(1)];
        let taps = step.encode("model", &[(0, views[0]), (1, views[1])])?;
        let task = step.task_loss(0, views[0], &taps[0].logits)?;
        let (alpha, beta) = (self.0.alpha, self.0.beta);
        let (source, target) = (&taps[0].features, &taps[1].features);
        let labels = step.labels(0)?;
        let [apart, wrong] = transport(source, &labels, target, &taps[1].logits, alpha, beta)?;
        Ok(vec![
            Term::new("loss", 1.0, task),
            Term::new("distance", alpha, apart),
            Term::new("labels", beta, wrong),
        ])
    }
}
