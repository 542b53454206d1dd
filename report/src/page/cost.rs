//! What it cost, and what it was made of.

use maud::{Markup, html};

use super::Source;
use crate::number::{seconds, thousands};

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let result = s.result;
    let text = |key: &str| result[key].as_str().map(String::from);
    let number = |key: &str| result[key].as_u64();
    let took = result["seconds"].as_f64();
    let each = took.zip(number("steps").filter(|n| *n > 0));
    let cost = [
        ("time", took.map(seconds)),
        ("steps", number("steps").map(thousands)),
        (
            "a step",
            each.map(|(s, n)| format!("{:.0} ms", s / n as f64 * 1e3)),
        ),
        (
            "memory at most",
            number("peak_rss_mb")
                .filter(|n| *n > 0)
                .map(|n| format!("{} MiB", thousands(n))),
        ),
        (
            "tested on",
            (s.run.tested_as_adapted()).then(|| "the rows that were adapted on".into()),
        ),
        (
            "its test rows were opened by",
            result["test_rows"]["opened_by"].as_u64().map(|n| match n {
                1 => "this run alone, in its folder".into(),
                n => format!("{n} runs in its folder"),
            }),
        ),
        ("device", text("device")),
        ("threads", number("threads").map(|n| n.to_string())),
    ];
    let origin = [
        ("tlkit", text("version")),
        ("seed", number("seed").map(|n| n.to_string())),
        ("recipe", text("recipe_sha256")),
        ("data", text("data_sha256")),
        (
            "source weights",
            s.run.identity["source_digest"].as_str().map(String::from),
        ),
        ("weights", text("weights_sha256")),
        ("identity", text("identity")),
    ];
    // Version and seed alone are no part of a page.
    if cost.iter().chain(&origin[2..]).all(|(_, v)| v.is_none()) {
        return None;
    }
    Some(html! {
        dl.facts-list { @for (name, value) in &cost { @if let Some(value) = value { div { dt { (name) } dd { (value) } } } } }
        dl.hashes { @for (name, value) in &origin { @if let Some(value) = value { dt { (name) } dd { code { (value) } } } } }
    })
}
