//! The arithmetic of optimizers: one pass over each tensor, on flat slices, in place.
//!
//! Names, parameter groups and schedules belong to the caller; here a parameter is a slice with a gradient and a state.
//! [`AdamW`], [`Sgd`] and [`RmsProp`] do what PyTorch's optimizers of these names do, to rounding:
//!
//! - AdamW (Loshchilov and Hutter 2019): p -= lr wd p; m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²;
//!   p -= lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε). The decay is decoupled, ε is outside the root.
//! - SGD: g += wd p; the first step's buffer is g, then buffer = μ buffer + g; p -= lr buffer, or with Nesterov
//!   p -= lr (g + μ buffer).
//! - RMSprop (Tieleman and Hinton 2012): g += wd p; s = α s + (1 - α) g²; g / (√s + ε) is the step, through a momentum
//!   buffer if μ > 0.
//!
//! [`step_all`] takes many tensors and cuts them into fixed chunks for all threads. [`global_norm`] sums in f64 by fixed
//! chunks, in order; [`clip_scale`] is the factor that brings it under a limit, which the step multiplies the gradients
//! by as it reads them: clipping costs one pass of reading.
//!
//! Of a table's gradient the rows that have one are enough ([`Grad::Rows`]): the others step with a gradient of zero that is nowhere stored, and with
//! AdamW those that never had one only decay, which reads and writes a third as much. The bits are those of the whole table's gradient.

pub(crate) mod cpu;
mod cuda;
pub mod reference;
mod table;
mod tensors;
#[cfg(test)]
mod tests;

pub use cuda::{DeviceUpdate, step_on_device};
pub use tensors::{Grad, Update, global_norm_of, step_tensors};

use crate::path::Path;
use crate::tensors::Element;
use rayon::prelude::*;

/// Hyperparameters of AdamW; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        AdamW {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 1e-2,
        }
    }
}

/// Hyperparameters of stochastic gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Share of the buffer that is kept; 0 for no momentum (and no state).
    pub momentum: f64,
    /// Whether the step looks ahead (Nesterov 1983).
    pub nesterov: bool,
    /// Added to the gradient, times the parameter.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Sgd {
            lr: 1e-3,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        }
    }
}

/// Hyperparameters of RMSprop; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of squared gradients.
    pub alpha: f64,
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Share of the momentum buffer that is kept; 0 for none.
    pub momentum: f64,
    /// Added to the gradient, times the parameter.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        RmsProp {
            lr: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.0,
            weight_decay: 0.0,
        }
    }
}

/// An update rule with its hyperparameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// See [`AdamW`].
    AdamW(AdamW),
    /// See [`Sgd`].
    Sgd(Sgd),
    /// See [`RmsProp`].
    RmsProp(RmsProp),
}

impl Rule {
    /// The names of the state slices that the rule keeps for each parameter, in the order the step takes them. All
    /// begin as zeros.
    pub fn state_names(&self) -> &'static [&'static str] {
        match self {
            Rule::AdamW(_) => &["exp_avg", "exp_avg_sq"],
            Rule::Sgd(h) if h.momentum == 0.0 => &[],
            Rule::Sgd(_) => &["momentum_buffer"],
            Rule::RmsProp(h) if h.momentum == 0.0 => &["square_avg"],
            Rule::RmsProp(_) => &["square_avg", "momentum_buffer"],
        }
    }
}

/// A parameter, its gradient and its state, all of one length.
#[derive(Debug)]
pub struct Slot<'a, T> {
    /// The parameter, changed in place.
    pub param: &'a mut [T],
    /// Its gradient, before clipping.
    pub grad: &'a [T],
    /// Its state, as many slices as [`Rule::state_names`] says.
    pub state: Vec<&'a mut [T]>,
    /// The rule; groups differ in it.
    pub rule: Rule,
    /// The number of this step for this parameter, from 1.
    pub step: u64,
}

/// Floats whose step may have a vectorised copy.
pub trait Stepped: Element {
    /// One step of a chunk.
    #[doc(hidden)]
    fn step(
        path: Path,
        param: &mut [Self],
        grad: &[Self],
        state: &mut [&mut [Self]],
        rule: &Rule,
        step: u64,
        scale: f64,
    );

    /// Σ x² in f64, by 32 lanes: the same bits on every path.
    #[doc(hidden)]
    fn square_sum(path: Path, x: &[Self]) -> f64;

    /// One step of numbers whose gradient and state are zero, where it is known to leave the state so, with the bits of [`Stepped::step`]; `false`, and
    /// nothing done, where it is not.
    #[doc(hidden)]
    fn still(_: Path, _param: &mut [Self], _: &Rule) -> bool {
        false
    }
}

/// Elements in one chunk of work.
const CHUNK: usize = 1 << 14;

/// One step of one parameter, on this thread; the gradient is multiplied by `grad_scale` (1, or [`clip_scale`]).
///
/// # Panics
/// If lengths differ or the number of state slices is wrong.
pub fn step<T: Stepped>(slot: Slot<'_, T>, grad_scale: f64) {
    for mut chunk in chunks(slot) {
        run(&mut chunk, grad_scale);
    }
}

/// One step of every parameter, in parallel; each gradient is multiplied by `grad_scale` (1, or [`clip_scale`]).
///
/// # Panics
/// If lengths differ or the number of state slices is wrong.
pub fn step_all<T: Stepped>(slots: Vec<Slot<'_, T>>, grad_scale: f64) {
    let mut work: Vec<Slot<'_, T>> = slots.into_iter().flat_map(chunks).collect();
    work.par_iter_mut().for_each(|chunk| run(chunk, grad_scale));
}

fn run<T: Stepped>(slot: &mut Slot<'_, T>, grad_scale: f64) {
    let path = Path::current();
    T::step(
        path,
        slot.param,
        slot.grad,
        &mut slot.state,
        &slot.rule,
        slot.step,
        grad_scale,
    );
}

fn chunks<T: Stepped>(slot: Slot<'_, T>) -> Vec<Slot<'_, T>> {
    let n = slot.param.len();
    assert_eq!(n, slot.grad.len(), "a gradient for every element");
    assert_eq!(
        slot.state.len(),
        slot.rule.state_names().len(),
        "state slices"
    );
    assert!(
        slot.state.iter().all(|s| s.len() == n),
        "state for every element"
    );
    assert!(slot.step > 0, "steps count from 1");
    let (rule, step) = (slot.rule, slot.step);
    let mut states: Vec<_> = slot
        .state
        .into_iter()
        .map(|s| s.chunks_mut(CHUNK))
        .collect();
    slot.param
        .chunks_mut(CHUNK)
        .zip(slot.grad.chunks(CHUNK))
        .map(|(param, grad)| Slot {
            param,
            grad,
            state: states.iter_mut().filter_map(Iterator::next).collect(),
            rule,
            step,
        })
        .collect()
}

/// The Euclidean norm of all gradients together, summed in f64 by fixed chunks in order.
pub fn global_norm<T: Stepped>(grads: &[&[T]]) -> f64 {
    let chunks: Vec<&[T]> = grads.iter().flat_map(|g| g.chunks(CHUNK)).collect();
    let path = Path::current();
    let sums: Vec<f64> = chunks.par_iter().map(|c| T::square_sum(path, c)).collect();
    sums.into_iter().sum::<f64>().sqrt()
}

/// The factor that brings gradients of `norm` under `max_norm`: 1, or max_norm / (norm + 1e-6) as PyTorch's
/// `clip_grad_norm_`. NaN if the norm is.
pub fn clip_scale(norm: f64, max_norm: f64) -> f64 {
    let scale = max_norm / (norm + 1e-6);
    if scale > 1.0 { 1.0 } else { scale }
}
