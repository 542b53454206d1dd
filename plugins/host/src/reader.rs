//! A stranger's data reader.

use std::ffi::c_void;
use std::sync::Arc;

use tlkit_abi::{self as abi, Head};
use tlkit_core::data::{Blob, Form, Input, ReadOptions, Reader, Table};
use tlkit_core::{Context as _, Error, Result};

use crate::call::{Answer, one_text};
use crate::library::Plugin;
use crate::made::{Made, function};
use crate::manifest::ManifestEntry;

/// Opens files with a plugin, which is loaded when the first is opened.
pub(crate) struct CReader {
    plugin: Plugin,
    entry: ManifestEntry,
    extensions: Vec<&'static str>,
    folders: bool,
}

impl CReader {
    pub fn new(plugin: &Plugin, entry: &ManifestEntry) -> Self {
        // As long as the process, as the library itself.
        let leak = |e: &String| -> &'static str { Box::leak(e.clone().into_boxed_str()) };
        CReader {
            plugin: plugin.clone(),
            entry: entry.clone(),
            extensions: entry.extensions.iter().map(leak).collect(),
            folders: entry.folders,
        }
    }
}

/// What a table made of `reader.open` is, until it is dropped.
pub(crate) struct CTable {
    table: &'static abi::Reader,
    made: Made,
    name: String,
    columns: Vec<String>,
    rows: usize,
}

impl Reader for CReader {
    fn extensions(&self) -> &[&str] {
        &self.extensions
    }

    fn reads_folders(&self) -> bool {
        self.folders
    }

    fn reads_folders_of(&self, _: Form) -> bool {
        self.folders
    }

    fn open(&self, name: &str, blob: &Blob, options: &ReadOptions) -> Result<Arc<dyn Table>> {
        let table: &'static abi::Reader = self.plugin.table(&self.entry)?;
        let who = format!("{}: the reader `{}`", self.plugin.name(), self.entry.name);
        Ok(Arc::new(CTable::open(
            table,
            &who,
            name,
            blob,
            options.header,
        )?))
    }
}

impl CTable {
    /// Opens one file.
    pub fn open(
        table: &'static abi::Reader,
        who: &str,
        name: &str,
        blob: &Blob,
        header: bool,
    ) -> Result<Self> {
        let path = match blob {
            Blob::Path(path) => path.to_str().ok_or_else(|| {
                Error::msg(format!("{}: a path that is not UTF-8", path.display()))
            })?,
            Blob::Embedded(_) => "",
        };
        let file = abi::File {
            head: Head::of::<abi::File>(),
            name: abi::Text::of(name),
            path: abi::Text::of(path),
            bytes: match blob {
                Blob::Path(_) => abi::Text::EMPTY,
                Blob::Embedded(bytes) => abi::Text::bytes(bytes),
            },
            header: u32::from(header),
            reserved: 0,
        };
        let open = function!(table, open, "reader");
        // SAFETY: as tlkit.h says: what is lent lives for the call.
        let made = Made::by(who, None, table.close, |c, this| unsafe {
            open(c, &raw const file, this)
        })
        .context(name)?;
        let mut made = CTable {
            table,
            made,
            name: name.to_string(),
            columns: Vec::new(),
            rows: 0,
        };
        let rows = function!(table, rows, "reader");
        let columns = function!(table, columns, "reader");
        let mut count = 0;
        // SAFETY: as tlkit.h says; `this` is what `open` left.
        made.ask(|this, c| unsafe { rows(this, c, &raw mut count) })?;
        if count > u64::from(u32::MAX) {
            return Err(Error::msg(format!(
                "{name}: {who} says there are {count} rows"
            )));
        }
        made.rows = count as usize;
        // SAFETY: as above.
        for answer in made.ask(|this, c| unsafe { columns(this, c) })? {
            let Answer::Text(column) = answer else {
                return Err(Error::msg(format!(
                    "{name}: {who} names a column by something else than text"
                )));
            };
            if made.columns.contains(&column) {
                return Err(Error::msg(format!(
                    "{name}: two columns are called `{column}`"
                )));
            }
            made.columns.push(column);
        }
        if made.columns.is_empty() {
            return Err(Error::msg(format!("{name}: {who} names no column")));
        }
        Ok(made)
    }

    fn ask(&self, f: impl FnOnce(*mut c_void, *const abi::Call) -> i32) -> Result<Vec<Answer>> {
        self.made.ask(f).context(&self.name)
    }
}

impl Table for CTable {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let cell = function!(self.table, cell, "reader");
        // SAFETY: as tlkit.h says; row and column are those of the table.
        let answers = self.ask(|this, c| unsafe { cell(this, c, row as u64, column as u64) })?;
        let mut answers = answers.into_iter();
        match (answers.next(), answers.next(), answers.next()) {
            (Some(Answer::Text(text)), None, None) => Ok(Input::Text(text.into())),
            (Some(Answer::Text(a)), Some(Answer::Text(b)), None) => {
                Ok(Input::Pair(a.into(), b.into()))
            }
            (Some(Answer::Image(bytes)), None, None) => Ok(Input::Image(bytes.into())),
            (Some(Answer::Features(v)), None, None) => match v.iter().find(|x| !x.is_finite()) {
                None => Ok(Input::Features(v.into())),
                Some(x) => Err(Error::msg(format!(
                    "{}: {} gave a vector that holds {x}",
                    self.place(row),
                    self.made.who()
                ))),
            },
            (None, ..) => Err(Error::msg(format!(
                "{}: {} gave no answer for row {row}, column {column}",
                self.name,
                self.made.who()
            ))),
            _ => Err(Error::msg(format!(
                "{}: {} gave answers for row {row}, column {column} that make no cell",
                self.name,
                self.made.who()
            ))),
        }
    }

    fn place(&self, row: usize) -> String {
        let Some(place) = self.table.place else {
            return format!("{}: row {row}", self.name);
        };
        // SAFETY: as tlkit.h says; the row is one of the table.
        let said = self.ask(|this, c| unsafe { place(this, c, row as u64) });
        said.and_then(|answers| one_text(self.made.who(), answers))
            .unwrap_or_else(|_| format!("{}: row {row}", self.name))
    }
}
