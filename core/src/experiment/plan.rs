//! An experiment ready to run.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::beside;
use super::cells::{Cell, cells, word};
use super::method::set_text;
use super::read::{Design, read};
use crate::data::Resolve;
use crate::recipe::{Report, Written};
use crate::registry::Registry;

/// Every cell of an experiment, checked, and what a comparison of them has to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file's stem.
    pub name: String,
    /// `inductive` or `transductive`.
    pub kind: String,
    /// The cells, in the order of the table.
    pub cells: Vec<Cell>,
    /// What is left in `experiment.json` for whoever compares the runs.
    pub described: Value,
    /// The level of the intervals, 0.95.
    pub level: f64,
    /// How many seeds.
    pub seeds: usize,
    /// Test rows, over all pairs.
    pub rows: usize,
}

/// Reads and checks an experiment: its own errors and those of all cells, in one report. `checked` hears how many cells of how many are.
pub fn plan(
    path: &Path,
    sets: &[String],
    registry: &Registry,
    resolve: &Arc<dyn Resolve>,
    checked: &mut dyn FnMut(usize, usize),
) -> Result<Plan, Report> {
    let written = Written::read(path, sets)?;
    let registry = &registry.sharing();
    let mut design = read(&written, &with_plugins_of_base(path, sets, registry))?;
    let at = written.keys().table("experiment").at("methods");
    beside::adabn(&mut design, &at, registry, resolve);
    let shown = path.display().to_string();
    let (cells, rows) = cells(&design, &shown, registry, resolve, checked)?;
    let name = path
        .file_stem()
        .map_or_else(|| "experiment".into(), |s| s.to_string_lossy().into_owned());
    Ok(Plan {
        described: described(&design, &name, &cells),
        name,
        kind: design.strategy.kind.clone(),
        level: design.level,
        seeds: design.seeds.len(),
        rows,
        cells,
    })
}

/// What the base's own plugins bring may be a row of the table. What is wrong with them is said of each cell.
fn with_plugins_of_base(path: &Path, sets: &[String], registry: &Registry) -> Registry {
    let base = Written::read(path, sets).ok().and_then(|file| {
        let base = file.keys().table("experiment").path("base").optional()?;
        Written::read(&base, &[]).ok()
    });
    match base {
        Some(base) => registry.with_plugins(&base.keys(), base.folder()),
        None => registry.clone(),
    }
}

/// `experiment.json`, format 1.
fn described(design: &Design, name: &str, cells: &[Cell]) -> Value {
    let axes: Vec<Value> = design
        .axes
        .iter()
        .map(|axis| {
            let values: Vec<Value> = axis.values.iter().map(|v| v.to_json()).collect();
            json!({ "key": axis.key, "values": values })
        })
        .collect();
    let pairs: Vec<[&str; 2]> = design
        .pairs
        .iter()
        .map(|&(s, t)| [s, t].map(|d| design.domains[d].name.as_str()))
        .collect();
    let methods: Vec<Value> = (0..design.methods.len())
        .map(|i| {
            let m = &design.methods[i];
            let own: serde_json::Map<String, Value> = m
                .own
                .iter()
                .map(|(key, _, value)| (key.clone(), value.to_json()))
                .collect();
            json!({
                "name": m.name,
                "method": m.method,
                "keys": own,
                "reference": reference(design, i).map(|r| design.methods[r].name.clone()),
                "added": m.added,
            })
        })
        .collect();
    let listed: Vec<Value> = cells
        .iter()
        .map(|cell| {
            json!({
                "name": cell.name,
                "method": design.methods[cell.method].name,
                "values": cell.values.iter().zip(&design.axes).map(|(&v, a)| a.values[v].to_json()).collect::<Vec<_>>(),
                "pair": cell.pair.map(|p| pairs[p]),
                "seed": cell.seed,
                "identity": cell.identity.identity,
            })
        })
        .collect();
    json!({
        "format": 1,
        "name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "kind": design.strategy.kind,
        "metric": design.metric,
        "worth": design.worth,
        "level": design.level,
        "baselines": design.baselines,
        "redraw": design.redraw,
        "seeds": design.seeds,
        "axes": axes,
        "pairs": pairs,
        "methods": methods,
        "cells": listed,
    })
}

/// With which method a method is compared: what `reference` names; else its twin that does not adapt, which itself is compared with nothing; else the first of several. A single
/// method over several values is compared with itself at the first value, and has none.
pub(super) fn reference(design: &Design, method: usize) -> Option<usize> {
    let methods = &design.methods;
    if let Some(name) = &design.reference {
        return methods
            .iter()
            .position(|m| m.name == *name)
            .filter(|&r| r != method);
    }
    if design.strategy.kind == "transductive" {
        if !methods[method].twin_of.is_empty() {
            return None;
        }
        let twin = methods.iter().position(|m| m.twin_of.contains(&method));
        let own = methods
            .iter()
            .position(|m| m.method == "source-only" && set_text(m) == set_text(&methods[method]));
        let any = methods.iter().position(|m| m.method == "source-only");
        if let Some(r) = twin.or(own).or(any) {
            return Some(r).filter(|&r| r != method);
        }
    }
    (method != 0).then_some(0)
}

impl Plan {
    /// The methods, values, pair and seed of a cell in words: `frozen, target.per_class = 20, seed 0`.
    pub fn words(&self, cell: &Cell) -> String {
        let d = &self.described;
        let mut parts = vec![word(&d["methods"][cell.method]["name"])];
        for (axis, &value) in cell.values.iter().enumerate() {
            let axis = &d["axes"][axis];
            parts.push(format!(
                "{} = {}",
                word(&axis["key"]),
                word(&axis["values"][value])
            ));
        }
        if let Some(p) = cell.pair {
            let pair = &d["pairs"][p];
            parts.push(format!("{} to {}", word(&pair[0]), word(&pair[1])));
        }
        parts.push(format!("seed {}", cell.seed));
        parts.join(", ")
    }

    /// Cells that differ only in their seed share this.
    pub fn group(&self, cell: &Cell) -> String {
        format!("{}/{:?}/{:?}", cell.method, cell.values, cell.pair)
    }
}
