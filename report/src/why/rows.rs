//! What the scores and the audit of `result.json` say.

use serde_json::Value;

use super::{Evidence, Finding, Level, Look, some};
use crate::number::{count, percent};

/// A share of texts that are cut is worth a line from here on.
const CUT: f64 = 0.01;
/// And a warning from here on.
const CUT_OFTEN: f64 = 0.1;

const RESULT: &str = "result.json";

/// Labels that the model never predicts, though rows have them.
pub fn never_predicted(e: &Evidence<'_>) -> Look {
    let metrics = &e.run.result["metrics"];
    let split = ["test", "validation"]
        .into_iter()
        .find(|s| metrics[s]["confusion"].is_array());
    let (Some(split), Some(labels)) = (split, e.run.result["labels"].as_array()) else {
        return Look::Absent("result.json has no confusion matrix".into());
    };
    let confusion = matrix(&metrics[split]["confusion"]);
    let mut never = Vec::new();
    for (class, label) in labels.iter().enumerate() {
        let rows: u64 = confusion.get(class).map_or(0, |row| row.iter().sum());
        let predicted: u64 = confusion.iter().filter_map(|row| row.get(class)).sum();
        if rows > 0 && predicted == 0 {
            let label = label.as_str().unwrap_or("?");
            never.push(format!("`{label}` ({})", count(rows, "row")));
        }
    }
    if never.is_empty() {
        return Look::Seen(Vec::new());
    }
    let n: u64 = confusion.iter().flatten().sum();
    Look::Seen(vec![Finding {
        kind: "never-predicted".into(),
        level: Level::Warning,
        words: format!(
            "{} of {} labels are never predicted on the {n} {split} rows: {}",
            never.len(),
            labels.len(),
            some(&never)
        ),
        lines: Vec::new(),
        from: RESULT,
    }])
}

/// Rows of numbers; empty where it is none.
pub fn matrix(value: &Value) -> Vec<Vec<u64>> {
    let row = |row: &Value| {
        let cells = row.as_array().into_iter().flatten();
        cells.map(|v| v.as_u64().unwrap_or(0)).collect()
    };
    value.as_array().into_iter().flatten().map(row).collect()
}

/// A length limit that cuts.
pub fn cut(e: &Evidence<'_>) -> Look {
    let Some(truncated) = e.run.result["audit"]["truncated"].as_object() else {
        return Look::Absent("result.json has no `audit.truncated`".into());
    };
    let cut: Vec<(&String, f64)> = truncated
        .iter()
        .filter_map(|(split, share)| Some((split, share.as_f64().filter(|s| *s >= CUT)?)))
        .collect();
    let Some(most) = cut.iter().map(|c| c.1).max_by(f64::total_cmp) else {
        return Look::Seen(Vec::new());
    };
    let list: Vec<String> = cut
        .iter()
        .map(|(split, share)| format!("{} of {split}", percent(*share)))
        .collect();
    let limit = &e.run.identity["values"]["source"]["max_length"];
    let limit = limit
        .as_u64()
        .map_or(String::new(), |n| format!(" of {n} tokens"));
    Look::Seen(vec![Finding {
        kind: "length-limit".into(),
        level: match most >= CUT_OFTEN {
            true => Level::Warning,
            false => Level::Note,
        },
        words: format!("the length limit{limit} cuts texts: {}", list.join(", ")),
        lines: Vec::new(),
        from: RESULT,
    }])
}

/// What the data audit found.
pub fn audit(e: &Evidence<'_>) -> Look {
    let audit = &e.run.result["audit"];
    if !audit.is_object() {
        return Look::Absent("result.json has no `audit`".into());
    }
    let mut findings: Vec<Finding> = Vec::new();
    for found in audit["findings"].as_array().into_iter().flatten() {
        let Some(words) = found["words"].as_str() else {
            continue;
        };
        let example = |e: &Value| {
            let (row, text) = (e["row"].as_str()?, e["text"].as_str().unwrap_or_default());
            Some(format!("{row}  {text}").trim_end().to_string())
        };
        let examples = found["examples"].as_array().into_iter().flatten();
        findings.push(Finding {
            kind: format!("audit-{}", found["kind"].as_str().unwrap_or("finding")),
            level: match found["level"] == "warning" {
                true => Level::Warning,
                false => Level::Note,
            },
            words: format!("data audit: {words}"),
            lines: examples.filter_map(example).take(3).collect(),
            from: RESULT,
        });
    }
    let dropped: Vec<String> = audit["dropped"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(why, n)| Some((why, n.as_u64().filter(|n| *n > 0)?)))
        .map(|(why, n)| format!("{n} {why}"))
        .collect();
    if !dropped.is_empty() {
        findings.push(Finding {
            kind: "audit-dropped".into(),
            level: Level::Note,
            words: format!(
                "data audit: rows dropped before training: {}",
                dropped.join(", ")
            ),
            lines: Vec::new(),
            from: RESULT,
        });
    }
    Look::Seen(findings)
}

/// A baseline that is as good.
pub fn baselines(e: &Evidence<'_>) -> Look {
    let worth = &e.run.result["worth"];
    let (Some(low), Some(high)) = (worth["interval"][0].as_f64(), worth["interval"][1].as_f64())
    else {
        return Look::Absent("result.json has no `worth`".into());
    };
    if low > 0.0 {
        return Look::Seen(Vec::new());
    }
    let against = worth["against"].as_str().unwrap_or("the baseline");
    let points = |v: f64| format!("{:+.1}", v * 100.0);
    let difference = worth["difference"].as_f64().unwrap_or((low + high) / 2.0);
    let said = match high < 0.0 {
        true => format!("the model is worse than {against}"),
        false => format!("the model cannot be told from {against}"),
    };
    Look::Seen(vec![Finding {
        kind: "baseline".into(),
        level: Level::Warning,
        words: format!(
            "{said}: {} points on the test rows, {} % interval {} to {}",
            points(difference),
            crate::scores::percent(&e.run.result["metrics"]["test"]),
            points(low),
            points(high)
        ),
        lines: Vec::new(),
        from: RESULT,
    }])
}
