//! What does not train runs once. The leading stages of a model in which nothing trains give the same numbers at every step, so they run in one
//! pass before the first, in evaluation mode, and training and scoring begin with what came out: one vector a row, kept in
//! memory or in the cache of the disk ([`crate::cache`]).
//!
//! That is a matter of a phase: what trains in it, and whether its feeds are the plain inputs, decides where the border lies. Dropout
//! below the border is off, as in any pass of a frozen network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Tensor};

use super::check::{self, Outputs};
use super::event::Observer;
use super::pass;
use super::run::Job;
use crate::cache::{self, Cache, Key, Rows};
use crate::data::{Loaded, View};
use crate::model::Model;
use crate::nn::{Batch, Chain, Flow, NormMode, Param, Pass, Select, Store};
use crate::strategy::{Phase, Train, Transfer};
use crate::{Error, Result};

/// The stages below a border, as they are now.
pub(crate) struct Prefix {
    /// Of this state of these stages: whoever keeps rows compares it.
    id: u64,
    first: usize,
    key: Key,
    cache: Option<Cache>,
}

impl Prefix {
    fn new(chain: &Chain, first: usize, source: &str, cache: Option<&Cache>) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Ok(Prefix {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            first,
            key: key(chain, first, source)?,
            cache: cache.cloned(),
        })
    }

    /// The first stage above the border.
    pub fn first(&self) -> usize {
        self.first
    }

    /// What comes out for every row of a domain; `what` the pass is for, where it is not kept yet.
    pub fn rows(
        &self,
        chain: &Chain,
        loaded: &Loaded,
        store: &Store,
        what: &str,
        observer: &dyn Observer,
    ) -> Result<Arc<Rows>> {
        loaded.once(self.id, || {
            let key = self
                .key
                .clone()
                .with("preparation", &loaded.prepare().digest())
                .with_inputs(loaded.inputs.as_ref())?;
            let rows = pass::Rows {
                len: loaded.len(),
                example: &|row| loaded.example(row),
                prepare: loaded.prepare().as_ref(),
                device: store.device(),
            };
            cache::kept(
                self.cache.as_ref(),
                &key,
                loaded.len(),
                observer,
                &mut |sink| {
                    rows.through(what, observer, sink, &|batch| {
                        let x = Flow::start(batch);
                        Ok(chain.run(0, self.first, x, &Pass::evaluation())?.hidden)
                    })
                },
            )
        })
    }

    /// Some rows as what enters the first stage above the border.
    pub fn flow(
        &self,
        chain: &Chain,
        loaded: &Loaded,
        rows: &[u32],
        store: &Store,
        what: &str,
        observer: &dyn Observer,
    ) -> Result<Flow> {
        let all = self.rows(chain, loaded, store, what, observer)?;
        let hidden = all.gather(rows, store.device())?;
        // The stages that knew the batch by name lie below.
        Ok(Flow::start(&Arc::new(Batch::new(rows.len(), hidden))))
    }

    /// Whether the stages still are what they were.
    pub fn stands(&self, chain: &Chain, source: &str) -> Result<bool> {
        Ok(key(chain, self.first, source)?.name() == self.key.name())
    }
}

fn key(chain: &Chain, first: usize, source: &str) -> Result<Key> {
    let below = &chain.stages()[..first];
    let names: Vec<&str> = below.iter().map(|s| s.name()).collect();
    let params: Vec<Param> = below.iter().flat_map(|s| s.params()).collect();
    Key::new("prefix")
        .with("source", source)
        .with("stages", &names.join(" "))
        .with_params(&params)
}

/// Sets the border of the model for a phase, and none where there can be none. `trained` is what earlier phases trained: only what is still as
/// it was loaded is worth the disk.
pub(crate) fn set(
    transfer: &mut Transfer<'_>,
    phase: &Phase,
    trained: &Select,
    job: &Job<'_>,
) -> Result<()> {
    let first = match phase {
        Phase::Train(train) | Phase::Twin(train) => border(transfer, train, job)?,
        Phase::Fit { .. } => pooled(transfer),
    };
    transfer.model.freeze(None);
    let Some(first) = first else { return Ok(()) };
    let chain = transfer.model.chain();
    let below = chain.stages()[..first].iter().flat_map(|s| s.params());
    let loaded_as_is = !below.into_iter().any(|p| trained.holds(&p));
    let cache = job.cache.as_ref().filter(|_| loaded_as_is);
    let prefix = Prefix::new(chain, first, &transfer.source.digest(), cache)?;
    transfer.model.freeze(Some(Arc::new(prefix)));
    Ok(())
}

/// After a closed-form phase, which may have written to any weight: what it changed is computed anew.
pub(crate) fn renew(transfer: &mut Transfer<'_>) -> Result<()> {
    let Some(prefix) = transfer.model.frozen().cloned() else {
        return Ok(());
    };
    let source = transfer.source.digest();
    if !prefix.stands(transfer.model.chain(), &source)? {
        let new = Prefix::new(transfer.model.chain(), prefix.first, &source, None)?;
        transfer.model.freeze(Some(Arc::new(new)));
    }
    Ok(())
}

/// An error where a phase changed stages below the border: by an objective's own hand, since none of their weights trains.
pub(crate) fn unmoved(transfer: &Transfer<'_>, phase: &str) -> Result<()> {
    match transfer.model.frozen() {
        Some(prefix) if !prefix.stands(transfer.model.chain(), &transfer.source.digest())? => {
            Err(Error::Liveness {
                text: format!(
                    "phase `{phase}` changes weights that no update of it trains, and that it took for frozen: {} and what is below",
                    transfer.model.chain().stages()[prefix.first - 1].name()
                ),
                tensors: Vec::new(),
            })
        }
        _ => Ok(()),
    }
}

/// The pooled features of every row of a domain, `(rows, width)`, whatever the strategy would train.
pub fn frozen_features(
    transfer: &mut Transfer<'_>,
    loaded: &Loaded,
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<Tensor> {
    let Some(first) = pooled(transfer) else {
        let model = &transfer.model;
        return Ok(super::infer::predict(model, loaded, transfer.store, "features", observer)?.0);
    };
    let chain = transfer.model.chain();
    let prefix = Prefix::new(chain, first, &transfer.source.digest(), cache)?;
    let rows: Vec<u32> = (0..loaded.len() as u32).collect();
    let all = prefix.rows(chain, loaded, transfer.store, "features", observer)?;
    let features = all.gather(&rows, transfer.store.device())?;
    let of = Outputs::Features(&features);
    check::outputs(loaded.inputs.as_ref(), transfer.store, of)?;
    Ok(features)
}

/// The number of stages up to the pooled features, without maps; none where nothing in them has weights.
fn pooled(transfer: &Transfer<'_>) -> Option<usize> {
    let model = &transfer.model;
    let first = model.encoder.stages().len() + model.head.pool;
    let weighty = |s: &Arc<dyn crate::nn::Stage>| !s.params().is_empty();
    let usual = transfer.store.dtype() == DType::F32 && model.norm != NormMode::Adapt;
    (usual && model.chain().stages()[..first].iter().any(weighty)).then_some(first)
}

fn border(transfer: &Transfer<'_>, train: &Train, job: &Job<'_>) -> Result<Option<usize>> {
    let Some(most) = pooled(transfer) else {
        return Ok(None);
    };
    let stages = transfer.model.chain().stages();
    let trains = Select::Any(train.updates.iter().map(|u| u.trains.clone()).collect());
    let first = stages
        .iter()
        .position(|s| s.params().iter().any(|p| trains.holds(p)));
    // Where nothing of the model trains, it is a teacher that follows a student by another way.
    let Some(first) = first.map(|f| f.min(most)) else {
        return Ok(None);
    };
    let plain = train
        .feeds
        .iter()
        .all(|f| f.views.iter().all(|v| *v == View::Plain));
    let above = |tap: &String| stages[first..].iter().any(|s| s.name() == tap.as_str());
    let taps = train
        .updates
        .iter()
        .all(|u| u.objective.taps().iter().all(above));
    let weighty = stages[..first].iter().any(|s| !s.params().is_empty());
    let (Some(feed), true) = (train.feeds.first(), plain && taps && weighty) else {
        return Ok(None);
    };
    // One vector a row? Its first row says.
    let loaded = job.domains.get(feed.from)?;
    if loaded.is_empty() {
        return Ok(None);
    }
    let batch = Arc::new(loaded.collate(&[loaded.example(0)?], transfer.store.device())?);
    let chain = transfer.model.chain();
    let out = chain.run(0, first, Flow::start(&batch), &Pass::evaluation())?;
    let dims = out.hidden.dims();
    Ok((dims.len() == 2 && dims[0] == 1).then_some(first))
}

/// Features and logits of every row, from the border on.
pub(crate) fn predict(
    prefix: &Prefix,
    model: &Model,
    loaded: &Loaded,
    store: &Store,
    what: &str,
    observer: &dyn Observer,
) -> Result<Vec<(Tensor, Tensor)>> {
    let rows: Vec<u32> = (0..loaded.len() as u32).collect();
    rows.chunks(super::infer::EVALUATION_BATCH)
        .map(|rows| {
            let x = prefix.flow(model.chain(), loaded, rows, store, what, observer)?;
            model.predict_from(prefix.first, x, &model.evaluation())
        })
        .collect()
}
