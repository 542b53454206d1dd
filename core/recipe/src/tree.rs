//! The recipe as a tree of values, each with the place where it is written. It does not change after parsing.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::source::{At, Source};

pub(crate) type NodeId = usize;

#[derive(Clone)]
pub(crate) struct Node {
    pub at: At,
    pub data: Data,
}

#[derive(Clone)]
pub(crate) enum Data {
    Text(String),
    Integer(i128),
    Float(f64),
    Bool(bool),
    Datetime(String),
    List(Vec<NodeId>),
    Table(Vec<Entry>),
    /// `--set text=a.csv`: what is not TOML is a string; the bytes at its place lack the quotes.
    Bare(String),
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub name: String,
    pub key: At,
    pub node: NodeId,
}

#[derive(Clone, Default)]
pub(crate) struct Tree {
    pub nodes: Vec<Node>,
    pub root: NodeId,
}

impl Tree {
    pub fn new(source: &Arc<Source>, table: &DeTable<'_>) -> Tree {
        let mut tree = Tree::default();
        let data = tree.entries(source, table, 0);
        tree.root = tree.push(At::end_of(source), data);
        tree
    }

    pub fn push(&mut self, at: At, data: Data) -> NodeId {
        self.nodes.push(Node { at, data });
        self.nodes.len() - 1
    }

    /// Adds a parsed value; `offset` is where the parsed text begins in its source.
    pub fn add(
        &mut self,
        source: &Arc<Source>,
        value: &Spanned<DeValue<'_>>,
        offset: usize,
    ) -> NodeId {
        let data = match value.get_ref() {
            DeValue::String(text) => Data::Text(text.to_string()),
            DeValue::Integer(n) => match i128::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Data::Integer(n),
                Err(_) => Data::Float(f64::INFINITY),
            },
            DeValue::Float(x) => Data::Float(x.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(yes) => Data::Bool(*yes),
            DeValue::Datetime(when) => Data::Datetime(when.to_string()),
            DeValue::Array(items) => Data::List(
                items
                    .iter()
                    .map(|item| self.add(source, item, offset))
                    .collect(),
            ),
            DeValue::Table(table) => self.entries(source, table, offset),
        };
        let span = value.span();
        self.push(
            At::new(source, span.start + offset..span.end + offset),
            data,
        )
    }

    fn entries(&mut self, source: &Arc<Source>, table: &DeTable<'_>, offset: usize) -> Data {
        let mut entries = Vec::new();
        for (key, value) in table.iter() {
            let span = key.span();
            let key_at = At::new(source, span.start + offset..span.end + offset);
            let node = self.add(source, value, offset);
            entries.push(Entry {
                name: key.get_ref().to_string(),
                key: key_at,
                node,
            });
        }
        Data::Table(entries)
    }

    pub fn entry(&self, table: NodeId, name: &str) -> Option<&Entry> {
        self.entries_of(table)
            .iter()
            .find(|entry| entry.name == name)
    }

    pub fn entries_of(&self, table: NodeId) -> &[Entry] {
        match &self.nodes[table].data {
            Data::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The type in words, with its article.
    pub fn kind(&self, node: NodeId) -> &'static str {
        match &self.nodes[node].data {
            Data::Text(_) | Data::Bare(_) => "a string",
            Data::Integer(_) => "a whole number",
            Data::Float(_) => "a number",
            Data::Bool(_) => "true or false",
            Data::Datetime(_) => "a date",
            Data::List(items) if self.is_list_of_tables(items) => "a list of tables",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        }
    }

    fn is_list_of_tables(&self, items: &[NodeId]) -> bool {
        !items.is_empty()
            && items
                .iter()
                .all(|item| matches!(self.nodes[*item].data, Data::Table(_)))
    }

    /// What was found, for a message: short values as they are written, long ones by their type.
    pub fn found(&self, node: NodeId) -> String {
        let written = self.nodes[node].at.text();
        match &self.nodes[node].data {
            Data::Integer(_) | Data::Float(_) | Data::Bool(_) => format!("`{written}`"),
            Data::Text(_) if written.len() <= 24 && !written.contains('\n') => {
                format!("the string `{written}`")
            }
            Data::Bare(text) if text.len() <= 24 => format!("the string `\"{text}\"`"),
            Data::List(items) if items.is_empty() => "an empty list".into(),
            _ => self.kind(node).into(),
        }
    }

    pub fn json(&self, node: NodeId) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.nodes[node].data {
            Data::Text(text) | Data::Bare(text) | Data::Datetime(text) => text.as_str().into(),
            Data::Integer(n) => i64::try_from(*n)
                .map(Json::from)
                .or_else(|_| u64::try_from(*n).map(Json::from))
                .unwrap_or_else(|_| Json::from(*n as f64)),
            Data::Float(x) => Json::from(*x),
            Data::Bool(yes) => Json::from(*yes),
            Data::List(items) => items.iter().map(|item| self.json(*item)).collect(),
            Data::Table(entries) => Json::Object(
                entries
                    .iter()
                    .map(|e| (e.name.clone(), self.json(e.node)))
                    .collect(),
            ),
        }
    }

    /// The value as TOML: as it was written, or rebuilt where what was written is no TOML value.
    pub fn toml(&self, node: NodeId) -> String {
        let at = &self.nodes[node].at;
        match &self.nodes[node].data {
            Data::Bare(text) => quote(text),
            // The place of a table, or of a list of tables, may be its header.
            Data::Table(entries) if !at.text().starts_with('{') => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|e| format!("{} = {}", quote_key(&e.name), self.toml(e.node)))
                    .collect();
                if entries.is_empty() {
                    "{}".into()
                } else {
                    format!("{{ {} }}", entries.join(", "))
                }
            }
            Data::List(items) if at.text().starts_with("[[") && self.is_list_of_tables(items) => {
                let items: Vec<String> = items.iter().map(|item| self.toml(*item)).collect();
                format!("[{}]", items.join(", "))
            }
            // A list of files of an experiment, made relative to its base.
            Data::List(items)
                if items
                    .iter()
                    .any(|item| matches!(self.nodes[*item].data, Data::Bare(_))) =>
            {
                let items: Vec<String> = items.iter().map(|item| self.toml(*item)).collect();
                format!("[{}]", items.join(", "))
            }
            _ => at.text().to_string(),
        }
    }
}

/// A string as TOML writes it.
pub fn quote(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

/// A key as TOML writes it: bare where it can be.
pub(crate) fn quote_key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare {
        name.into()
    } else {
        serde_json::Value::from(name).to_string()
    }
}
