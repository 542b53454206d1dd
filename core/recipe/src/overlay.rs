//! Keys of one file put over another: what a cell of an experiment has besides its base.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::set::{Step, place};
use crate::source::{At, Source};
use crate::tree::{Data, Entry, NodeId, Tree, quote};
use crate::value::Value;

/// From a path as it is written to one for the other file's folder.
type Move = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// One change to a recipe, with the place that it comes from.
#[derive(Clone)]
pub struct Overlay(Change);

#[derive(Clone)]
enum Change {
    /// The names of a dotted key, where it is written, and what it is to be.
    Put(Vec<String>, At, New),
    /// A table whose entries go, but for those named.
    Clear(String, Vec<String>),
    /// A table, and entries of it that go.
    Remove(String, Vec<String>),
}

#[derive(Clone)]
enum New {
    Value(Value),
    Moved(Value, Move),
    Number(u64),
    Text(String),
}

impl Overlay {
    /// `key` (dotted: `train.epochs`) becomes this value; errors about it point to where the value is written, errors about its
    /// name to `at`. `None` for a key that is no dotted key.
    pub fn value(key: &str, at: At, value: &Value) -> Option<Overlay> {
        Some(Overlay(Change::Put(
            names(key)?,
            at,
            New::Value(value.clone()),
        )))
    }

    /// The same for a key that names files: every string in the value goes through `moved`, since the recipe may stand in
    /// another folder than the file that this value comes from.
    pub fn files(
        key: &str,
        at: At,
        value: &Value,
        moved: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Option<Overlay> {
        let new = New::Moved(value.clone(), Arc::new(moved));
        Some(Overlay(Change::Put(names(key)?, at, new)))
    }

    /// `key` becomes a whole number.
    pub fn number(key: &str, at: At, value: u64) -> Option<Overlay> {
        Some(Overlay(Change::Put(names(key)?, at, New::Number(value))))
    }

    /// `key` becomes a string.
    pub fn text(key: &str, at: At, value: &str) -> Option<Overlay> {
        Some(Overlay(Change::Put(
            names(key)?,
            at,
            New::Text(value.into()),
        )))
    }

    /// Takes everything out of a table at the root but these entries.
    pub fn clear(table: &str, but: &[&str]) -> Overlay {
        let but = but.iter().map(|b| b.to_string()).collect();
        Overlay(Change::Clear(table.into(), but))
    }

    /// Takes these entries out of a table at the root.
    pub fn remove(table: &str, names: &[&str]) -> Overlay {
        let names = names.iter().map(|n| n.to_string()).collect();
        Overlay(Change::Remove(table.into(), names))
    }

    pub(crate) fn apply(&self, tree: &mut Tree) -> Result<(), Box<Diagnostic>> {
        match &self.0 {
            Change::Clear(table, but) => {
                retain(tree, table, |name| but.iter().any(|b| b == name));
                Ok(())
            }
            Change::Remove(table, names) => {
                retain(tree, table, |name| names.iter().all(|n| n != name));
                Ok(())
            }
            Change::Put(names, at, new) => {
                let node = match new {
                    New::Value(value) => {
                        let (from, node) = value.parts();
                        graft(tree, from, node, &None)
                    }
                    New::Moved(value, moved) => {
                        let (from, node) = value.parts();
                        graft(tree, from, node, &Some(moved.clone()))
                    }
                    New::Number(n) => {
                        written(tree, at, &n.to_string(), Data::Integer(i128::from(*n)))
                    }
                    New::Text(text) => written(tree, at, &quote(text), Data::Text(text.clone())),
                };
                let steps: Vec<Step> = names
                    .iter()
                    .map(|name| Step {
                        name: name.clone(),
                        at: at.clone(),
                    })
                    .collect();
                place(tree, &steps, node)
            }
        }
    }
}

/// Keeps the entries of a table at the root that are wanted.
fn retain(tree: &mut Tree, table: &str, wanted: impl Fn(&str) -> bool) {
    if let Some(node) = tree.entry(tree.root, table).map(|e| e.node)
        && let Data::Table(entries) = &mut tree.nodes[node].data
    {
        entries.retain(|e| wanted(&e.name));
    }
}

/// The names of a dotted key. Quotes are not needed: no table of the grammar has a dot in its name.
fn names(key: &str) -> Option<Vec<String>> {
    let names: Vec<String> = key.split('.').map(|n| n.trim().to_string()).collect();
    names.iter().all(|n| !n.is_empty()).then_some(names)
}

/// A value that stands nowhere: its text is its own, its file that of the key.
fn written(tree: &mut Tree, at: &At, text: &str, data: Data) -> NodeId {
    // It stands there after all: as an item of a list, say.
    if at.text() == text {
        return tree.push(at.clone(), data);
    }
    let source = Source {
        name: at.source.name.clone(),
        text: text.into(),
        first_line: at.line(),
        order: at.source.order,
        opaque: false,
    };
    let source = Arc::new(source);
    tree.push(At::new(&source, 0..text.len()), data)
}

/// Copies a value of another tree, places and all; what moves is no longer the text at its place.
fn graft(tree: &mut Tree, from: &Tree, node: NodeId, moved: &Option<Move>) -> NodeId {
    let data = match &from.nodes[node].data {
        Data::List(items) => Data::List(
            items
                .iter()
                .map(|item| graft(tree, from, *item, moved))
                .collect(),
        ),
        Data::Table(entries) => Data::Table(
            entries
                .iter()
                .map(|e| Entry {
                    name: e.name.clone(),
                    key: e.key.clone(),
                    node: graft(tree, from, e.node, moved),
                })
                .collect(),
        ),
        Data::Text(text) | Data::Bare(text) if moved.is_some() => {
            Data::Bare(moved.as_ref().map_or_else(|| text.clone(), |m| m(text)))
        }
        other => other.clone(),
    };
    tree.push(from.nodes[node].at.clone(), data)
}

#[cfg(test)]
mod tests {
    use crate::{Overlay, Written};

    #[test]
    fn an_error_in_a_key_of_another_file_points_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let base = dir.path().join("base.toml");
        std::fs::write(&base, "[train]\nepochs = 3\nrate = 0.5\n").expect("written");
        let other =
            Written::parse("other.toml", "epochs = \"two\"\nrate = 0.25\n", &[]).expect("TOML");
        let keys = other.keys();
        let over = |name: &str| {
            let value = keys.value(name).required();
            Overlay::value(&format!("train.{name}"), keys.at_key(name), &value).expect("a key")
        };
        let seed = Overlay::number("train.seed", keys.here(), 4).expect("a key");
        let written =
            Written::read_under(&base, &[over("epochs"), over("rate"), seed]).expect("TOML");
        let train = written.keys().table("train");
        assert_eq!(train.f64("rate").required(), 0.25);
        assert_eq!(train.u64("seed").required(), 4);
        train.usize("epochs").required();
        let said = written.finish().to_string();
        assert!(said.contains(" --> other.toml:1:10"), "{said}");
        assert!(written.record().explain().contains("seed = 4"));
    }

    #[test]
    fn a_table_is_cleared_but_for_some() {
        let dir = tempfile::tempdir().expect("a folder");
        let base = dir.path().join("base.toml");
        std::fs::write(&base, "[strategy]\nkind = \"a\"\nfreeze = [\"b\"]\n").expect("written");
        let written =
            Written::read_under(&base, &[Overlay::clear("strategy", &["kind"])]).expect("TOML");
        assert_eq!(written.keys().table("strategy").names(), ["kind"]);
    }
}
