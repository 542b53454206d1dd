//! `report.html`: a run directory as one file that needs no network, no script and no other file.
//!
//! Every part reads its own fields and is left out where they are not there; the list of contents names the parts that are.

mod audit;
mod confusion;
mod cost;
mod curves;
mod embedding;
mod errors;
mod findings;
mod head;
mod model;
mod recipe;
mod reliability;
mod scores;
mod sheet;

use std::collections::BTreeMap;
use std::path::Path;

pub use sheet::image;

use maud::{Markup, html};
use serde_json::Value;

use crate::record::{self, Record};
use crate::run::Run;
use crate::shell::{sections, shell};

/// Colours, sizes, print. A test reads the colours and computes their contrasts.
const STYLE: &str = include_str!("style.css");

/// What the parts read.
struct Source<'a> {
    run: &'a Run,
    result: &'a Value,
    record: Record,
    predictions: Vec<Value>,
    /// Small copies of test images by the rows' names; none where rows are no images.
    pictures: BTreeMap<String, Picture>,
}

/// A part: its identifier, its title, and how it is drawn; nothing where its fields are absent.
type Part = (
    &'static str,
    &'static str,
    fn(&Source<'_>) -> Option<Markup>,
);

const PARTS: [Part; 13] = [
    ("result", "Result", scores::draw),
    ("findings", "What stands out", findings::draw),
    ("curves", "Training", curves::draw),
    ("embedding", "Source and target", embedding::draw),
    ("confusion", "Confusion", confusion::draw),
    ("reliability", "Reliability", reliability::draw),
    ("sheet", "Test images", sheet::draw),
    ("errors", "Most confident errors", errors::draw),
    ("data", "Data", audit::draw),
    ("model", "Model", model::draw),
    ("elsewhere", "Use the model", model::elsewhere),
    ("recipe", "Recipe", recipe::draw),
    ("cost", "Cost and origin", cost::draw),
];

/// The page of a run.
pub fn page(run: &Run) -> String {
    let source = Source {
        run,
        result: &run.result,
        record: Record::read(&run.path),
        predictions: record::lines(&run.path.join("predictions.jsonl")),
        pictures: pictures(&run.path),
    };
    let parts: Vec<_> = PARTS
        .iter()
        .filter_map(|(id, title, draw)| Some((*id, *title, draw(&source)?)))
        .collect();
    let body = html! {
        header { (head::draw(&source)) }
        div.columns {
            nav aria-label="Contents" {
                ul { @for (id, title, _) in &parts { li { a href={ "#" (id) } { (title) } } } }
            }
            main { (sections(&parts)) }
        }
        footer { "Written by tlkit " (run.result["version"].as_str().unwrap_or_default()) " from the run directory " code { (run.path.display()) } "." }
    };
    shell(&head::title(run), STYLE, body)
}

/// A small copy of a test image.
pub struct Picture {
    /// A JPEG in base64.
    pub jpeg: String,
    /// Whether it belongs to the sheet.
    sheet: bool,
}

/// Those of a run directory. There are about a hundred at most; of a file that somebody else wrote as many are taken.
pub fn pictures(run: &Path) -> BTreeMap<String, Picture> {
    let lines = record::lines(&run.join("thumbnails.jsonl"));
    let picture = |line: &Value| {
        let jpeg = line["jpeg"].as_str()?.to_string();
        let sheet = line["sheet"].as_bool().unwrap_or(false);
        let id = line["id"].as_str()?.to_string();
        Some((id, Picture { jpeg, sheet }))
    };
    lines.iter().take(200).filter_map(picture).collect()
}

/// A table that scrolls in itself when it is wider than the page; `name` is read aloud.
pub fn scroll(name: &str, table: Markup) -> Markup {
    html! { div.scroll role="region" tabindex="0" aria-label=(name) { (table) } }
}

/// A list in JSON, empty where there is none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The labels' names.
fn labels(result: &Value) -> Vec<&str> {
    list(&result["labels"])
        .iter()
        .map(|l| l.as_str().unwrap_or("?"))
        .collect()
}
