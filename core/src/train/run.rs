//! Runs the phases of a strategy, from the start or from a checkpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::check;
use super::checkpoint::{self, Best, Place as MapPlace, Position, SavedMap, Twin};
use super::event::{Event, Observer, Stop, Stoppable};
use super::frozen;
use super::infer::{Domains, Passes, predict_cuts};
use super::phase::{Course, Place};
use super::shared::Shared;
use crate::cache::Cache;
use crate::data::{From, Loaded};
use crate::model::MapKinds;
use crate::nn::{Param, Select, Store};
use crate::random::Stream;
use crate::select::{LabelFree, Look, Reference};
use crate::strategy::{Phase, State, Train, Transfer};
use crate::{Error, Result};

/// Everything a training needs besides the model.
pub struct Job<'a> {
    /// What the run is; a checkpoint of another run is refused.
    pub identity: String,
    /// The run's seed.
    pub seed: u64,
    /// The domains that training may look at.
    pub domains: Domains,
    /// Labelled rows that each epoch is scored on, and that decide where nothing else does.
    pub validation: Option<Loaded>,
    /// What the curves call them: `validation`, or `source` where they are of the source domain.
    pub validated: &'static str,
    /// Transductive: what decides which epoch of an adaptation is kept.
    pub deciding: Option<Deciding>,
    /// Whether the model knows the task before the first phase, so that it is a candidate itself.
    pub trained: bool,
    /// Whether what the source model says of the test inputs is to be kept, to compare the adaptation with, and over how many cuts of each.
    pub before: Option<usize>,
    /// Hears what happens.
    pub observer: &'a dyn Observer,
    /// Asks to stop.
    pub stop: Stop,
    /// Where the checkpoint goes; `None` writes none.
    pub checkpoint: Option<PathBuf>,
    /// Where epochs are recorded, one JSON object a line.
    pub metrics: Option<PathBuf>,
    /// Steps between checkpoints; by default one each half minute and one at the end of a phase.
    pub checkpoint_every: Option<u64>,
    /// Ends every phase after so many steps.
    pub max_steps: Option<u64>,
    /// The kinds of map that a checkpoint may hold.
    pub maps: MapKinds,
    /// Where features and a teacher's outputs are kept; `None` keeps them in memory.
    pub cache: Option<Cache>,
    /// Where runs that begin alike leave their beginnings to each other.
    pub shared: Option<Shared>,
}

/// What decides which epoch of an adaptation is kept.
// There is one of it in a run.
#[allow(clippy::large_enum_variant)]
pub enum Deciding {
    /// Labelled target rows: an explicit choice, or an oracle's.
    Labelled(Box<Loaded>),
    /// A score that looks at no label of the target.
    LabelFree {
        /// Which.
        by: LabelFree,
        /// What the method brings down itself.
        minimises: Vec<LabelFree>,
        /// The rows that it looks at.
        look: Box<Look>,
    },
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The epoch that was kept in the last phase that selects, and its score.
    pub chosen: Option<Best>,
    /// Optimizer steps of all phases.
    pub steps: u64,
    /// Seconds of training, over all sittings.
    pub seconds: f64,
    /// Of those, seconds that another run spent on the beginning that was taken up.
    pub taken_up: f64,
    /// What closed-form phases reported.
    pub fits: BTreeMap<String, f64>,
    /// Epochs of the last phase that had collapsed, where a selector looked for it.
    pub collapsed: Vec<u64>,
    /// Where the numbers of an adaptation ended, that diverged: `the loss is NaN at step 74`.
    pub diverged: Option<String>,
    /// What can be said of the adaptation without labels of the target, where a selector looked.
    pub signs: Option<String>,
    /// What the source model said of the test inputs before it was adapted: logits `(rows, classes)`.
    pub before: Option<Vec<Vec<f32>>>,
    /// Whether it went on from a checkpoint, and at which step.
    pub resumed_at: Option<u64>,
}

/// The tensor of a checkpoint that holds what the source model said of the test inputs.
const SOURCE_SAYS: &str = "source_says";
/// How often a checkpoint is written when the recipe does not say.
const INTERVAL: Duration = Duration::from_secs(30);

/// Runs the phases. On return the store holds the weights that were kept.
pub fn run(transfer: &mut Transfer<'_>, phases: Vec<Phase>, job: &Job<'_>) -> Result<Outcome> {
    let mut state = Runner {
        position: Position {
            identity: job.identity.clone(),
            ..Position::default()
        },
        best: BTreeMap::new(),
        twin: BTreeMap::new(),
        start: BTreeMap::new(),
        source_says: None,
        started: Instant::now(),
        written: Instant::now(),
        before: 0.0,
    };
    let mut saved = BTreeMap::new();
    let mut resumed_at = None;
    // By the weights that it begins with, also where it goes on from a checkpoint.
    let names = match &job.shared {
        Some(shared) => shared.names(transfer, &phases, job.seed, job.max_steps)?,
        None => Vec::new(),
    };
    if let Some(path) = &job.checkpoint
        && let Some((position, tensors)) = checkpoint::read(path)?
    {
        if position.identity != job.identity {
            return Err(Error::msg(format!(
                "{} belongs to another run: its recipe, data, weights or seed differ",
                path.display()
            )));
        }
        let arithmetic = crate::cache::arithmetic(transfer.store.device());
        if !position.arithmetic.is_empty() && position.arithmetic != arithmetic {
            return Err(Error::msg(format!(
                "the run was begun with {}, and here it would go on with {arithmetic}: it would end with the bits of neither\n  go on where it was begun, or \
                 as it was (`TLKIT_CPU`, `--device`), or begin anew in another folder",
                position.arithmetic
            )));
        }
        restore(transfer.store, &tensors)?;
        restore_maps(transfer, &position, &tensors, &job.maps)?;
        state.best = kept("best/", &tensors);
        state.twin = kept("twin/", &tensors);
        state.start = kept("start/", &tensors);
        state.before = position.seconds;
        state.source_says = tensors.get(SOURCE_SAYS).cloned();
        resumed_at = Some(position.total_steps);
        state.position = position;
        saved = tensors;
    }
    if let Some(shared) = job.shared.as_ref().filter(|_| resumed_at.is_none())
        && let Some((position, tensors, lines)) = shared.take(&names)
    {
        job.observer.event(&Event::Note(
            "what another run learned of the same source is taken up",
        ));
        state.take_up(transfer, position, &tensors)?;
        if let Some(path) = &job.metrics {
            crate::run::write_whole(path, lines.as_bytes())?;
        }
    }
    job.cut_metrics(state.position.lines)?;
    let of = phases.len();
    let mut trained = Vec::new();
    let classifier = transfer.model.head.classifier().iter();
    let classifier: Vec<Param> = classifier.flat_map(|s| s.params()).collect();
    // Whether the classifier knows something: a network on fresh weights is no source model.
    let mut knows = job.trained;
    // A twin has the random numbers of the phase that it stands beside.
    let mut twins = 0;
    let adapts = |phase: &Phase| matches!(phase, Phase::Train(train) if train.adapts);
    let adapts_later: Vec<bool> = (1..=of)
        .map(|next| phases[next..].iter().any(adapts))
        .collect();
    for (index, phase) in phases.into_iter().enumerate() {
        let at = index - twins;
        twins += usize::from(matches!(phase, Phase::Twin(_)));
        let over = index < state.position.phase;
        // The last phase's border is that of the scores too, also where the run goes on after its end.
        if !over || index + 1 == of {
            frozen::set(transfer, &phase, &Select::Any(trained.clone()), job)?;
        }
        let known = knows;
        if let Phase::Train(train) | Phase::Twin(train) = &phase {
            let updates = train.updates.iter().map(|u| u.trains.clone());
            trained.extend(updates.clone());
            // A twin is put back.
            let stays = matches!(phase, Phase::Train(_));
            let learns = |which: Select| classifier.iter().any(|p| which.holds(p));
            knows |= stays && updates.into_iter().any(learns);
        } else {
            knows = true;
        }
        if over {
            continue;
        }
        let norm = transfer.model.norm;
        let mut reference = None;
        if let Phase::Train(Train {
            norm: Some(own), ..
        }) = &phase
        {
            transfer.model.norm = *own;
        }
        match phase {
            Phase::Train(train) => {
                let place = Place {
                    index,
                    of,
                    at,
                    twin: false,
                    knows: known,
                };
                let mut course = Course::new(transfer, train, place, job, &mut state)?;
                course.restore(&saved)?;
                course.go()?;
            }
            Phase::Twin(train) => {
                if state.position.step == 0 {
                    state.start = copies(transfer.store)?;
                }
                let before = state.position.total_steps - state.position.step;
                let place = Place {
                    index,
                    of,
                    at,
                    twin: true,
                    knows: known,
                };
                let mut course = Course::new(transfer, train, place, job, &mut state)?;
                course.restore(&saved)?;
                course.go()?;
                state.position.beside += state.position.total_steps - before;
                state.position.total_steps = before;
                if let Some(best) = state.position.best.take() {
                    state.twin = std::mem::take(&mut state.best);
                    state.position.twin = Some(Twin {
                        best: Best { twin: true, ..best },
                        scores: std::mem::take(&mut state.position.scores),
                    });
                }
                put_back(transfer.store, &std::mem::take(&mut state.start))?;
                // What it says of itself is not said of the adaptation.
                state.position.collapsed.clear();
                state.position.signs = None;
            }
            Phase::Fit { name, mut fit } => {
                job.observer.event(&Event::Phase {
                    name: &name,
                    index,
                    of,
                    steps: 0,
                    per_epoch: 0,
                    done: 0,
                });
                // The features that a fit looks at are a pass of the model as it stands; the copy keeps the borrow apart.
                let random = Stream::new(job.seed).purpose("fit").at(at as u64);
                // What a fit changes is part of the adaptation: batch norm's statistics.
                // (A closed form has no classifier to be asked, and says itself what its head makes of features that were not aligned.)
                if job.before.is_some() && known && !classifier.is_empty() {
                    state.ask_source(transfer, job)?;
                }
                if known {
                    state.refer(transfer, job)?;
                }
                reference = state.position.reference;
                let model = &mut transfer.model;
                let snapshot = model.clone();
                let observer = Stoppable {
                    observer: job.observer,
                    stop: &job.stop,
                };
                let mut passes = Passes {
                    model: &snapshot,
                    domains: &job.domains,
                    store: transfer.store,
                    random,
                    observer: &observer,
                    cache: job.cache.as_ref(),
                    kept: BTreeMap::new(),
                };
                let report = fit.fit(&mut passes, model, transfer.store)?;
                if let (true, None, Some(logits)) =
                    (job.before.is_some(), &state.source_says, model.unadapted())
                {
                    state.source_says = Some(logits.to_dtype(candle_core::DType::F32)?);
                }
                transfer.store.touch();
                frozen::renew(transfer)?;
                state.position.fits.extend(report);
                if known && !adapts_later[index] {
                    state.judge(transfer, job)?;
                }
            }
        }
        transfer.model.norm = norm;
        saved.clear();
        state.position = Position {
            identity: job.identity.clone(),
            phase: index + 1,
            total_steps: state.position.total_steps,
            lines: state.position.lines,
            beside: state.position.beside,
            taken_up: state.position.taken_up,
            twin: state.position.twin.take(),
            fits: std::mem::take(&mut state.position.fits),
            chosen: state.position.best.or(state.position.chosen),
            collapsed: std::mem::take(&mut state.position.collapsed),
            diverged: state.position.diverged.take(),
            signs: state.position.signs.take(),
            reference,
            ..Position::default()
        };
        state.best.clear();
        state.write(transfer, BTreeMap::new(), job)?;
        if let (Some(shared), Some(name)) = (&job.shared, names.get(index)) {
            let lines = match &job.metrics {
                // A closed form alone has left no line.
                Some(path) if path.exists() => {
                    std::fs::read_to_string(path).map_err(Error::io(path))?
                }
                _ => String::new(),
            };
            let mut tensors = state.tensors(transfer, BTreeMap::new());
            tensors.retain(|name, _| Shared::has(name));
            // The others train themselves then.
            if shared
                .leave(name, &state.position, &tensors, &lines)
                .is_err()
            {
                job.observer.event(&Event::Note(
                    "what was learned could not be left to other runs",
                ));
            }
        }
    }
    // The last step may have been the one that ended the numbers, and nobody may look at what the model says.
    check::weights(transfer.store).map_err(|e| e.after(state.position.total_steps))?;
    Ok(Outcome {
        chosen: state.position.chosen,
        steps: state.position.total_steps + state.position.beside,
        seconds: state.seconds(),
        taken_up: state.position.taken_up,
        fits: state.position.fits,
        collapsed: state.position.collapsed,
        diverged: state.position.diverged,
        signs: state.position.signs,
        before: match &state.source_says {
            Some(t) => Some(t.to_vec2()?),
            None => None,
        },
        resumed_at,
    })
}

/// What the runner carries from phase to phase.
pub(crate) struct Runner {
    pub position: Position,
    /// The weights of the best epoch of this phase.
    pub best: BTreeMap<String, Tensor>,
    /// Those of the twin's best epoch, beside the adaptation.
    pub twin: BTreeMap<String, Tensor>,
    /// Where a twin began, and the adaptation after it begins.
    pub start: BTreeMap<String, Tensor>,
    /// What the source model said of the test inputs.
    pub source_says: Option<Tensor>,
    started: Instant,
    written: Instant,
    before: f64,
}

impl Runner {
    pub fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    /// Keeps what the model says of the test inputs before the first adaptation.
    pub fn ask_source(&mut self, transfer: &Transfer<'_>, job: &Job<'_>) -> Result<()> {
        if self.source_says.is_some() || !job.domains.has(From::TargetTest) {
            return Ok(());
        }
        let rows = job.domains.get(From::TargetTest)?;
        let (model, store) = (&transfer.model, transfer.store);
        let crops = job.before.unwrap_or(1);
        let logits = predict_cuts(model, rows, store, "before", job.observer, crops)?;
        self.source_says = Some(logits.to_dtype(candle_core::DType::F32)?);
        Ok(())
    }

    /// What a collapse is measured by, before a fit that is part of an adaptation.
    fn refer(&mut self, transfer: &Transfer<'_>, job: &Job<'_>) -> Result<()> {
        if let Some(Deciding::LabelFree { look, .. }) = &job.deciding {
            let seen = look.see(&transfer.model, transfer.store, job.observer)?;
            self.position.reference = Some(Reference::of(&seen));
        }
        Ok(())
    }

    /// What can be said, without labels of the target, of a fit that ends an adaptation: whether it has collapsed, and not that it did no harm, since
    /// nothing stands beside it. (That it is worse on the source is what it may be for.)
    fn judge(&mut self, transfer: &Transfer<'_>, job: &Job<'_>) -> Result<()> {
        let (Some(Deciding::LabelFree { look, .. }), Some(reference)) =
            (&job.deciding, self.position.reference)
        else {
            return Ok(());
        };
        let seen = look.see(&transfer.model, transfer.store, job.observer)?;
        // The epochs that were looked at are those of the source.
        self.position.collapsed.clear();
        let signs = reference.signs(reference.few(&seen), None);
        self.position.signs = Some(signs.to_string());
        Ok(())
    }

    /// Whether a checkpoint is due at this step.
    pub fn due(&self, job: &Job<'_>) -> bool {
        job.checkpoint.is_some()
            && match job.checkpoint_every {
                Some(n) => self.position.step.is_multiple_of(n.max(1)),
                None => self.written.elapsed() >= INTERVAL,
            }
    }

    pub fn write(
        &mut self,
        transfer: &Transfer<'_>,
        mut tensors: BTreeMap<String, Tensor>,
        job: &Job<'_>,
    ) -> Result<()> {
        let Some(path) = &job.checkpoint else {
            return Ok(());
        };
        self.position.seconds = self.seconds();
        self.position.arithmetic = crate::cache::arithmetic(transfer.store.device());
        self.position.maps.clear();
        let model = &transfer.model;
        let maps = model.maps().iter().map(|m| (MapPlace::Features, m));
        let adjust = model.adjust().iter().map(|m| (MapPlace::Logits, m));
        for (i, (place, map)) in maps.chain(adjust).enumerate() {
            let State { tensors: t, json } = map.save();
            let kind = map.kind().to_string();
            self.position.maps.push(SavedMap { place, kind, json });
            tensors.extend(t.into_iter().map(|(n, t)| (format!("map/{i}/{n}"), t)));
        }
        let tensors = self.tensors(transfer, tensors);
        checkpoint::write(path, &self.position, &tensors)?;
        self.written = Instant::now();
        Ok(())
    }

    /// The weights as they are and as they were kept, besides `tensors`, as a checkpoint names them.
    fn tensors(
        &self,
        transfer: &Transfer<'_>,
        mut tensors: BTreeMap<String, Tensor>,
    ) -> BTreeMap<String, Tensor> {
        for p in transfer.store.all() {
            tensors.insert(format!("param/{}", p.name()), p.detached());
        }
        if let Some(t) = &self.source_says {
            tensors.insert(SOURCE_SAYS.to_string(), t.clone());
        }
        let kept = [
            ("best", &self.best),
            ("twin", &self.twin),
            ("start", &self.start),
        ];
        for (of, weights) in kept {
            for (name, t) in weights {
                tensors.insert(format!("{of}/{name}"), t.clone());
            }
        }
        tensors
    }

    /// Goes on from where another run stood that began alike. What a method added to the model is as it was made.
    fn take_up(
        &mut self,
        transfer: &Transfer<'_>,
        position: Position,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<()> {
        for p in transfer.store.all() {
            if let Some(t) = tensors.get(&format!("param/{}", p.name())) {
                let t = t.to_dtype(transfer.store.dtype())?;
                p.var().set(&t.to_device(transfer.store.device())?)?;
            }
        }
        transfer.store.touch();
        self.twin = kept("twin/", tensors);
        if !self.twin.is_empty() {
            for (name, t) in copies(transfer.store)? {
                self.twin.entry(name).or_insert(t);
            }
        }
        self.before = position.seconds;
        self.position = Position {
            identity: std::mem::take(&mut self.position.identity),
            taken_up: position.seconds,
            ..position
        };
        Ok(())
    }
}

/// The tensors of a checkpoint whose names begin so, without it.
fn kept(prefix: &str, tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let all = tensors.iter();
    all.filter_map(|(k, t)| Some((k.strip_prefix(prefix)?.to_string(), t.clone())))
        .collect()
}

/// The weights as they are.
pub(crate) fn copies(store: &Store) -> Result<BTreeMap<String, Tensor>> {
    let copy = |p: &Param| Ok((p.name().to_string(), p.detached().copy()?));
    store.all().iter().map(copy).collect()
}

/// Weights that were kept, in their places again.
pub(crate) fn put_back(store: &Store, kept: &BTreeMap<String, Tensor>) -> Result<()> {
    for p in store.all() {
        if let Some(t) = kept.get(p.name()) {
            p.var().set(&t.to_device(store.device())?)?;
        }
    }
    store.touch();
    Ok(())
}

fn restore(store: &Store, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    for p in store.all() {
        let key = format!("param/{}", p.name());
        let value = tensors
            .get(&key)
            .ok_or_else(|| Error::msg(format!("the checkpoint has no {}", p.name())))?;
        p.var()
            .set(&value.to_dtype(store.dtype())?.to_device(store.device())?)?;
    }
    store.touch();
    Ok(())
}

fn restore_maps(
    transfer: &mut Transfer<'_>,
    position: &Position,
    tensors: &BTreeMap<String, Tensor>,
    kinds: &MapKinds,
) -> Result<()> {
    let (mut maps, mut adjust) = (Vec::new(), Vec::new());
    for (i, saved) in position.maps.iter().enumerate() {
        let prefix = format!("map/{i}/");
        let mut state = State {
            json: saved.json.clone(),
            ..State::default()
        };
        for (name, t) in tensors {
            if let Some(rest) = name.strip_prefix(&prefix) {
                let t = t.to_device(transfer.store.device())?;
                state.tensors.push((rest.to_string(), t));
            }
        }
        let map = kinds.load(&saved.kind, &state)?;
        match saved.place {
            MapPlace::Features => maps.push(map),
            MapPlace::Logits => adjust.push(map),
        }
    }
    transfer.model.set_maps(maps, adjust);
    Ok(())
}

impl Job<'_> {
    /// Appends a line to the record.
    pub(crate) fn record(&self, line: &serde_json::Value) -> Result<()> {
        use std::io::Write;
        let Some(path) = &self.metrics else {
            return Ok(());
        };
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(Error::io(path))?;
        writeln!(file, "{line}").map_err(Error::io(path))
    }

    /// Drops lines that were written after the checkpoint that the run goes on from.
    fn cut_metrics(&self, lines: usize) -> Result<()> {
        let Some(path) = &self.metrics else {
            return Ok(());
        };
        let Ok(text) = std::fs::read_to_string(path) else {
            return Ok(());
        };
        let kept: String = text.split_inclusive('\n').take(lines).collect();
        if kept.len() != text.len() {
            crate::run::write_whole(path, kept.as_bytes())?;
        }
        Ok(())
    }
}
