//! Experiments row by row: labels and predictions are given.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use tlkit_report::{Comparison, Experiment, Gate, Outcome};

use crate::fixture::world::noise;

/// An experiment of methods, each with its reference.
pub struct Made {
    pub dir: TempDir,
    pub plan: Value,
    classes: Vec<&'static str>,
}

/// What a cell is of.
pub struct At<'a>(pub &'a str, pub u64, pub Option<(&'a str, &'a str)>);

impl Made {
    pub fn new(methods: &[(&str, Option<&str>)]) -> Made {
        let methods: Vec<Value> = methods
            .iter()
            .map(|(name, reference)| {
                json!({"name": name, "method": name, "keys": {}, "reference": reference, "added": false})
            })
            .collect();
        Made {
            dir: TempDir::new().expect("a folder"),
            plan: json!({
                "format": 1, "name": "made-up", "kind": "transductive", "metric": "accuracy", "worth": 0.01, "level": 0.95,
                "baselines": true, "axes": [], "pairs": [], "methods": methods, "cells": [],
            }),
            classes: vec!["no", "yes"],
        }
    }

    pub fn pairs(mut self, pairs: &[(&str, &str)]) -> Made {
        self.plan["pairs"] = pairs.iter().map(|(s, t)| json!([s, t])).collect();
        self
    }

    pub fn classes(mut self, classes: &[&'static str]) -> Made {
        self.classes = classes.to_vec();
        self
    }

    /// A finished run; `more` stands over what `result.json` has.
    pub fn cell(&mut self, at: &At<'_>, labels: &[usize], said: &[usize], more: Value) {
        let name = format!("c{}", self.plan["cells"].as_array().map_or(0, Vec::len));
        let cell = json!({
            "name": name, "method": at.0, "values": [], "seed": at.1, "identity": name, "pair": at.2.map(|(s, t)| [s, t]),
        });
        self.run(&name, at.0, labels, said, more);
        self.plan["cells"].as_array_mut().expect("cells").push(cell);
    }

    /// What `tlkit import` leaves.
    pub fn import(&self, at: &At<'_>, labels: &[usize], said: &[usize]) {
        let pair = at.2.map_or(String::new(), |(s, t)| format!("-{s}-{t}"));
        let name = format!("imported/{}{pair}-s{}", at.0, at.1);
        self.run(&name, at.0, labels, said, json!({"imported": true}));
        let cell = json!({"name": name, "method": at.0, "values": [], "pair": at.2.map(|(s, t)| [s, t]), "seed": at.1});
        fs::write(
            self.dir.path().join(&name).join("cell.json"),
            cell.to_string(),
        )
        .expect("written");
    }

    fn run(&self, name: &str, method: &str, labels: &[usize], said: &[usize], more: Value) {
        let folder = self.dir.path().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let mut result = json!({
            "format": 1, "recipe": method, "identity": name, "status": "done", "labels": self.classes, "seconds": 1.0,
            "strategy": {"kind": "transductive", "method": method}, "selection": {"by": "last"},
        });
        let probabilities = more["probabilities"].clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            result[key] = value.clone();
        }
        fs::write(folder.join("result.json"), result.to_string()).expect("written");
        let lines = labels.iter().zip(said).enumerate().map(|(i, (l, s))| {
            let id = more["ids"][i]
                .as_str()
                .map_or(i.to_string(), str::to_string);
            let mut line =
                json!({"id": id, "label": self.classes[*l], "prediction": self.classes[*s]});
            if let Some(p) = probabilities[i].as_f64() {
                line["probabilities"] = json!([1.0 - p, p]);
            }
            format!("{line}\n")
        });
        fs::write(folder.join("predictions.jsonl"), lines.collect::<String>()).expect("written");
    }

    pub fn read(&self) -> Experiment {
        let file = self.dir.path().join("experiment.json");
        fs::write(file, self.plan.to_string()).expect("written");
        Experiment::read(self.dir.path()).expect("an experiment")
    }

    pub fn compare(&self) -> Comparison {
        self.read().compare(None)
    }

    pub fn gate(&self, text: &str) -> Outcome {
        let gate = Gate::parse(text).expect("a gate");
        gate.ask(&self.read()).expect("an answer")
    }
}

/// Labels of two classes in turn.
pub fn labels(n: usize) -> Vec<usize> {
    (0..n).map(|i| i % 2).collect()
}

/// Right on about this share of the rows, other rows for other parts.
pub fn right(labels: &[usize], share: f64, parts: [usize; 3]) -> Vec<usize> {
    let said = |(i, l): (usize, &usize)| {
        let luck = noise([i, parts[0], parts[1], parts[2]]);
        if luck < share { *l } else { 1 - *l }
    };
    labels.iter().enumerate().map(said).collect()
}

/// The row of a method.
pub fn row<'a>(c: &'a Comparison, method: &str) -> &'a tlkit_report::Row {
    c.rows.iter().find(|r| r.method == method).expect("a row")
}

/// The note that has this part.
pub fn note<'a>(c: &'a Comparison, part: &str) -> Option<&'a str> {
    c.notes
        .iter()
        .find(|n| n.contains(part))
        .map(String::as_str)
}
