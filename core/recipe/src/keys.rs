//! A table of the recipe, to read keys from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::key::Key;
use crate::kinds::{Auto, Column, Kind};
use crate::record::{KeyRecord, Path, Presence, Segment, TableKind};
use crate::shared::Shared;
use crate::source::At;
use crate::tree::{Data, NodeId};
use crate::value::Value;

/// A table of the recipe. Reading is declaring: each call names a key, and one call reads, checks, marks and records it.
///
/// A handle is cheap, and many can be held at once, on the same table or on others; they share one record.
#[derive(Clone)]
pub struct Keys {
    pub(crate) shared: Arc<Shared>,
    pub(crate) path: Path,
    node: Option<NodeId>,
}

macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $kind:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self, name: &str) -> Key<$type> {
            Key::new(self, name, $kind)
        }
    )*};
}

/// Keys by type.
impl Keys {
    typed! {
        /// A number. Whole numbers will do; not-a-number and infinity will not.
        f64: f64 = Kind::Number;
        /// A whole number from 0.
        usize: usize = Kind::Count;
        /// A whole number from 0: a seed.
        u64: u64 = Kind::Count;
        /// A whole number.
        i64: i64 = Kind::Integer;
        /// `true` or `false`.
        bool: bool = Kind::Bool;
        /// A string.
        string: String = Kind::Text;
        /// A list of strings.
        strings: Vec<String> = Kind::Texts;
        /// A string, or a list of at least one.
        one_or_more: Vec<String> = Kind::OneOrMore;
        /// A list of numbers.
        numbers: Vec<f64> = Kind::Numbers;
        /// A file or folder, made relative to the recipe's folder. It is not looked for.
        path: PathBuf = Kind::Path;
        /// What data is read: a path or a name like `builtin:reviews/films/train`, or a list of them, each as written
        /// and with its place. [`crate::Written::resolve`] makes a path relative to the recipe's folder.
        data: Vec<(String, At)> = Kind::Data;
        /// A column of a data file, by name, or by number from 1.
        column: Column = Kind::Column;
        /// A whole number from 0, or `"auto"`.
        usize_or_auto: Auto<usize> = Kind::CountOrAuto;
        /// A number, or `"auto"`.
        f64_or_auto: Auto<f64> = Kind::NumberOrAuto;
        /// Any value, to be looked into by the caller.
        value: Value = Kind::Any;
        /// A list of any values, to be looked into by the caller.
        values: Vec<Value> = Kind::List;
    }
}

/// Tables in this one.
impl Keys {
    pub(crate) fn enter(
        shared: &Arc<Shared>,
        path: Path,
        node: Option<NodeId>,
        kind: TableKind,
    ) -> Keys {
        shared.enter(&path, node, kind);
        Keys {
            shared: shared.clone(),
            path,
            node,
        }
    }

    fn segment(&self, name: &str) -> Segment {
        match self.shared.with_table(&self.path, |table| table.free) {
            true => Segment::Free(name.into()),
            false => Segment::Key(name.into()),
        }
    }

    /// A table in this one. An absent one reads as an empty one.
    pub fn table(&self, name: &str) -> Keys {
        self.child(name, TableKind::Plain)
    }

    /// A table whose absence means something: `None` when it is not written.
    pub fn optional_table(&self, name: &str, help: &str) -> Option<Keys> {
        let child = self.child(name, TableKind::Optional);
        child
            .shared
            .with_table(&child.path, |table| table.help = help.into());
        (child.node.is_some() || child.shared.blank).then_some(child)
    }

    fn child(&self, name: &str, kind: TableKind) -> Keys {
        let path = self.path.then(self.segment(name));
        let node = self
            .node
            .and_then(|node| self.shared.tree.entry(node, name))
            .map(|e| e.node);
        let Some(found) = node else {
            return Keys::enter(&self.shared, path, None, kind);
        };
        if matches!(self.shared.tree.nodes[found].data, Data::Table(_)) {
            return Keys::enter(&self.shared, path, node, kind);
        }
        self.shared.mark(found);
        let header = path.header();
        let diagnostic = Diagnostic::error(self.at(name), format!("`{name}` must be a table"))
            .label(format!(
                "expected a table, found {}",
                self.shared.tree.found(found)
            ));
        let at = &self.shared.tree.nodes[found].at;
        let help = match at.text().starts_with("[[") {
            _ if at.source.order > 0 => format!("`--set {}.key=value` sets one key of it", path),
            true => format!("write `{header}`, with single brackets: there is one `{name}`"),
            false => format!("write `{header}` on a line of its own, and its keys below"),
        };
        self.shared.note(diagnostic.help(help));
        self.broken(path, kind)
    }

    fn broken(&self, path: Path, kind: TableKind) -> Keys {
        let keys = Keys::enter(&self.shared, path, None, kind);
        keys.shared
            .with_table(&keys.path, |table| table.broken = true);
        keys
    }

    /// The tables of a list: `[[plugins]]`. None is no error.
    pub fn tables(&self, name: &str) -> Vec<Keys> {
        let path = self.path.then(self.segment(name));
        self.shared.with_table(&self.path, |table| {
            if !table.lists.iter().any(|list| list == name) {
                table.lists.push(name.into());
            }
        });
        let item = |i: usize| path.then(Segment::Item(i));
        let node = self
            .node
            .and_then(|node| self.shared.tree.entry(node, name))
            .map(|e| e.node);
        let Some(found) = node else {
            // For the schema, one of each.
            let phantom = self
                .shared
                .blank
                .then(|| Keys::enter(&self.shared, item(0), None, TableKind::Plain));
            return phantom.into_iter().collect();
        };
        let wrong = |node: NodeId| {
            self.shared.mark(node);
            Diagnostic::error(
                self.shared.tree.nodes[node].at.clone(),
                format!("`{name}` must be a list of tables"),
            )
            .label(format!(
                "expected a list of tables, found {}",
                self.shared.tree.found(node)
            ))
            .help(format!(
                "write `{}` above the keys of each",
                item(0).header()
            ))
        };
        let Data::List(items) = &self.shared.tree.nodes[found].data else {
            self.shared.note(wrong(found));
            return vec![];
        };
        self.shared.mark_shell(found);
        let mut tables = Vec::new();
        for (i, node) in items.iter().enumerate() {
            match self.shared.tree.nodes[*node].data {
                Data::Table(_) => tables.push(Keys::enter(
                    &self.shared,
                    item(i),
                    Some(*node),
                    TableKind::Plain,
                )),
                _ => _ = self.shared.note(wrong(*node)),
            }
        }
        tables
    }

    /// Declares that the names in this table are the recipe's own (`[domains.books]`), and hands them back in order.
    /// Each is then read by name, as a table or as a value. For the schema there is one, `*`.
    pub fn free(&self) -> Vec<String> {
        self.shared
            .with_table(&self.path, |table| table.free = true);
        if self.shared.blank && self.names().is_empty() {
            return vec!["*".into()];
        }
        self.names()
    }

    /// What the table is for, for the schema.
    pub fn describe(&self, help: &str) {
        self.shared
            .with_table(&self.path, |table| table.help = help.into());
    }
}

/// What is written, and where.
impl Keys {
    pub(crate) fn entry(&self, name: &str) -> Option<Value> {
        let entry = self.shared.tree.entry(self.node?, name)?;
        Some(Value::new(
            &self.shared,
            entry.node,
            self.path.then(self.segment(name)),
        ))
    }

    /// The names written in this table, in order, read or not.
    pub fn names(&self) -> Vec<String> {
        let entries = self
            .node
            .map_or(&[][..], |node| self.shared.tree.entries_of(node));
        entries.iter().map(|e| e.name.clone()).collect()
    }

    /// True when the key is written.
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// True when the table is written, be it empty.
    pub fn exists(&self) -> bool {
        self.node.is_some()
    }

    /// The place of a key's value; of the table where the key is not written.
    pub fn at(&self, name: &str) -> At {
        self.entry(name)
            .map_or_else(|| self.here(), |value| value.at())
    }

    /// The place of a key's name; of the table where the key is not written.
    pub fn at_key(&self, name: &str) -> At {
        let entry = self
            .node
            .and_then(|node| self.shared.tree.entry(node, name));
        entry.map_or_else(|| self.here(), |e| e.key.clone())
    }

    /// The place of the table: its header; of an absent one the end of the file.
    pub fn here(&self) -> At {
        match self.node {
            Some(node) => self.shared.tree.nodes[node].at.clone(),
            None => At::end_of(&self.shared.file),
        }
    }

    /// The table's name, as in its header, without brackets: `target.split`; empty for the root.
    pub fn name(&self) -> String {
        self.path.to_string()
    }

    /// True when the recipe is read for its schema: nothing is written, and what is read leads nowhere.
    pub fn is_blank(&self) -> bool {
        self.shared.blank
    }
}

/// What is wrong, beyond one key.
impl Keys {
    /// Notes an error at a place; the handle adds words to it.
    pub fn error(&self, at: At, title: impl Into<String>) -> Noted {
        Noted::new(&self.shared, Diagnostic::error(at, title))
    }

    /// Notes a warning at a place.
    pub fn warning(&self, at: At, title: impl Into<String>) -> Noted {
        Noted::new(&self.shared, Diagnostic::warning(at, title))
    }

    /// True when an error was noted, here or anywhere in the recipe.
    pub fn has_errors(&self) -> bool {
        let notes = self.shared.notes();
        let mut all = notes.diagnostics.iter();
        all.any(|d| d.severity() == crate::diagnostic::Severity::Error)
    }

    /// Notes that things do not go together, and underlines each with its own words.
    pub fn conflict(&self, places: &[(At, &str)], title: impl Into<String>) -> Noted {
        let mut places = places.iter();
        let (at, label) = places
            .next()
            .map_or((self.here(), ""), |(at, label)| (at.clone(), *label));
        let first = Diagnostic::error(at, title).label(label);
        Noted::new(
            &self.shared,
            places.fold(first, |d, (at, label)| d.also(at.clone(), *label)),
        )
    }

    /// Declares a key or table of the grammar that this version does not have. Where it is written, that is an
    /// error with these words: `reserved("tune", "hyper-parameter search comes later")`.
    pub fn reserved(&self, name: &str, text: &str) {
        let entry = self.entry(name);
        let record = KeyRecord {
            name: name.into(),
            kind: Kind::Any,
            bounds: None,
            choices: vec![],
            presence: Presence::Reserved,
            help: text.into(),
            known_as: vec![],
            written: None,
        };
        self.shared.declare(&self.path, record);
        if let Some(value) = entry {
            self.shared.mark(value.parts().1);
            let title = format!("`{name}` is not supported by this version");
            self.shared.note(
                Diagnostic::error(self.at_key(name), title)
                    .label("a known key, but nothing reads it")
                    .help(text),
            );
        }
    }

    /// Refuses a key of the grammar that has no place in this recipe; nothing happens when it is not written.
    ///
    /// `target.refuse("train", "the target's labels are sealed in a transductive recipe").help("write `unlabelled`")`
    pub fn refuse(&self, name: &str, title: impl Into<String>) -> Noted {
        match self.entry(name) {
            None => Noted::nothing(&self.shared),
            Some(value) => {
                self.shared.mark(value.parts().1);
                Noted::new(&self.shared, Diagnostic::error(self.at_key(name), title))
            }
        }
    }

    /// Knows of a key that others have: ``elsewhere("lambda", "it is a key of `method = \"dann\"`")`` helps whoever
    /// writes it here.
    pub fn elsewhere(&self, name: &str, help: &str) {
        self.shared.with_table(&self.path, |table| {
            table.elsewhere.push((name.into(), help.into()))
        });
    }

    /// Says no more of a required key that is missing: an error noted already tells what to write.
    pub fn forgive(&self, name: &str) {
        self.shared
            .with_table(&self.path, |table| table.forgiven.push(name.into()));
    }

    /// After an error that keeps the rest of this table from being read (an unknown method): what stands there unread
    /// is not an error of its own. Without any error noted, it is.
    pub fn excuse_unread(&self) {
        self.shared
            .with_table(&self.path, |table| table.excused = true);
    }

    /// Whether a key is written, and not with the value that stands in where it is not: what a complete recipe says of everything counts for nothing.
    pub fn differs(&self, name: &str) -> bool {
        let Some(node) = self.entry(name).map(|value| value.parts().1) else {
            return false;
        };
        let written = self.shared.tree.json(node);
        self.shared.with_table(&self.path, |table| {
            let key = table.key(name);
            key.is_none_or(|key| !key.presence.is(&written))
        })
    }

    /// Notes that what stands at a place was not looked into (it needs a download): a warning, after which the recipe cannot be
    /// built, though nothing is wrong with it. See [`crate::Written::is_unchecked`].
    pub fn not_checked(&self, at: At, what: impl fmt::Display) -> Noted {
        self.shared.notes().unchecked = true;
        self.warning(at, format!("not checked: {what}"))
    }

    /// After [`Keys::not_checked`], where even the reader of this table is unknown: nothing that stands in it is an unknown key.
    pub fn leave_unread(&self) {
        self.shared
            .with_table(&self.path, |table| table.unchecked = true);
    }

    /// Says what a key that was not set turned out to be, once that is known (a rate by the width of a checkpoint):
    /// from then on `explain` prints it as a default.
    pub fn resolve(&self, name: &str, value: impl Into<Json>, origin: impl Into<String>) {
        self.shared.with_table(&self.path, |table| {
            if let Some(key) = table.keys.iter_mut().find(|key| key.name == name) {
                key.presence = Presence::Default {
                    value: Some(value.into()),
                    origin: origin.into(),
                    on: &[],
                };
            }
        });
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} at {})", self.path.header(), self.here())
    }
}

/// A diagnostic that was noted, to add words to. It needs no end: dropping it changes nothing.
pub struct Noted {
    shared: Arc<Shared>,
    index: Option<usize>,
}

impl Noted {
    pub(crate) fn new(shared: &Arc<Shared>, diagnostic: Diagnostic) -> Noted {
        Noted {
            index: Some(shared.note(diagnostic)),
            shared: shared.clone(),
        }
    }

    fn nothing(shared: &Arc<Shared>) -> Noted {
        Noted {
            shared: shared.clone(),
            index: None,
        }
    }

    fn change(self, change: impl FnOnce(Diagnostic) -> Diagnostic) -> Noted {
        if let Some(index) = self.index {
            let mut notes = self.shared.notes();
            let changed = change(notes.diagnostics[index].clone());
            notes.diagnostics[index] = changed;
        }
        self
    }

    /// The words beside the caret.
    pub fn label(self, label: impl Into<String>) -> Noted {
        self.change(|d| d.label(label))
    }

    /// What was expected there: puts `expected ...` beside the caret.
    pub fn expected(self, what: impl fmt::Display) -> Noted {
        self.change(|d| d.expected(what))
    }

    /// Underlines a second place, with its own words.
    pub fn also(self, at: At, label: impl Into<String>) -> Noted {
        self.change(|d| d.also(at, label))
    }

    /// A line of background.
    pub fn note(self, note: impl Into<String>) -> Noted {
        self.change(|d| d.note(note))
    }

    /// A line that says what to write instead.
    pub fn help(self, help: impl Into<String>) -> Noted {
        self.change(|d| d.help(help))
    }

    /// True when there was something to note (see [`Keys::refuse`]).
    pub fn is_some(&self) -> bool {
        self.index.is_some()
    }
}
