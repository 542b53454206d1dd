//! What is about to happen, before it does: the recipe in a few lines, and the model stage by stage.

use std::path::Path;

use serde_json::Value;
use tlkit_core::Checked;
use tlkit_core::audit::{Audit, Finding, Level};
use tlkit_core::data::DEALT;
use tlkit_core::run::{Layer, Overview};
use tlkit_report::{Align, Table};

/// The recipe in a few lines.
pub fn overview(recipe: &Path, checked: &Checked, overview: &Overview, all: bool) -> Vec<String> {
    let values = &checked.values;
    let text = |table: &str, key: &str| match &values[table][key] {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    };
    let list =
        |parts: Vec<Option<String>>| parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut table = Table::new(&[Align::Left, Align::Left]);
    table.row(["recipe".to_string(), recipe.display().to_string()]);
    table.row([
        "source".to_string(),
        list(vec![
            text("source", "task"),
            text("source", "checkpoint").or(text("source", "run")),
            domain(overview, |split| split == "source"),
        ]),
    ]);
    let domain = domain(overview, |split| !split.starts_with("source"));
    table.row([
        "target".to_string(),
        list(vec![text("target", "task"), domain]),
    ]);
    table.row([
        "strategy".to_string(),
        format!("{} ({})", checked.method, checked.kind.name()),
    ]);
    let rows: Vec<String> = overview
        .rows
        .iter()
        .map(|(split, _, n)| match *split {
            DEALT => format!("{n}, each tested once"),
            split => format!("{n} {split}"),
        })
        .collect();
    table.row(["rows".to_string(), rows.join(", ")]);
    if let Some(folds) = checked.folds {
        table.row([
            "folds".to_string(),
            match folds.only {
                None => format!(
                    "{} runs, each tested on its part of the training rows",
                    folds.of
                ),
                Some(k) => format!("part {} of {}", k + 1, folds.of),
            },
        ]);
    }
    if !checked.points.is_empty() {
        let n = checked.points.len();
        table.row([
            "grid".to_string(),
            format!("{n} points, the best on validation is the run"),
        ]);
    }
    if !overview.classes.is_empty() {
        table.row(["classes".to_string(), classes(&overview.classes)]);
    }
    for (i, line) in findings(&overview.audit, all).into_iter().enumerate() {
        let name = if i == 0 { "audit" } else { "" };
        table.row([name.to_string(), line]);
    }
    // A frozen encoder's classifier is fitted in closed form: there are neither epochs nor rates.
    let needs = checked.strategy.needs();
    let steps = !(needs.closed_form || needs.frozen);
    table.row([
        "training".to_string(),
        list(vec![
            text("train", "epochs")
                .filter(|_| steps)
                .map(|n| match n.as_str() {
                    "1" => "1 epoch".into(),
                    n => format!("{n} epochs"),
                }),
            text("train", "batch_size")
                .filter(|_| steps)
                .map(|n| format!("batches of {n}")),
            text("train", "learning_rate")
                .filter(|_| steps)
                .map(|r| format!("learning rate {r}")),
            Some(format!("seed {}", checked.seed)),
        ]),
    ]);
    table.lines("")
}

/// The name of the first domain whose split is of a kind.
fn domain(overview: &Overview, is: impl Fn(&str) -> bool) -> Option<String> {
    let found = overview.rows.iter().find(|(split, ..)| is(split));
    found.map(|(_, name, _)| name.clone())
}

/// Lines of findings in a header; what is more stands in result.json.
const LINES: usize = 6;

/// What was found in the rows, a line each, warnings first.
fn findings(audit: &Audit, all: bool) -> Vec<String> {
    let most = if all { usize::MAX } else { LINES };
    let said = |f: &Finding| match (f.level, f.examples.first()) {
        (Level::Warning, Some(e)) => format!("warning: {} ({})", f.words, e.row),
        (Level::Warning, None) => format!("warning: {}", f.words),
        (Level::Note, _) => f.words.clone(),
    };
    let mut lines: Vec<String> = audit.findings.iter().take(most).map(said).collect();
    if audit.findings.len() > most {
        let more = audit.findings.len() - most;
        lines.push(format!("and {more} more, in result.json"));
    }
    lines
}

fn classes(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
    let more = if names.len() > 8 { ", ..." } else { "" };
    format!("{}: {}{more}", names.len(), shown.join(", "))
}

/// The model summary. Stages that are alike and only numbered stand in one line.
pub fn layers(layers: &[Layer]) -> Vec<String> {
    let mut table = Table::new(&[Align::Left, Align::Left, Align::Right, Align::Right]);
    table.row(["stage", "output", "parameters", "trainable"]);
    let mut rest = layers;
    while let Some(first) = rest.first() {
        let alike = rest
            .iter()
            .enumerate()
            .take_while(|(i, layer)| follows(first, layer, *i))
            .count()
            .max(1);
        let stage = match number(&first.stage) {
            Some((stem, n)) if alike > 1 => format!("{stem}.{n}-{}", n + alike - 1),
            _ => first.stage.clone(),
        };
        let times = |n: usize| match (n, alike) {
            (0, _) => "-".to_string(),
            (n, 1) => thousands(n),
            (n, k) => format!("{k} x {}", thousands(n)),
        };
        table.row([
            stage,
            first.output.clone(),
            times(first.parameters),
            times(first.trainable),
        ]);
        rest = &rest[alike..];
    }
    let sum = |count: fn(&Layer) -> usize| thousands(layers.iter().map(count).sum());
    table.row([
        "all".to_string(),
        String::new(),
        sum(|l| l.parameters),
        sum(|l| l.trainable),
    ]);
    table.lines("")
}

/// `encoder.3` as `encoder` and 3.
fn number(stage: &str) -> Option<(&str, usize)> {
    let (stem, n) = stage.rsplit_once('.')?;
    Some((stem, n.parse().ok()?))
}

/// Whether `layer` is the `i`-th of a row of like stages that begins with `first`.
fn follows(first: &Layer, layer: &Layer, i: usize) -> bool {
    let same = |l: &Layer| (l.output.clone(), l.parameters, l.trainable);
    match (number(&first.stage), number(&layer.stage)) {
        (Some((stem, from)), Some((other, n))) => {
            stem == other && n == from + i && same(first) == same(layer)
        }
        _ => false,
    }
}

/// `1,234,567`.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_stages_stand_in_one_line() {
        let layer = |stage: &str, parameters, trainable| Layer {
            stage: stage.into(),
            output: "(n, 256)".into(),
            parameters,
            trainable,
        };
        let all = [
            layer("embeddings", 1_234_567, 0),
            layer("encoder.0", 789, 0),
            layer("encoder.1", 789, 0),
            layer("encoder.2", 789, 789),
            layer("classifier", 514, 514),
        ];
        assert_eq!(
            layers(&all),
            [
                "stage        output    parameters  trainable",
                "embeddings   (n, 256)   1,234,567          -",
                "encoder.0-1  (n, 256)     2 x 789          -",
                "encoder.2    (n, 256)         789        789",
                "classifier   (n, 256)         514        514",
                "all                     1,237,448      1,303",
            ]
        );
    }
}
