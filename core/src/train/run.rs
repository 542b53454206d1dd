//! Runs the phases of a strategy, from the start or from a checkpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::check;
use super::checkpoint::{self, Best, Position, Twin};
use super::event::{Event, Observer, Stop, Stoppable};
use super::frozen;
use super::infer::{Domains, Passes};
use super::phase::{Course, Place};
use super::runner::{Runner, copies, put_back};
use super::shared::Shared;
use crate::cache::Cache;
use crate::data::Loaded;
use crate::model::MapKinds;
use crate::nn::{Param, Select};
use crate::random::Stream;
use crate::select::{LabelFree, Look};
use crate::strategy::{Phase, Train, Transfer};
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
    /// Of those, seconds before this sitting: of earlier ones, or of another run on the beginning that was taken up.
    pub earlier: f64,
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

/// Runs the phases. On return the store holds the weights that were kept.
pub fn run(transfer: &mut Transfer<'_>, phases: Vec<Phase>, job: &Job<'_>) -> Result<Outcome> {
    let mut state = Runner::new(&job.identity);
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
        resumed_at = Some(position.total_steps);
        state.go_on(transfer, position, &tensors, &job.maps)?;
        saved = tensors;
    }
    if let Some(shared) = job.shared.as_ref().filter(|_| resumed_at.is_none())
        && let Some((position, tensors, lines)) = shared.take(&names, job.observer)
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
        let again = matches!(&phase, Phase::Train(train) if train.adapts);
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
        // A further phase of the adaptation is measured by the source model too.
        if again {
            reference = state.position.reference;
        }
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
        earlier: state.earlier,
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
