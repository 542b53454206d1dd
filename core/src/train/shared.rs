//! What runs that begin alike have in common is trained once: the cells of an experiment that differ in nothing but how they adapt learn the same source, and have
//! the same twin.
//!
//! A phase that says of itself that it is the same whatever the method ([`Train::shared`]) leaves its end in a folder, under a hash of everything that it depended on:
//! recipe but for the method, data, the weights it began with, what it trains and how, tlkit's numerics and the processor's instructions. A run that comes to the same hash takes it
//! up, and goes on with the same bits as if it had trained itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Tensor;

use super::checkpoint::{self, Position};
use super::event::{Event, Observer};
use crate::cache::Key;
use crate::run::write_whole;
use crate::strategy::{Phase, Train, Transfer};
use crate::{Error, Result};

/// Where beginnings are kept, and what they depend on besides what the training itself knows.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The folder; made when it is not there.
    pub folder: PathBuf,
    /// The recipe without its method, and the data.
    pub of: String,
}

/// The parameters that every method has: encoder and head.
const MODEL: &str = "model.";

impl Shared {
    /// The names of the ends of the first phases, as far as they are the same whatever the method.
    pub(super) fn names(
        &self,
        transfer: &Transfer<'_>,
        phases: &[Phase],
        seed: u64,
        max_steps: Option<u64>,
    ) -> Result<Vec<String>> {
        let mut params = transfer.store.all();
        params.retain(|p| p.name().starts_with(MODEL));
        let mut key = Key::new("beginning")
            .with("of", &self.of)
            .with("seed", &seed.to_string())
            .with("most", &format!("{max_steps:?}"))
            .with("settings", &format!("{:?}", transfer.settings))
            .with("norm", &format!("{:?}", transfer.model.norm))
            .with_params(&params)?;
        let mut names = Vec::new();
        for phase in phases {
            let (twin, train) = match phase {
                Phase::Train(train) => (false, train),
                Phase::Twin(train) => (true, train),
                Phase::Fit { name, fit } => match fit.shared() {
                    Some(of) => {
                        key = key.with("phase", &format!("{name} {of}"));
                        names.push(key.name());
                        continue;
                    }
                    None => break,
                },
            };
            if !train.shared {
                break;
            }
            key = key.with("phase", &described(train, twin));
            names.push(key.name());
        }
        Ok(names)
    }

    fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        let of = |kind: &str| self.folder.join(format!("{name}.{kind}"));
        (of("safetensors"), of("jsonl"))
    }

    /// The furthest end that some run has left, and the lines of its record.
    pub(super) fn take(
        &self,
        names: &[String],
        observer: &dyn Observer,
    ) -> Option<(Position, BTreeMap<String, Tensor>, String)> {
        names.iter().rev().find_map(|name| {
            let (weights, lines) = self.files(name);
            let read = checkpoint::read(&weights);
            // A file that is damaged, or of another version, is none: the run trains itself, and leaves what it learned in its place.
            if let Err(e) = &read {
                observer.event(&Event::Note(&format!(
                    "what another run learned is not taken up: {e}"
                )));
            }
            let (position, tensors) = read.ok()??;
            let lines = std::fs::read_to_string(lines).ok()?;
            (lines.lines().count() == position.lines).then_some((position, tensors, lines))
        })
    }

    /// Leaves the end of a phase for others.
    pub(super) fn leave(
        &self,
        name: &str,
        position: &Position,
        tensors: &BTreeMap<String, Tensor>,
        lines: &str,
    ) -> Result<()> {
        let (weights, record) = self.files(name);
        // One that cannot be read, or has no lines beside it, is of use to nobody.
        if record.exists() && matches!(checkpoint::read(&weights), Ok(Some(_))) {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let lines: String = lines.split_inclusive('\n').take(position.lines).collect();
        write_whole(&record, lines.as_bytes())?;
        checkpoint::write(&weights, position, tensors)
    }

    /// Whether a tensor of a checkpoint belongs to what is left.
    pub(super) fn has(name: &str) -> bool {
        let of = name.strip_prefix("param/").unwrap_or(name);
        let of = of.strip_prefix("twin/").unwrap_or(of);
        of.starts_with(MODEL)
    }
}

/// All that a phase says of itself; its objective is the one that goes by its names.
fn described(train: &Train, twin: bool) -> String {
    let updates: Vec<String> = (train.updates.iter())
        .map(|u| {
            format!(
                "{} {:?} {:?} {:?} {}",
                u.name, u.trains, u.groups, u.clip, u.repeat
            )
        })
        .collect();
    format!(
        "{twin} {} {:?} {updates:?} {:?} {:?} {:?} {}",
        train.name, train.feeds, train.until, train.select, train.patience, train.micro_batch
    )
}
