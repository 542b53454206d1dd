//! `[tune]`: every point of the grid is trained and scored on validation rows; the best of them then is the run, and only its test is opened.

use serde_json::{Value, json};

use super::directory::write_whole;
use super::execute::{Part, Surroundings, begin, execute_as};
use super::many::{Again, part};
use crate::check::{Checked, Point};
use crate::task::Scoring;
use crate::train::Event;
use crate::{Context, Error, Result};

/// Runs the grid and the chosen point.
pub(super) fn run(c: &Checked, again: &Again<'_>, around: &Surroundings<'_>) -> Result<()> {
    begin(c, around)?;
    let of = c.points.len();
    let mut points = Vec::new();
    let mut best: Option<(usize, (f64, f64))> = None;
    for (i, point) in c.points.iter().enumerate() {
        let words = words(point);
        let checked = again.check(&point.written)?;
        let dir = around.directory.part("tune", i + 1);
        let said = format!("point {} of {of}: {words}", i + 1);
        let result = part(&checked, dir.clone(), false, &said, around)
            .context(format!("point {} of {of} ({words})", i + 1))?;
        let scores = &result["metrics"]["validation"];
        let score = rank(c, scores).ok_or_else(|| {
            Error::msg(format!("{} has no validation score", dir.path().display()))
        })?;
        let better = best.is_none_or(|(_, b)| score.0 > b.0 || score.0 == b.0 && score.1 < b.1);
        // Of a point that was beaten nobody asks for weights again.
        let beaten = if better {
            best.map(|(n, _)| n)
        } else {
            Some(i)
        };
        if better {
            best = Some((i, score));
        }
        if let Some(n) = beaten {
            let _ = std::fs::remove_file(around.directory.part("tune", n + 1).checkpoint());
        }
        let mut values = serde_json::Map::new();
        for (key, value) in &point.values {
            values.insert(key.clone(), value.clone());
        }
        points.push(json!({
            "run": format!("tune/{}", i + 1),
            "values": values,
            "validation": short(scores),
            "seconds": result["seconds"],
        }));
    }
    let (chosen, _) = best.ok_or_else(|| Error::msg("the grid has no points"))?;
    let point = &c.points[chosen];
    around.observer.event(&Event::Note(&format!(
        "point {} is the best of {of} on validation: {}",
        chosen + 1,
        words(point)
    )));
    // The chosen point goes on where it ended: with its test.
    let from = around.directory.part("tune", chosen + 1);
    for (was, is) in [
        (from.checkpoint(), around.directory.checkpoint()),
        (from.metrics(), around.directory.metrics()),
        (from.embedding(), around.directory.embedding()),
    ] {
        if let Ok(bytes) = std::fs::read(&was) {
            write_whole(&is, &bytes)?;
        }
    }
    let seconds = |p: &Value| p["seconds"].as_f64().unwrap_or(0.0);
    let others = points.iter().enumerate().filter(|(i, _)| *i != chosen);
    let before = others.map(|(_, p)| seconds(p)).sum();
    let checked = again.check(&point.written)?;
    let part = Part {
        of: c,
        test: true,
        seconds: before,
        tuned: Some(json!({
            "by": "validation",
            "candidates": of,
            "chosen": chosen + 1,
            "values": points[chosen]["values"],
            "points": points,
        })),
    };
    execute_as(&checked, around, &part).map(drop)
}

/// `train.learning_rate = 5e-5, train.epochs = 3`.
fn words(point: &Point) -> String {
    let one = |(k, v): &(String, Value)| format!("{k} = {v}");
    point.values.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// As [`crate::evaluate::Scores::rank`] has it: larger is better; the loss decides between equals.
fn rank(c: &Checked, scores: &Value) -> Option<(f64, f64)> {
    let loss = scores["loss"].as_f64()?;
    match c.target.scoring() {
        Scoring::Classes(_) => Some((scores["accuracy"].as_f64()?, loss)),
        Scoring::Tokens => Some((-loss, loss)),
        // Refused where the grid is checked.
        Scoring::Vectors => None,
    }
}

/// The numbers that a table of points shows.
fn short(scores: &Value) -> Value {
    let mut out = serde_json::Map::new();
    for key in ["n", "accuracy", "accuracy_interval", "macro_f1", "loss"] {
        if let Some(v) = scores.get(key) {
            out.insert(key.to_string(), v.clone());
        }
    }
    Value::Object(out)
}
