//! One update's view of the world: batches, labels, recorded passes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use super::event::Observer;
use super::frozen::Prefix;
use crate::data::{Example, Loaded, View};
use crate::model::Model;
use crate::nn::{Batch, Flow, Pass, Recording, Store, Taps};
use crate::random::Stream;
use crate::strategy::Step;
use crate::task::{Head, TargetTask};
use crate::{Error, Result};

/// The models of a transfer by name; `model` is the one that is evaluated.
pub(crate) struct Models<'a> {
    pub model: &'a Model,
    pub others: &'a BTreeMap<String, Model>,
}

impl Models<'_> {
    fn get(&self, name: &str) -> Result<&Model> {
        match name {
            "model" => Ok(self.model),
            _ => self
                .others
                .get(name)
                .ok_or_else(|| Error::msg(format!("the strategy has no model named {name}"))),
        }
    }
}

/// A feed's rows at this step.
pub(crate) struct Drawn {
    pub loaded: Arc<Loaded>,
    pub rows: Vec<u32>,
    /// The stream of the feed's epoch, for views.
    pub random: Stream,
}

pub(crate) struct StepState<'a> {
    pub drawn: Vec<Drawn>,
    /// Of each feed, the first view that it declares.
    pub views: Vec<View>,
    pub batches: BTreeMap<(usize, View), Arc<Batch>>,
    pub models: Models<'a>,
    pub heads: &'a BTreeMap<String, Arc<Head>>,
    pub target: &'a dyn TargetTask,
    pub store: &'a Store,
    pub observer: &'a dyn Observer,
    pub pass: Pass,
    pub progress: f64,
    pub taps: Vec<String>,
    pub recordings: RefCell<Vec<Recording>>,
    /// What the task's loss was a mean over, once it was asked for.
    pub mass: Cell<Option<f64>>,
    /// How often each further head was applied again.
    pub heads_applied: RefCell<BTreeMap<String, u64>>,
}

impl StepState<'_> {
    fn examples(&self, feed: usize, view: View) -> Result<Vec<Arc<Example>>> {
        let d = self.feed(feed)?;
        d.loaded.examples(&d.rows, view, d.random)
    }

    /// What frozen stages made of the rows, one feed below the other.
    fn known(&self, prefix: &Prefix, model: &Model, feeds: &[(usize, View)]) -> Result<Flow> {
        let mut parts = Vec::new();
        for &(feed, _) in feeds {
            let d = self.feed(feed)?;
            let chain = model.chain();
            let (rows, store) = (&d.rows, self.store);
            let x = prefix.flow(chain, &d.loaded, rows, store, "features", self.observer)?;
            parts.push(x.hidden);
        }
        let hidden = Tensor::cat(&parts, 0)?;
        let rows = hidden.dim(0)?;
        Ok(Flow::start(&Arc::new(Batch::new(rows, hidden))))
    }

    fn feed(&self, feed: usize) -> Result<&Drawn> {
        self.drawn.get(feed).ok_or_else(|| {
            Error::msg(format!(
                "the phase has {} feeds, and feed {feed} was asked for",
                self.drawn.len()
            ))
        })
    }
}

impl Step for StepState<'_> {
    fn batch(&mut self, feed: usize, view: View) -> Result<Arc<Batch>> {
        if let Some(b) = self.batches.get(&(feed, view)) {
            return Ok(b.clone());
        }
        let examples = self.examples(feed, view)?;
        let batch = Arc::new(
            self.feed(feed)?
                .loaded
                .collate(&examples, self.store.device())?,
        );
        self.batches.insert((feed, view), batch.clone());
        Ok(batch)
    }

    fn labels(&self, feed: usize) -> Result<Tensor> {
        let d = self.feed(feed)?;
        d.loaded
            .labels(&d.rows, self.store.device())?
            .ok_or_else(|| {
                Error::msg(format!(
                    "feed {feed} ({}) has no labels that training may see",
                    d.loaded.name
                ))
            })
    }

    fn labelled(&self, feed: usize) -> bool {
        self.drawn
            .get(feed)
            .is_some_and(|d| d.loaded.labels.is_some())
    }

    fn rows(&self, feed: usize) -> &[u32] {
        self.drawn.get(feed).map_or(&[], |d| &d.rows)
    }

    fn view(&self, feed: usize) -> View {
        self.views.get(feed).copied().unwrap_or_default()
    }

    fn encode(&mut self, model: &str, together: &[(usize, View)]) -> Result<Vec<Taps>> {
        let m = self.models.get(model)?;
        let plain = together.iter().all(|&(_, view)| view == View::Plain);
        let frozen = m.frozen().filter(|_| plain).cloned();
        let start = match (&frozen, together) {
            (Some(prefix), _) => self.known(prefix, m, together)?,
            (None, [(feed, view)]) => {
                let batch = self.batch(*feed, *view)?;
                Flow::start(&batch)
            }
            _ => {
                let mut examples = Vec::new();
                for &(feed, view) in together {
                    examples.extend(self.examples(feed, view)?);
                }
                let loaded = &self.feed(0)?.loaded;
                Flow::start(&Arc::new(loaded.collate(&examples, self.store.device())?))
            }
        };
        let m = self.models.get(model)?;
        let first = frozen.map_or(0, |p| p.first());
        let pass = Pass {
            norm: m.norm,
            random: self
                .pass
                .random
                .purpose(model)
                .at(self.recordings.borrow().len() as u64),
            ..self.pass
        };
        let (taps, recording) = m.chain().record(first, start, &pass, &self.taps)?;
        self.recordings.borrow_mut().push(recording);
        if together.len() == 1 {
            return Ok(vec![taps]);
        }
        let mut from = 0;
        let mut out = Vec::with_capacity(together.len());
        for &(feed, _) in together {
            let n = self.feed(feed)?.rows.len();
            out.push(taps.rows(from, n)?);
            from += n;
        }
        Ok(out)
    }

    fn head(&mut self, name: &str, features: &Tensor) -> Result<Tensor> {
        let head = self
            .heads
            .get(name)
            .ok_or_else(|| Error::msg(format!("the strategy has no head named {name}")))?;
        // Applied again in the same step, to other rows, it drops other numbers. (The first time as ever, so that earlier runs come out alike.)
        let again = *self
            .heads_applied
            .borrow_mut()
            .entry(name.to_string())
            .and_modify(|n| *n += 1)
            .or_insert(0u64);
        let random = self.pass.random.purpose("head").purpose(name);
        let random = match again {
            0 => random,
            n => random.at(n),
        };
        head.apply(
            features,
            &Pass {
                random,
                ..self.pass
            },
        )
    }

    fn task_loss(&mut self, feed: usize, view: View, logits: &Tensor) -> Result<Tensor> {
        let batch = self.batch(feed, view)?;
        let labels = if self.labelled(feed) {
            Some(self.labels(feed)?)
        } else {
            None
        };
        self.mass
            .set(Some(self.target.mass(labels.as_ref(), &batch)?));
        self.target.loss(logits, labels.as_ref(), &batch)
    }

    fn progress(&self) -> f64 {
        self.progress
    }

    fn number(&self) -> u64 {
        self.pass.step
    }

    fn random(&self, purpose: &str) -> Stream {
        let random = self.pass.random.purpose("objective").purpose(purpose);
        random.at(self.pass.step)
    }

    fn store(&self) -> &Store {
        self.store
    }
}
