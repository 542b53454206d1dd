//! Optimizers with parameter groups, clipping, and state that can be saved. The arithmetic is `ops::optim`'s.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};
use tlkit_ops::optim;

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
    moments: BTreeMap<String, Moments>,
    clip: Option<f64>,
    steps: u64,
    norm: f64,
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
            norm: 0.0,
        })
    }

    /// The norm of all gradients at the last step, before clipping. Every step computes it, to see that it is finite.
    pub fn gradient_norm(&self) -> f64 {
        self.norm
    }

    /// Optimizer steps made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The largest learning rate that some parameter has at a step.
    pub fn rate(&self, step: u64, total: u64) -> f64 {
        let used: BTreeSet<usize> = self.members.iter().map(|&(_, group)| group).collect();
        let groups = used.into_iter().filter_map(|group| self.groups.get(group));
        groups
            .map(|g| g.rate * g.schedule.factor(step, total))
            .fold(0.0, f64::max)
    }

    /// Whether a parameter has had a gradient other than zero, as far as its moments remember (gradient descent without momentum has none).
    pub(crate) fn has_learned(&self, name: &str) -> Result<bool> {
        let Some(moments) = self.moments.get(name) else {
            return Ok(false);
        };
        for t in &moments.device {
            if t.abs()?
                .max_all()?
                .to_dtype(DType::F64)?
                .to_scalar::<f64>()?
                > 0.0
            {
                return Ok(true);
            }
        }
        Ok(moments.single.iter().flatten().any(|v| *v != 0.0)
            || moments.double.iter().flatten().any(|v| *v != 0.0))
    }

    /// One step. `false`, and nothing changed, when the gradients' norm is not finite.
    pub fn step(&mut self, grads: &mut Gradients, step: u64, total: u64) -> Result<bool> {
        if let Some((p, _)) = self.members.first()
            && !p.var().device().is_cpu()
        {
            return self.step_on_device(grads, step, total);
        }
        match self.members.first().map(|(p, _)| p.var().dtype()) {
            Some(DType::F64) => self.step_in::<f64>(grads, step, total),
            _ => self.step_in::<f32>(grads, step, total),
        }
    }

    /// The same with moments on the parameters' device, and all parameters in one launch.
    fn step_on_device(&mut self, grads: &mut Gradients, step: u64, total: u64) -> Result<bool> {
        let mut present = Vec::with_capacity(self.members.len());
        for (p, group) in &self.members {
            if let Some(g) = grads.get(p.name()) {
                // A stranger's gradient lies on the CPU.
                let there = g.to_device(p.var().device())?;
                present.push((p, *group, there.contiguous()?));
            }
        }
        let all: Vec<optim::Grad<'_, f32>> = present.iter().map(|(_, _, g)| g.into()).collect();
        let norm = optim::global_norm_of(&all)?;
        if !norm.is_finite() {
            return Ok(false);
        }
        self.norm = norm;
        let scale = self.clip.map_or(1.0, |most| optim::clip_scale(norm, most));
        for (p, group, _) in &present {
            let kinds = self.groups[*group].optimizer.rule(0.0).state_names().len();
            let moments = self.moments.entry(p.name().to_string()).or_default();
            while moments.device.len() < kinds {
                moments.device.push(p.detached().zeros_like()?);
            }
        }
        let mut updates = Vec::with_capacity(present.len());
        for (p, group, grad) in &present {
            let group = &self.groups[*group];
            updates.push(optim::DeviceUpdate {
                param: p.var().as_tensor(),
                grad,
                state: &self.moments[p.name()].device,
                rule: group
                    .optimizer
                    .rule(group.rate * group.schedule.factor(step, total)),
                step: self.steps + 1,
            });
        }
        // Counted once it is made: it may not fit into the memory that is left.
        optim::step_on_device(&updates, scale)?;
        self.steps += 1;
        Ok(true)
    }

    fn step_in<T: optim::Stepped + Moment>(
        &mut self,
        grads: &mut Gradients,
        step: u64,
        total: u64,
    ) -> Result<bool> {
        let mut present = Vec::with_capacity(self.members.len());
        for (p, group) in &self.members {
            // What lies elsewhere is read there, not copied; of a table the rows that have a gradient are enough.
            let elsewhere = grads.elsewhere(p.name()).and_then(T::of_f32);
            let gradient = match (elsewhere, grads.rows(p.name())) {
                (Some(numbers), _) => Some(optim::Grad::Slice(numbers)),
                (None, Some(rows)) => Some(optim::Grad::Rows(rows)),
                (None, None) => grads.get(p.name()).map(optim::Grad::Tensor),
            };
            present.extend(gradient.map(|g| (p, *group, g)));
        }
        let norm =
            optim::global_norm_of::<T>(&present.iter().map(|(_, _, g)| *g).collect::<Vec<_>>())?;
        if !norm.is_finite() {
            return Ok(false);
        }
        self.norm = norm;
        let scale = self.clip.map_or(1.0, |most| optim::clip_scale(norm, most));
        self.steps += 1;
        let names: Vec<&str> = present.iter().map(|(p, ..)| p.name()).collect();
        for (p, group, g) in &present {
            let kinds = self.groups[*group].optimizer.rule(0.0).state_names().len();
            let moments = self.moments.entry(p.name().to_string()).or_default();
            let fresh = T::within(moments).is_empty();
            T::within(moments).resize_with(kinds, || vec![T::default(); p.count()]);
            let table = matches!(g, optim::Grad::Rows(_));
            moments.touched = match moments.touched.take() {
                known if known.is_some() && table => known,
                _ if fresh && table => Some(vec![false; p.dims()[0]]),
                _ if table => Some(touched(T::within(moments), p)),
                _ => None,
            };
        }
        // Taken out and put back, so that each can be borrowed on its own.
        let mut taken: Vec<(String, Moments)> = names
            .iter()
            .filter_map(|n| Some((n.to_string(), self.moments.remove(*n)?)))
            .collect();
        let mut touched: Vec<Option<Vec<bool>>> =
            taken.iter_mut().map(|(_, m)| m.touched.take()).collect();
        let updates = present.iter().zip(taken.iter_mut().zip(&mut touched)).map(
            |((p, group, g), ((_, moments), touched))| {
                let group = &self.groups[*group];
                optim::Update {
                    param: p.var().as_tensor(),
                    grad: *g,
                    state: T::within(moments)
                        .iter_mut()
                        .map(Vec::as_mut_slice)
                        .collect(),
                    rule: group
                        .optimizer
                        .rule(group.rate * group.schedule.factor(step, total)),
                    step: self.steps,
                    touched: touched.as_deref_mut(),
                }
            },
        );
        optim::step_tensors(updates.collect(), scale)?;
        for ((_, moments), touched) in taken.iter_mut().zip(touched) {
            moments.touched = touched;
        }
        self.moments.extend(taken);
        Ok(true)
    }

    /// Adds the moments to a checkpoint.
    pub fn save(&self, prefix: &str, into: &mut BTreeMap<String, Tensor>) -> Result<()> {
        let device = &candle_core::Device::Cpu;
        for (name, moments) in &self.moments {
            for (k, v) in moments.single.iter().enumerate() {
                into.insert(
                    format!("{prefix}{name}/{k}"),
                    Tensor::new(v.as_slice(), device)?,
                );
            }
            for (k, t) in moments.device.iter().enumerate() {
                into.insert(
                    format!("{prefix}{name}/{k}"),
                    t.flatten_all()?.to_device(device)?,
                );
            }
            for (k, v) in moments.double.iter().enumerate() {
                into.insert(
                    format!("{prefix}{name}/{k}"),
                    Tensor::new(v.as_slice(), device)?,
                );
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
            let mut moments = Moments::default();
            let mut k = 0;
            while let Some(t) = saved.get(&format!("{prefix}{}/{k}", p.name())) {
                let flat = t.flatten_all()?;
                match p.var().dtype() {
                    _ if !p.var().device().is_cpu() => moments
                        .device
                        .push(flat.to_device(p.var().device())?.reshape(p.dims())?),
                    DType::F64 => moments.double.push(flat.to_vec1()?),
                    _ => moments.single.push(flat.to_vec1()?),
                }
                k += 1;
            }
            if k > 0 {
                self.moments.insert(p.name().to_string(), moments);
            }
        }
        Ok(())
    }
}

/// The state of one parameter, in the parameter's own type; on its device where that is not the CPU.
#[derive(Default)]
struct Moments {
    single: Vec<Vec<f32>>,
    double: Vec<Vec<f64>>,
    device: Vec<Tensor>,
    /// Of a table whose gradients come as rows, those that have ever had one. Found again from the moments where it is lost: they are zero until then.
    touched: Option<Vec<bool>>,
}

/// The rows of a table whose moments are not zero.
fn touched<T: optim::Stepped>(moments: &[Vec<T>], table: &Param) -> Vec<bool> {
    let width = table.dims()[1].max(1);
    let mut touched = vec![false; table.dims()[0]];
    for moment in moments {
        for (touched, row) in touched.iter_mut().zip(moment.chunks(width)) {
            *touched |= row.iter().any(|x| *x != T::default());
        }
    }
    touched
}

/// Picks what is of one type.
trait Moment: Sized {
    /// Numbers of a gradient, where they are of this type.
    fn of_f32(numbers: &[f32]) -> Option<&[Self]>;
    fn within(moments: &mut Moments) -> &mut Vec<Vec<Self>>;
}

impl Moment for f32 {
    fn of_f32(numbers: &[f32]) -> Option<&[f32]> {
        Some(numbers)
    }

    fn within(moments: &mut Moments) -> &mut Vec<Vec<f32>> {
        &mut moments.single
    }
}

impl Moment for f64 {
    fn of_f32(_: &[f32]) -> Option<&[f64]> {
        None
    }

    fn within(moments: &mut Moments) -> &mut Vec<Vec<f64>> {
        &mut moments.double
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
    // A stage without weights (dropout) is no layer.
    let weighty: Vec<_> = encoder.iter().filter(|s| !s.params().is_empty()).collect();
    for (depth, stage) in weighty.iter().enumerate() {
        let above = (weighty.len() - 1 - depth) as i32;
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
