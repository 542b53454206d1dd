//! Training and validation curves, learning rate, gradient norm.

use maud::{Markup, html};
use serde_json::Value;

use super::{Source, scroll};
use crate::number::short;
use crate::plot::{Chart, Line, Look};
use crate::record::{Phase, Record};

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    if s.record.is_empty() {
        return None;
    }
    let places = places(s);
    let charts: Vec<Markup> = [
        loss(&s.record),
        validation(&s.record),
        terms(&s.record),
        adversary(&s.record),
        selector(s),
        plain(&s.record, "Learning rate", "learning_rate"),
        plain(&s.record, "Gradient norm", "gradient_norm"),
    ]
    .into_iter()
    .flatten()
    .filter_map(|chart| {
        Chart {
            places: places.clone(),
            x: "step".into(),
            ..chart
        }
        .draw()
    })
    .collect();
    Some(html! {
        div.charts { @for chart in &charts { (chart) } }
        (epochs(&s.record))
    })
}

/// Where phases begin, and the epoch that was kept.
fn places(s: &Source<'_>) -> Vec<(f64, String)> {
    let mut places = Vec::new();
    if s.record.phases.len() > 1 {
        for phase in &s.record.phases {
            places.push((phase.before as f64 + 1.0, phase.name.clone()));
        }
    }
    let kept = s.result["selection"]["epoch"].as_u64();
    // An epoch of the twin is one of its own phase.
    let of = s.result["selection"]["of"].as_str();
    let mut phases = s.record.phases.iter();
    let last = phases.rfind(|p| !p.epochs.is_empty() && of.is_none_or(|of| p.name == of));
    if let (Some(kept), Some(phase)) = (kept, last) {
        let line = phase
            .epochs
            .iter()
            .find(|l| l["epoch"].as_u64() == Some(kept));
        if let Some(step) = line.and_then(|l| l["step"].as_f64()) {
            places.push((phase.before as f64 + step, format!("epoch {kept}, kept")));
        }
    }
    places
}

/// A curve over all phases, in steps of the whole run.
fn over(record: &Record, points: impl Fn(&Phase) -> Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let phases = record.phases.iter();
    phases
        .flat_map(|p| {
            let before = p.before as f64;
            let here = points(p);
            here.into_iter().map(move |(x, y)| (x + before, y))
        })
        .collect()
}

/// `0.69 at step 1, 0.02 at step 380; lowest 0.01 at step 300`.
fn ends(name: &str, points: &[(f64, f64)]) -> Option<String> {
    let (first, last) = (points.first()?, points.last()?);
    let low = points.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let high = points.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(format!(
        "{name}: {} at step {}, {} at step {}; lowest {} at step {}, highest {} at step {}.",
        short(first.1),
        first.0,
        short(last.1),
        last.0,
        short(low.1),
        low.0,
        short(high.1),
        high.0
    ))
}

fn chart(title: &str, height: f64, lines: Vec<Line>) -> Option<Chart> {
    let about: Vec<String> = lines
        .iter()
        .filter_map(|l| ends(&l.name, &l.points))
        .collect();
    Some(Chart {
        title: title.into(),
        about: about.join(" "),
        lines,
        height,
        ..Chart::default()
    })
    .filter(|c| !c.about.is_empty())
}

fn line(name: &str, look: Look, points: Vec<(f64, f64)>) -> Line {
    Line {
        name: name.into(),
        look,
        points,
        ..Line::default()
    }
}

fn loss(record: &Record) -> Option<Chart> {
    let lines = vec![
        line(
            "training, step",
            Look::Faint,
            over(record, |p| p.steps("loss")),
        ),
        line(
            "training, epoch mean",
            Look::First,
            over(record, Phase::epoch_loss),
        ),
        line(
            "validation",
            Look::Second,
            over(record, |p| p.epochs("validation_loss")),
        ),
        line(
            "validation rows of the source",
            Look::Third,
            over(record, |p| p.epochs("source_loss")),
        ),
    ];
    chart("Loss", 280.0, lines)
}

fn validation(record: &Record) -> Option<Chart> {
    let score = |key: &'static str| over(record, move |p| p.epochs(key));
    let lines = vec![
        line("accuracy", Look::First, score("validation_accuracy")),
        line("macro F1", Look::Second, score("validation_macro_f1")),
        line(
            "accuracy on the source",
            Look::Third,
            score("source_accuracy"),
        ),
    ];
    let mut chart = chart("Validation scores", 280.0, lines)?;
    chart.percent = true;
    Some(chart)
}

/// The terms of a loss that has several.
fn terms(record: &Record) -> Option<Chart> {
    let mut names: Vec<String> = record.phases.iter().flat_map(Phase::terms).collect();
    names.sort();
    names.dedup();
    if names.len() < 2 {
        return None;
    }
    let lines = names.iter().zip(Look::EQUALS);
    let lines = lines.map(|(n, look)| line(n, look, over(record, |p| p.epochs(n))));
    chart("Terms of the loss", 280.0, lines.collect())
}

/// What plays against the encoder: how often a discriminator tells the domains apart, or MDD's adversary agrees, and how much of its gradient is
/// turned round.
fn adversary(record: &Record) -> Option<Chart> {
    let lines = vec![
        line(
            "accuracy",
            Look::First,
            over(record, |p| p.epochs("discriminator_accuracy")),
        ),
        line(
            "reversal coefficient",
            Look::Second,
            over(record, |p| p.epochs("reversal")),
        ),
        line(
            "agrees with the classifier",
            Look::Third,
            over(record, |p| p.epochs("adversary_agrees")),
        ),
    ];
    chart("Adversary", 280.0, lines)
}

/// The score that an adaptation's epoch was chosen by: one without labels of the target, or its accuracy on rows whose labels decide.
fn selector(s: &Source<'_>) -> Option<Chart> {
    // Of a grid whose points labels chose between, the epoch of each was chosen by a score all the same.
    let by = s.result["selection"]["by"].as_str()?;
    let within = by.split_once(", of a grid, by ").map(|(_, by)| by);
    let by = within.map_or(by, |by| by.trim_end_matches(" within"));
    let labelled = over(&s.record, |p| p.epochs("target_accuracy"));
    if !labelled.is_empty() {
        let title = format!("Score with labels of the target: {by}");
        let mut chart = chart(&title, 280.0, vec![line("accuracy", Look::First, labelled)])?;
        chart.percent = true;
        return Some(chart);
    }
    let key = format!("score_{by}");
    let points = over(&s.record, |p| p.epochs(&key));
    let title = format!("Score without labels: {by}");
    chart(&title, 280.0, vec![line(&title, Look::First, points)])
}

fn plain(record: &Record, title: &str, key: &'static str) -> Option<Chart> {
    let mut points = over(record, |p| p.steps(key));
    if points.is_empty() {
        points = over(record, |p| p.epochs(key));
    }
    chart(title, 190.0, vec![line(title, Look::Plain, points)])
}

/// The numbers behind the curves.
fn epochs(record: &Record) -> Markup {
    let mut keys: Vec<String> = Vec::new();
    let lines = || record.phases.iter().flat_map(|p| &p.epochs);
    for line in lines() {
        for (key, value) in line.as_object().into_iter().flatten() {
            let told = ["epoch", "step", "phase"].contains(&key.as_str());
            if value.is_number() && !told && !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    if keys.is_empty() {
        return html! {};
    }
    let several = record.phases.len() > 1;
    let number = |v: &Value| v.as_f64().map_or_else(|| "-".into(), short);
    html! {
        details {
            summary { "The numbers, epoch by epoch" }
            (scroll("Epochs", html! {
                table.numbers {
                    thead { tr {
                        @if several { th scope="col" { "phase" } }
                        th.number scope="col" { "epoch" } th.number scope="col" { "step" }
                        @for key in &keys { th.number scope="col" { (key.replace('_', " ")) } }
                    } }
                    tbody { @for line in lines() { tr {
                        @if several { td { (line["phase"].as_str().unwrap_or_default()) } }
                        th.number scope="row" { (line["epoch"]) } td.number { (line["step"]) }
                        @for key in &keys { td.number { (number(&line[key])) } }
                    } } }
                }
            }))
        }
    }
}
