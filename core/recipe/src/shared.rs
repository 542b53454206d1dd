//! What all handles on one recipe share: the tree, and the notes taken while it is read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::diagnostic::Diagnostic;
use crate::record::{KeyRecord, Path, TableKind, TableRecord};
use crate::source::Source;
use crate::tree::{Data, NodeId, Tree};

pub(crate) struct Shared {
    pub tree: Tree,
    pub file: Arc<Source>,
    /// The folder of the recipe: paths are relative to it.
    pub folder: PathBuf,
    /// Read for its schema: lists of tables have one phantom element, nothing is missing.
    pub blank: bool,
    notes: Mutex<Notes>,
}

#[derive(Clone, Default)]
pub(crate) struct Notes {
    pub read: Vec<bool>,
    pub diagnostics: Vec<Diagnostic>,
    pub tables: Vec<TableRecord>,
    /// Something was not looked into, and was said to be.
    pub unchecked: bool,
}

impl Shared {
    pub fn new(tree: Tree, file: Arc<Source>, folder: PathBuf, blank: bool) -> Arc<Shared> {
        let mut read = vec![false; tree.nodes.len()];
        read[tree.root] = true;
        let notes = Mutex::new(Notes {
            read,
            ..Notes::default()
        });
        Arc::new(Shared {
            tree,
            file,
            folder,
            blank,
            notes,
        })
    }

    /// The notes; a panic of another reader does not take them away.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, diagnostic: Diagnostic) -> usize {
        let mut notes = self.notes();
        notes.diagnostics.push(diagnostic);
        notes.diagnostics.len() - 1
    }

    /// Marks a value, and all that is in it, as read.
    pub fn mark(&self, node: NodeId) {
        self.set_read(&mut self.notes(), node, true, true);
    }

    /// Marks a table or list as read, but nothing that is in it.
    pub fn mark_shell(&self, node: NodeId) {
        self.set_read(&mut self.notes(), node, true, false);
    }

    fn set_read(&self, notes: &mut Notes, node: NodeId, read: bool, deep: bool) {
        notes.read[node] = read;
        if !deep {
            return;
        }
        match &self.tree.nodes[node].data {
            Data::List(items) => items
                .iter()
                .for_each(|item| self.set_read(notes, *item, read, true)),
            Data::Table(entries) => entries
                .iter()
                .for_each(|e| self.set_read(notes, e.node, read, true)),
            _ => {}
        }
    }

    /// Takes note that a table is read. One that was read as part of a value is strict from now on.
    pub fn enter(&self, path: &Path, node: Option<NodeId>, kind: TableKind) {
        let mut notes = self.notes();
        if let Some(node) = node {
            notes.read[node] = true;
        }
        if notes.tables.iter().any(|table| table.path == *path) {
            return;
        }
        if let (Some(node), TableKind::Inline) = (node, kind) {
            self.tree
                .entries_of(node)
                .iter()
                .for_each(|e| self.set_read(&mut notes, e.node, false, true));
        }
        notes.tables.push(TableRecord {
            path: path.clone(),
            node,
            kind,
            free: false,
            broken: false,
            excused: false,
            unchecked: false,
            help: String::new(),
            keys: vec![],
            elsewhere: vec![],
            forgiven: vec![],
            lists: vec![],
        });
    }

    /// Changes the record of a table that was entered.
    pub fn with_table<R>(&self, path: &Path, change: impl FnOnce(&mut TableRecord) -> R) -> R {
        let mut notes = self.notes();
        let at = notes.tables.iter().position(|table| table.path == *path);
        // Every handle enters its table before it is handed out, and none is ever taken away.
        change(&mut notes.tables[at.expect("the table was entered")])
    }

    /// Records a key; the first reader's words stay.
    pub fn declare(&self, path: &Path, key: KeyRecord) {
        self.with_table(path, |table| {
            if table.key(&key.name).is_none() {
                table.keys.push(key);
            }
        });
    }
}
