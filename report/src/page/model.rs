//! The model stage by stage, and how it is used.

use std::path::Path;

use maud::{Markup, html};
use serde_json::Value;

use super::{Source, list, scroll};
use crate::number::{percent, thousands};

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let layers = list(&s.result["layers"]);
    if layers.is_empty() {
        return None;
    }
    let liveness = s.run.json("liveness.json");
    let sum = |key: &str| -> u64 { layers.iter().filter_map(|l| l[key].as_u64()).sum() };
    let number = |v: &Value| match v.as_u64() {
        Some(n) if n > 0 => thousands(n),
        _ => "-".into(),
    };
    let moves = list(&liveness["tensors"]);
    Some(html! {
        (scroll("Stages", html! {
            table.numbers {
                caption { "Stages, from input to output" }
                thead { tr {
                    th scope="col" { "stage" } th scope="col" { "output" }
                    th.number scope="col" { "parameters" } th.number scope="col" { "trained" }
                    @if !moves.is_empty() { th.number scope="col" { "moved" } }
                } }
                tbody { @for layer in layers { tr {
                    @let stage = layer["stage"].as_str().unwrap_or("?");
                    th scope="row" { (stage) }
                    td { (layer["output"].as_str().unwrap_or_default()) }
                    td.number { (number(&layer["parameters"])) }
                    td.number { (number(&layer["trainable"])) }
                    @if !moves.is_empty() { td.number { (moved(moves, stage)) } }
                } } }
                tfoot { tr {
                    th scope="row" { "all" } td {}
                    td.number { (thousands(sum("parameters"))) } td.number { (thousands(sum("trainable"))) }
                    @if !moves.is_empty() { td {} }
                } }
            }
        }))
        @if !moves.is_empty() {
            p.faint { "Moved: the length of the way from start to end, as a share of the length of the start, over all tensors of the stage." }
        }
    })
}

/// How far a stage went.
fn moved(tensors: &[Value], stage: &str) -> String {
    let (mut norm, mut change) = (0.0, 0.0);
    for t in tensors.iter().filter(|t| t["stage"] == stage) {
        norm += t["norm"].as_f64().unwrap_or(0.0).powi(2);
        change += t["change"].as_f64().unwrap_or(0.0).powi(2);
    }
    match norm > 0.0 {
        true => percent((change / norm).sqrt()),
        false => "-".into(),
    }
}

/// How the model is used, here and elsewhere.
pub fn elsewhere(s: &Source<'_>) -> Option<Markup> {
    let model = &s.result["model"];
    if !model.is_object() {
        return None;
    }
    let folder = s.run.path.join("model");
    // Written by versions that can predict from a run directory.
    let predicts = std::fs::read(folder.join("tlkit.json")).ok();
    let example = predicts.map(|bytes| {
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match said["rows"]["form"].as_str() {
            Some("images") => "photographs/",
            Some("features") => "rows.csv",
            _ => "texts.txt",
        }
    });
    let by = model["loadable_by"].as_str();
    let why = model["reloads_why"].as_str();
    let lost = (model["reloads"] == false).then(|| why.unwrap_or("it is not said why"));
    // Vectors and hidden words: there is no class to answer with.
    let classless = s.result["labels"].as_array().is_some_and(Vec::is_empty);
    let start =
        "it has no classes to answer with, and is there to start from, as `source.checkpoint`";
    let refused = match classless {
        true => Some(start),
        false => lost,
    };
    Some(html! {
        @if let Some(why) = refused {
            p { "tlkit does not predict with it: " (why) "." }
        }
        @if let (Some(example), None) = (example, refused) {
            p { "With tlkit:" }
            pre { code { "tlkit predict " (s.run.path.display()) " " (example) } }
        }
        @if let Some(by) = by {
            p { "Others load it by " code { (by) } "." }
            @if let Some(lines) = python(by, &folder) { pre { code { (lines) } } }
        }
        @if let (None, Some(why)) = (by, model["why"].as_str()) {
            p { @if lost.is_some() { "Others do not load it either: " } @else { "Only tlkit loads it: " } (why) }
        }
    })
}

/// Lines for `transformers SomeClass.from_pretrained`.
fn python(by: &str, folder: &Path) -> Option<String> {
    let call = by.strip_prefix("transformers ")?;
    let class = call.strip_suffix(".from_pretrained")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if class.is_empty() || !class.chars().all(plain) {
        return None;
    }
    let folder = format!("{:?}", folder.display().to_string());
    Some(format!(
        "from transformers import AutoTokenizer, {class}\n\ntokenizer = AutoTokenizer.from_pretrained({folder})\n\
         model = {class}.from_pretrained({folder})"
    ))
}
