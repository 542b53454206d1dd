//! What a run carries from phase to phase: where it stands, the weights that it kept, and its checkpoints.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::checkpoint::{self, Place as MapPlace, Position, SavedMap};
use super::infer::predict_cuts;
use super::run::{Deciding, Job};
use crate::data::From;
use crate::model::MapKinds;
use crate::nn::{Param, Store};
use crate::select::Reference;
use crate::strategy::{State, Transfer};
use crate::{Error, Result};

/// The tensor of a checkpoint that holds what the source model said of the test inputs.
const SOURCE_SAYS: &str = "source_says";
/// How often a checkpoint is written when the recipe does not say.
const INTERVAL: Duration = Duration::from_secs(30);

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
    /// Seconds of earlier sittings, or of whoever trained the beginning.
    pub earlier: f64,
    started: Instant,
    written: Instant,
}

impl Runner {
    /// At the beginning of a run.
    pub fn new(identity: &str) -> Self {
        Runner {
            position: Position {
                identity: identity.to_string(),
                ..Position::default()
            },
            best: BTreeMap::new(),
            twin: BTreeMap::new(),
            start: BTreeMap::new(),
            source_says: None,
            earlier: 0.0,
            started: Instant::now(),
            written: Instant::now(),
        }
    }

    /// Goes on from the run's own checkpoint.
    pub fn go_on(
        &mut self,
        transfer: &mut Transfer<'_>,
        position: Position,
        tensors: &BTreeMap<String, Tensor>,
        kinds: &MapKinds,
    ) -> Result<()> {
        let here = arithmetic(transfer);
        if !position.arithmetic.is_empty() && position.arithmetic != here {
            return Err(Error::msg(format!(
                "the run was begun with {}, and here it would go on with {here}: it would end with the bits of neither\n  go on where it was begun, or \
                 as it was (`TLKIT_CPU`, `--device`), or begin anew in another folder",
                position.arithmetic
            )));
        }
        restore(transfer.store, tensors)?;
        restore_maps(transfer, &position, tensors, kinds)?;
        self.best = kept("best/", tensors);
        self.twin = kept("twin/", tensors);
        self.start = kept("start/", tensors);
        self.earlier = position.seconds;
        self.source_says = tensors.get(SOURCE_SAYS).cloned();
        self.position = position;
        Ok(())
    }

    pub fn seconds(&self) -> f64 {
        self.earlier + self.started.elapsed().as_secs_f64()
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
    pub fn refer(&mut self, transfer: &Transfer<'_>, job: &Job<'_>) -> Result<()> {
        if let Some(Deciding::LabelFree { look, .. }) = &job.deciding {
            let seen = look.see(&transfer.model, transfer.store, job.observer)?;
            self.position.reference = Some(Reference::of(&seen));
        }
        Ok(())
    }

    /// What can be said, without labels of the target, of a fit that ends an adaptation: whether it has collapsed, and not that it did no harm, since
    /// nothing stands beside it. (That it is worse on the source is what it may be for.)
    pub fn judge(&mut self, transfer: &Transfer<'_>, job: &Job<'_>) -> Result<()> {
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
        self.position.arithmetic = arithmetic(transfer);
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
    pub fn tensors(
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
    pub fn take_up(
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
        self.earlier = position.seconds;
        self.position = Position {
            identity: std::mem::take(&mut self.position.identity),
            taken_up: position.seconds,
            ..position
        };
        Ok(())
    }
}

/// With what a transfer computes.
fn arithmetic(transfer: &Transfer<'_>) -> String {
    crate::cache::arithmetic(transfer.store.device(), transfer.settings.precision)
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
