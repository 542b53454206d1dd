//! What was read: every table and key that a consumer asked for, in that order.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::kinds::Kind;
use crate::shared::Shared;
use crate::tree::{NodeId, quote, quote_key};

/// One step on the way to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(String),
    /// The n-th table of a list of tables.
    Item(usize),
    /// A name of the recipe's own (`domains.books`).
    Free(String),
}

/// The way to a table from the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(pub Vec<Segment>);

impl Path {
    pub fn then(&self, segment: Segment) -> Path {
        let mut segments = self.0.clone();
        segments.push(segment);
        Path(segments)
    }

    /// `[target.split]`, `[[plugins]]`, or words for the root.
    pub fn header(&self) -> String {
        match self.0.last() {
            None => "the top level".into(),
            Some(Segment::Item(_)) => format!("[[{self}]]"),
            Some(_) => format!("[{self}]"),
        }
    }

    /// The header in a sentence: quoted, but for the root.
    pub fn quoted(&self) -> String {
        if self.0.is_empty() {
            self.header()
        } else {
            format!("`{}`", self.header())
        }
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The tables that stand in this one.
    pub fn is_parent_of(&self, other: &Path) -> bool {
        let deeper = other.0.len() > self.0.len() && other.0.starts_with(&self.0);
        let rest = if deeper {
            &other.0[self.0.len()..]
        } else {
            return false;
        };
        matches!(
            rest,
            [Segment::Key(_) | Segment::Free(_)]
                | [Segment::Key(_) | Segment::Free(_), Segment::Item(_)]
        )
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().filter_map(|segment| match segment {
            Segment::Key(name) | Segment::Free(name) => Some(quote_key(name)),
            Segment::Item(_) => None,
        });
        f.write_str(&names.collect::<Vec<_>>().join("."))
    }
}

/// Whether a key must be there, and what stands in when it is not.
#[derive(Clone, Debug)]
pub(crate) enum Presence {
    Required {
        example: Option<String>,
    },
    Optional {
        unset: String,
    },
    Default {
        value: Option<Json>,
        origin: String,
        /// The data sets that it was chosen on.
        on: &'static [&'static str],
    },
    /// In the grammar, but not in this version; the text says so.
    Reserved,
}

impl Presence {
    /// Whether this is the value that stands in.
    pub fn is(&self, written: &Json) -> bool {
        let Presence::Default {
            value: Some(value), ..
        } = self
        else {
            return false;
        };
        let numbers = written.as_f64().zip(value.as_f64());
        written == value || numbers.is_some_and(|(a, b)| a == b)
    }
}

#[derive(Clone)]
pub(crate) struct KeyRecord {
    pub name: String,
    pub kind: Kind,
    pub bounds: Option<Bounds>,
    pub choices: Vec<String>,
    pub presence: Presence,
    pub help: String,
    /// Names that other tools have for it; for suggestions only.
    pub known_as: Vec<String>,
    pub written: Option<NodeId>,
}

impl KeyRecord {
    /// A value that could stand there, as TOML.
    pub fn example(&self) -> String {
        let quotes = self.kind.example().starts_with('"');
        let least = self
            .bounds
            .as_ref()
            .and_then(|b| b.schema.iter().find(|(end, _)| *end == "minimum"));
        match (&self.presence, self.choices.first()) {
            (
                Presence::Required {
                    example: Some(example),
                },
                _,
            ) if quotes => quote(example),
            (
                Presence::Required {
                    example: Some(example),
                },
                _,
            ) => example.clone(),
            (_, Some(choice)) if quotes => quote(choice),
            (_, Some(choice)) => format!("[{}]", quote(choice)),
            _ => least.map_or_else(
                || self.kind.example().into(),
                |(_, least)| least.to_string(),
            ),
        }
    }
}

/// A range, in words and in JSON Schema's.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub words: String,
    pub schema: Vec<(&'static str, Json)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    /// Absent is the same as empty.
    Plain,
    /// Absent means something.
    Optional,
    /// An element of a list that is one value (`head = ["pooler", {dropout = 0.1}]`): printed with that value.
    Inline,
}

#[derive(Clone)]
pub(crate) struct TableRecord {
    pub path: Path,
    pub node: Option<NodeId>,
    pub kind: TableKind,
    pub free: bool,
    /// Something else stands where the table should: said already.
    pub broken: bool,
    /// Unread keys here follow from an error that was noted.
    pub excused: bool,
    /// What reads it depends on something that is not there: nothing in it is unknown.
    pub unchecked: bool,
    pub help: String,
    pub keys: Vec<KeyRecord>,
    /// Keys that belong elsewhere, and the words for it.
    pub elsewhere: Vec<(String, String)>,
    /// Missing keys that an error explains already.
    pub forgiven: Vec<String>,
    /// Lists of tables that can stand here, also those with no element.
    pub lists: Vec<String>,
}

impl TableRecord {
    pub fn key(&self, name: &str) -> Option<&KeyRecord> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// What the table is called in a sentence.
    pub fn quoted(&self) -> String {
        match self.kind {
            TableKind::Inline => format!("`{}`", self.path),
            _ => self.path.quoted(),
        }
    }

    /// The keys of this version, by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let known = self
            .keys
            .iter()
            .filter(|key| !matches!(key.presence, Presence::Reserved));
        known.map(|key| key.name.as_str())
    }
}

/// Everything that was read from one recipe: the complete recipe ([`Record::explain`]), its values
/// ([`Record::to_json`]), and one contribution to a [`crate::Schema`].
pub struct Record {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tables: Vec<TableRecord>,
}

impl Record {
    /// Whether a key, a table or a list of tables of this name was asked for in a (top-level) table.
    pub fn reads(&self, table: &str, name: &str) -> bool {
        let inside = format!("{table}.{name}");
        self.tables.iter().any(|t| {
            let path = t.path.to_string();
            let own = path == table;
            path == inside || own && (t.key(name).is_some() || t.lists.iter().any(|l| l == name))
        })
    }

    pub(crate) fn table(&self, path: &Path) -> Option<&TableRecord> {
        self.tables.iter().find(|table| table.path == *path)
    }

    /// The keys whose value is a default that was chosen on data sets, and these: what is tested on them has been tuned on them. A value counts
    /// whether it is written or stands in.
    pub fn tuned_on(&self) -> Vec<(String, &'static [&'static str])> {
        let mut found = Vec::new();
        for table in &self.tables {
            for key in &table.keys {
                let Presence::Default { on, .. } = &key.presence else {
                    continue;
                };
                let written = key.written.map(|node| self.shared.tree.json(node));
                if !on.is_empty() && written.is_none_or(|w| key.presence.is(&w)) {
                    found.push((format!("{}.{}", table.path, quote_key(&key.name)), *on));
                }
            }
        }
        found
    }

    pub(crate) fn children(&self, path: &Path) -> Vec<&TableRecord> {
        let inside = self.tables.iter().filter(|t| t.kind != TableKind::Inline);
        inside.filter(|t| path.is_parent_of(&t.path)).collect()
    }

    /// The checked recipe as one value, defaults included: what a run's identity is made of.
    /// Keys that are not set are not there.
    pub fn to_json(&self) -> Json {
        self.to_json_with(&|path| path.to_string())
    }

    /// The same for another folder: every path and data value goes through `moved` first. The values of what
    /// [`Record::explain_with`] prints.
    pub fn to_json_with(&self, moved: &dyn Fn(&str) -> String) -> Json {
        self.json_of(&Path::default(), moved)
    }

    fn json_of(&self, path: &Path, moved: &dyn Fn(&str) -> String) -> Json {
        let mut object = Map::new();
        for key in self.table(path).map_or(&[][..], |t| &t.keys) {
            let value = match (&key.presence, key.written) {
                (_, Some(node)) => match (key.kind, self.shared.tree.json(node)) {
                    (Kind::Data | Kind::Path, Json::String(path)) => moved(&path).into(),
                    (Kind::Data | Kind::Path, Json::Array(paths)) => {
                        paths.iter().map(|p| p.as_str().map(moved)).collect()
                    }
                    (_, value) => value,
                },
                (
                    Presence::Default {
                        value: Some(value), ..
                    },
                    None,
                ) => value.clone(),
                _ => continue,
            };
            object.insert(key.name.clone(), value);
        }
        for child in self.children(path) {
            let value = self.json_of(&child.path, moved);
            if child.node.is_none() && value.as_object().is_some_and(Map::is_empty) {
                continue;
            }
            match child.path.0.as_slice() {
                [
                    ..,
                    Segment::Key(name) | Segment::Free(name),
                    Segment::Item(_),
                ] => {
                    let list = object
                        .entry(name.clone())
                        .or_insert_with(|| Json::Array(vec![]));
                    list.as_array_mut()
                        .into_iter()
                        .for_each(|list| list.push(value.clone()));
                }
                [.., Segment::Key(name) | Segment::Free(name)] => {
                    object.insert(name.clone(), value);
                }
                _ => {}
            }
        }
        Json::Object(object)
    }
}
