//! The result against its baselines, and every score.

use maud::{Markup, html};
use serde_json::Value;

use super::{Source, list, scroll};
use crate::number::{percent, score};
use crate::plot::round;
use crate::result::{fits, oracle, trained_once};
use crate::scores;

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let metrics = &s.result["metrics"];
    let splits: Vec<&str> = ["test", "validation"]
        .into_iter()
        .filter(|split| metrics[split].is_object())
        .collect();
    if splits.is_empty() {
        return None;
    }
    Some(html! {
        div.beside {
            div.wide { (bars(s)) (worth(s)) (selection(s)) }
            (table(metrics, &splits))
            @if let Some(text) = scores::pooled(s.result) { p.faint { (text) "." } }
        }
    })
}

/// A row of the bars.
struct Bar {
    name: String,
    words: String,
    accuracy: f64,
    interval: Option<(f64, f64)>,
    ours: bool,
}

fn interval(scores: &Value) -> Option<(f64, f64)> {
    let ends = &scores["accuracy_interval"];
    Some((ends[0].as_f64()?, ends[1].as_f64()?))
}

/// The baselines' accuracy and the model's, as bars with their intervals.
fn bars(s: &Source<'_>) -> Markup {
    let metrics = &s.result["metrics"];
    let mut rows: Vec<Bar> = Vec::new();
    let bar = |name: &str, words: &str, scores: &Value, ours: bool| {
        Some(Bar {
            name: name.to_string(),
            words: words.to_string(),
            accuracy: scores["accuracy"].as_f64()?,
            interval: interval(scores),
            ours,
        })
    };
    for baseline in list(&s.result["baselines"]) {
        let text = |key: &str| baseline[key].as_str().unwrap_or_default();
        rows.extend(bar(text("name"), text("words"), &baseline["test"], false));
    }
    let twin = &s.result["baseline"]["source_only"]["test"];
    rows.extend(bar(
        "source only",
        "the source model, not adapted",
        twin,
        false,
    ));
    let (scores, words) = match metrics["test"]["accuracy"].is_number() {
        true => (&metrics["test"], s.result["strategy"]["method"].as_str()),
        false => (&metrics["validation"], Some("on validation rows")),
    };
    rows.extend(bar("this model", words.unwrap_or_default(), scores, true));
    let level = scores::percent(scores);
    html! {
        table.bars {
            caption { "Accuracy" @if rows.iter().any(|r| r.interval.is_some()) { span.faint { ", with " (level) " % intervals" } } }
            thead.hidden { tr { th scope="col" { "Model" } th scope="col" { "Bar" } th scope="col" { "Accuracy" } } }
            tbody {
                @for row in &rows {
                    tr.ours[row.ours] {
                        th scope="row" { (row.name) @if !row.words.is_empty() { span.words { (row.words) } } }
                        td { (bar_picture(row)) }
                        td.value {
                            (percent(row.accuracy))
                            @if let Some((low, high)) = row.interval {
                                span.words { (format!("{:.1} to {:.1}", low * 100.0, high * 100.0)) }
                            }
                        }
                    }
                }
            }
            tfoot aria-hidden="true" { tr { td {} td { div.scale { span { "0 %" } span { "50 %" } span { "100 %" } } } td {} } }
        }
    }
}

/// From 0 to 100 %, as wide as its cell.
fn bar_picture(bar: &Bar) -> Markup {
    let place = |share: f64| format!("{}%", round(share.clamp(0.0, 1.0) * 100.0));
    html! {
        svg.bar width="100%" height="26" aria-hidden="true" {
            rect.track x="0" y="4" width="100%" height="18" rx="2" {}
            rect.fill x="0" y="4" width=(place(bar.accuracy)) height="18" rx="2" {}
            @if let Some((low, high)) = bar.interval {
                @for class in ["halo", "whisker"] {
                    line.(class) x1=(place(low)) x2=(place(high)) y1="13" y2="13" {}
                    line.(class) x1=(place(low)) x2=(place(low)) y1="8" y2="18" {}
                    line.(class) x1=(place(high)) x2=(place(high)) y1="8" y2="18" {}
                }
            }
        }
    }
}

fn worth(s: &Source<'_>) -> Markup {
    let worth = &s.result["worth"];
    let level = scores::percent(&s.result["metrics"]["test"]);
    // Over folds it is no test of rows.
    let test = match s.result["folds"]["k"].as_u64() {
        None => "exact McNemar".to_string(),
        Some(k) => format!("corrected resampled t over {k} folds,"),
    };
    let points = |v: &Value| v.as_f64().map(|v| format!("{:+.1}", v * 100.0));
    let (difference, low, high) = (
        points(&worth["difference"]),
        points(&worth["interval"][0]),
        points(&worth["interval"][1]),
    );
    html! {
        @if let (Some(difference), Some(low), Some(high)) = (difference, low, high) {
            p {
                "Difference to " (worth["against"].as_str().unwrap_or("the baseline")) @if s.result["folds"].is_null() { ", row by row" } ": "
                strong { (difference) " points" } " (" (level) " % interval " (low) " to " (high)
                @if let Some(p) = worth["p"].as_f64() { "; " (test) " p = " (crate::number::short(p)) }
                ")."
            }
        }
    }
}

/// Scores that have a name, in this order; others follow under their key.
const NAMES: [(&str, &str); 13] = [
    ("n", "rows or tokens"),
    ("accuracy", "accuracy"),
    ("macro_f1", "macro F1"),
    ("micro_f1", "micro F1"),
    ("macro_precision", "macro precision"),
    ("macro_recall", "macro recall"),
    ("mcc", "MCC"),
    ("auroc", "AUROC"),
    ("loss", "loss (nats)"),
    ("ece", "ECE"),
    ("ece_calibrated", "ECE, calibrated"),
    ("temperature", "temperature"),
    ("loss_calibrated", "loss, calibrated"),
];

fn table(metrics: &Value, splits: &[&str]) -> Markup {
    let mut rows: Vec<(String, String)> = NAMES
        .iter()
        .map(|(k, n)| (k.to_string(), n.to_string()))
        .collect();
    for split in splits {
        for (key, value) in metrics[split].as_object().into_iter().flatten() {
            // How sure the intervals are is no score.
            let score = value.is_number() && key != "level";
            if score && !rows.iter().any(|(k, _)| k == key) {
                rows.push((key.clone(), key.replace('_', " ")));
            }
        }
    }
    let of_rows = splits.iter().all(|s| metrics[s]["confusion"].is_array());
    rows.retain(|(key, _)| splits.iter().any(|s| metrics[s][key].is_number()));
    scroll(
        "Scores",
        html! {
            table.numbers {
                caption { "Scores" @if splits.contains(&"test") { span.faint { ", with " (crate::scores::percent(&metrics["test"])) " % intervals where there are any" } } }
                thead { tr { th scope="col" { "score" } @for split in splits { th.number scope="col" { (split) } } } }
                tbody {
                    @for (key, name) in &rows {
                        @let name = if key == "n" && of_rows { "rows" } else { name };
                        tr { th scope="row" { (name) } @for split in splits { td.number { (cell(&metrics[split], key)) } } }
                    }
                }
            }
        },
    )
}

fn cell(scores: &Value, key: &str) -> Markup {
    let ends = &scores[format!("{key}_interval")];
    html! {
        @match (&scores[key], scores[key].as_u64(), scores[key].as_f64()) {
            (_, Some(n), _) if key == "n" => { (crate::number::thousands(n)) }
            (_, _, Some(v)) => { (score(v)) }
            _ => { span.faint { "-" } }
        }
        @if let (Some(low), Some(high)) = (ends[0].as_f64(), ends[1].as_f64()) {
            span.words { (score(low)) " to " (score(high)) }
        }
    }
}

fn selection(s: &Source<'_>) -> Markup {
    let selection = &s.result["selection"];
    html! {
        @if let Some(by) = selection["by"].as_str() {
            p.faint {
                @match selection["epoch"].as_u64() {
                    Some(epoch) => {
                        "The weights are those of epoch " (epoch)
                        @if let Some(of) = selection["of"].as_str() { " of " (of) ": the adaptation showed no better" }
                        ", chosen by " (by) "."
                    }
                    None if !trained_once(s.result) => {}
                    None => { "The weights are those of the last epoch." }
                }
                @if let Some(words) = selection["diverged"].as_str() { " " strong { "The adaptation diverged: " (words) "." } }
                @if selection["oracle"] == true { " " strong { "Oracle: " (oracle(selection)) "." } }
            }
        }
        @if fits(s.result).next().is_some() {
            p.faint {
                "Closed-form fit: "
                @for (i, (name, value)) in fits(s.result).enumerate() {
                    @if i > 0 { ", " }
                    (name) " " (value.as_f64().map_or_else(|| value.to_string(), crate::number::short))
                }
            }
        }
    }
}
