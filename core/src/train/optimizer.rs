//! Optimizers with parameter groups, clipping, and state that can be saved. The arithmetic is `ops::optim`'s.

use std::collections::BTreeMap;

use super::optim;
use candle_core::Tensor;

use super::schedule::Schedule;
use crate::model::Model;
use crate::nn::{Gradients, Param, Select, Store};
use crate::strategy::{Group, Settings, Update};
use crate::{Error, Result};

/// An optimizer and its constants; the learning rate comes from the group's schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerSpec {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    AdamW {
        /// Decay of the mean of gradients.
        beta1: f64,
        /// Decay of the mean of their squares.
        beta2: f64,
        /// Added to the root.
        eps: f64,
        /// Per step, times the learning rate.
        weight_decay: f64,
    },
    /// Gradient descent, with PyTorch's momentum.
    Sgd {
        /// Decay of the velocity.
        momentum: f64,
        /// Look ahead.
        nesterov: bool,
        /// L2, added to the gradient.
        weight_decay: f64,
    },
    /// RMSprop (Hinton 2012), as PyTorch has it.
    RmsProp {
        /// Decay of the mean of squares.
        alpha: f64,
        /// Added to the root.
        eps: f64,
        /// Decay of the velocity.
        momentum: f64,
        /// L2, added to the gradient.
        weight_decay: f64,
    },
}

impl OptimizerSpec {
    /// The names a recipe may write.
    pub const NAMES: [&'static str; 3] = ["adamw", "sgd", "rmsprop"];

    /// By name, with PyTorch's constants but for momentum, which is 0.9 for SGD.
    pub fn named(name: &str) -> Self {
        match name {
            "sgd" => OptimizerSpec::Sgd {
                momentum: 0.9,
                nesterov: false,
                weight_decay: 0.0,
            },
            "rmsprop" => OptimizerSpec::RmsProp {
                alpha: 0.99,
                eps: 1e-8,
                momentum: 0.0,
                weight_decay: 0.0,
            },
            _ => OptimizerSpec::AdamW {
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.01,
            },
        }
    }

    /// As a recipe writes it.
    pub fn name(self) -> &'static str {
        match self {
            OptimizerSpec::AdamW { .. } => "adamw",
            OptimizerSpec::Sgd { .. } => "sgd",
            OptimizerSpec::RmsProp { .. } => "rmsprop",
        }
    }

    /// Its weight decay.
    pub fn weight_decay(self) -> f64 {
        match self {
            OptimizerSpec::AdamW { weight_decay, .. }
            | OptimizerSpec::Sgd { weight_decay, .. }
            | OptimizerSpec::RmsProp { weight_decay, .. } => weight_decay,
        }
    }

    /// The same with another weight decay.
    pub fn with_decay(mut self, decay: f64) -> Self {
        match &mut self {
            OptimizerSpec::AdamW { weight_decay, .. }
            | OptimizerSpec::Sgd { weight_decay, .. }
            | OptimizerSpec::RmsProp { weight_decay, .. } => *weight_decay = decay,
        }
        self
    }

    fn rule(self, rate: f64) -> optim::Rule {
        match self {
            OptimizerSpec::AdamW {
                beta1,
                beta2,
                eps,
                weight_decay,
            } => optim::Rule::AdamW(optim::AdamW {
                lr: rate,
                beta1,
                beta2,
                eps,
                weight_decay,
            }),
            OptimizerSpec::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => optim::Rule::Sgd(optim::Sgd {
                lr: rate,
                momentum,
                nesterov,
                weight_decay,
            }),
            OptimizerSpec::RmsProp {
                alpha,
                eps,
                momentum,
                weight_decay,
            } => optim::Rule::RmsProp(optim::RmsProp {
                lr: rate,
                alpha,
                eps,
                momentum,
                weight_decay,
            }),
        }
    }
}

/// The optimizer of one update: who belongs to which group, and the moments.
pub struct Optimizer {
    groups: Vec<Group>,
    members: Vec<(Param, usize)>,
    moments: BTreeMap<String, optim::State>,
    clip: Option<f64>,
    steps: u64,
}

impl Optimizer {
    /// For an update; every parameter it trains must be in some group.
    pub fn new(update: &Update, store: &Store) -> Result<Self> {
        let mut members = Vec::new();
        for p in store.select(&update.trains) {
            let group = update.groups.iter().position(|g| g.which.holds(&p));
            let group = group.ok_or_else(|| {
                Error::msg(format!(
                    "update `{}` trains {}, but no optimizer group holds it",
                    update.name,
                    p.name()
                ))
            })?;
            members.push((p, group));
        }
        if members.is_empty() {
            return Err(Error::msg(format!(
                "update `{}` trains nothing",
                update.name
            )));
        }
        Ok(Optimizer {
            groups: update.groups.clone(),
            members,
            moments: BTreeMap::new(),
            clip: update.clip,
            steps: 0,
        })
    }

    /// Optimizer steps made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The first group's learning rate at a step.
    pub fn rate(&self, step: u64, total: u64) -> f64 {
        self.groups
            .first()
            .map_or(0.0, |g| g.rate * g.schedule.factor(step, total))
    }

    /// One step. `false`, and nothing changed, when the gradients' norm is not finite.
    pub fn step(&mut self, grads: &mut Gradients, step: u64, total: u64) -> Result<bool> {
        let present: Vec<Tensor> = self
            .members
            .iter()
            .filter_map(|(p, _)| grads.get(p.name()))
            .cloned()
            .collect();
        let norm = optim::global_norm(&present)?;
        drop(present);
        if !norm.is_finite() {
            return Ok(false);
        }
        let scale = self
            .clip
            .map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        self.steps += 1;
        for (p, group) in &self.members {
            let Some(g) = grads.take(p.name()) else {
                continue;
            };
            let group = &self.groups[*group];
            let rate = group.rate * group.schedule.factor(step, total);
            let state = self.moments.entry(p.name().to_string()).or_default();
            optim::step(
                &group.optimizer.rule(rate),
                p.var(),
                &g,
                state,
                self.steps,
                scale,
            )?;
        }
        Ok(true)
    }

    /// Adds the moments to a checkpoint.
    pub fn save(&self, prefix: &str, into: &mut BTreeMap<String, Tensor>) -> Result<()> {
        for (name, state) in &self.moments {
            for (k, t) in state.tensors().into_iter().enumerate() {
                into.insert(format!("{prefix}{name}/{k}"), t);
            }
        }
        Ok(())
    }

    /// Takes the moments from a checkpoint.
    pub fn restore(
        &mut self,
        prefix: &str,
        saved: &BTreeMap<String, Tensor>,
        steps: u64,
    ) -> Result<()> {
        self.steps = steps;
        for (p, _) in &self.members {
            let mut tensors = Vec::new();
            while let Some(t) = saved.get(&format!("{prefix}{}/{}", p.name(), tensors.len())) {
                tensors.push(t.to_dtype(p.var().dtype()).map_err(Error::from)?);
            }
            if !tensors.is_empty() {
                self.moments
                    .insert(p.name().to_string(), optim::State::from_tensors(tensors));
            }
        }
        Ok(())
    }
}

/// The usual groups for a model: weight decay on matrices alone, the head's rate on the head, each stage's rate times
/// `layer_decay` for each stage above it.
pub fn rate_groups(model: &Model, settings: &Settings) -> Vec<Group> {
    let encoder = model.encoder.stages();
    let mut groups = Vec::new();
    let mut add = |params: Vec<Param>, rate: f64| {
        for decays in [true, false] {
            let names: Vec<String> = params
                .iter()
                .filter(|p| p.role().decays() == decays)
                .map(|p| p.name().to_string())
                .collect();
            if !names.is_empty() {
                let optimizer = if decays {
                    settings.optimizer
                } else {
                    settings.optimizer.with_decay(0.0)
                };
                groups.push(Group {
                    which: Select::Names(names),
                    optimizer,
                    rate,
                    schedule: settings.schedule,
                });
            }
        }
    };
    for (depth, stage) in encoder.iter().enumerate() {
        let above = (encoder.len() - 1 - depth) as i32;
        add(
            stage.params(),
            settings.learning_rate * settings.layer_decay.powi(above),
        );
    }
    for stage in &model.head.stages {
        add(stage.params(), settings.head_learning_rate);
    }
    groups
}

impl Group {
    /// All parameters, one optimizer, one rate.
    pub fn all(optimizer: OptimizerSpec, rate: f64, schedule: Schedule) -> Self {
        Group {
            which: Select::All,
            optimizer,
            rate,
            schedule,
        }
    }
}
