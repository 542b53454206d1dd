//! A sheet of test images with what was said of each, where rows are images and the run kept small copies.

use maud::{Markup, html};
use serde_json::Value;

use super::Source;

/// Most that are shown.
const SHOWN: usize = 60;

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let shown: Vec<(&Value, &str)> = s
        .predictions
        .iter()
        .filter_map(|row| {
            let picture = s.pictures.get(row["id"].as_str()?)?;
            picture.sheet.then_some((row, picture.jpeg.as_str()))
        })
        .take(SHOWN)
        .collect();
    if shown.is_empty() {
        return None;
    }
    let wrong = shown
        .iter()
        .filter(|(row, _)| row["label"] != row["prediction"])
        .count();
    // By class, as in the confusion; the file's order within one.
    let mut shown = shown;
    shown.sort_by_key(|(row, _)| row["label"].as_str().map(String::from));
    Some(html! {
        p { "The first images of each class in the test: " (shown.len() - wrong) " of these " (shown.len()) " are right."
            @if wrong > 0 { " Under a wrong one stands what was said of it." }
        }
        ul.sheet { @for (row, jpeg) in &shown { (entry(row, jpeg)) } }
    })
}

fn entry(row: &Value, jpeg: &str) -> Markup {
    let text = |v: &Value| v.as_str().unwrap_or("?").to_string();
    let right = row["label"] == row["prediction"];
    html! {
        li.wrong[!right] {
            (image(jpeg, &text(&row["label"])))
            span.is { (text(&row["label"])) }
            @if !right { span.said { (text(&row["prediction"])) } }
        }
    }
}

/// A small image, whose class is read aloud; nothing but base64 gets into the address.
pub fn image(jpeg: &str, alt: &str) -> Markup {
    let clean = jpeg
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    html! { @if clean { img loading="lazy" alt=(alt) src={ "data:image/jpeg;base64," (jpeg) }; } }
}
