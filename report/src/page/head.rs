//! The title, and the result in a sentence.

use maud::{Markup, html};

use super::Source;
use crate::number::{count, percent};
use crate::run::{Run, Status};
use crate::scores;

/// For the browser's title bar.
pub fn title(run: &Run) -> String {
    match run.test_accuracy() {
        Some(accuracy) => format!("{}: {} on test", run.recipe(), percent(accuracy)),
        None => format!("{}: {}", run.recipe(), run.status.word()),
    }
}

pub fn draw(s: &Source<'_>) -> Markup {
    let result = s.result;
    let method = result["strategy"]["method"].as_str();
    let kind = result["strategy"]["kind"].as_str();
    let status = match s.run.status {
        Status::Done => "good",
        Status::Failed => "bad",
        _ => "open",
    };
    html! {
        p.kicker { "tlkit run report" }
        h1 { (s.run.recipe()) span.badge.(status) { (s.run.status.word()) } }
        p.facts {
            @if let Some(method) = method {
                span { strong { (method) } @if let Some(kind) = kind { " (" (kind) ")" } }
            }
            @for (name, value) in facts(s) { span { span.faint { (name) } " " (value) } }
        }
        @if let Some(error) = result["error"].as_str() {
            div.error role="note" { p { strong { "The run failed." } } pre { (error) } }
        }
        @if let Some(sentence) = sentence(s) { p.lead { (sentence) } }
    }
}

/// Source, target, seed, device: from the recipe's values.
fn facts(s: &Source<'_>) -> Vec<(&'static str, String)> {
    let values = &s.run.identity["values"];
    let text = |table: &str, key: &str| values[table][key].as_str().map(String::from);
    let mut facts = Vec::new();
    let from = text("source", "checkpoint").or_else(|| text("source", "task"));
    facts.extend(from.map(|f| ("from", f)));
    let to = text("target", "train").or_else(|| text("target", "unlabelled"));
    facts.extend(to.map(|t| ("on", t)));
    facts.extend(s.result["seed"].as_u64().map(|n| ("seed", n.to_string())));
    facts.push(("run", s.run.id()));
    facts
}

/// `74.7 % of 300 test rows are right`, with the interval and what the baselines say.
fn sentence(s: &Source<'_>) -> Option<Markup> {
    let test = &s.result["metrics"]["test"];
    let accuracy = test["accuracy"].as_f64()?;
    let n = test["n"].as_u64()?;
    // Where tokens are predicted there is no confusion matrix, and a row is a hidden token.
    let row = match test["confusion"].is_array() {
        true => "test row",
        false => "hidden test token",
    };
    let interval = (
        test["accuracy_interval"][0].as_f64(),
        test["accuracy_interval"][1].as_f64(),
    );
    let folds = s.result["folds"]["k"].as_u64();
    Some(html! {
        @match folds {
            // Folds need not be of one size, so a mean over them is no share of the rows.
            Some(k) => { "Accuracy " span.figure { (percent(accuracy)) } ", the mean of " (count(k, "fold")) " (" (count(n, "row")) ")" }
            None => { span.figure { (percent(accuracy)) } " of " (count(n, row)) " are right" }
        }
        @if let (Some(low), Some(high)) = interval {
            span.faint { ", " (scores::percent(test)) " % interval " (percent(low)) " to " (percent(high)) }
        }
        "."
        @if let Some(words) = s.result["worth"]["words"].as_str() { " " (capital(words)) "." }
    })
}

/// With a capital letter: words of a table stand in a text here.
fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
