//! The rows of a result table that say how good it is, how sure that is, and what stands beside it.

use serde_json::Value;

use crate::style::Style;

/// More classes than these are not listed one by one.
const MOST_CLASSES: usize = 12;

/// Numbers of tlkit's own: what else is one is a plugin's metric.
const OWN: [&str; 13] = [
    "n",
    "accuracy",
    "macro_f1",
    "mcc",
    "ece",
    "loss",
    "level",
    "macro_precision",
    "macro_recall",
    "micro_f1",
    "auroc",
    "temperature",
    "ece_calibrated",
];

/// Scores on the test rows, with their intervals.
pub(crate) fn test(test: &Value, style: Style, row: &mut impl FnMut(&str, String)) {
    if test.is_null() {
        return;
    }
    let n = test["n"].as_u64().unwrap_or(0);
    let mut accuracy = style.strong(&score(&test["accuracy"]));
    if let Some(interval) = interval(test, "accuracy") {
        accuracy.push_str(&format!("  {} % interval {interval}", percent(test)));
    }
    row("test accuracy", format!("{accuracy}  n = {n}"));
    for (key, name) in [
        ("macro_f1", "macro F1"),
        ("macro_precision", "macro precision"),
        ("macro_recall", "macro recall"),
        ("mcc", "MCC"),
        ("auroc", "AUROC"),
    ] {
        if !test[key].is_null() {
            row(name, with_interval(test, key));
        }
    }
    if !test["ece"].is_null() {
        let mut text = score(&test["ece"]);
        if let (Some(after), Some(t)) = (
            test["ece_calibrated"].as_f64(),
            test["temperature"].as_f64(),
        ) {
            text.push_str(&format!("  {after:.4} at temperature {t:.2}"));
        }
        row("ECE", text);
    }
    if !test["loss"].is_null() {
        row("loss", with_interval(test, "loss"));
    }
    // Those of plugins.
    for (key, value) in test.as_object().into_iter().flatten() {
        if value.is_number() && !OWN.contains(&key.as_str()) {
            row(key, score(value));
        }
    }
    classes(&test["per_class"], row);
}

fn classes(classes: &Value, row: &mut impl FnMut(&str, String)) {
    let Some(list) = classes.as_array().filter(|l| l.len() <= MOST_CLASSES) else {
        return;
    };
    let label = |c: &Value| c["label"].as_str().unwrap_or("?").to_string();
    let width = list
        .iter()
        .map(|c| label(c).chars().count())
        .max()
        .unwrap_or(0);
    for (i, c) in list.iter().enumerate() {
        let text = format!(
            "{:<width$}  precision {}  recall {}  F1 {}  n = {}",
            label(c),
            score(&c["precision"]),
            score(&c["recall"]),
            score(&c["f1"]),
            c["support"].as_u64().unwrap_or(0),
        );
        row(if i == 0 { "by class" } else { "" }, text);
    }
}

/// What stands beside it, and whether it was worth it.
pub(crate) fn beside(result: &Value, row: &mut impl FnMut(&str, String)) {
    for b in result["baselines"].as_array().into_iter().flatten() {
        let name = b["name"].as_str().unwrap_or("?");
        let mut text = score(&b["test"]["accuracy"]);
        if let Some(interval) = interval(&b["test"], "accuracy") {
            text.push_str(&format!("  {interval}"));
        }
        if let Some(words) = b["words"].as_str() {
            text.push_str(&format!("  {words}"));
        }
        row(name, text);
    }
    let before = &result["baseline"]["source_only"]["test"];
    if before["accuracy"].is_number() {
        let mut text = score(&before["accuracy"]);
        if let Some(interval) = interval(before, "accuracy") {
            text.push_str(&format!("  {interval}"));
        }
        row("source model", format!("{text}  before it was adapted"));
    }
    if let Some(words) = result["worth"]["words"].as_str() {
        let p = result["worth"]["p"].as_f64();
        let p = p.map_or_else(String::new, |p| match p {
            p if p < 0.0001 => ", p < 0.0001".into(),
            p => format!(", p = {p:.4}"),
        });
        row("worth it?", format!("{words}{p}"));
    }
}

/// Which scores of a cross-validation are no means of its folds, and why.
pub(crate) fn pooled(result: &Value) -> Option<String> {
    let names = result["folds"]["pooled"].as_array()?;
    let names: Vec<String> = names
        .iter()
        .filter_map(Value::as_str)
        .map(|name| match name {
            "macro_f1" => "macro F1".into(),
            "mcc" => "MCC".into(),
            other => other.replace('_', " "),
        })
        .collect();
    Some(format!(
        "{}: of all rows together, since the test of a fold lacks a class",
        names.join(", ")
    ))
}

/// The folds and the grid behind a result.
pub(crate) fn parts(result: &Value, row: &mut impl FnMut(&str, String)) {
    if let Some(k) = result["folds"]["k"].as_u64() {
        let accuracy = &result["folds"]["metrics"]["accuracy"];
        let values: Vec<String> = accuracy["values"]
            .as_array()
            .into_iter()
            .flatten()
            .map(score)
            .collect();
        row("folds", format!("{k}: accuracy {}", values.join(" ")));
        row(
            "",
            format!(
                "deviation {}, corrected resampled t",
                score(&accuracy["deviation"])
            ),
        );
        if let Some(text) = pooled(result) {
            row("", text);
        }
    }
    let tuned = &result["tuned"];
    if let Some(points) = tuned["points"].as_array() {
        let chosen = tuned["chosen"].as_u64().unwrap_or(0);
        for (i, point) in points.iter().enumerate() {
            let values = point["values"].as_object().into_iter().flatten();
            let values: Vec<String> = values.map(|(k, v)| format!("{k} = {v}")).collect();
            let validation = &point["validation"];
            let (name, value) = match validation["accuracy"].is_null() {
                true => ("loss", &validation["loss"]),
                false => ("accuracy", &validation["accuracy"]),
            };
            let mark = if i as u64 + 1 == chosen {
                "  chosen"
            } else {
                ""
            };
            let text = format!(
                "{}  validation {name} {}{mark}",
                values.join(", "),
                score(value)
            );
            row(if i == 0 { "tuned" } else { "" }, text);
        }
    }
}

/// The level of the scores' intervals, in per cent.
pub(crate) fn percent(test: &Value) -> f64 {
    let level = test["level"].as_f64().unwrap_or(0.95);
    (level * 1e4).round() / 1e2
}

fn with_interval(scores: &Value, key: &str) -> String {
    match interval(scores, key) {
        Some(i) => format!("{}  {i}", score(&scores[key])),
        None => score(&scores[key]),
    }
}

fn interval(scores: &Value, key: &str) -> Option<String> {
    let ends = &scores[format!("{key}_interval").as_str()];
    let (low, high) = (ends[0].as_f64()?, ends[1].as_f64()?);
    Some(format!("{low:.4} to {high:.4}"))
}

/// Four places.
pub(crate) fn score(value: &Value) -> String {
    value
        .as_f64()
        .map_or_else(|| "-".to_string(), |v| format!("{v:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(of: impl Fn(&mut dyn FnMut(&str, String))) -> Vec<String> {
        let mut out = Vec::new();
        of(&mut |name, text| out.push(format!("{name}: {text}")));
        out
    }

    #[test]
    fn scores_have_their_intervals_and_classes_their_line() {
        let json = json!({
            "n": 300, "accuracy": 0.84, "accuracy_interval": [0.8, 0.88], "level": 0.9, "macro_f1": 0.8399,
            "macro_f1_interval": [0.79, 0.87], "mcc": 0.68, "auroc": 0.91, "ece": 0.05, "ece_calibrated": 0.031,
            "temperature": 1.42, "loss": 0.4,
            "per_class": [{"label": "negative", "precision": 0.8, "recall": 0.9, "f1": 0.847, "support": 150},
                          {"label": "ok", "precision": 0.9, "recall": 0.8, "f1": 0.847, "support": 150}],
        });
        assert_eq!(
            rows(|mut row| test(&json, Style::new(false), &mut row)),
            [
                "test accuracy: 0.8400  90 % interval 0.8000 to 0.8800  n = 300",
                "macro F1: 0.8399  0.7900 to 0.8700",
                "MCC: 0.6800",
                "AUROC: 0.9100",
                "ECE: 0.0500  0.0310 at temperature 1.42",
                "loss: 0.4000",
                "by class: negative  precision 0.8000  recall 0.9000  F1 0.8470  n = 150",
                ": ok        precision 0.9000  recall 0.8000  F1 0.8470  n = 150",
            ]
        );
    }

    #[test]
    fn baselines_folds_and_points_have_theirs() {
        let json = json!({
            "baselines": [{"name": "majority", "words": "always says `a`", "test": {"accuracy": 0.5}},
                          {"name": "tf-idf", "words": "w", "test": {"accuracy": 0.8, "accuracy_interval": [0.7, 0.9]}}],
            "worth": {"words": "this model is better", "p": 0.00001},
            "folds": {"k": 2, "pooled": ["macro_f1", "mcc"], "metrics": {"accuracy": {"values": [0.7, 0.8], "deviation": 0.07}}},
            "tuned": {"chosen": 2, "points": [
                {"values": {"train.epochs": 1}, "validation": {"accuracy": 0.7}},
                {"values": {"train.epochs": 2}, "validation": {"accuracy": 0.9}}]},
        });
        assert_eq!(
            rows(|mut row| beside(&json, &mut row)),
            [
                "majority: 0.5000  always says `a`",
                "tf-idf: 0.8000  0.7000 to 0.9000  w",
                "worth it?: this model is better, p < 0.0001",
            ]
        );
        assert_eq!(
            rows(|mut row| parts(&json, &mut row)),
            [
                "folds: 2: accuracy 0.7000 0.8000",
                ": deviation 0.0700, corrected resampled t",
                ": macro F1, MCC: of all rows together, since the test of a fold lacks a class",
                "tuned: train.epochs = 1  validation accuracy 0.7000",
                ": train.epochs = 2  validation accuracy 0.9000  chosen",
            ]
        );
    }
}
