//! Tables that a test can watch, and what the data keys make of them.

pub(crate) use std::borrow::Cow;
pub(crate) use std::collections::BTreeMap;
pub(crate) use std::path::Path;
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Mutex};

pub(crate) use tlkit_core::audit::{Audit, Level, Overlap};
pub(crate) use tlkit_core::data::{
    Blob, DataKeys, Form, Found, Input, ReadOptions, Reader, Resolve, Table,
};
pub(crate) use tlkit_core::recipe::Written;
pub(crate) use tlkit_core::registry::{Context, Registry};
pub(crate) use tlkit_core::{Error, Result};

/// Rows in memory, by the file's name.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) files: BTreeMap<String, Arc<Rows>>,
    pub(crate) lists: BTreeMap<String, Vec<String>>,
    /// Whether the method learns from all rows of a source.
    pub(crate) closed_form: bool,
}

pub(crate) struct Rows {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// A column whose cells nobody may read.
    pub(crate) sealed: Option<usize>,
    /// How often its label cells (column 1) were read.
    pub(crate) reads: AtomicUsize,
}

/// A file's rows, handed out as a table.
pub(crate) struct Opened(Arc<Rows>);

impl Table for Opened {
    fn columns(&self) -> &[String] {
        &self.0.columns
    }

    fn rows(&self) -> usize {
        self.0.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        assert_ne!(self.0.sealed, Some(column), "a sealed label was read");
        if column == 1 {
            self.0.reads.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Input::Text(Cow::Borrowed(&self.0.rows[row][column])))
    }

    fn place(&self, row: usize) -> String {
        format!("{}:{}", self.0.name, row + 2)
    }

    fn place_of(&self, row: usize, column: usize) -> String {
        format!("{}:{}", self.place(row), column + 1)
    }
}

impl Reader for World {
    fn extensions(&self) -> &[&str] {
        &["rows"]
    }

    fn open(&self, _: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let Blob::Path(path) = blob else { panic!() };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Ok(Arc::new(Opened(self.files[&name].clone())))
    }
}

impl Resolve for World {
    fn resolve(&self, name: &str, _: &Path) -> Result<Found> {
        if let Some(parts) = self.lists.get(name) {
            return Ok(Found::Files(
                parts.iter().map(|p| (p.clone(), p.into())).collect(),
            ));
        }
        match self.files.contains_key(name) {
            true => Ok(Found::File(Blob::Path(name.into()))),
            false => Err(Error::msg(format!("`{name}` is not there"))),
        }
    }
}

impl World {
    /// A file of `text|label` or `text|label|group` rows.
    pub(crate) fn with(self, name: &str, rows: &[&str]) -> Self {
        let rows: Vec<String> = rows.iter().map(|r| r.to_string()).collect();
        self.with_rows(name, &rows, false)
    }

    pub(crate) fn sealed(self, name: &str, rows: &[&str]) -> Self {
        let rows: Vec<String> = rows.iter().map(|r| r.to_string()).collect();
        self.with_rows(name, &rows, true)
    }

    pub(crate) fn with_rows(self, name: &str, rows: &[String], sealed: bool) -> Self {
        let all = ["text", "label", "group"];
        let columns = &all[..rows[0].split('|').count()];
        self.with_columns(name, columns, rows, sealed)
    }

    /// A file whose columns have these names.
    pub(crate) fn with_columns(
        mut self,
        name: &str,
        columns: &[&str],
        rows: &[String],
        sealed: bool,
    ) -> Self {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|r| r.split('|').map(str::to_string).collect())
            .collect();
        let table = Rows {
            name: name.to_string(),
            columns: columns.iter().map(|c| c.to_string()).collect(),
            rows,
            sealed: sealed.then_some(1),
            reads: AtomicUsize::new(0),
        };
        self.files.insert(name.to_string(), Arc::new(table));
        self
    }

    /// One of its files as a table.
    pub(crate) fn table(&self, name: &str) -> Arc<dyn Table> {
        Arc::new(Opened(self.files[name].clone()))
    }

    pub(crate) fn read(self, target: &str) -> Read {
        self.read_as(target, Form::Text, false, Overlap::Drop)
    }

    pub(crate) fn read_as(
        self,
        target: &str,
        form: Form,
        transductive: bool,
        overlap: Overlap,
    ) -> Read {
        let world = Arc::new(self);
        let text = format!("[target]\n{target}\n");
        let written = Written::parse("recipe.toml", &text, &[]).unwrap();
        let mut registry = Registry::new();
        registry.reader(world.clone());
        let resolve: Arc<dyn Resolve> = world.clone();
        let cx = Context {
            transductive,
            overlap,
            closed_form: world.closed_form,
            source_keys: transductive.then(|| written.keys().table("source")),
            ..Context::new(&registry, &resolve, Path::new(""))
        };
        let data = DataKeys::target(&written.keys().table("target"), &cx, form);
        let said = written.finish().to_text(false);
        assert!(
            data.is_some() || !said.is_empty(),
            "nothing, and no word of why"
        );
        Read { data, said, world }
    }
}

pub(crate) struct Read {
    pub(crate) data: Option<DataKeys>,
    pub(crate) said: String,
    pub(crate) world: Arc<World>,
}

impl Read {
    #[track_caller]
    pub(crate) fn data(&self) -> &DataKeys {
        assert_eq!(self.said, "");
        self.data.as_ref().unwrap()
    }

    pub(crate) fn audit(&self) -> &Audit {
        self.data().audit()
    }

    pub(crate) fn texts(&self, split: &str) -> Vec<String> {
        let Some(domain) = self.data().domain(split).unwrap() else {
            return Vec::new();
        };
        (0..domain.inputs.len())
            .map(|r| match domain.inputs.input(r).unwrap() {
                Input::Text(t) => t.into_owned(),
                other => panic!("{}", other.kind()),
            })
            .collect()
    }

    /// `kind split count: words`.
    pub(crate) fn found(&self) -> Vec<String> {
        let line = |f: &tlkit_core::audit::Finding| {
            let level = if f.level == Level::Warning { "!" } else { "" };
            format!("{level}{} {} {}: {}", f.kind, f.split, f.count, f.words)
        };
        self.audit().findings.iter().map(line).collect()
    }

    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) {
        assert_ne!(self.said, "", "it was read");
        for w in words {
            assert!(self.said.contains(w), "{}\nhas no: {w}", self.said);
        }
    }
}

pub(crate) fn many(n: usize, word: &str) -> Vec<String> {
    let label = |i: usize| if i.is_multiple_of(2) { "neg" } else { "pos" };
    (0..n)
        .map(|i| format!("{word} number {i}|{}", label(i)))
        .collect()
}

pub(crate) const GIVEN: &str = "train = \"a.rows\"\nvalidation = \"b.rows\"\ntest = \"c.rows\"";
pub(crate) const NO_SPLIT: &str = "train = \"a.rows\"\nsplit = { validation = 0.0 }";

pub(crate) fn clean() -> World {
    World::default()
        .with_rows("a.rows", &many(20, "train"), false)
        .with_rows("b.rows", &many(6, "validation"), false)
        .with_rows("c.rows", &many(8, "test"), false)
}
