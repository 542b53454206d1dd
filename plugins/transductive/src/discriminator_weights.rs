//! `discriminator-weights`: source rows count by how much they look like rows of the target (Bickel, Brückner & Scheffer, "Discriminative learning
//! under covariate shift", JMLR 2009).
//!
//! Minimises the log loss on the source with each row weighted by `p(target | x) / p(source | x)`, corrected for the numbers of rows: where the same
//! inputs have the same labels in both domains and only their frequencies differ, that is the target's risk. The odds come from a domain discriminator,
//! a logistic regression on the features of the model as the source phase left it, fitted once. Rows unlike any of the target's count for nothing, so
//! this helps where the domains overlap, and cannot where they do not.
//!
//! Weights above `clip` times their mean are cut: without it a few rows decide. 10 is what importance-weighted validation takes here
//! ([`tlkit_core::select::LabelFree::ImportanceWeighted`]); it was not tuned on any data set.

use candle_core::{DType, Tensor};
use tlkit_core::data::From;
use tlkit_core::nn::Select;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::select::{LabelFree, domain_weights};
use tlkit_core::strategy::{Infer, Needs, Objective, Phase, State, Step, Strategy, Term, Transfer};
use tlkit_core::{Error, Result};

use crate::losses::log_loss;
use crate::phases::{adaptation, beside_twin, update};

/// Source rows weighted by a domain discriminator.
#[derive(Clone)]
pub struct DiscriminatorWeights {
    clip: f64,
}

impl DiscriminatorWeights {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let clip = keys
            .f64("clip")
            .range(1.0..)
            .default(10.0, "what importance-weighted validation takes")
            .help("weights above so many times their mean are cut to that")
            .read();
        Some(Box::new(DiscriminatorWeights { clip }))
    }
}

impl Strategy for DiscriminatorWeights {
    fn needs(&self) -> Needs {
        Needs {
            source_data: true,
            twin: true,
            plain_loss: Some((
                "weighs the plain log loss by rows",
                "take out class_weights and label_smoothing",
            )),
            minimises: vec![LabelFree::ImportanceWeighted],
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        if !transfer.target.plain_loss() {
            return Err(Error::msg(
                "`discriminator-weights` weighs the plain log loss by rows; leave out the keys under [target] that change the loss",
            ));
        }
        let objective = Weighted {
            clip: self.clip,
            weights: None,
        };
        let update = update("weighted", transfer, Select::name("model.*"), objective);
        // The target's feed is drawn for its length alone, as by `source-only`.
        let feeds = [From::Source, From::Target];
        let on = adaptation("discriminator-weights", transfer, &feeds, vec![update]);
        Ok(beside_twin(transfer, on))
    }
}

struct Weighted {
    clip: f64,
    /// Of each source row, one on average, `(rows,)`.
    weights: Option<Tensor>,
}

impl Weighted {
    /// How many rows as many equally weighted ones would be worth, as a share: 1 where all count alike.
    fn share(&self) -> Option<f64> {
        let w: Vec<f64> = self
            .weights
            .as_ref()?
            .to_dtype(DType::F64)
            .ok()?
            .to_vec1()
            .ok()?;
        let (sum, squares) = w.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
        Some(sum * sum / squares / w.len() as f64)
    }
}

fn flat(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

impl Objective for Weighted {
    fn begin_epoch(&mut self, infer: &mut dyn Infer) -> Result<()> {
        if self.weights.is_some() {
            return Ok(());
        }
        let source = infer.features(From::Source)?;
        let target = infer.features(From::Target)?;
        let w = domain_weights(&flat(&source)?, &flat(&target)?, source.dim(1)?, self.clip);
        let w = w.ok_or_else(|| {
            Error::msg(format!(
                "strategy.method: a discriminator takes two rows of each domain; of the source there are {}, of the target {}",
                source.dims()[0],
                target.dims()[0]
            ))
        })?;
        let mean = w.iter().sum::<f64>() / w.len() as f64;
        let w: Vec<f64> = w.into_iter().map(|w| w / mean).collect();
        let n = w.len();
        let w = Tensor::from_vec(w, n, source.device())?;
        self.weights = Some(w.to_dtype(source.dtype())?);
        Ok(())
    }

    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let view = step.view(0);
        let source = step.encode("model", &[(0, view)])?.remove(0);
        let losses = log_loss(&source.logits, &step.labels(0)?)?;
        let weights = self.weights.as_ref();
        let weights = weights.ok_or_else(|| Error::msg("the weights are found before an epoch"))?;
        let rows = Tensor::new(step.rows(0), weights.device())?;
        let w = weights.index_select(&rows, 0)?.to_dtype(losses.dtype())?;
        Ok(vec![Term::new(
            "weighted_loss",
            1.0,
            (losses * w)?.mean_all()?,
        )])
    }

    fn curves(&mut self) -> Vec<(String, f64)> {
        let share = self.share();
        share
            .map(|s| ("effective_rows".to_string(), s))
            .into_iter()
            .collect()
    }

    fn state(&self) -> State {
        let weights = self.weights.iter();
        State {
            tensors: weights
                .map(|t| ("weights".to_string(), t.clone()))
                .collect(),
            json: String::new(),
        }
    }

    fn restore(&mut self, state: State) -> Result<()> {
        self.weights = state.tensor("weights").ok();
        Ok(())
    }
}
