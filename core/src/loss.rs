//! A loss term as a pure function of named taps and its own parameters, with its gradient: the part of an objective that can cross the
//! C border. [`WithTerms`] makes an objective of the task's loss and any number of them.

use std::sync::Arc;

use candle_core::Tensor;

use crate::data::View;
use crate::nn::{Init, Param, Role, Scope, Select, Store, Taps, with_gradients};
use crate::strategy::{Objective, Step, Term};
use crate::{Error, Result};

/// A parameter that somebody wants made.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Its name under the term's scope.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// How it starts.
    pub init: Init,
}

/// A value and its gradients.
#[derive(Clone, Debug)]
pub struct Valued {
    /// The loss.
    pub value: f64,
    /// The gradient of each tap, in the order and shapes of the taps.
    pub taps: Vec<Tensor>,
    /// The gradient of each parameter, in their order.
    pub params: Vec<Tensor>,
}

/// When a term is asked, and for what.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// A function of the run's seed, the term's name and the step: equal inputs and seeds give equal bits.
    pub seed: u64,
    /// Optimizer steps of the run so far.
    pub step: u64,
    /// Share of the phase that is done, `0..1`.
    pub progress: f64,
    /// Whether the gradient of each tap, then of each parameter, is wanted: nobody looks at the others.
    pub wanted: Vec<bool>,
}

/// A pure function of taps and its own parameters. It holds no state: parameters live in the store and are lent for the call.
pub trait LossTerm: Send + Sync {
    /// The taps it takes, in order, as `tap:feed`: `features:0`, `logits:1`, `second:0` (a stage's name).
    fn taps(&self) -> &[String];
    /// Its own parameters.
    fn params(&self) -> Vec<ParamSpec> {
        Vec::new()
    }
    /// The value, and the gradient of each tap and parameter.
    fn value_and_gradients(&self, taps: &[Tensor], params: &[Tensor]) -> Result<Valued>;
    /// The same for a term that draws at random, follows the course of the phase, or saves itself gradients that nobody wants; of those
    /// any tensor of the right shape will do.
    fn value_and_gradients_at(
        &self,
        taps: &[Tensor],
        params: &[Tensor],
        _asked: &Asked,
    ) -> Result<Valued> {
        self.value_and_gradients(taps, params)
    }
}

/// A loss term in an objective: its name, its weight.
#[derive(Clone)]
pub struct Weighted {
    /// For the curves, and the scope of its parameters.
    pub name: String,
    /// Its factor.
    pub weight: f64,
    /// The term.
    pub term: Arc<dyn LossTerm>,
}

impl Weighted {
    /// Makes its parameters under `name`; to be called in `arrange`.
    pub fn arrange(&self, store: &Store) -> Result<()> {
        let scope: Scope<'_> = store.scope(&self.name);
        for p in self.term.params() {
            scope.param(&p.name, &p.shape, p.role, p.init)?;
        }
        Ok(())
    }

    /// Its parameters, as a selection.
    pub fn select(&self) -> Select {
        let names = self.term.params().into_iter();
        Select::Names(names.map(|p| format!("{}.{}", self.name, p.name)).collect())
    }

    fn params(&self, store: &Store) -> Result<Vec<Param>> {
        let find = |spec: ParamSpec| {
            let name = format!("{}.{}", self.name, spec.name);
            store.get(&name).ok_or_else(|| {
                Error::msg(format!(
                    "the loss term has no parameter {name}; was it arranged?"
                ))
            })
        };
        self.term.params().into_iter().map(find).collect()
    }

    /// Its value at taps, one [`Taps`] a feed, with its gradients tied to them.
    pub fn at(&self, taps: &[Taps], step: &dyn Step) -> Result<Term> {
        let mut leaves = Vec::new();
        for wanted in self.term.taps() {
            let (tap, feed) = parse(wanted)?;
            let taps = taps.get(feed).ok_or_else(|| {
                Error::msg(format!(
                    "the loss term {} asks for {wanted}, and there are {} feeds",
                    self.name,
                    taps.len()
                ))
            })?;
            leaves.push(match tap {
                "features" => taps.features.clone(),
                "logits" => taps.logits.clone(),
                stage => taps.get(stage)?.clone(),
            });
        }
        let params: Vec<Tensor> = self
            .params(step.store())?
            .iter()
            .map(Param::tensor)
            .collect();
        let still = |all: &[Tensor]| all.iter().map(Tensor::detach).collect::<Vec<_>>();
        let asked = Asked {
            seed: step.random(&self.name).key(),
            step: step.number(),
            progress: step.progress(),
            wanted: leaves.iter().chain(&params).map(Tensor::track_op).collect(),
        };
        let valued = self
            .term
            .value_and_gradients_at(&still(&leaves), &still(&params), &asked)?;
        if valued.taps.len() != leaves.len() || valued.params.len() != params.len() {
            return Err(Error::msg(format!(
                "the loss term {} gave {} + {} gradients for {} taps and {} parameters",
                self.name,
                valued.taps.len(),
                valued.params.len(),
                leaves.len(),
                params.len()
            )));
        }
        let pairs: Vec<(&Tensor, &Tensor)> = (leaves.iter().zip(&valued.taps))
            .chain(params.iter().zip(&valued.params))
            .collect();
        let value = with_gradients(valued.value, &pairs)?;
        Ok(Term::new(&self.name, self.weight, value))
    }
}

fn parse(wanted: &str) -> Result<(&str, usize)> {
    let parts = wanted.rsplit_once(':');
    parts
        .and_then(|(tap, feed)| Some((tap, feed.parse().ok()?)))
        .ok_or_else(|| {
            Error::msg(format!(
                "`{wanted}` is not a tap and a feed, as `features:0` is"
            ))
        })
}

/// The task's loss on every labelled feed, and loss terms.
pub struct WithTerms {
    /// The view of each feed; all feeds run in one forward pass.
    pub feeds: Vec<View>,
    /// The terms.
    pub terms: Vec<Weighted>,
}

impl Objective for WithTerms {
    fn terms(&mut self, step: &mut dyn Step) -> Result<Vec<Term>> {
        let together: Vec<(usize, View)> = self.feeds.iter().copied().enumerate().collect();
        let taps = step.encode("model", &together)?;
        let mut out = Vec::new();
        for &(feed, view) in &together {
            if !step.labelled(feed) {
                continue;
            }
            let name = match feed {
                0 => "loss".to_string(),
                _ => format!("loss.{feed}"),
            };
            let value = step.task_loss(feed, view, &taps[feed].logits)?;
            out.push(Term::new(&name, 1.0, value));
        }
        for term in &self.terms {
            out.push(term.at(&taps, step)?);
        }
        Ok(out)
    }

    fn taps(&self) -> Vec<String> {
        let all = self.terms.iter().flat_map(|t| t.term.taps());
        all.filter_map(|t| Some(t.rsplit_once(':')?.0.to_string()))
            .filter(|t| t != "features" && t != "logits")
            .collect()
    }
}
