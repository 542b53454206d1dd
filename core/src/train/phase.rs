//! One training phase: draw, record, pull back, step, look.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use super::checkpoint::Best;
use super::event::{Event, Stoppable};
use super::infer::{Passes, predict};
use super::optimizer::Optimizer;
use super::run::{Deciding, Job, Runner};
use super::step::{Drawn, Models, StepState};
use super::{check, frozen, liveness, record};
use crate::data::{Cursor, From, Loaded};
use crate::evaluate::Scores;
use crate::nn::{Gradients, Param, Pass, Select};
use crate::random::Stream;
use crate::select::{Choice, LabelFree, Reference};
use crate::strategy::{Selection, State, Train, Transfer, Until};
use crate::{Error, Result};

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

pub(crate) struct Course<'a, 'b, 't> {
    transfer: &'a mut Transfer<'t>,
    train: Train,
    index: usize,
    of: usize,
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
        index: usize,
        of: usize,
        job: &'a Job<'b>,
        run: &'a mut Runner,
    ) -> Result<Self> {
        let root = Stream::new(job.seed).purpose("feed").at(index as u64);
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
            Until::Epochs(n) => n * per_epoch,
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
            index,
            of,
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
            let tensors = saved
                .iter()
                .filter_map(|(k, t)| Some((k.strip_prefix(&prefix)?.to_string(), t.clone())))
                .collect();
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
            index: self.index,
            of: self.of,
            steps: self.total,
            per_epoch: self.per_epoch,
            done,
        };
        self.job.observer.event(&phase);
        if done == 0 {
            self.run.position.fingerprints = Some(liveness::fingerprints(&self.trainable())?);
        }
        if done < self.total {
            self.begin()?;
        }
        // The model as it is before the adaptation is a candidate, and what a collapse is measured by.
        let knows = self.index > 0 || self.job.trained;
        if done == 0 && knows && self.decides() {
            self.candidate(0)?;
        }
        if done == 0 && knows && self.job.before && self.train.select != Selection::Validation {
            self.before()?;
        }
        while self.run.position.step < self.total {
            if self.run.position.step.is_multiple_of(self.per_epoch) {
                self.begin_epoch()?;
            }
            self.step()?;
            self.run.position.step += 1;
            self.run.position.total_steps += 1;
            self.movement()?;
            // At the first step of a sitting, and at the end.
            if self.run.position.step == done + 1 || self.run.position.step == self.total {
                frozen::unmoved(self.transfer, &name)?;
            }
            let step = self.run.position.step;
            if step.is_multiple_of(self.per_epoch) || step == self.total {
                self.end_epoch()?;
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
        let position = &mut self.run.position;
        if let Some(reference) = &position.reference {
            let last = position.step.div_ceil(self.per_epoch);
            let kept = position.best.map(|b| (b.epoch, b.score));
            let signs = reference.signs(position.collapsed.contains(&last), kept);
            position.signs = Some(signs.to_string());
        }
        if self.train.select != Selection::Last && self.run.position.best.is_some() {
            for p in self.transfer.store.all() {
                if let Some(t) = self.run.best.get(p.name()) {
                    p.var().set(t)?;
                }
            }
            self.transfer.store.touch();
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
            .at(self.index as u64);
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
        Ok(())
    }

    fn begin_epoch(&mut self) -> Result<()> {
        self.run.position.sums.clear();
        self.run.position.rows = 0.0;
        let random = Stream::new(self.job.seed)
            .purpose("epoch")
            .at(self.index as u64)
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
                    .at(self.index as u64)
                    .at(u as u64)
                    .at(again.into());
                let loss = self.update(u, &drawn, random)?;
                if u == 0 && again == 0 {
                    shown = loss;
                }
            }
        }
        self.run.position.rows += rows as f64;
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

    /// One optimizer step of one update; returns the loss.
    fn update(&mut self, u: usize, drawn: &[Drawn], random: Stream) -> Result<f64> {
        let step = self.run.position.step;
        self.transfer
            .store
            .train_only(&self.train.updates[u].trains);
        let pieces = pieces(drawn, self.train.micro_batch);
        let rows: usize = drawn.first().map_or(1, |d| d.rows.len());
        let mut total = Gradients::default();
        // Means over pieces are weighed by what each piece's own mean was over, so that cutting a batch changes no number.
        let (mut means, mut mass): (BTreeMap<String, f64>, f64) = Default::default();
        let mut loss = 0.0;
        let single = pieces.len() == 1;
        let settled = self.settled();
        let settling = step < settled && self.total >= settled;
        for (k, piece) in pieces.into_iter().enumerate() {
            let piece_rows = piece.first().map_or(1.0, |d| d.rows.len() as f64);
            let pass = Pass {
                step: self.run.position.total_steps,
                precision: self.transfer.settings.precision,
                ..Pass::training(random.at(k as u64), 0)
            };
            let update = &mut self.train.updates[u];
            let mut state = StepState {
                drawn: piece,
                batches: BTreeMap::new(),
                models: Models {
                    model: &self.transfer.model,
                    others: &self.transfer.others,
                },
                heads: &self.transfer.heads,
                target: self.transfer.target,
                store: self.transfer.store,
                observer: self.job.observer,
                pass,
                progress: step as f64 / self.total.max(1) as f64,
                taps: update.objective.taps(),
                recordings: RefCell::default(),
                mass: Cell::new(None),
            };
            let terms = update.objective.terms(&mut state)?;
            let weight = state.mass.get().unwrap_or(piece_rows);
            mass += weight;
            let mut sum: Option<Tensor> = None;
            for term in &terms {
                let value = term
                    .value
                    .to_dtype(candle_core::DType::F64)?
                    .flatten_all()?
                    .sum(0)?
                    .to_scalar::<f64>()?;
                if !value.is_finite() {
                    let batch = state.batches.values().next().cloned();
                    let first = check::first_bad(
                        &self.transfer.model,
                        self.transfer.store,
                        batch.as_ref(),
                    )?;
                    return Err(check::bad_loss(
                        self.run.position.total_steps + 1,
                        value,
                        &first,
                    ));
                }
                loss += value * term.weight * weight;
                *means.entry(term.name.clone()).or_insert(0.0) += value * weight;
                let weighted = if term.weight == 1.0 {
                    term.value.clone()
                } else {
                    crate::nn::scaled(&term.value, term.weight)?
                };
                sum = Some(match sum {
                    Some(s) => (s + weighted)?,
                    None => weighted,
                });
            }
            let Some(sum) = sum else {
                return Err(Error::msg(format!("update `{}` has no loss", update.name)));
            };
            if step == 0 && k == 0 {
                liveness::reaches(&update.name, &terms, &state.recordings.borrow())?;
            }
            if settling && k == 0 {
                let dead = |term: &&crate::strategy::Term| {
                    let name = format!("{u}/{}", term.name);
                    !self.run.position.alive.contains(&name)
                };
                let waiting = terms.iter().filter(dead);
                let alive = liveness::alive(waiting, &state.recordings.borrow())?;
                let alive = alive.into_iter().map(|name| format!("{u}/{name}"));
                self.run.position.alive.extend(alive);
                if step + 1 == settled {
                    let names: Vec<String> = (terms.iter())
                        .filter(|t| t.reaches_model && t.weight != 0.0)
                        .map(|t| format!("{u}/{}", t.name))
                        .filter(|n| !self.run.position.alive.contains(n))
                        .collect();
                    liveness::none_dead(&update.name, &names, &state.recordings.borrow())?;
                }
            }
            let grads = sum.backward()?;
            let mut here = Gradients::default();
            for recording in state.recordings.into_inner().into_iter().rev() {
                recording.pull(&grads, &mut here)?;
            }
            // Parameters that the objective used directly: a discriminator, a second head.
            for p in self.transfer.store.select(&update.trains) {
                if let Some(g) = grads.get(p.var()) {
                    here.add(&p, g.clone())?;
                }
            }
            if single {
                total = here;
            } else {
                total.merge(here, weight)?;
            }
        }
        if !single {
            total.scale(1.0 / mass)?;
        }
        for (name, sum) in means {
            *self.run.position.sums.entry(name).or_insert(0.0) += sum / mass * rows as f64;
        }
        let update = &mut self.train.updates[u];
        if step == 0 {
            liveness::entries(
                &update.name,
                &self.transfer.store.select(&update.trains),
                &total,
            )?;
        }
        if !self.optimizers[u].step(&mut total, step, self.total)? {
            return Err(check::bad_gradient(
                self.run.position.total_steps + 1,
                &total,
            ));
        }
        self.transfer.store.touch();
        update.objective.after_step(self.transfer.store)?;
        Ok(loss / mass)
    }

    /// After the warm-up every trainable tensor must have moved.
    fn movement(&mut self) -> Result<()> {
        if self.run.position.step != self.settled() {
            return Ok(());
        }
        match self.run.position.fingerprints.take() {
            Some(before) => liveness::moved(&before, &self.trainable()),
            None => Ok(()),
        }
    }

    /// The step after which everything must have moved.
    fn settled(&self) -> u64 {
        let groups = self.train.updates.iter().flat_map(|u| &u.groups);
        let warm = groups.map(|g| g.schedule.warmup_steps(self.total)).max();
        warm.unwrap_or(0) + SETTLE
    }

    fn end_epoch(&mut self) -> Result<()> {
        let position = &mut self.run.position;
        let epoch = position.step.div_ceil(self.per_epoch);
        let rows = position.rows.max(1.0);
        let mut values: BTreeMap<String, f64> = position
            .sums
            .iter()
            .map(|(k, v)| (k.clone(), v / rows))
            .collect();
        if let Some(rate) = self
            .optimizers
            .first()
            .map(|o| o.rate(position.step.saturating_sub(1), self.total))
        {
            values.insert("learning_rate".into(), rate);
        }
        let mut best = false;
        let t = &self.transfer;
        let rank = match &self.job.validation {
            Some(rows) => {
                let scores = Scores::of(&t.model, rows, t.target, t.store, self.job.observer)?;
                for (name, value) in scores.values() {
                    values.insert(format!("{}_{name}", self.job.validated), value);
                }
                Some(scores.rank())
            }
            None => {
                let mut passes = Passes {
                    model: &t.model,
                    domains: &self.job.domains,
                    store: t.store,
                    random: Stream::new(self.job.seed).purpose("validate"),
                    observer: self.job.observer,
                    cache: None,
                    kept: BTreeMap::new(),
                };
                let own = self.train.updates.first_mut();
                let own = own.map_or(Ok(None), |u| u.objective.validate(&mut passes))?;
                own.map(|(name, loss)| {
                    values.insert(format!("validation_{name}"), loss);
                    (-loss, loss)
                })
            }
        };
        for update in &mut self.train.updates {
            for (name, value) in update.objective.curves() {
                values.insert(name, value);
            }
        }
        if self.decides() {
            let (of, kept) = self.candidate(epoch)?;
            values.extend(of);
            best = kept;
        } else if let Some((score, loss)) = rank
            && self.train.select == Selection::Validation
        {
            best = self.keep_if_best(epoch, score, loss)?;
        }
        let mut line = serde_json::json!({ "phase": self.train.name, "epoch": epoch, "step": self.run.position.step });
        for (k, v) in &values {
            line[k] = serde_json::json!(v);
        }
        self.job.record(&line)?;
        self.run.position.lines += 1;
        self.job.observer.event(&Event::Epoch {
            epoch,
            values: &values,
            best,
        });
        Ok(())
    }

    /// Whether this phase's epochs are chosen between by what decides over an adaptation.
    fn decides(&self) -> bool {
        self.job.deciding.is_some()
            && !matches!(self.train.select, Selection::Last | Selection::Validation)
    }

    /// Keeps what the model says of the test inputs before the first adaptation.
    fn before(&mut self) -> Result<()> {
        if self.run.source_says.is_some() || !self.job.domains.has(From::TargetTest) {
            return Ok(());
        }
        let t = &self.transfer;
        let rows = self.job.domains.get(From::TargetTest)?;
        let (_, logits) = predict(&t.model, rows, t.store, "before", self.job.observer)?;
        self.run.source_says = Some(logits.to_dtype(candle_core::DType::F32)?);
        Ok(())
    }

    /// Scores the model as it is and keeps it if none before was better. What it was scored by, and whether it was kept.
    fn candidate(&mut self, epoch: u64) -> Result<(BTreeMap<String, f64>, bool)> {
        let t = &self.transfer;
        let mut values = BTreeMap::new();
        let (score, loss) = match &self.job.deciding {
            None => return Ok((values, false)),
            Some(Deciding::Labelled(rows)) => {
                let scores = Scores::of(&t.model, rows, t.target, t.store, self.job.observer)?;
                let rank = scores.rank();
                values.insert("target_accuracy".to_string(), rank.0);
                rank
            }
            Some(Deciding::LabelFree {
                by,
                minimises,
                look,
            }) => {
                let seen = look.see(&t.model, t.store, self.job.observer)?;
                let position = &mut self.run.position;
                if epoch == 0 {
                    position.reference = Some(Reference::of(&seen));
                }
                let choice = Choice::of(&seen, *by, minimises, position.reference.as_ref());
                if choice.collapsed {
                    position.collapsed.push(epoch);
                }
                for (name, value) in &choice.scores {
                    values.insert(format!("score_{}", name.name()), *value);
                }
                values.insert("effective_classes".into(), seen.effective_classes());
                if *by == LabelFree::Auto && !choice.collapsed {
                    values.insert("score_auto".into(), choice.rank);
                }
                if let (0, Some(reference)) = (epoch, &mut position.reference) {
                    reference.rank = choice.rank;
                }
                (choice.rank, 0.0)
            }
        };
        let best = self.keep_if_best(epoch, score, loss)?;
        if epoch == 0 {
            let mut line = serde_json::json!({ "phase": self.train.name, "epoch": 0, "step": 0 });
            for (k, v) in &values {
                line[k] = serde_json::json!(v);
            }
            self.job.record(&line)?;
            self.run.position.lines += 1;
        }
        Ok((values, best))
    }

    /// Copies the weights if no epoch before was better.
    fn keep_if_best(&mut self, epoch: u64, score: f64, loss: f64) -> Result<bool> {
        let position = &mut self.run.position;
        let best = position.best.is_none_or(|b| b.beaten_by(score, loss));
        if best {
            position.best = Some(Best { epoch, score, loss });
            position.waited = 0;
            let copy = |p: &Param| Ok((p.name().to_string(), p.detached().copy()?));
            let all = self.transfer.store.all();
            self.run.best = all.iter().map(copy).collect::<Result<_>>()?;
        } else {
            position.waited += 1;
        }
        Ok(best)
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

/// Cuts every feed's rows into the same number of pieces, so that none holds more than `micro` rows; yet no piece is empty, so beside
/// a feed of few rows (the last batch of a smaller domain) pieces are larger.
fn pieces(drawn: &[Drawn], micro: usize) -> Vec<Vec<Drawn>> {
    let rows = || drawn.iter().map(|d| d.rows.len());
    let (most, least) = (rows().max().unwrap_or(1), rows().min().unwrap_or(1));
    let n = most.div_ceil(micro.max(1)).min(least).max(1);
    (0..n)
        .map(|k| {
            let cut = |d: &Drawn| {
                let (from, to) = (d.rows.len() * k / n, d.rows.len() * (k + 1) / n);
                Drawn {
                    loaded: d.loaded.clone(),
                    rows: d.rows[from..to].to_vec(),
                    random: d.random,
                }
            };
            drawn.iter().map(cut).collect()
        })
        .collect()
}
