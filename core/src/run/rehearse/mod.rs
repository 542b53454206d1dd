//! What a run will take, from a run in small: the same recipe on a few rows of each split, as varied in length as all of them, timed
//! part by part. Each part is scaled by what it works through: a training step by the tokens of its batch, padding included, a pass by those
//! of its rows. Nothing of it is kept.

mod small;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device};
use serde::Serialize;

use super::arrange::{arranged, phases};
use super::execute::{Surroundings, execute};
use super::given::Given;
use super::result::peak_rss_mb;
use crate::check::Checked;
use crate::data::{Domain, From, Loaded, Prepare};
use crate::nn::Store;
use crate::random::Stream;
use crate::registry::Kind;
use crate::select::Look;
use crate::strategy::{Phase, Selection, TargetData, Until};
use crate::train::{EVALUATION_BATCH, Stop};
use crate::{Error, Result};

pub(crate) use small::Picks;
use watch::{Seen, Watch};

/// Batches of the run in small, an epoch: at first.
const BATCHES: usize = 3;
/// A run in small that took less is made again with so many times the rows, until it takes as long or has all of them: what does not grow with the rows
/// would weigh too much.
const ENOUGH: f64 = 3.0;
const LARGER: usize = 4;
/// Its epochs: what an epoch leaves for the next (features of frozen layers) shows from the second on.
const EPOCHS: u64 = 2;
/// Rows of the small validation and test: at first.
const ROWS: usize = 2 * EVALUATION_BATCH;
/// What two runs of the same work differ by on a machine that does nothing else.
const NOISE: f64 = 0.1;

/// Rows and their tokens (1 a row where inputs have no length).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// Rows.
    pub rows: usize,
    /// What the rows hold.
    pub own: u64,
    /// What is computed: rows padded to the longest of their batch.
    pub padded: u64,
}

impl Extent {
    fn of(loaded: &Loaded, batches: &[Vec<u32>]) -> Result<Extent> {
        let mut all = Extent::default();
        for batch in batches {
            let (own, padded) = loaded.tokens(batch)?;
            all.rows += batch.len();
            all.own += own;
            all.padded += padded;
        }
        Ok(all)
    }

    fn plus(self, other: Extent) -> Extent {
        Extent {
            rows: self.rows + other.rows,
            own: self.own + other.own,
            padded: self.padded + other.padded,
        }
    }
}

/// A phase, before it runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// Its name.
    pub name: String,
    /// Optimizer steps; 0 for a closed form.
    pub steps: u64,
    /// Steps an epoch.
    pub per_epoch: u64,
    /// What an epoch works through, all feeds.
    pub epoch: Extent,
    /// Whether runs that differ in their method alone have it in common.
    pub shared: bool,
    /// Whether its epochs are chosen between by what decides over an adaptation.
    #[serde(skip)]
    pub chooses: bool,
}

/// Something of a run that takes time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// What.
    pub what: String,
    /// Seconds that it will take.
    pub seconds: f64,
}

/// What a run will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Seconds by part, in order.
    pub parts: Vec<Cost>,
    /// Seconds in all.
    pub seconds: f64,
    /// Of those, seconds of a beginning that one run of an experiment trains for all methods.
    pub shared: f64,
    /// Between these, 19 times of 20, on a machine that does nothing else.
    pub between: (f64, f64),
    /// The phases.
    pub phases: Vec<Course>,
    /// Seconds of the steps that were measured.
    pub measured: Vec<f64>,
    /// MiB, at the most.
    pub memory_mib: u64,
    /// Bytes of the run directory, the checkpoint included.
    pub disk_bytes: u64,
    /// Share of what is computed in training that is padding.
    pub padding: f64,
    /// Seconds that finding out took.
    pub took: f64,
}

/// Runs a checked recipe in small, in `folder`, which is removed again, and works out what the whole takes. Early stopping may end
/// it sooner. `reading` is how long checking took, reading the data included; `after` is what is done with a run directory once the run is over.
pub fn rehearse(
    mut c: Checked,
    folder: &Path,
    reading: std::time::Duration,
    stop: &Stop,
    after: &dyn Fn(&Path),
) -> Result<Forecast> {
    let began = Instant::now();
    let all = Whole::of(&c)?;
    let preparing = began.elapsed().as_secs_f64();

    c.cache = false;
    let (until, max_steps) = (c.settings.until, c.max_steps);
    let mut times = 1;
    let (watch, sizes, kept, result, done_after) = loop {
        let picks = all.picks(times)?;
        let all_of_it = all.holds(&picks);
        let sizes = Sizes::of(&c, &picks, &all)?;
        c.small = Some(Arc::new(picks));
        let limit = EPOCHS * (BATCHES * times) as u64;
        c.settings.until = match until {
            Until::Epochs(n) => Until::Epochs(n.min(EPOCHS)),
            Until::Steps(n) => Until::Steps(n.min(limit)),
        };
        // What the bodies of large strategies were told before stands in their phases; this ends those too.
        c.max_steps = Some(max_steps.map_or(limit, |m| m.min(limit)));
        let watch = Watch::default();
        let around = Surroundings {
            directory: super::Directory::at(folder),
            name: "plan".into(),
            observer: &watch,
            stop: stop.clone(),
            shared: None,
        };
        let ended = execute(&c, &around);
        watch.event_of(Seen::End);
        let end = Instant::now();
        if ended.is_ok() {
            after(folder);
        }
        let done_after = end.elapsed().as_secs_f64();
        let kept = size_of(folder);
        // Nobody misses what is left of it.
        let _ = std::fs::remove_dir_all(folder);
        let result = ended?;
        if all_of_it || watch.seconds() >= ENOUGH {
            break (watch, sizes, kept, result, done_after);
        }
        times *= LARGER;
    };
    let baselines = result.baselines.iter().map(|b| b.seconds).sum();
    let mut forecast = watch.forecast(&all.courses, &sizes, baselines)?;
    let read = reading.as_secs_f64() + preparing;
    forecast.parts.insert(
        0,
        Cost {
            what: "reading and preparing".into(),
            seconds: read,
        },
    );
    forecast.parts.push(Cost {
        what: "the report".into(),
        seconds: done_after,
    });
    let beside = read + done_after;
    forecast.seconds += beside;
    forecast.between.0 += beside * (1.0 - NOISE);
    forecast.between.1 += beside * (1.0 + NOISE);
    forecast.memory_mib = peak_rss_mb();
    let rows = sizes.test.1.rows as f64 / sizes.test.0.rows.max(1) as f64;
    forecast.disk_bytes = kept.0 + (kept.1 as f64 * rows) as u64;
    forecast.took = began.elapsed().as_secs_f64();
    Ok(forecast)
}

/// Bytes below a folder: all but the predictions, and the predictions.
fn size_of(folder: &Path) -> (u64, u64) {
    let (mut rest, mut predictions) = (0, 0);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let (r, p) = size_of(&path);
            rest += r;
            predictions += p;
            continue;
        }
        let bytes = entry.metadata().map_or(0, |m| m.len());
        match path.file_name().is_some_and(|n| n == "predictions.jsonl") {
            true => predictions += bytes,
            false => rest += bytes,
        }
    }
    (rest, predictions)
}

/// Everything that the recipe works on, prepared.
struct Whole {
    source: Option<Arc<Loaded>>,
    target: Option<Arc<Loaded>>,
    source_validation: Option<Arc<Loaded>>,
    watched: Option<Arc<Loaded>>,
    validation: Option<Arc<Loaded>>,
    test: Option<Arc<Loaded>>,
    courses: Vec<Course>,
    /// Rows of the largest batch.
    batch: usize,
}

impl Whole {
    fn of(c: &Checked) -> Result<Whole> {
        let given = Given::read(c)?;
        let prepare = c.source.prepare()?;
        fn load<L>(d: &Domain<L>, prepare: &Arc<dyn Prepare>) -> Result<Arc<Loaded>> {
            let loaded = Loaded::unlabelled(d, prepare.clone());
            loaded.warm()?;
            Ok(Arc::new(loaded))
        }
        let each = |d: &Option<_>| d.as_ref().map(|d| load(d, &prepare)).transpose();
        let mut whole = Whole {
            source: each(&given.source)?,
            target: match &given.target {
                TargetData::Labelled(d) => Some(load(d, &prepare)?),
                TargetData::Unlabelled(d) => Some(load(d, &prepare)?),
                TargetData::None => None,
            },
            source_validation: each(&given.source_validation)?,
            watched: given
                .watched
                .as_ref()
                .map(|d| load(d, &prepare))
                .transpose()?,
            validation: each(&given.validation)?,
            test: given.test.as_ref().map(|d| load(d, &prepare)).transpose()?,
            courses: Vec::new(),
            batch: c.settings.batch_size,
        };
        let store = Store::new(&Device::Cpu, DType::F32, c.seed);
        whole.courses = arranged(c, &store, |transfer| {
            let phases = phases(c, transfer)?.into_iter();
            phases.map(|phase| whole.course(c, phase)).collect()
        })?;
        Ok(whole)
    }

    fn course(&self, c: &Checked, phase: Phase) -> Result<Course> {
        let train = match phase {
            Phase::Train(train) | Phase::Twin(train) => train,
            Phase::Fit { name, fit } => {
                return Ok(Course {
                    name,
                    steps: 0,
                    per_epoch: 0,
                    epoch: Extent::default(),
                    shared: fit.shared().is_some(),
                    chooses: false,
                });
            }
        };
        let mut feeds = Vec::new();
        for feed in &train.feeds {
            let loaded = match feed.from {
                From::Source => &self.source,
                From::Target => &self.target,
                From::TargetTest => &self.test,
                From::Validation => &self.validation,
            };
            let loaded = loaded.as_ref().ok_or_else(|| {
                Error::msg(format!(
                    "phase `{}` is fed with rows that the recipe has not",
                    train.name
                ))
            })?;
            let batches = loaded.epoch(feed, Stream::new(c.seed).purpose("plan"), 0)?;
            feeds.push((batches.len() as u64, Extent::of(loaded, &batches)?));
        }
        let per_epoch = feeds.iter().map(|f| f.0).max().unwrap_or(1).max(1);
        let wanted = match train.until {
            Until::Epochs(n) => n * per_epoch,
            Until::Steps(n) => n,
        };
        // A shorter feed goes round more often.
        let round = |(batches, e): &(u64, Extent)| {
            let times = per_epoch as f64 / (*batches).max(1) as f64;
            Extent {
                rows: (e.rows as f64 * times) as usize,
                own: (e.own as f64 * times) as u64,
                padded: (e.padded as f64 * times) as u64,
            }
        };
        Ok(Course {
            name: train.name,
            shared: train.shared,
            chooses: !matches!(train.select, Selection::Last | Selection::Validation),
            steps: c.max_steps.map_or(wanted, |m| wanted.min(m)),
            per_epoch,
            epoch: feeds
                .iter()
                .map(round)
                .fold(Extent::default(), Extent::plus),
        })
    }

    /// Whether these are all rows.
    fn holds(&self, picks: &Picks) -> bool {
        let all = |loaded: &Option<Arc<Loaded>>, rows: &Option<Vec<u32>>| {
            loaded.as_ref().map_or(0, |l| l.len()) == rows.as_ref().map_or(0, Vec::len)
        };
        all(&self.source, &picks.source)
            && all(&self.target, &picks.target)
            && all(&self.source_validation, &picks.source_validation)
            && all(&self.watched, &picks.watched)
            && all(&self.validation, &picks.validation)
            && all(&self.test, &picks.test)
    }

    fn picks(&self, times: usize) -> Result<Picks> {
        let pick = |loaded: &Option<Arc<Loaded>>, rows| {
            let picked = loaded.as_ref().map(|l| small::pick(l, rows));
            picked.transpose()
        };
        Ok(Picks {
            source: pick(&self.source, times * BATCHES * self.batch)?,
            target: pick(&self.target, times * BATCHES * self.batch)?,
            source_validation: pick(&self.source_validation, times * ROWS)?,
            watched: pick(&self.watched, times * ROWS)?,
            validation: pick(&self.validation, times * ROWS)?,
            test: pick(&self.test, times * ROWS)?,
        })
    }
}

/// What a pass over each split works through: in small, and on the whole.
struct Sizes {
    /// Everything that is trained on.
    train: (Extent, Extent),
    /// What is scored after an epoch.
    scored: (Extent, Extent),
    /// What is scored and looked at where that decides which epoch is kept.
    chosen: (Extent, Extent),
    validation: (Extent, Extent),
    test: (Extent, Extent),
}

impl Sizes {
    fn of(c: &Checked, picks: &Picks, all: &Whole) -> Result<Sizes> {
        let prepare = c.source.prepare()?;
        let both = |loaded: &Option<Arc<Loaded>>, rows: &Option<Vec<u32>>| -> Result<_> {
            let (Some(loaded), Some(rows)) = (loaded, rows) else {
                return Ok((Extent::default(), Extent::default()));
            };
            let all = Domain {
                name: loaded.name.clone(),
                inputs: loaded.inputs.clone(),
                labels: (),
            };
            let few = Loaded::unlabelled(&all.picked(rows), prepare.clone());
            Ok((
                Extent::of(&few, &few.by_length(EVALUATION_BATCH)?)?,
                Extent::of(loaded, &loaded.by_length(EVALUATION_BATCH)?)?,
            ))
        };
        let (source, target) = (
            both(&all.source, &picks.source)?,
            both(&all.target, &picks.target)?,
        );
        let sum = |a: (Extent, Extent), b: (Extent, Extent)| (a.0.plus(b.0), a.1.plus(b.1));
        let validation = both(&all.validation, &picks.validation)?;
        let test = both(&all.test, &picks.test)?;
        let of_source = both(&all.source_validation, &picks.source_validation)?;
        let scored = match c.kind {
            Kind::Transductive => of_source,
            Kind::Inductive => validation,
        };
        let watched = both(&all.watched, &picks.watched)?;
        let or = |a: (Extent, Extent), b| if a.1.rows > 0 { a } else { b };
        let looked_at = match c.settings.select {
            Selection::LabelFree(_) => sum(seen(or(of_source, source)), seen(or(watched, target))),
            Selection::Oracle => test,
            Selection::TargetValidation => validation,
            Selection::Last | Selection::Validation => Default::default(),
        };
        Ok(Sizes {
            train: sum(source, target),
            scored,
            chosen: sum(scored, looked_at),
            validation,
            test,
        })
    }
}

/// What a selector looks at of a domain: not more than [`Look::MOST`] rows.
fn seen((small, whole): (Extent, Extent)) -> (Extent, Extent) {
    let cut = |e: Extent| {
        let share = (Look::MOST as f64 / e.rows.max(1) as f64).min(1.0);
        Extent {
            rows: e.rows.min(Look::MOST),
            own: (e.own as f64 * share) as u64,
            padded: (e.padded as f64 * share) as u64,
        }
    };
    (cut(small), cut(whole))
}

fn ratio((small, whole): (Extent, Extent)) -> f64 {
    match small.padded {
        0 => 0.0,
        n => whole.padded as f64 / n as f64,
    }
}
