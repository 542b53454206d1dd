//! A recipe that is more than one run: its parts lie in the run directory, each a run directory of its own, and none that is finished is
//! run again.

use std::sync::Arc;

use serde_json::Value;

use super::directory::Directory;
use super::execute::{Part, Surroundings, execute, execute_as};
use super::{folds, tune};
use crate::check::Checked;
use crate::data::Resolve;
use crate::recipe::Written;
use crate::registry::Registry;
use crate::train::Event;
use crate::{Error, Result};

/// What it takes to check a recipe again, with a key or two changed.
pub struct Again<'a> {
    /// The recipe.
    pub written: &'a Written,
    /// What it can name.
    pub registry: &'a Registry,
    /// Where names are looked up.
    pub resolve: &'a Arc<dyn Resolve>,
}

impl Again<'_> {
    /// Checks one of the parts.
    pub(super) fn check(&self, written: &Written) -> Result<Checked> {
        Checked::new(written, self.registry, self.resolve)
            .map_err(|report| Error::msg(report.to_string()))
    }
}

/// Runs a checked recipe: once, fold by fold, or the points of a grid and then the best of them. On return the run directory is complete.
pub fn run(c: &Checked, again: &Again<'_>, around: &Surroundings<'_>) -> Result<()> {
    if !c.points.is_empty() {
        return tune::run(c, again, around);
    }
    match c.folds {
        Some(f) if f.only.is_none() => folds::run(c, f.of, again, around),
        _ => execute(c, around).map(drop),
    }
}

/// Runs a part in its own directory, or reads what a finished one left there. `said` is what progress says of it.
pub(super) fn part(
    c: &Checked,
    directory: Directory,
    test: bool,
    said: &str,
    around: &Surroundings<'_>,
) -> Result<Value> {
    if around.stop.asked() {
        return Err(Error::Stopped { step: 0 });
    }
    if !directory.finished() {
        around.observer.event(&Event::Note(said));
        // What an earlier attempt says of its failure is not true any more.
        let _ = std::fs::remove_file(directory.result());
        let inside = Surroundings {
            directory: directory.clone(),
            name: around.name.clone(),
            observer: around.observer,
            stop: around.stop.clone(),
            shared: None,
        };
        let whole = Part::whole(c);
        execute_as(c, &inside, &Part { test, ..whole })?;
    } else {
        around
            .observer
            .event(&Event::Note(&format!("{said}: finished before")));
    }
    let path = directory.result();
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let result: Value =
        serde_json::from_str(&text).map_err(|e| Error::msg(format!("{}: {e}", path.display())))?;
    if result["identity"] != c.identity().as_str() {
        return Err(Error::msg(format!(
            "{} was made with another recipe, data or version; delete it, or start anew in another directory",
            directory.path().display()
        )));
    }
    Ok(result)
}
