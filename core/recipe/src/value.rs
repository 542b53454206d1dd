//! A value that its reader looks into himself.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::keys::{Keys, Noted};
use crate::record::{Path, Segment, TableKind};
use crate::shared::Shared;
use crate::source::{At, Source};
use crate::tree::{Data, NodeId, Tree};

/// A value as it is written, with its place: for keys whose form is the reader's own
/// (`head = ["pooler", { dropout = 0.1 }, "classifier"]`).
#[derive(Clone)]
pub struct Value {
    shared: Arc<Shared>,
    node: NodeId,
    path: Path,
}

impl Value {
    pub(crate) fn new(shared: &Arc<Shared>, node: NodeId, path: Path) -> Value {
        Value {
            shared: shared.clone(),
            node,
            path,
        }
    }

    /// The placeholder for a value that is not there: an empty table.
    pub(crate) fn nothing() -> Value {
        let source = Source::new("", "", 0);
        let tree = Tree::new(&source, &toml::de::DeTable::new());
        let node = tree.root;
        Value {
            shared: Shared::new(tree, source, "".into(), true),
            node,
            path: Path::default(),
        }
    }

    pub(crate) fn parts(&self) -> (&Tree, NodeId) {
        (&self.shared.tree, self.node)
    }

    fn data(&self) -> &Data {
        &self.shared.tree.nodes[self.node].data
    }

    pub(crate) fn found(&self) -> String {
        self.shared.tree.found(self.node)
    }

    pub(crate) fn folder(&self) -> &FilePath {
        &self.shared.folder
    }

    /// Where it is written.
    pub fn at(&self) -> At {
        self.shared.tree.nodes[self.node].at.clone()
    }

    /// Its type in words: `a string`, `a list of tables`.
    pub fn kind(&self) -> &'static str {
        self.shared.tree.kind(self.node)
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self.data() {
            Data::Text(text) | Data::Bare(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one, whole or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self.data() {
            Data::Integer(n) => Some(*n as f64),
            Data::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self.data() {
            Data::Integer(n) => i64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.data() {
            Data::Bool(yes) => Some(*yes),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<Vec<Value>> {
        let Data::List(items) = self.data() else {
            return None;
        };
        let value = |(i, node): (usize, &NodeId)| {
            Value::new(&self.shared, *node, self.path.then(Segment::Item(i)))
        };
        Some(items.iter().enumerate().map(value).collect())
    }

    /// The table, if it is one, to be read as any other: from now on a key in it that nothing reads is an error.
    pub fn as_keys(&self) -> Option<Keys> {
        let Data::Table(_) = self.data() else {
            return None;
        };
        Some(Keys::enter(
            &self.shared,
            self.path.clone(),
            Some(self.node),
            TableKind::Inline,
        ))
    }

    /// Notes an error at this value.
    pub fn error(&self, title: impl Into<String>) -> Noted {
        Noted::new(&self.shared, Diagnostic::error(self.at(), title))
    }

    /// The value without its places.
    pub fn to_json(&self) -> serde_json::Value {
        self.shared.tree.json(self.node)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.to_json(), self.at())
    }
}
