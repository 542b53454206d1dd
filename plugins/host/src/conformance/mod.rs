//! What a library must hold to, tried out: `tlkit plugins check`. To be run in a process of its own.
//!
//! The trials are of the traits of core, so that built-ins and strangers go through the same ones: [`reader`], [`source`], [`term`],
//! [`metric`]. `tests/conformance.rs` of tlkit runs them on what tlkit brings itself.

mod calls;
mod home;
mod memory;
mod metric;
mod reader;
mod source;
mod term;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tlkit_core::task::SourceTask;
use tlkit_core::{Error, Result};

use crate::file::Stamp;
use crate::keys;
use crate::library::{self, Plugin};
use crate::manifest::{EntryKind, ManifestEntry};
use crate::metric::CMetric;
use crate::reader::CReader;
use crate::source::CSource;
use crate::strategy::CStrategy;
use crate::tables;
use crate::target::Said;
use crate::term::CTerm;

pub use metric::metric;
pub use reader::reader;
pub use source::{Make, Rows, source};
pub use term::term;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Of what: `loss term centroid`.
    pub entry: String,
    /// What was tried.
    pub tried: String,
    /// How it went: words, or what is wrong.
    pub outcome: std::result::Result<String, String>,
}

/// What to try with.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// A file for the readers, and for the inputs of source tasks that read images.
    pub file: Option<PathBuf>,
    /// Values of keys, over their defaults.
    pub keys: Map<String, Value>,
}

/// Hears of each trial as it is done: what was tried, and how it went.
pub type Tell<'t> = &'t mut dyn FnMut(&str, Result<String>);

/// Tries everything that the library brings; `say` hears of each line as it is done. Returns how many went wrong.
pub fn check(
    library: &Path,
    material: &Material,
    say: &mut dyn FnMut(&Line),
) -> std::result::Result<usize, crate::LoadError> {
    crate::network::thorough();
    let plugin = loaded(library)?;
    let mut wrong = 0;
    for entry in &plugin.manifest.entries {
        let mut tell = |tried: &str, outcome: Result<String>| {
            let line = Line {
                entry: format!("{} {}", entry.kind.words(), entry.name),
                tried: tried.into(),
                outcome: outcome.map_err(|e| e.to_string()),
            };
            wrong += usize::from(line.outcome.is_err());
            say(&line);
        };
        one(&plugin, entry, material, &mut tell);
    }
    Ok(wrong)
}

/// The library, asked once for its tables, as in a run.
fn loaded(library: &Path) -> std::result::Result<Plugin, crate::LoadError> {
    let stamp = Stamp::of(library, true)?;
    let tables = library::load(&stamp.path, &stamp.sha256)?;
    Ok(Plugin {
        manifest: Arc::new(tables::manifest(tables.0)?),
        stamp: Arc::new(stamp),
    })
}

fn one(plugin: &Plugin, entry: &ManifestEntry, material: &Material, tell: Tell<'_>) {
    let who = format!(
        "{}: the {} `{}`",
        plugin.name(),
        entry.kind.words(),
        entry.name
    );
    let values = || values(entry, material);
    match entry.kind {
        EntryKind::LossTerm => {
            let make = || CTerm::make(plugin.table(entry)?, &who, &values()?);
            let one_width = entry.keys["properties"].get("width").is_some();
            let turned = make().map_or(Vec::new(), |made| made.turned);
            term(&make, one_width, &turned, tell);
            if let Ok(made) = make() {
                let tried = "the derivative by the value is a factor";
                tell(tried, term::factor(&made));
            }
        }
        EntryKind::Strategy => {
            let make = || CStrategy::make(plugin, entry, &values()?).map(drop);
            let tried = "its phases are read, and their terms made, a hundred times";
            tell(tried, hundred(&make));
        }
        EntryKind::Reader => {
            let made = CReader::new(plugin, entry);
            reader(&made, material.file.as_deref(), tell);
        }
        EntryKind::SourceTask => {
            let make = || CSource::make(plugin, entry, &values()?, None);
            let rows = match make().map(|s| s.rows(material.file.as_deref())) {
                Ok(Ok(rows)) => rows,
                Ok(Err(e)) | Err(e) => {
                    tell("it is made, and has inputs to be tried with", Err(e));
                    return;
                }
            };
            let boxed = || make().map(|s| Box::new(s) as Box<dyn SourceTask>);
            source(&boxed, &rows, tell);
            let lived = make().and_then(|made| home::lived_in(&made, &rows));
            tell(
                "parameters live in the plugin's memory, and stay there",
                lived,
            );
        }
        EntryKind::TargetTask => {
            let make = || Said::ask(plugin, entry, &values()?).map(drop);
            let tried = "what it is made of is read, and its parts made, a hundred times";
            tell(tried, hundred(&make));
        }
        EntryKind::Metric => {
            let make = || CMetric::make(plugin, entry, &values()?);
            metric(&make, tell);
        }
    }
}

fn hundred(make: &dyn Fn() -> Result<()>) -> Result<String> {
    (0..100).try_for_each(|_| make()).map(|()| String::new())
}

/// A source task of a library, with the defaults of its keys, as [`check`] makes it: not probed first.
///
/// # Errors
/// The library brings none of this name, or it will not be made.
pub fn source_of(library: &Path, name: &str) -> Result<Box<dyn SourceTask>> {
    let plugin = loaded(library)?;
    let mut all = plugin.manifest.entries.iter();
    let entry = all.find(|e| e.kind == EntryKind::SourceTask && e.name == name);
    let entry = entry.ok_or_else(|| Error::msg(format!("there is no source task `{name}`")))?;
    let values = values(entry, &Material::default())?;
    Ok(Box::new(CSource::make(&plugin, entry, &values, None)?))
}

/// The defaults; of a required key whatever its schema allows; what was given over them.
fn values(entry: &ManifestEntry, material: &Material) -> Result<Map<String, Value>> {
    let none = Map::new();
    let properties = entry.keys.get("properties").and_then(Value::as_object);
    let properties = properties.unwrap_or(&none);
    let mut given = Map::new();
    for name in entry.keys["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let p = &properties[name];
        if p.get("default").is_some() {
            continue;
        }
        let first = p["enum"].as_array().and_then(|all| all.first()).cloned();
        let bound = ["minimum", "maximum"]
            .iter()
            .find_map(|b| p.get(*b))
            .cloned();
        given.insert(
            name.to_string(),
            first.or(bound).unwrap_or_else(|| match p["type"].as_str() {
                Some("number" | "integer") => 1.into(),
                Some("boolean") => true.into(),
                Some("array") => Value::Array(Vec::new()),
                _ => "x".into(),
            }),
        );
    }
    if entry.kind == EntryKind::LossTerm && properties.contains_key("width") {
        given.insert("width".into(), term::WIDTH.into());
    }
    for (name, value) in &material.keys {
        if properties.contains_key(name) {
            given.insert(name.clone(), value.clone());
        }
    }
    keys::given(&Value::Object(given), &entry.keys, "the keys to check with")
}

fn noise(n: usize) -> Vec<u8> {
    let stream = tlkit_core::random::Stream::new(7);
    (0..n as u64).map(|i| stream.below(i, 256) as u8).collect()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The numbers of a tensor, in order.
fn flat(t: &candle_core::Tensor) -> Result<Vec<f32>> {
    let plain = t.flatten_all()?.to_dtype(candle_core::DType::F32)?;
    Ok(plain.to_vec1::<f32>()?)
}
