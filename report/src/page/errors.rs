//! Test rows that the model is most sure of and wrong about.

use maud::{Markup, html};
use serde_json::Value;

use super::Source;
use super::sheet::image;
use crate::number::{count, percent};

/// Errors that are shown at once, and behind a fold.
const SHOWN: usize = 8;
const FOLDED: usize = 40;

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    if s.predictions.is_empty() {
        return None;
    }
    let mut wrong: Vec<(f64, &Value)> = s
        .predictions
        .iter()
        .filter(|row| row["label"].is_string() && row["label"] != row["prediction"])
        .map(|row| (confidence(row), row))
        .collect();
    if wrong.is_empty() {
        let n = s.predictions.len() as u64;
        return Some(html! { p { "None of " (count(n, "test row")) " is wrong." } });
    }
    // By confidence; equals stay in the order of the file.
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    let total = wrong.len();
    let more = &wrong[total.min(SHOWN)..total.min(FOLDED)];
    Some(html! {
        p {
            (total) " of " (count(s.predictions.len() as u64, "test row")) " are wrong. Those of the largest probability come first."
        }
        (entries(s, &wrong[..total.min(SHOWN)]))
        @if !more.is_empty() {
            details { summary { (more.len()) " more" } (entries(s, more)) }
        }
    })
}

/// The probability of what was predicted: the largest.
fn confidence(row: &Value) -> f64 {
    let probabilities = row["probabilities"].as_array().into_iter().flatten();
    probabilities.filter_map(Value::as_f64).fold(0.0, f64::max)
}

fn entries(s: &Source<'_>, rows: &[(f64, &Value)]) -> Markup {
    let picture = |row: &Value| s.pictures.get(row["id"].as_str()?);
    let text = |v: &Value| v.as_str().unwrap_or("?").to_string();
    html! {
        ol.errors { @for (confidence, row) in rows { li {
            p.verdict {
                strong { (percent(*confidence)) } " " span.said { (text(&row["prediction"])) }
                span.faint { ", is " } span.is { (text(&row["label"])) }
                span.id { "row " (text(&row["id"])) }
            }
            @if let Some(picture) = picture(row) { (image(&picture.jpeg, row["label"].as_str().unwrap_or("?"))) }
            @if let Some(input) = row["input"].as_str() { blockquote dir="auto" { (input) } }
        } } }
    }
}
