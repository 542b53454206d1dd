//! A recipe as it is written: a file and the `--set` of the command line, parsed but not checked.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Report};
use crate::keys::Keys;
use crate::overlay::Overlay;
use crate::record::{Path, Record, TableKind};
use crate::shared::Shared;
use crate::source::{At, Source};
use crate::tree::{Data, Tree, quote};
use crate::value::Value;
use crate::{set, syntax, unread};

/// A recipe as it is written, with the place of every key. Clones share what was read.
#[derive(Clone)]
pub struct Written {
    shared: Arc<Shared>,
}

impl Written {
    /// Reads a recipe from a file, and `--set table.key=value` on top of it.
    ///
    /// # Errors
    /// The file is not there, a folder, empty or not text; all errors of TOML's syntax; a `--set` that cannot be placed.
    pub fn read(path: &FilePath, sets: &[String]) -> Result<Written, Report> {
        let name = path.display().to_string();
        let text = syntax::read_file(path, &name)?;
        if sets.is_empty() && syntax::is_empty(&text) {
            return Err(syntax::empty(&name).into());
        }
        let folder = path.parent().unwrap_or(FilePath::new("")).to_path_buf();
        Written::build(&name, &text, folder, sets, &[])
    }

    /// The same with keys that another file puts over it, one after the other: a cell of an experiment over its base. An
    /// error in such a key points into the file that it comes from.
    ///
    /// # Errors
    /// As for [`Written::read`]; a key that goes through something that is no table.
    pub fn read_under(path: &FilePath, overlays: &[Overlay]) -> Result<Written, Report> {
        let name = path.display().to_string();
        let text = syntax::read_file(path, &name)?;
        if syntax::is_empty(&text) {
            return Err(syntax::empty(&name).into());
        }
        let folder = path.parent().unwrap_or(FilePath::new("")).to_path_buf();
        Written::build(&name, &text, folder, &[], overlays)
    }

    /// The same from a text. `name` is what diagnostics call it; paths are relative to the folder of that name.
    ///
    /// # Errors
    /// As for [`Written::read`], but an empty text is an empty recipe.
    pub fn parse(name: &str, text: &str, sets: &[String]) -> Result<Written, Report> {
        let folder = FilePath::new(name)
            .parent()
            .unwrap_or(FilePath::new(""))
            .to_path_buf();
        Written::build(name, text, folder, sets, &[])
    }

    /// The same from values: what [`Record::to_json`] gave, read again. `name` is what diagnostics call it.
    ///
    /// # Errors
    /// A value that TOML does not have: null.
    pub fn of_values(name: &str, values: &serde_json::Value) -> Result<Written, Report> {
        let wrong = |e: &dyn fmt::Display| Diagnostic::error(At::file(name), e.to_string());
        let value = toml::Value::try_from(values).map_err(|e| wrong(&e))?;
        let text = toml::to_string(&value).map_err(|e| wrong(&e))?;
        Written::parse(name, &text, &[])
    }

    /// Nothing written at all, to be read for its schema: nothing is missing, and lists of tables have one element.
    pub fn blank() -> Written {
        Written::blank_with(&[])
    }

    /// The same with a few strings written, for readers who take a turn at them:
    /// `blank_with(&[("strategy", "kind", "transductive")])`.
    pub fn blank_with(strings: &[(&str, &str, &str)]) -> Written {
        let file = Source::new("", "", 0);
        let mut tree = Tree::new(&file, &DeTable::new());
        for (table, key, value) in strings {
            let set = format!("{table}.{key}={}", quote(value));
            // A name that cannot be placed is not read either.
            let _ = set::apply(&mut tree, &Source::new("--set", &set, 1), false);
        }
        Written {
            shared: Shared::new(tree, file, PathBuf::new(), true),
        }
    }

    fn build(
        name: &str,
        text: &str,
        folder: PathBuf,
        sets: &[String],
        overlays: &[Overlay],
    ) -> Result<Written, Report> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file = Source::new(name, text, 0);
        let mut wrong: Vec<Diagnostic> = Vec::new();
        let mut tree = syntax::parse(&file).unwrap_or_else(|errors| {
            wrong.extend(errors);
            Tree::new(&file, &DeTable::new())
        });
        // What cannot be parsed cannot be overridden, but a slip on the command line is said with the rest.
        for (i, set) in sets.iter().enumerate() {
            let source = Source::new("--set", set, i + 1);
            if let Err(diagnostic) = set::apply(&mut tree, &source, !wrong.is_empty()) {
                wrong.push(*diagnostic);
            }
        }
        if wrong.is_empty() {
            for overlay in overlays {
                if let Err(diagnostic) = overlay.apply(&mut tree) {
                    wrong.push(*diagnostic);
                }
            }
        }
        if !wrong.is_empty() {
            return Err(Report::new(wrong));
        }
        Ok(Written {
            shared: Shared::new(tree, file, folder, false),
        })
    }

    /// The same recipe with more `--set` on top: nothing of it is read yet.
    ///
    /// # Errors
    /// A `--set` that cannot be placed.
    pub fn with_sets(&self, sets: &[String]) -> Result<Written, Report> {
        self.changed(|tree| {
            for (i, set) in sets.iter().enumerate() {
                set::apply(tree, &Source::new("--set", set, i + 1), false)?;
            }
            Ok(())
        })
    }

    /// The same recipe at one point of a grid: each dotted key has the value that stands in the grid, and that value's place, so that an error
    /// points into the grid. The table `grid` itself is gone. The values must be this recipe's.
    ///
    /// # Errors
    /// A key that cannot be placed.
    pub fn at_point(&self, grid: &str, point: &[(String, At, Value)]) -> Result<Written, Report> {
        self.changed(|tree| {
            let root = tree.root;
            if let Data::Table(entries) = &mut tree.nodes[root].data {
                entries.retain(|e| e.name != grid);
            }
            for (key, at, value) in point {
                set::choose(tree, key, at, value.parts().1)?;
            }
            Ok(())
        })
    }

    fn changed(
        &self,
        change: impl FnOnce(&mut Tree) -> Result<(), Box<Diagnostic>>,
    ) -> Result<Written, Report> {
        let mut tree = self.shared.tree.clone();
        change(&mut tree).map_err(|d| Report::new(vec![*d]))?;
        Ok(Written {
            shared: Shared::new(
                tree,
                self.shared.file.clone(),
                self.shared.folder.clone(),
                self.shared.blank,
            ),
        })
    }

    /// The root table.
    pub fn keys(&self) -> Keys {
        Keys::enter(
            &self.shared,
            Path::default(),
            Some(self.shared.tree.root),
            TableKind::Plain,
        )
    }

    /// What was noted so far, and what was not read: unknown keys, and keys that are missing. To be called when all
    /// is read; it can be called again after more.
    pub fn finish(&self) -> Report {
        // The root is always there, also for a reader who asked for nothing.
        self.keys();
        let notes = self.shared.notes().clone();
        if self.shared.blank {
            return Report::default();
        }
        let mut diagnostics = notes.diagnostics.clone();
        diagnostics.extend(unread::unread(&self.shared, &notes));
        Report::new(diagnostics)
    }

    /// What was noted so far, without what was not read: for values that are known to be whole.
    pub fn noted(&self) -> Report {
        Report::new(self.shared.notes().diagnostics.clone())
    }

    /// Notes an error found after reading (a column that the data lacks); it is part of the next [`Written::finish`].
    pub fn note(&self, diagnostic: Diagnostic) {
        self.shared.note(diagnostic);
    }

    /// True when an error was noted: there is no use in loading anything.
    pub fn has_errors(&self) -> bool {
        self.finish().errors() > 0
    }

    /// True when something was not looked into ([`Keys::not_checked`]): such a recipe is not wrong, but it cannot be built either.
    pub fn is_unchecked(&self) -> bool {
        self.shared.notes().unchecked
    }

    /// What was read so far, for `explain`, the schema, and the run's identity.
    pub fn record(&self) -> Record {
        Record {
            shared: self.shared.clone(),
            tables: self.shared.notes().tables.clone(),
        }
    }

    /// A path of the recipe, relative to its folder.
    pub fn resolve(&self, path: impl AsRef<FilePath>) -> PathBuf {
        self.shared.folder.join(path)
    }

    /// The folder that the recipe's paths are relative to.
    pub fn folder(&self) -> &FilePath {
        &self.shared.folder
    }

    /// The name of the file, as it was given.
    pub fn name(&self) -> &str {
        &self.shared.file.name
    }

    /// The text of the file, without what `--set` changed.
    pub fn text(&self) -> &str {
        &self.shared.file.text
    }

    /// The recipe as a whole, for an error that has no better place.
    pub fn here(&self) -> At {
        At::end_of(&self.shared.file)
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({})", self.name())
    }
}
