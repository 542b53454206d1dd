//! What core says while it works. It draws nothing: `src` shows progress, the run directory keeps the record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::select::LabelFree;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A phase begins.
    Phase {
        /// Its name.
        name: &'a str,
        /// Its index, from 0.
        index: usize,
        /// How many there are.
        of: usize,
        /// Optimizer steps in it; 0 for a closed-form one.
        steps: u64,
        /// Steps an epoch.
        per_epoch: u64,
        /// Steps already done (resumed).
        done: u64,
    },
    /// An optimizer step was made.
    Step {
        /// Steps of the phase so far.
        step: u64,
        /// Of so many.
        of: u64,
        /// The loss of this step.
        loss: f64,
        /// Rows seen in this step.
        rows: usize,
        /// What the step worked through: rows of all feeds, each as long as the longest of its batch.
        padded: u64,
    },
    /// An epoch ended.
    Epoch {
        /// From 1.
        epoch: u64,
        /// Means over the epoch, and validation scores.
        values: &'a BTreeMap<String, f64>,
        /// Which of them decides between the epochs, where a score that looks at no label of the target does.
        by: Option<LabelFree>,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A pass over a domain without gradients.
    Pass {
        /// What for.
        what: &'a str,
        /// Rows done.
        done: usize,
        /// Of so many.
        of: usize,
    },
    /// A remark worth a line.
    Note(&'a str),
}

/// Hears events.
pub trait Observer: Sync {
    /// Must not block for long.
    fn event(&self, event: &Event<'_>);
    /// Whether a pass over a domain should end here, because somebody asked to stop.
    fn stopping(&self) -> bool {
        false
    }
}

/// An observer, and a request to stop that passes over a domain heed too. A pass inside a training phase does not: there the
/// step's end writes a checkpoint first.
pub struct Stoppable<'a> {
    /// Who hears.
    pub observer: &'a dyn Observer,
    /// Who asks.
    pub stop: &'a Stop,
}

impl Observer for Stoppable<'_> {
    fn event(&self, event: &Event<'_>) {
        self.observer.event(event);
    }

    fn stopping(&self) -> bool {
        self.stop.asked()
    }
}

/// Hears nothing.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// A request to stop, checked at every step.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Around a flag that a signal handler sets.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Self {
        Stop(flag)
    }

    /// Asks to stop.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
