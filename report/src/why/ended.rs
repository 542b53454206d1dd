//! How the run ended.

use super::{Evidence, Finding, Level, Look, some};
use crate::number::short;
use crate::record::Phase;
use crate::run::Status;

/// A run that failed, or whose adaptation did, with the step and the first tensor that was not finite, or the tensors without a gradient.
pub fn ended(e: &Evidence<'_>) -> Look {
    match e.run.status {
        Status::Failed => {}
        Status::Unfinished => {
            return Look::Seen(vec![Finding {
                kind: "unfinished".into(),
                level: Level::Warning,
                words: "the run was stopped or killed before its end; there is no result yet"
                    .into(),
                lines: last_line(e).into_iter().collect(),
                from: "metrics.jsonl",
            }]);
        }
        _ => return Look::Seen(diverged(e).into_iter().collect()),
    }
    let failure = &e.run.result["failure"];
    let error = e.run.result["error"]
        .as_str()
        .unwrap_or("no error is recorded");
    let mut lines = Vec::new();
    let (kind, words) = match failure["kind"].as_str() {
        Some("non-finite") => {
            let text = |key: &str| failure[key].as_str().unwrap_or("?").to_string();
            // Where nothing was being trained there is no step.
            let step = failure["step"].as_u64().filter(|&n| n > 0);
            let step = step.map_or_else(String::new, |n| format!(" at step {n}"));
            lines.extend(before(e));
            let words = format!(
                "{}{step}; the first tensor that is not finite is {}",
                text("what"),
                text("first")
            );
            ("non-finite", words)
        }
        Some("liveness") => {
            let tensors: Vec<String> = failure["tensors"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|t| t.as_str().map(String::from))
                .collect();
            if tensors.len() > 8 {
                lines.push(tensors.join(", "));
            } else if !tensors.is_empty() {
                lines.push(some(&tensors));
            }
            ("liveness", format!("the gradient check failed: {error}"))
        }
        _ => ("failed", format!("the run failed: {error}")),
    };
    Look::Seen(vec![Finding {
        kind: kind.into(),
        level: Level::Warning,
        words,
        lines,
        from: "result.json, metrics.jsonl",
    }])
}

/// An adaptation whose numbers ended, of a run that kept a model from before.
fn diverged(e: &Evidence<'_>) -> Option<Finding> {
    let words = e.run.result["selection"]["diverged"].as_str()?;
    Some(Finding {
        kind: "diverged".into(),
        level: Level::Warning,
        words: format!("the adaptation diverged and was not brought to its end: {words}"),
        lines: before(e),
        from: "result.json, metrics.jsonl",
    })
}

/// The loss, rate and gradient that were recorded before it ended.
fn before(e: &Evidence<'_>) -> Vec<String> {
    let Some(phase) = e.record.phases.last() else {
        return vec!["no step before it is recorded".into()];
    };
    let ends = |key: &str| {
        let points = phase.steps(key);
        Some((*points.first()?, *points.last()?))
    };
    let mut lines = Vec::new();
    for (key, name) in [
        ("loss", "training loss"),
        ("gradient_norm", "gradient norm"),
        ("learning_rate", "learning rate"),
    ] {
        match ends(key) {
            Some((a, b)) if a.0 != b.0 => lines.push(format!(
                "{name} {} at step {}, {} at step {}",
                short(a.1),
                step(phase, a.0),
                short(b.1),
                step(phase, b.0)
            )),
            Some((a, _)) => lines.push(format!(
                "{name} {} at step {}",
                short(a.1),
                step(phase, a.0)
            )),
            None => {}
        }
    }
    lines
}

fn step(phase: &Phase, step: f64) -> u64 {
    phase.before + step as u64
}

fn last_line(e: &Evidence<'_>) -> Option<String> {
    let phase = e.record.phases.last()?;
    let (at, loss) = *phase.steps("loss").last()?;
    Some(format!(
        "last recorded: step {}, training loss {}",
        step(phase, at),
        short(loss)
    ))
}
