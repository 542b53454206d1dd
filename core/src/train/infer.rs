//! Passes over a whole domain without gradients.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::check::{self, Outputs};
use super::event::{Event, Observer};
use super::frozen;
use super::moments::{Moments, batches};
use crate::cache::{Cache, Rows};
use crate::data::{From, Labels, Loaded, View};
use crate::model::Model;
use crate::nn::{Flow, NormMode, Pass, Role, Running, Store};
use crate::outside::Outside;
use crate::random::Stream;
use crate::strategy::Infer;
use crate::{Error, Result};

/// Rows a pass without gradients takes at once. Part of what makes bits equal: never a function of the machine.
pub const EVALUATION_BATCH: usize = 32;

/// The domains that training may look at.
#[derive(Default, Clone)]
pub struct Domains(BTreeMap<From, Arc<Loaded>>);

impl Domains {
    /// Adds one.
    pub fn with(mut self, from: From, loaded: Loaded) -> Self {
        self.0.insert(from, Arc::new(loaded));
        self
    }

    /// Whether it is here.
    pub fn has(&self, from: From) -> bool {
        self.0.contains_key(&from)
    }

    /// Looks one up.
    pub fn get(&self, from: From) -> Result<&Arc<Loaded>> {
        self.0.get(&from).ok_or_else(|| {
            let what = match from {
                From::Source => "labelled source rows (`source.train`)",
                From::Target => "target rows",
                From::TargetTest => "test inputs",
                From::Validation => "validation rows",
            };
            Error::msg(format!(
                "this strategy needs {what}, and the recipe has none"
            ))
        })
    }
}

/// Features and logits of every row, in row order; batches are made by length, so padding is small. (Where a batch's own statistics normalise it,
/// [`NormMode::Adapt`], they are drawn from all rows.)
///
/// # Errors
/// There are no rows; a row's features or logits are not finite.
pub fn predict(
    model: &Model,
    loaded: &Loaded,
    store: &Store,
    what: &str,
    observer: &dyn Observer,
) -> Result<(Tensor, Tensor)> {
    let (features, logits) = predict_as_is(model, loaded, store, what, observer)?;
    finite(loaded, store, Outputs::Features(&features))?;
    finite(loaded, store, Outputs::Logits(&logits))?;
    Ok((features, logits))
}

fn finite(loaded: &Loaded, store: &Store, of: Outputs<'_>) -> Result<()> {
    check::outputs(loaded.inputs.as_ref(), store, of)
}

/// The same, whatever numbers come out: for who judges a candidate that may have collapsed.
pub(crate) fn predict_as_is(
    model: &Model,
    loaded: &Loaded,
    store: &Store,
    what: &str,
    observer: &dyn Observer,
) -> Result<(Tensor, Tensor)> {
    let n = loaded.len();
    if n == 0 {
        return Err(Error::msg(format!("{} has no rows", loaded.name)));
    }
    if let Some(prefix) = model.frozen() {
        let parts = frozen::predict(prefix, model, loaded, store, what, observer)?;
        let (features, logits): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        return Ok((Tensor::cat(&features, 0)?, Tensor::cat(&logits, 0)?));
    }
    pass(model, loaded, store, what, observer, View::Plain)
}

/// Logits of every row, `(rows, classes)`: the plain view's, or the logarithm of the mean probability over so many cuts of it.
pub fn predict_cuts(
    model: &Model,
    loaded: &Loaded,
    store: &Store,
    what: &str,
    observer: &dyn Observer,
    cuts: usize,
) -> Result<Tensor> {
    if cuts <= 1 {
        return Ok(predict(model, loaded, store, what, observer)?.1);
    }
    let mut sum: Option<Tensor> = None;
    for cut in 0..cuts {
        let (_, logits) = pass(model, loaded, store, what, observer, View::Cut(cut as u8))?;
        finite(loaded, store, Outputs::Logits(&logits))?;
        let logits = logits.to_dtype(DType::F64)?;
        let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?)?.exp()?;
        let share = shifted.broadcast_div(&shifted.sum_keepdim(1)?)?;
        sum = Some(match sum {
            Some(sum) => (sum + share)?,
            None => share,
        });
    }
    let sum = sum.ok_or_else(|| Error::msg("no cuts"))?;
    // A class that no cut gives any probability keeps a finite logarithm.
    let mean = ((sum / cuts as f64)? + 1e-30)?;
    Ok(mean.log()?.to_dtype(DType::F32)?)
}

fn pass(
    model: &Model,
    loaded: &Loaded,
    store: &Store,
    what: &str,
    observer: &dyn Observer,
    view: View,
) -> Result<(Tensor, Tensor)> {
    let n = loaded.len();
    let mut order = Vec::with_capacity(n);
    let (mut features, mut logits) = (Vec::new(), Vec::new());
    for rows in in_batches(model, loaded)? {
        let examples = loaded.examples(&rows, view, Stream::new(0))?;
        let batch = Arc::new(loaded.collate(&examples, store.device())?);
        if observer.stopping() {
            return Err(Error::Stopped { step: 0 });
        }
        let (f, l) = model.predict(&batch, &model.evaluation())?;
        features.push(f);
        logits.push(l);
        order.extend(rows);
        observer.event(&Event::Pass {
            what,
            done: order.len(),
            of: n,
        });
    }
    let mut back = vec![0u32; n];
    for (i, &row) in order.iter().enumerate() {
        back[row as usize] = i as u32;
    }
    let back = Tensor::new(back, store.device())?;
    let join = |parts: &[Tensor]| Tensor::cat(parts, 0)?.index_select(&back, 0);
    Ok((join(&features)?, join(&logits)?))
}

/// The rows in the batches of a pass.
fn in_batches(model: &Model, loaded: &Loaded) -> Result<Vec<Vec<u32>>> {
    if model.norm != NormMode::Adapt {
        return loaded.by_length(EVALUATION_BATCH);
    }
    // Here the batch is what normalises, so it is a draw from all rows, the same each time. A file that is sorted by class would fill each batch with
    // one class, whose own statistics take away what tells it from others.
    loaded.warm()?;
    let order = Stream::new(0)
        .purpose("batches of adapt")
        .permutation(loaded.len());
    let drawn = batches(&order, EVALUATION_BATCH).into_iter();
    Ok(drawn.map(<[u32]>::to_vec).collect())
}

pub(crate) struct Passes<'a> {
    pub model: &'a Model,
    pub domains: &'a Domains,
    pub store: &'a Store,
    pub random: Stream,
    pub observer: &'a dyn Observer,
    pub cache: Option<&'a Cache>,
    /// The last pass over each domain, and the version of the weights it was made with.
    pub kept: BTreeMap<From, (u64, Tensor, Tensor)>,
}

impl Passes<'_> {
    fn run(&mut self, from: From) -> Result<(Tensor, Tensor)> {
        let version = self.store.version();
        if let Some((v, f, l)) = self.kept.get(&from)
            && *v == version
        {
            return Ok((f.clone(), l.clone()));
        }
        let loaded = self.domains.get(from)?;
        let (f, l) = predict_as_is(self.model, loaded, self.store, "features", self.observer)?;
        self.kept.insert(from, (version, f.clone(), l.clone()));
        Ok((f, l))
    }
}

impl Infer for Passes<'_> {
    // Each is looked at by itself: a head that is yet to be fitted may say anything.
    fn features(&mut self, from: From) -> Result<Tensor> {
        let features = self.run(from)?.0;
        let of = Outputs::Features(&features);
        finite(self.domains.get(from)?, self.store, of)?;
        Ok(features)
    }

    fn logits(&mut self, from: From) -> Result<Tensor> {
        let logits = self.run(from)?.1;
        let of = Outputs::Logits(&logits);
        finite(self.domains.get(from)?, self.store, of)?;
        Ok(logits.to_dtype(DType::F32)?)
    }

    fn labels(&self, from: From) -> Result<Labels> {
        let loaded = self.domains.get(from)?;
        loaded.labels.clone().ok_or_else(|| {
            Error::msg(format!(
                "{} has no labels that training may see",
                loaded.name
            ))
        })
    }

    fn has(&self, from: From) -> bool {
        self.domains.has(from)
    }

    fn renew_statistics(&mut self, from: From, batch: usize) -> Result<usize> {
        let loaded = self.domains.get(from)?;
        let all = self.store.all().into_iter();
        let statistics: Vec<_> = all.filter(|p| p.role() == Role::Statistic).collect();
        if statistics.is_empty() {
            return Err(Error::msg("the model has no batch norm with statistics"));
        }
        let chain = self.model.chain();
        // What stands after a batch is that batch's own: nothing of the source's is left, however few rows there are.
        let pass = Pass {
            norm: NormMode::Adapt,
            running: Running::Batch,
            ..Pass::evaluation()
        };
        let mut moments = Moments::of(&statistics);
        let order = self.random.purpose("statistics").at(0);
        let order = order.permutation(loaded.len());
        for rows in batches(&order, batch.max(2)) {
            if self.observer.stopping() {
                return Err(Error::Stopped { step: 0 });
            }
            let examples = loaded.examples(rows, View::Plain, Stream::new(0))?;
            let batch = Arc::new(loaded.collate(&examples, self.store.device())?);
            chain.run(0, chain.stages().len(), Flow::start(&batch), &pass)?;
            moments.add(rows.len())?;
        }
        moments.put()?;
        self.store.touch();
        self.kept.clear();
        Ok(statistics.len())
    }

    fn outside(&mut self, from: From, model: &Outside) -> Result<Rows> {
        let loaded = self.domains.get(from)?;
        model.rows(loaded.inputs.as_ref(), self.cache, self.observer)
    }

    fn random(&self, purpose: &str) -> Stream {
        self.random.purpose(purpose)
    }

    fn going_on(&self) -> Result<()> {
        match self.observer.stopping() {
            true => Err(Error::Stopped { step: 0 }),
            false => Ok(()),
        }
    }
}
