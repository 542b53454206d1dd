//! The data audit.

use maud::{Markup, html};
use serde_json::Value;

use super::{Source, list, scroll};
use crate::number::{percent, thousands};
use crate::plot::round;

/// Up to so many classes have a row of their own at once.
const CLASSES: usize = 12;

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let audit = s.result["audit"].as_object()?;
    let audit = &Value::Object(audit.clone());
    Some(html! {
        div.beside { (rows(audit)) (classes(audit)) }
        (dropped(audit))
        (findings(list(&audit["findings"])))
    })
}

/// Rows by split, and the share of texts that are cut.
fn rows(audit: &Value) -> Markup {
    let splits: Vec<(&String, u64)> = audit["rows"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(split, n)| Some((split, n.as_u64()?)))
        .collect();
    // Images and numbers have no length.
    let cut = audit["truncated"].as_object();
    let cut = cut.is_some_and(|of| !of.is_empty());
    html! {
        @if !splits.is_empty() {
            (scroll("Rows", html! {
                table.numbers {
                    caption { "Rows" }
                    thead { tr {
                        th scope="col" { "split" } th.number scope="col" { "rows" }
                        @if cut { th.number scope="col" { "texts cut" } }
                    } }
                    tbody { @for (split, n) in &splits { tr {
                        th scope="row" { (split) } td.number { (thousands(*n)) }
                        @if cut { td.number { (audit["truncated"][split.as_str()].as_f64().map_or_else(|| "-".into(), percent)) } }
                    } } }
                }
            }))
        }
    }
}

fn dropped(audit: &Value) -> Markup {
    let dropped: Vec<(&String, u64)> = audit["dropped"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(why, n)| Some((why, n.as_u64().filter(|n| *n > 0)?)))
        .collect();
    html! {
        @if !dropped.is_empty() {
            p {
                "Dropped before training: "
                @for (i, (why, n)) in dropped.iter().enumerate() { @if i > 0 { ", " } (thousands(*n)) " " (why) }
                "."
            }
        }
    }
}

/// How the classes are distributed in each split.
fn classes(audit: &Value) -> Markup {
    let Some(splits) = audit["classes"].as_object() else {
        return html! {};
    };
    let mut names: Vec<&String> = Vec::new();
    for counts in splits.values().filter_map(Value::as_object) {
        for name in counts.keys() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if names.is_empty() {
        return html! {};
    }
    let total = |split: &Value| -> u64 {
        let counts = split.as_object().into_iter().flatten();
        counts.filter_map(|(_, n)| n.as_u64()).sum()
    };
    let cell = |split: &Value, name: &str| {
        let n = split[name].as_u64().unwrap_or(0);
        let share = n as f64 / total(split).max(1) as f64;
        html! {
            td.number.balance {
                (thousands(n)) span.words { (percent(share)) }
                span.part aria-hidden="true" style={ "width:" (round(share * 100.0)) "%" } {}
            }
        }
    };
    let table = scroll(
        "Classes by split",
        html! {
            table.numbers {
                caption { "Classes" }
                thead { tr { th scope="col" { "class" } @for split in splits.keys() { th.number scope="col" { (split) } } } }
                tbody { @for name in &names { tr {
                    th scope="row" { (name) }
                    @for split in splits.values() { (cell(split, name)) }
                } } }
            }
        },
    );
    html! {
        @if names.len() > CLASSES { details { summary { "Classes by split (" (names.len()) ")" } (table) } } @else { (table) }
    }
}

fn findings(findings: &[Value]) -> Markup {
    html! {
        @if findings.is_empty() { p.faint { "The audit found nothing." } }
        ul.findings { @for found in findings {
            @let level = match found["level"].as_str() { Some("warning") => "warning", _ => "note" };
            li.(level) {
                span.level { (level) }
                div {
                    p { (found["words"].as_str().unwrap_or("?")) }
                    @if !list(&found["examples"]).is_empty() {
                        ul.examples { @for example in list(&found["examples"]).iter().take(3) { li {
                            @if let Some(row) = example["row"].as_str() { code { (row) } " " }
                            span dir="auto" { (example["text"].as_str().unwrap_or_default()) }
                        } } }
                    }
                }
            }
        } }
    }
}
