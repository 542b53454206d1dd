//! From what a library brings to the registry, under its names.

use std::collections::BTreeMap;
use std::sync::Arc;

use tlkit_core::recipe::Keys;
use tlkit_core::registry::{Context, Kind, Registry};
use tlkit_core::strategy::Strategy;

use crate::error::{Cause, LoadError};
use crate::keys;
use crate::library::Plugin;
use crate::manifest::{EntryKind, ManifestEntry};
use crate::reader::CReader;
use crate::strategy::CStrategy;

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
                registry
                    .strategy(
                        &name,
                        kind,
                        about,
                        Arc::new(move |keys: &Keys, _: &Context| make(&plugin, &entry, keys)),
                    )
                    .map_err(|e| LoadError::new(Cause::Taken, e.to_string()))?;
            }
        }
    }
    for name in names {
        brought.insert(name, plugin.clone());
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
        EntryKind::Strategy => vec![(
            format!("strategy `{}`", entry.name),
            registry.strategies().contains_key(&entry.name),
        )],
    }
}

fn make(plugin: &Plugin, entry: &ManifestEntry, keys: &Keys) -> Option<Box<dyn Strategy>> {
    let origin = format!("plugin {}", plugin.manifest.name);
    let values = keys::read(keys, &entry.keys, &origin);
    if keys.is_blank() || keys.has_errors() {
        return None;
    }
    match CStrategy::make(plugin, entry, &values) {
        Ok(strategy) => Some(Box::new(strategy)),
        Err(e) => {
            keys.error(keys.at("method"), e.to_string());
            None
        }
    }
}
