//! The complete recipe, as TOML that is itself a recipe.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::kinds::Kind;
use crate::record::{KeyRecord, Path, Presence, Record, Segment, TableKind, TableRecord};
use crate::tree::{NodeId, quote, quote_key};

/// Tables in the order of the grammar; others after them, as they were read.
const ORDER: [&str; 8] = [
    "source", "target", "strategy", "train", "select", "evaluate", "tune", "plugins",
];

impl Record {
    /// Every key that was read: what is written as it is written, defaults with where they came from, and what is not
    /// set in a comment. Read again, the text gives the same values.
    pub fn explain(&self) -> String {
        self.explain_with(&|path| path.to_string())
    }

    /// The same for another folder: every path and data value goes through `moved` first.
    pub fn explain_with(&self, moved: &dyn Fn(&str) -> String) -> String {
        self.explain_open(moved, &Unwritten::default())
    }

    /// The same for a recipe whose values a grid changes: the defaults that are `open`, because the grid decides them too, stand in comments.
    pub fn explain_open(&self, moved: &dyn Fn(&str) -> String, open: &Unwritten) -> String {
        let print = Print {
            record: self,
            moved,
            open,
        };
        let root = Path::default();
        let mut text = String::new();
        if let Some(table) = self.table(&root) {
            print.keys(table, false, &mut text);
        }
        let mut children = self.children(&root);
        children.sort_by_key(|t| match t.path.0.first() {
            Some(Segment::Key(name)) => ORDER.iter().position(|o| o == name).unwrap_or(ORDER.len()),
            _ => ORDER.len(),
        });
        children
            .iter()
            .for_each(|child| print.table(child, &mut text));
        text.trim_start().to_string()
    }
}

/// Unwritten of a recipe, by table and key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unwritten(BTreeMap<(String, String), Json>);

impl Unwritten {
    /// Adds those that have another value in another reading of the recipe, or are no defaults there.
    pub fn open(&mut self, here: &Unwritten, there: &Unwritten) {
        let differ = |(key, value): &(&(String, String), &Json)| there.0.get(*key) != Some(*value);
        let differ = here.0.iter().filter(differ);
        self.0
            .extend(differ.map(|(k, value)| (k.clone(), value.clone())));
    }

    fn has(&self, table: &TableRecord, key: &KeyRecord) -> bool {
        !self.0.is_empty()
            && self
                .0
                .contains_key(&(table.path.to_string(), key.name.clone()))
    }
}

impl Record {
    /// The values of all keys that are not written.
    pub fn defaults(&self) -> Unwritten {
        let mut all = BTreeMap::new();
        for table in &self.tables {
            for key in &table.keys {
                if let (Presence::Default { value: Some(v), .. }, None) =
                    (&key.presence, key.written)
                {
                    all.insert((table.path.to_string(), key.name.clone()), v.clone());
                }
            }
        }
        Unwritten(all)
    }
}

struct Print<'a> {
    record: &'a Record,
    moved: &'a dyn Fn(&str) -> String,
    open: &'a Unwritten,
}

impl Print<'_> {
    fn table(&self, table: &TableRecord, text: &mut String) {
        let live = table.node.is_some()
            || table.kind == TableKind::Plain && table.keys.iter().any(is_live);
        let children = self.record.children(&table.path);
        let empty = table
            .keys
            .iter()
            .all(|key| matches!(key.presence, Presence::Reserved));
        // `[domains.books]` alone makes `[domains]`.
        let implied = empty && children.iter().any(|child| child.node.is_some());
        if (live || !empty || table.kind == TableKind::Optional) && !implied {
            let header = table.path.header();
            text.push_str(&match (live, table.kind, table.help.as_str()) {
                (true, ..) => format!("\n{header}\n"),
                (_, TableKind::Optional, "") => format!("\n# {header}  # optional, not set\n"),
                (_, TableKind::Optional, help) => {
                    format!("\n# {header}  # optional, not set: {help}\n")
                }
                _ => format!("\n# {header}\n"),
            });
            self.keys(table, !live, text);
        }
        children.iter().for_each(|child| self.table(child, text));
    }

    fn keys(&self, table: &TableRecord, commented: bool, text: &mut String) {
        for key in &table.keys {
            let name = quote_key(&key.name);
            let line = match (&key.presence, key.written) {
                (_, Some(node)) => format!("{name} = {}", self.written(key, node)),
                (
                    Presence::Default {
                        value: Some(value),
                        origin,
                        ..
                    },
                    None,
                ) => {
                    let value = toml_of(value);
                    // One line: the comment belongs to the value.
                    let origin = origin.replace('\n', " ");
                    match commented {
                        true => format!("# {name} = {value}"),
                        false if self.open.has(table, key) => {
                            format!("# {name} = {value}  # default: {origin}; another by the grid")
                        }
                        false => format!("{name} = {value}  # default: {origin}"),
                    }
                }
                (
                    Presence::Default {
                        value: None,
                        origin,
                        ..
                    },
                    None,
                ) => format!("# {name}  # default: {origin}"),
                (Presence::Optional { unset }, None) => {
                    let why = [unset.as_str(), key.help.as_str()]
                        .into_iter()
                        .find(|w| !w.is_empty());
                    let why = why
                        .map(|w| format!(": {}", w.replace('\n', " ")))
                        .unwrap_or_default();
                    format!("# {name} = {}  # optional, not set{why}", key.example())
                }
                (Presence::Required { .. } | Presence::Reserved, None) => continue,
            };
            text.push_str(&line);
            text.push('\n');
        }
    }

    fn written(&self, key: &KeyRecord, node: NodeId) -> String {
        let tree = &self.record.shared.tree;
        let as_written = tree.toml(node);
        if !matches!(key.kind, Kind::Data | Kind::Path) {
            return as_written;
        }
        let value = tree.json(node);
        let moved = match &value {
            Json::String(path) => Json::from((self.moved)(path)),
            Json::Array(paths) => paths.iter().map(|p| p.as_str().map(self.moved)).collect(),
            _ => return as_written,
        };
        if moved == value {
            as_written
        } else {
            toml_of(&moved)
        }
    }
}

fn is_live(key: &KeyRecord) -> bool {
    key.written.is_some() || matches!(key.presence, Presence::Default { value: Some(_), .. })
}

/// A default as TOML. Unwritten are numbers, strings, truth values and lists and tables of them.
fn toml_of(value: &Json) -> String {
    match value {
        Json::Null => "\"\"".into(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::String(text) => quote(text),
        Json::Array(items) => format!(
            "[{}]",
            items.iter().map(toml_of).collect::<Vec<_>>().join(", ")
        ),
        Json::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{} = {}", quote_key(name), toml_of(value)))
                .collect();
            if entries.is_empty() {
                "{}".into()
            } else {
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}
