//! What a phase is fed: prepared rows of a domain, in batches whose order is a function of seed and epoch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::ahead::Ahead;
use super::example::{Example, Field, Prepare, View};
use super::labels::{Domain, Labels};
use super::table::Samples;
use crate::Result;
use crate::cache::Rows;
use crate::nn::Batch;
use crate::random::Stream;

/// Which domain a feed draws from. Labels ride along only where they may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    /// The labelled source domain of a transductive run.
    Source,
    /// The target domain: labelled in an inductive run, not in a transductive one.
    Target,
    /// The inputs that are tested on, without labels.
    TargetTest,
    /// The inputs of the rows that decide which epoch is kept, where an objective scores them itself; in a transductive run labelled rows of the
    /// source that are not learned from. No feed draws from them.
    Validation,
}

/// In which order rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// As they stand.
    Ordered,
    /// Shuffled anew each epoch.
    Shuffled,
    /// Shuffled, and rows of like length put together: batches pad to their longest.
    ByLength,
    /// As if all were of one length: every batch is a draw from the domain.
    Mixed,
}

impl Sampler {
    /// For losses that compare domains: each batch is a draw from the whole of one. Short texts of one beside long texts of the other would be told apart
    /// by their lengths.
    pub fn mixed(self) -> Self {
        match self {
            Sampler::ByLength => Sampler::Mixed,
            other => other,
        }
    }
}

/// One stream of batches.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The domain.
    pub from: From,
    /// The views an objective will ask for.
    pub views: Vec<View>,
    /// Rows a batch.
    pub batch: usize,
    /// Their order.
    pub sampler: Sampler,
    /// Drop a last batch that is not full (batch norm in training mode wants it).
    pub drop_last: bool,
    /// A last batch of one row joins the one before it: batch norm has no variance of one.
    pub not_alone: bool,
}

/// Of a mixed row: the label of the other one, and the share of the first. Fields of an example, `(rows,)` in a batch.
pub(crate) const OTHER: &str = "mixed.label";
pub(crate) const SHARE: &str = "mixed.share";

/// Bytes of prepared rows that a domain keeps.
const KEPT: usize = 256 << 20;

/// A domain's rows, prepared on first use and kept, as long as they fit into 256 MiB; further rows are prepared each time.
/// (Preparing is a pure function, so that changes time and no number.)
pub struct Loaded {
    /// Name for reports.
    pub name: String,
    /// The raw inputs.
    pub inputs: Arc<dyn Samples>,
    /// Labels, where they are open.
    pub labels: Option<Labels>,
    prepare: Arc<dyn Prepare>,
    plain: Vec<OnceLock<Arc<Example>>>,
    /// Bytes that the kept ones take.
    kept: AtomicUsize,
    budget: usize,
    /// Each row's length, and one more; 0 where it is not known yet.
    lengths: Vec<AtomicU32>,
    order: Mutex<Option<(OrderKey, Arc<Vec<Vec<u32>>>)>>,
    /// What a frozen network made of every row, and which state of it that was.
    frozen: Mutex<Option<(u64, Arc<Rows>)>>,
    /// Rows of the next batches, where preparing them takes long.
    ahead: Ahead,
}

type OrderKey = (u64, u64, usize, u8, (bool, bool));

impl Loaded {
    /// A labelled domain.
    pub fn labelled(domain: &Domain<Labels>, prepare: Arc<dyn Prepare>) -> Self {
        Self::new(
            &domain.name,
            domain.inputs.clone(),
            Some(domain.labels.clone()),
            prepare,
        )
    }

    /// A domain whose labels are not there, or sealed.
    pub fn unlabelled<L>(domain: &Domain<L>, prepare: Arc<dyn Prepare>) -> Self {
        Self::new(&domain.name, domain.inputs.clone(), None, prepare)
    }

    fn new(
        name: &str,
        inputs: Arc<dyn Samples>,
        labels: Option<Labels>,
        prepare: Arc<dyn Prepare>,
    ) -> Self {
        let plain = (0..inputs.len()).map(|_| OnceLock::new()).collect();
        let lengths = (0..inputs.len()).map(|_| AtomicU32::new(0)).collect();
        Loaded {
            name: name.to_string(),
            inputs,
            labels,
            prepare,
            plain,
            kept: AtomicUsize::new(0),
            budget: KEPT,
            lengths,
            order: Mutex::default(),
            frozen: Mutex::default(),
            ahead: Ahead::default(),
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its preparation.
    pub fn prepare(&self) -> &Arc<dyn Prepare> {
        &self.prepare
    }

    /// One row's plain example.
    pub fn example(&self, row: u32) -> Result<Arc<Example>> {
        let cell = &self.plain[row as usize];
        if let Some(e) = cell.get() {
            return Ok(e.clone());
        }
        let input = self.inputs.input(row as usize)?;
        // Readers say where; what prepares does not know.
        let made = self.prepare.example(&input);
        let place = |e| crate::Error::msg(format!("{}: {e}", self.inputs.place(row as usize)));
        let made = Arc::new(made.map_err(place)?);
        let length = u32::try_from(made.length()).unwrap_or(u32::MAX);
        self.lengths[row as usize].store(length.saturating_add(1), Ordering::Relaxed);
        let bytes = made.bytes();
        if self.kept.fetch_add(bytes, Ordering::Relaxed) + bytes > self.budget {
            self.kept.fetch_sub(bytes, Ordering::Relaxed);
            return Ok(made);
        }
        Ok(cell.get_or_init(|| made).clone())
    }

    /// What one row is grouped by.
    fn length(&self, row: u32) -> Result<usize> {
        if let Some(all) = self.prepare.length() {
            return Ok(all);
        }
        match self.lengths[row as usize].load(Ordering::Relaxed) {
            0 => Ok(self.example(row)?.length()),
            known => Ok(known as usize - 1),
        }
    }

    /// The tokens that some rows hold, and those that they take as one batch: all as long as the longest.
    pub(crate) fn tokens(&self, rows: &[u32]) -> Result<(u64, u64)> {
        let (mut own, mut longest) = (0, 0);
        for &row in rows {
            let length = self.length(row)? as u64;
            own += length;
            longest = longest.max(length);
        }
        Ok((own, longest * rows.len() as u64))
    }

    /// Learns every row's length, on all threads, and keeps what is prepared on the way. (Rows are independent, so the number
    /// of threads changes nothing.)
    pub fn warm(&self) -> Result<()> {
        if self.prepare.length().is_some() {
            return Ok(());
        }
        (0..self.len() as u32)
            .into_par_iter()
            .try_for_each(|row| self.length(row).map(drop))
    }

    /// Rows in order of length, in batches of at most `batch`; rows of one length stand as in the file, which may be sorted by class. For passes
    /// without gradients in which a row's answer does not depend on the batch it is in.
    pub fn by_length(&self, batch: usize) -> Result<Vec<Vec<u32>>> {
        self.warm()?;
        let mut rows: Vec<u32> = (0..self.len() as u32).collect();
        let mut lengths = Vec::with_capacity(rows.len());
        for &r in &rows {
            lengths.push(self.length(r)?);
        }
        rows.sort_by_key(|&r| (lengths[r as usize], r));
        Ok(rows.chunks(batch.max(1)).map(<[u32]>::to_vec).collect())
    }

    /// The batches of an epoch: a function of the stream and the epoch alone.
    pub fn epoch(&self, feed: &Feed, random: Stream, epoch: u64) -> Result<Arc<Vec<Vec<u32>>>> {
        let key = (
            random.key(),
            epoch,
            feed.batch,
            feed.sampler as u8,
            (feed.drop_last, feed.not_alone),
        );
        let mut kept = self
            .order
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((k, batches)) = kept.as_ref()
            && *k == key
        {
            return Ok(batches.clone());
        }
        let n = self.len();
        let random = random.purpose("order").at(epoch);
        let size = feed.batch.max(1);
        let mut batches: Vec<Vec<u32>> = match feed.sampler {
            Sampler::Ordered => (0..n as u32)
                .collect::<Vec<_>>()
                .chunks(size)
                .map(<[u32]>::to_vec)
                .collect(),
            Sampler::Shuffled => random
                .permutation(n)
                .chunks(size)
                .map(<[u32]>::to_vec)
                .collect(),
            Sampler::ByLength | Sampler::Mixed => {
                let by_length = matches!(feed.sampler, Sampler::ByLength);
                if by_length {
                    self.warm()?;
                }
                let order = random.permutation(n);
                let mut batches = Vec::with_capacity(n.div_ceil(size));
                // What is dropped is drawn before lengths are looked at: it would be the longest rows in every epoch.
                let kept = if feed.drop_last { n / size * size } else { n };
                let (order, dropped) = order.split_at(kept);
                // Sorted within pools of 50 batches: like lengths meet, yet the pool's rows are a fresh draw each epoch.
                for pool in order.chunks(size.saturating_mul(50)) {
                    let length = |r: u32| match by_length {
                        true => self.length(r),
                        false => Ok(0),
                    };
                    let mut pool = pool
                        .iter()
                        .map(|&r| Ok((length(r)?, r)))
                        .collect::<Result<Vec<_>>>()?;
                    pool.sort_by_key(|&(length, _)| length);
                    batches.extend(
                        pool.chunks(size)
                            .map(|b| b.iter().map(|&(_, r)| r).collect::<Vec<_>>()),
                    );
                }
                if !dropped.is_empty() {
                    batches.push(dropped.to_vec());
                }
                let mixed = random.purpose("batches").permutation(batches.len());
                mixed
                    .into_iter()
                    .map(|i| std::mem::take(&mut batches[i as usize]))
                    .collect()
            }
        };
        if feed.drop_last && batches.len() > 1 {
            batches.retain(|b| b.len() == size);
        }
        let alone = batches.iter().position(|b| b.len() == 1);
        if let (Some(at), true) = (alone, feed.not_alone && size > 1 && batches.len() > 1) {
            let row = batches.remove(at);
            batches[at.saturating_sub(1)].extend(row);
        }
        let batches = Arc::new(batches);
        *kept = Some((key, batches.clone()));
        Ok(batches)
    }

    /// A view of some rows as examples. `random` is the stream of this feed and epoch.
    pub fn examples(&self, rows: &[u32], view: View, random: Stream) -> Result<Vec<Arc<Example>>> {
        if !self.prepare.slow() {
            return rows.iter().map(|&r| self.seen(r, view, random)).collect();
        }
        let one = |&row: &u32| {
            let key = (random.key(), view, row);
            self.ahead.take(key, || self.seen(row, view, random))
        };
        // All results, so that of several errors the first row's is said.
        let all: Vec<Result<Arc<Example>>> = rows.par_iter().map(one).collect();
        all.into_iter().collect()
    }

    /// One view of one row.
    fn seen(&self, row: u32, view: View, random: Stream) -> Result<Arc<Example>> {
        if view.is_mixed() {
            return self.mixed(row, view, random).map(Arc::new);
        }
        let plain = self.example(row)?;
        match view {
            View::Plain => Ok(plain),
            _ => Ok(Arc::new(self.prepare.view(
                &plain,
                view,
                random.purpose("view").at(row.into()),
            )?)),
        }
    }

    /// A row mixed with another one, whose label and share it carries.
    fn mixed(&self, row: u32, view: View, random: Stream) -> Result<Example> {
        let labels = self.labels.as_ref().ok_or_else(|| {
            crate::Error::msg(format!(
                "{}: rows are mixed with their labels, and these have none that training may see",
                self.name
            ))
        })?;
        let random = random.purpose("mix").at(row.into());
        let partner = random.purpose("partner").below(0, self.len() as u64) as u32;
        let weak = |row: u32, purpose: &str| {
            let plain = self.example(row)?;
            self.prepare
                .view(&plain, View::Weak, random.purpose(purpose))
        };
        let (one, other) = (weak(row, "one")?, weak(partner, "other")?);
        let (mixed, share) = self
            .prepare
            .mix(&one, &other, view, random.purpose("share"))?;
        Ok(mixed
            .with(OTHER, Field::Ids(vec![labels.classes[partner as usize]]))
            .with(SHARE, Field::Floats(vec![share as f32])))
    }

    /// Says which rows will be asked for next, those asked for now among them: other threads prepare them meanwhile. What was said before and is not among them
    /// is forgotten, so that no more is held than is said. Does nothing where preparing is quick.
    pub fn expect(self: &Arc<Self>, next: &[(&[u32], View, Stream)]) {
        // One thread alone would come to these jobs when all is over.
        if !self.prepare.slow() || rayon::current_num_threads() == 1 {
            return;
        }
        let mut wanted = BTreeMap::new();
        for &(rows, view, random) in next {
            for &row in rows {
                wanted.insert((random.key(), view, row), random);
            }
        }
        for key in self.ahead.want(&wanted.keys().copied().collect()) {
            let (loaded, random) = (self.clone(), wanted[&key]);
            rayon::spawn_fifo(move || {
                let (_, view, row) = key;
                loaded.ahead.begin(key, || loaded.seen(row, view, random));
            });
        }
    }

    /// Examples as a batch.
    pub fn collate(&self, examples: &[Arc<Example>], device: &Device) -> Result<Batch> {
        let refs: Vec<&Example> = examples.iter().map(AsRef::as_ref).collect();
        let batch = self.prepare.collate(&refs, device)?;
        let others: Vec<u32> = refs.iter().flat_map(|e| e.ids(OTHER)).copied().collect();
        if others.is_empty() {
            return Ok(batch);
        }
        let shares: Vec<f32> = refs.iter().flat_map(|e| e.floats(SHARE)).copied().collect();
        if others.len() != refs.len() || shares.len() != refs.len() {
            return Err(crate::Error::msg(
                "a batch of rows of which some are mixed and some are not",
            ));
        }
        Ok(batch
            .with(OTHER, Tensor::new(others, device)?)
            .with(SHARE, Tensor::new(shares, device)?))
    }

    /// Rows of numbers for this domain, made once for each `id`.
    pub(crate) fn once(&self, id: u64, make: impl FnOnce() -> Result<Rows>) -> Result<Arc<Rows>> {
        let mut kept = self
            .frozen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((of, rows)) = kept.as_ref()
            && *of == id
        {
            return Ok(rows.clone());
        }
        // What was kept before is gone before the next is made.
        *kept = None;
        let rows = Arc::new(make()?);
        *kept = Some((id, rows.clone()));
        Ok(rows)
    }

    /// The labels of some rows, `(rows,)`, u32; `None` where they are not to be seen.
    pub fn labels(&self, rows: &[u32], device: &Device) -> Result<Option<Tensor>> {
        let Some(labels) = &self.labels else {
            return Ok(None);
        };
        let picked: Vec<u32> = rows.iter().map(|&r| labels.classes[r as usize]).collect();
        Ok(Some(Tensor::new(picked, device)?))
    }
}

/// Where a feed stands: a function of how many batches were drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Epoch of this feed (a shorter feed goes round more often than the phase).
    pub epoch: u64,
    /// Batch within it.
    pub batch: usize,
}

impl Cursor {
    /// After `drawn` batches of a feed with `per_epoch` batches an epoch.
    pub fn after(drawn: u64, per_epoch: usize) -> Self {
        let n = per_epoch.max(1) as u64;
        Cursor {
            epoch: drawn / n,
            batch: (drawn % n) as usize,
        }
    }
}

#[cfg(test)]
mod tests;
