//! From what a library brings to the registry, under its names.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tlkit_core::metrics::Metric;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::{Context, Kind, Library, Registry};
use tlkit_core::strategy::Strategy;
use tlkit_core::task::{SourceTask, TargetTask};

use crate::error::{Cause, LoadError};
use crate::keys;
use crate::library::Plugin;
use crate::manifest::{EntryKind, ManifestEntry};
use crate::metric::CMetric;
use crate::reader::CReader;
use crate::source::CSource;
use crate::strategy::CStrategy;
use crate::target::{CTarget, Said};

/// Which plugin brought a name: `strategy huber-alignment`, `reader of .tsv.zip`.
pub(crate) type Brought = BTreeMap<String, Plugin>;

/// Adds all of a library, or nothing: a name that is taken is an error. The same file twice is no news.
pub(crate) fn register(
    plugin: &Plugin,
    registry: &mut Registry,
    brought: &mut Brought,
) -> Result<(), LoadError> {
    let entries = &plugin.manifest.entries;
    if brought
        .values()
        .any(|p| p.stamp.sha256 == plugin.stamp.sha256)
    {
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in entries {
        for (name, ours) in wanted(entry, registry) {
            let by = match brought.get(&name) {
                Some(other) => format!("{} brings one already", other.name()),
                None if ours => "tlkit brings one itself".to_string(),
                None if names.contains(&name) => "it brings one twice".to_string(),
                None => {
                    names.push(name);
                    continue;
                }
            };
            return Err(LoadError::new(
                Cause::Taken,
                format!("{} brings a {name}, and {by}", plugin.name()),
            )
            .help("names are the author's to choose; load one of the two"));
        }
    }
    for entry in entries {
        enter(plugin, entry, registry).map_err(taken)?;
    }
    for name in names {
        brought.insert(name, plugin.clone());
    }
    Ok(())
}

/// Adds what predictions need of a library that a trained model was made with, in the place of what other libraries bring under the
/// same names: the model is that library's, and not another's of the same name.
pub(crate) fn restore(plugin: &Plugin, registry: &mut Registry) -> Result<(), LoadError> {
    let there = registry.libraries().to_vec();
    if there.iter().any(|l| l.sha256 == plugin.stamp.sha256) {
        return Ok(());
    }
    let needed = || {
        let all = plugin.manifest.entries.iter();
        all.filter(|e| e.kind != EntryKind::Strategy)
    };
    for (name, taken) in needed().flat_map(|e| wanted(e, registry)) {
        if taken && !there.iter().any(|l| l.brings.contains(&name)) {
            return Err(LoadError::new(
                Cause::Taken,
                format!(
                    "{} brings a {name}, and tlkit brings one itself",
                    plugin.name()
                ),
            ));
        }
    }
    for entry in needed() {
        match entry.kind {
            EntryKind::Reader => registry.first_reader(Arc::new(CReader::new(plugin, entry))),
            // That one was there under the name is no error here, and the last one stays.
            _ => drop(enter(plugin, entry, registry)),
        }
    }
    Ok(())
}

/// What is noted of a library: `named` by the recipe.
pub(crate) fn library(plugin: &Plugin, named: bool) -> Library {
    let entries = plugin.manifest.entries.iter();
    let brings = entries.flat_map(|e| wanted(e, &Registry::new()));
    Library {
        name: plugin.manifest.name.clone(),
        path: plugin.stamp.path.clone(),
        sha256: plugin.stamp.sha256.clone(),
        brings: brings.map(|(name, _)| name).collect(),
        named,
    }
}

/// Adds one entry.
fn enter(
    plugin: &Plugin,
    entry: &ManifestEntry,
    registry: &mut Registry,
) -> tlkit_core::Result<()> {
    match entry.kind {
        EntryKind::Reader => registry.reader(Arc::new(CReader::new(plugin, entry))),
        // Named by the strategies of its library.
        EntryKind::LossTerm => {}
        EntryKind::Strategy => {
            let kind = match entry.transductive {
                true => Kind::Transductive,
                false => Kind::Inductive,
            };
            // As long as the process, as the library itself.
            let about: &'static str = Box::leak(entry.about.clone().into_boxed_str());
            let (plugin, entry) = (plugin.clone(), entry.clone());
            let name = entry.name.clone();
            let make = Arc::new(move |keys: &Keys, _: &Context| make(&plugin, &entry, keys));
            registry.strategy(&name, kind, about, make)?;
        }
        EntryKind::SourceTask => {
            let (plugin, of) = (plugin.clone(), entry.clone());
            let make = Arc::new(move |keys: &Keys, cx: &Context| source(&plugin, &of, keys, cx));
            registry.source(&entry.name, &[], make)?;
        }
        EntryKind::TargetTask => {
            let (plugin, of) = (plugin.clone(), entry.clone());
            let make = Arc::new(move |keys: &Keys, cx: &Context| target(&plugin, &of, keys, cx));
            registry.target(&entry.name, make)?;
        }
        EntryKind::Metric => {
            let (plugin, of) = (plugin.clone(), entry.clone());
            let make = Arc::new(move |keys: &Keys| metric(&plugin, &of, keys));
            registry.metric(&entry.name, make)?;
        }
    }
    Ok(())
}

/// The names that an entry takes, and whether tlkit has them.
fn wanted(entry: &ManifestEntry, registry: &Registry) -> Vec<(String, bool)> {
    match entry.kind {
        EntryKind::Reader => {
            let taken = |e: &String| {
                let readers = registry.readers().iter();
                readers.flat_map(|r| r.extensions()).any(|o| o == e)
            };
            let extensions = entry.extensions.iter();
            extensions
                .map(|e| (format!("reader of .{e}"), taken(e)))
                .collect()
        }
        EntryKind::LossTerm => Vec::new(),
        kind => {
            let name = &entry.name;
            let ours = match kind {
                EntryKind::SourceTask => registry.sources().contains_key(name),
                EntryKind::TargetTask => registry.targets().contains_key(name),
                EntryKind::Metric => registry.metrics().contains_key(name),
                _ => registry.strategies().contains_key(name),
            };
            vec![(format!("{} `{name}`", kind.words()), ours)]
        }
    }
}

fn taken(e: tlkit_core::Error) -> LoadError {
    LoadError::new(Cause::Taken, e.to_string())
}

/// The entry's own keys; none where one is wrong, or the recipe is blank.
fn values(plugin: &Plugin, entry: &ManifestEntry, keys: &Keys) -> Option<Map<String, Value>> {
    let origin = format!("plugin {}", plugin.manifest.name);
    let values = keys::read(keys, &entry.keys, &origin);
    (!keys.is_blank() && !keys.has_errors()).then_some(values)
}

/// What was made, or an error at the key that named it.
fn noted<T>(keys: &Keys, at: &str, made: tlkit_core::Result<T>) -> Option<T> {
    made.map_err(|e| keys.error(keys.at(at), e.to_string()))
        .ok()
}

fn make(plugin: &Plugin, entry: &ManifestEntry, keys: &Keys) -> Option<Box<dyn Strategy>> {
    let values = values(plugin, entry, keys)?;
    let made = CStrategy::make(plugin, entry, &values);
    Some(Box::new(noted(keys, "method", made)?))
}

fn source(
    plugin: &Plugin,
    entry: &ManifestEntry,
    keys: &Keys,
    cx: &Context,
) -> Option<Box<dyn SourceTask>> {
    let values = values(plugin, entry, keys)?;
    let made = CSource::make(plugin, entry, &values, cx.checkpoint.clone());
    Some(Box::new(noted(keys, "task", made)?))
}

fn target(
    plugin: &Plugin,
    entry: &ManifestEntry,
    keys: &Keys,
    cx: &Context,
) -> Option<Box<dyn TargetTask>> {
    let said = match values(plugin, entry, keys) {
        Some(values) => Some(noted(keys, "task", Said::ask(plugin, entry, &values))?),
        // For the schema the keys of the data are read all the same.
        None if keys.is_blank() => None,
        None => return None,
    };
    let made = CTarget::make(keys, cx, said, &plugin.stamp.sha256)?;
    Some(Box::new(made))
}

fn metric(plugin: &Plugin, entry: &ManifestEntry, keys: &Keys) -> Option<Arc<dyn Metric>> {
    let values = values(plugin, entry, keys)?;
    let made = CMetric::make(plugin, entry, &values);
    Some(Arc::new(noted(keys, "name", made)?))
}
