//! One training phase: draw, record, pull back, step, look.

mod choose;
mod memory;
mod update;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use super::checkpoint::{Best, Twin};
use super::event::{Event, Stoppable};
use super::infer::Passes;
use super::optimizer::Optimizer;
use super::run::{Deciding, Job};
use super::runner::{Runner, copies, put_back};
use super::step::{Drawn, Models, StepState};
use super::{check, frozen, liveness, record};
use crate::data::{Cursor, Loaded};
use crate::evaluate::Scores;
use crate::nn::{Gradients, Param, Pass, Select};
use crate::random::Stream;
use crate::select::{Choice, LabelFree, Reference, adapted_stands};
use crate::strategy::{Selection, State, Train, Transfer, Until};
use crate::{Error, NonFinite, Result};

/// Steps after the warm-up at which every trainable tensor must have moved.
const SETTLE: u64 = 10;
/// Batches that are prepared while one is trained on.
const AHEAD: u64 = 2;

/// A feed as it is drawn from.
struct Source {
    loaded: Arc<Loaded>,
    random: Stream,
    /// Batches an epoch; the same for every epoch.
    per_epoch: usize,
    /// The epoch that is being drawn from, and its batches.
    current: (u64, Arc<Vec<Vec<u32>>>),
}

/// Where a phase stands among the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its number, from 0.
    pub index: usize,
    /// How many there are.
    pub of: usize,
    /// Whose random numbers it has: the number without the twins before it.
    pub at: usize,
    /// Whether it is one.
    pub twin: bool,
    /// Whether the model has learned to classify before it.
    pub knows: bool,
}

pub(crate) struct Course<'a, 'b, 't> {
    transfer: &'a mut Transfer<'t>,
    train: Train,
    place: Place,
    job: &'a Job<'b>,
    run: &'a mut Runner,
    feeds: Vec<Source>,
    optimizers: Vec<Optimizer>,
    per_epoch: u64,
    total: u64,
}

impl<'a, 'b, 't> Course<'a, 'b, 't> {
    pub fn new(
        transfer: &'a mut Transfer<'t>,
        train: Train,
        place: Place,
        job: &'a Job<'b>,
        run: &'a mut Runner,
    ) -> Result<Self> {
        let root = Stream::new(job.seed).purpose("feed").at(place.at as u64);
        let mut feeds = Vec::new();
        let mut per_epoch = 1;
        for (i, feed) in train.feeds.iter().enumerate() {
            let loaded = job.domains.get(feed.from)?.clone();
            if loaded.is_empty() {
                return Err(Error::msg(format!(
                    "{} has no rows to train on",
                    loaded.name
                )));
            }
            let random = root.at(i as u64);
            let first = loaded.epoch(feed, random, 0)?;
            per_epoch = per_epoch.max(first.len() as u64);
            feeds.push(Source {
                loaded,
                random,
                per_epoch: first.len(),
                current: (0, first),
            });
        }
        let wanted = match train.until {
            Until::Epochs(n) => n.saturating_mul(per_epoch),
            Until::Steps(n) => n,
        };
        let total = job.max_steps.map_or(wanted, |m| wanted.min(m));
        let optimizers = train
            .updates
            .iter()
            .map(|u| Optimizer::new(u, transfer.store))
            .collect::<Result<_>>()?;
        Ok(Course {
            transfer,
            train,
            place,
            job,
            run,
            feeds,
            optimizers,
            per_epoch,
            total,
        })
    }

    /// Takes up the optimizer's and the objectives' state from a checkpoint.
    pub fn restore(&mut self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        if saved.is_empty() || self.run.position.step == 0 {
            return Ok(());
        }
        for (u, optimizer) in self.optimizers.iter_mut().enumerate() {
            optimizer.restore(
                &format!("optimizer/{u}/"),
                saved,
                self.run.position.updates.get(u).copied().unwrap_or(0),
            )?;
            let prefix = format!("objective/{u}/");
            // A checkpoint is read on the CPU.
            let device = self.transfer.store.device();
            let own = saved
                .iter()
                .filter_map(|(k, t)| Some((k.strip_prefix(&prefix)?, t)));
            let moved = own.map(|(k, t)| Ok((k.to_string(), t.to_device(device)?)));
            let tensors = moved.collect::<Result<_>>()?;
            let json = self
                .run
                .position
                .objectives
                .get(u)
                .cloned()
                .unwrap_or_default();
            self.train.updates[u]
                .objective
                .restore(State { tensors, json })?;
        }
        Ok(())
    }

    pub fn go(mut self) -> Result<()> {
        let (name, done) = (self.train.name.clone(), self.run.position.step);
        let phase = Event::Phase {
            name: &name,
            index: self.place.index,
            of: self.place.of,
            steps: self.total,
            per_epoch: self.per_epoch,
            done,
        };
        self.job.observer.event(&phase);
        if done == 0 {
            // Epochs are counted by phase.
            if self.decides() {
                self.run.position.collapsed.clear();
            }
            self.run.position.fingerprints = Some(liveness::fingerprints(&self.trainable())?);
        }
        if done < self.total {
            self.begin()?;
        }
        // The model as it is before the adaptation is a candidate, and what a collapse is measured by.
        let knows = self.place.knows;
        if done == 0 && knows && self.decides() {
            self.candidate(0)?;
        }
        if done == 0 && knows && self.train.adapts && self.job.before.is_some() {
            self.before()?;
        }
        while self.run.position.step < self.total {
            let epoch = self.run.position.step / self.per_epoch + 1;
            let made = match self.run.position.step.is_multiple_of(self.per_epoch) {
                true => self.begin_epoch().and_then(|()| self.step()),
                false => self.step(),
            };
            if self.ends_here(made, epoch)? {
                break;
            }
            self.run.position.step += 1;
            self.run.position.total_steps += 1;
            self.movement()?;
            // At the first step of a sitting, and at the end.
            if self.run.position.step == done + 1 || self.run.position.step == self.total {
                frozen::unmoved(self.transfer, &name)?;
            }
            let step = self.run.position.step;
            if step.is_multiple_of(self.per_epoch) || step == self.total {
                let looked = self.end_epoch();
                if self.ends_here(looked, epoch)? {
                    break;
                }
                if self
                    .train
                    .patience
                    .is_some_and(|p| self.run.position.waited >= p)
                {
                    self.job
                        .observer
                        .event(&Event::Note("stopped early: validation has not improved"));
                    break;
                }
            }
            if self.job.stop.asked() {
                self.checkpoint()?;
                return Err(Error::Stopped {
                    step: self.run.position.total_steps,
                });
            }
            if self.run.due(self.job) {
                self.checkpoint()?;
            }
        }
        let chooses = self.decides() && !self.place.twin;
        let position = &mut self.run.position;
        if chooses {
            let margin = self.transfer.settings.twin.unwrap_or_default();
            let stands = |twin: &Twin| match (&self.job.deciding, position.best) {
                (Some(Deciding::LabelFree { by, minimises, .. }), Some(best)) => {
                    best.score > f64::MIN
                        && adapted_stands(*by, minimises, &position.scores, &twin.scores, margin)
                }
                _ => true,
            };
            if let Some(twin) = position.twin.take().filter(|t| !stands(t)) {
                position.best = Some(twin.best);
                self.run.best = std::mem::take(&mut self.run.twin);
            }
            self.run.twin.clear();
        }
        // Of what adapts nothing there is no harm to speak of.
        if let Some(reference) = position.reference.as_ref().filter(|_| self.train.adapts) {
            let last = match position.diverged {
                Some(_) => position.collapsed.last().copied().unwrap_or_default(),
                None => position.step.div_ceil(self.per_epoch),
            };
            // What the method itself brings down is no evidence for it.
            let own = match &self.job.deciding {
                Some(Deciding::LabelFree { by, minimises, .. }) => minimises.contains(by),
                _ => false,
            };
            let kept = position.best.filter(|b| !b.twin);
            // Some scores like a collapse, and keep one.
            let collapsed = [Some(last), kept.map(|b| b.epoch)].into_iter().flatten();
            let collapsed = collapsed.filter(|e| position.collapsed.contains(e)).count();
            let judged = kept.filter(|_| !own).map(|b| (b.epoch, b.score));
            let signs = reference.signs(collapsed > 0, judged);
            position.signs = Some(signs.to_string());
        }
        if self.train.select != Selection::Last && self.run.position.best.is_some() {
            put_back(self.transfer.store, &self.run.best)?;
        }
        Ok(())
    }

    /// Everything that some update trains.
    fn trainable(&self) -> Vec<Param> {
        self.transfer.store.select(&Select::Any(
            self.train
                .updates
                .iter()
                .map(|u| u.trains.clone())
                .collect(),
        ))
    }

    /// A pass heeds Ctrl-C at its every batch here: no step is half done, and the checkpoint stands.
    fn begin(&mut self) -> Result<()> {
        let random = Stream::new(self.job.seed)
            .purpose("begin")
            .at(self.place.at as u64);
        let observer = Stoppable {
            observer: self.job.observer,
            stop: &self.job.stop,
        };
        let mut passes = Passes {
            model: &self.transfer.model,
            domains: &self.job.domains,
            store: self.transfer.store,
            random,
            observer: &observer,
            cache: self.job.cache.as_ref(),
            kept: BTreeMap::new(),
        };
        for update in &mut self.train.updates {
            update.objective.begin(&mut passes)?;
        }
        // What does not train runs once, here, and not in the middle of the first step.
        let model = &self.transfer.model;
        if let Some(prefix) = model.frozen() {
            for from in &self.feeds {
                let (chain, store) = (model.chain(), &self.transfer.store);
                prefix.rows(chain, &from.loaded, store, "features", &observer)?;
            }
        }
        Ok(())
    }

    fn begin_epoch(&mut self) -> Result<()> {
        self.run.position.sums.clear();
        self.run.position.seen.clear();
        let random = Stream::new(self.job.seed)
            .purpose("epoch")
            .at(self.place.at as u64)
            .at(self.run.position.step);
        for update in &mut self.train.updates {
            let mut passes = Passes {
                model: &self.transfer.model,
                domains: &self.job.domains,
                store: self.transfer.store,
                random,
                observer: self.job.observer,
                cache: None,
                kept: BTreeMap::new(),
            };
            update.objective.begin_epoch(&mut passes)?;
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<Vec<Drawn>> {
        let mut drawn = Vec::with_capacity(self.feeds.len());
        for (feed, from) in self.train.feeds.iter().zip(&mut self.feeds) {
            let at = Cursor::after(self.run.position.step, from.per_epoch);
            if from.current.0 != at.epoch {
                from.current = (at.epoch, from.loaded.epoch(feed, from.random, at.epoch)?);
            }
            drawn.push(Drawn {
                loaded: from.loaded.clone(),
                rows: from.current.1[at.batch].clone(),
                random: from.random.at(at.epoch),
            });
        }
        Ok(drawn)
    }

    /// Other threads prepare the rows of this batch and of the next ones, as far as this epoch goes.
    fn expect(&self) {
        // Behind a border rows are numbers that are looked up.
        if self.transfer.model.frozen().is_some() {
            return;
        }
        let step = self.run.position.step;
        let mut done: Vec<&Arc<Loaded>> = Vec::new();
        for from in &self.feeds {
            if done.iter().any(|d| Arc::ptr_eq(d, &from.loaded)) {
                continue;
            }
            done.push(&from.loaded);
            let mut next = Vec::new();
            // Two feeds may draw from one domain.
            for (feed, other) in self.train.feeds.iter().zip(&self.feeds) {
                if !Arc::ptr_eq(&other.loaded, &from.loaded) {
                    continue;
                }
                for later in step..self.total.min(step + 1 + AHEAD) {
                    let at = Cursor::after(later, other.per_epoch);
                    if at.epoch != other.current.0 {
                        break;
                    }
                    let rows = other.current.1[at.batch].as_slice();
                    let random = other.random.at(at.epoch);
                    next.extend(feed.views.iter().map(|&view| (rows, view, random)));
                }
            }
            from.loaded.expect(&next);
        }
    }

    fn step(&mut self) -> Result<()> {
        let drawn = self.draw()?;
        self.expect();
        let step = self.run.position.step;
        let rows = drawn.first().map_or(1, |d| d.rows.len());
        let mut shown = 0.0;
        for u in 0..self.train.updates.len() {
            for again in 0..self.train.updates[u].repeat.max(1) {
                let random = Stream::new(self.job.seed)
                    .purpose("pass")
                    .at(self.place.at as u64)
                    .at(u as u64)
                    .at(again.into());
                let loss = self.update(u, &drawn, random)?;
                if u == 0 && again == 0 {
                    shown = loss;
                }
            }
        }
        self.record_step(step, shown)?;
        self.job.observer.event(&Event::Step {
            step: step + 1,
            of: self.total,
            loss: shown,
            rows,
            padded: drawn
                .iter()
                .map(|d| Ok(d.loaded.tokens(&d.rows)?.1))
                .sum::<Result<u64>>()?,
        });
        Ok(())
    }

    /// A line for the curves, at steps that depend on nothing but the phase's length, so that a resumed run writes the same ones.
    fn record_step(&mut self, step: u64, loss: f64) -> Result<()> {
        if !record::step_has_line(step, self.total) {
            return Ok(());
        }
        let seconds = self.run.seconds();
        let line = record::step_line(
            &self.train.name,
            step,
            self.total,
            loss,
            self.optimizers.first(),
            seconds,
        );
        self.job.record(&line)?;
        self.run.position.lines += 1;
        Ok(())
    }

    /// After the warm-up every trainable tensor must have moved, or have had a gradient that is too small to move it. A training that ends before must have moved something; what it left as it was
    /// is said, for a tensor may need a step or two until others have moved.
    fn movement(&mut self) -> Result<()> {
        let (step, settled) = (self.run.position.step, self.settled());
        if step != settled && !(step == self.total && step < settled) {
            return Ok(());
        }
        let Some(before) = self.run.position.fingerprints.take() else {
            return Ok(());
        };
        let words = if step == settled {
            let learned = |name: &str| {
                let mut of = self.optimizers.iter();
                of.try_fold(false, |any, o| Ok(any || o.has_learned(name)?))
            };
            liveness::moved(&before, &self.trainable(), learned)?
        } else {
            liveness::ended(&before, &self.trainable(), step)?
                .map(|words| format!("after its {words}"))
        };
        if let Some(words) = words {
            let words = format!("phase `{}`: {words}", self.train.name);
            self.job.observer.event(&Event::Note(&words));
        }
        Ok(())
    }

    /// The step after which everything must have moved.
    fn settled(&self) -> u64 {
        let groups = self.train.updates.iter().flat_map(|u| &u.groups);
        let warm = groups.map(|g| g.schedule.warmup_steps(self.total)).max();
        warm.unwrap_or(0) + SETTLE
    }

    fn checkpoint(&mut self) -> Result<()> {
        let mut tensors = BTreeMap::new();
        self.run.position.objectives.clear();
        self.run.position.updates.clear();
        for (u, optimizer) in self.optimizers.iter().enumerate() {
            optimizer.save(&format!("optimizer/{u}/"), &mut tensors)?;
            self.run.position.updates.push(optimizer.steps());
            let state = self.train.updates[u].objective.state();
            for (name, t) in state.tensors {
                tensors.insert(format!("objective/{u}/{name}"), t);
            }
            self.run.position.objectives.push(state.json);
        }
        self.run.write(self.transfer, tensors, self.job)
    }
}
