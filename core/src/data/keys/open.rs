//! From the names of data in a recipe to open tables.

use std::path::PathBuf;
use std::sync::Arc;

use super::Form;
use super::columns::{Columns, named};
use super::written::Written;
use crate::data::columns::{Features, Rows};
use crate::data::pictures::Referred;
use crate::data::{
    Blob, Found, FoundRows, Named, ReadOptions, Reader, RowForm, Table, note_unresolved,
};
use crate::recipe::{At, Keys};
use crate::registry::Context;
use crate::{Error, Result};

/// The rows of one split, as its files have them.
#[derive(Clone)]
pub(super) struct Opened {
    pub rows: Rows,
    pub columns: Columns,
    /// The column of `split.group`, where rows are split by it.
    pub group: Option<usize>,
    /// What its files are called among what is shared; empty where nothing is.
    pub shared: String,
}

/// Opens every split's files, table by table, in the order of the keys; and where the indices of svmlight count from. `None` after an
/// error was noted.
pub(super) fn open(
    keys: &Keys,
    cx: &Context,
    form: Form,
    tables: &[&Written],
) -> Option<(Vec<(&'static str, Opened)>, Option<u32>)> {
    let found = find_all(keys, cx, tables, form)?;
    let range = match form {
        Form::Features => index_range(&found, cx),
        _ => None,
    };
    // The width of the vectors and their columns' names, from the first file.
    let mut alike: Option<(&str, (usize, Vec<String>))> = None;
    let mut opened = Vec::new();
    let mut shut = false;
    for (split, files) in &found {
        if files.is_empty() {
            continue;
        }
        let Some((written, here)) = tables.iter().find_map(|t| Some((*t, t.at(split)?))) else {
            continue;
        };
        let main = written.main();
        let options = ReadOptions {
            header: written.columns.header,
            min_width: range.map_or(0, |(_, width)| width),
            index_base: range.map(|(base, _)| base),
            drawn_side: written.scene_size,
            ..ReadOptions::default()
        };
        let mut tables: Vec<(Arc<dyn Table>, At)> = Vec::new();
        let mut called = String::new();
        for file in files {
            let table = match cx.registry.shared() {
                Some(shared) => {
                    let (table, key) = shared.open(file.reader, &file.name, &file.blob, &options);
                    called.push_str(&key);
                    table
                }
                None => file.reader.open(&file.name, &file.blob, &options),
            };
            if let Some(table) = noted(keys, &file.at, table) {
                tables.push((table, file.at.clone()));
            }
        }
        if tables.len() < files.len() {
            // What is wrong with the other files is said in the same go.
            shut = true;
            continue;
        }
        let mut resolved = Vec::new();
        for (table, at) in &tables {
            let table = table.as_ref();
            // The group's column is no feature; only the rows that are split need to have it.
            let group = match (&written.split.group.0, *split == main) {
                (Some(crate::recipe::Column::Name(n)), false) if !table.columns().contains(n) => {
                    None
                }
                _ => named(keys, table, at, &written.split.group)?,
            };
            let labelled = *split != "unlabelled";
            let columns = &written.columns;
            let columns = columns.find(keys, table, at, form, group, labelled)?;
            if group.is_some() && group == columns.label {
                keys.error(
                    written.split.group.1.clone(),
                    "`split.group` is the label's column, so every class would be on one side of the split",
                )
                .help("`group` names what belongs together within a class: a customer, a document; leave it out where each row stands for itself");
                return None;
            }
            resolved.push((columns, group));
        }
        // A vector's numbers are known by their columns' names too: a list is read by position, with the names of its first file.
        let vector = |i: usize| -> Vec<&String> {
            let there = tables[i].0.columns();
            resolved[i].0.features.iter().map(|&c| &there[c]).collect()
        };
        let odd =
            (1..resolved.len()).find(|&i| resolved[i] != resolved[0] || vector(i) != vector(0));
        if let Some(odd) = odd {
            let columns = |i: usize| (files[i].name.as_str(), tables[i].0.columns());
            let mut error = keys.error(
                tables[odd].1.clone(),
                "the files of a list must have the same columns",
            );
            if let Some(note) = difference(columns(0), columns(odd)) {
                error = error.note(note);
            }
            error.help("give each file its columns in one order");
            return None;
        }
        let (columns, group) = resolved.into_iter().next()?;
        let there = tables[0].0.columns().to_vec();
        let rows = tables
            .into_iter()
            .zip(files)
            .map(|((table, _), file)| match form {
                Form::Images => referred(table, columns.input, &file.blob),
                _ => table,
            });
        let rows = noted(keys, &here, Rows::new(rows.collect()))?;
        if rows.is_empty() {
            keys.error(here, format!("`{split}` has no rows"));
            return None;
        }
        if form == Form::Features {
            let f = Features {
                rows: rows.clone(),
                columns: columns.features.clone(),
            };
            let names = columns.features.iter().map(|&c| there[c].clone()).collect();
            let this = (noted(keys, &here, f.width())?, names);
            match &alike {
                None => alike = Some((split, this)),
                Some((first, is)) if *is != this => {
                    keys.error(
                        here,
                        format!("`{split}` does not have the columns of `{first}`"),
                    )
                    .help("give every file the same features, in one order");
                    return None;
                }
                Some(_) => {}
            }
        }
        let opened_part = Opened {
            rows,
            columns,
            group,
            shared: called,
        };
        opened.push((*split, opened_part));
    }
    if shut {
        return None;
    }
    Some((opened, range.map(|(base, _)| base)))
}

/// The first column that two files do not have in common.
fn difference(one: (&str, &[String]), other: (&str, &[String])) -> Option<String> {
    let c = (0..one.1.len().max(other.1.len())).find(|&c| one.1.get(c) != other.1.get(c))?;
    let said = |(file, columns): (&str, &[String])| match columns.get(c) {
        Some(name) => format!("`{name}` in {file}"),
        None => format!("not there in {file}"),
    };
    Some(format!(
        "column {} is {} and {}",
        c + 1,
        said(one),
        said(other)
    ))
}

/// One file of a recipe, and who reads it.
struct File<'c> {
    name: String,
    at: At,
    blob: Blob,
    reader: &'c Arc<dyn Reader>,
}

/// Every file of the recipe, by split; an error where one stands twice.
fn find_all<'c>(
    keys: &Keys,
    cx: &'c Context,
    tables: &[&Written],
    form: Form,
) -> Option<Vec<(&'static str, Vec<File<'c>>)>> {
    let mut all: Vec<(&'static str, Vec<File<'c>>)> = Vec::new();
    let mut seen: Vec<(PathBuf, &'static str, At)> = Vec::new();
    let mut wrong = false;
    for (split, values) in tables.iter().flat_map(|t| &t.files) {
        let mut files = Vec::new();
        for (value, at) in values {
            let found = match find(cx, value, form) {
                Ok(found) => found,
                Err(e) => {
                    note_unresolved(keys, at.clone(), &e);
                    wrong = true;
                    continue;
                }
            };
            for (name, blob, reader) in found {
                if let Some(path) = identity(&blob) {
                    let twice = seen.iter().find(|(p, other, _)| {
                        // Adapting on the rows that are tested is a custom of its own; their labels are sealed.
                        *p == path
                            && !(cx.transductive && *split == "test" && *other == "unlabelled")
                    });
                    if let Some((_, other, other_at)) = twice {
                        let (this, that) = (format!("for `{split}`"), format!("for `{other}`"));
                        keys.conflict(
                            &[(at.clone(), this.as_str()), (other_at.clone(), that.as_str())],
                            "the same file twice",
                        )
                        .help(if split == other {
                            "each row would count twice; take one out"
                        } else {
                            "a model that has seen the rows it is judged on looks better than it is: give other rows, or leave the key out and write `split = { test = 0.2 }`"
                        });
                        wrong = true;
                        continue;
                    }
                    seen.push((path, split, at.clone()));
                }
                files.push(File {
                    name,
                    at: at.clone(),
                    blob,
                    reader,
                });
            }
        }
        all.push((split, files));
    }
    if wrong { None } else { Some(all) }
}

/// What makes two names the same file.
fn identity(blob: &Blob) -> Option<PathBuf> {
    match blob {
        Blob::Path(path) => Some(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
        // Told apart by content, later.
        Blob::Embedded(_) => None,
    }
}

/// The files that a data value names, with a name for errors and a reader each.
fn find<'c>(
    cx: &'c Context,
    name: &str,
    form: Form,
) -> Result<Vec<(String, Blob, &'c Arc<dyn Reader>)>> {
    if let Some(builtin) = name.strip_prefix("builtin:")
        && let Some(reader) = cx.readers.iter().find(|r| r.makes(builtin))
    {
        return Ok(vec![(name.to_string(), Blob::Embedded(&[]), reader)]);
    }
    let files = match cx.resolve.resolve(name, &cx.folder)? {
        Found::File(blob) => vec![(name.to_string(), blob)],
        Found::Files(files) => files
            .into_iter()
            .map(|(name, path)| (name, Blob::Path(path)))
            .collect(),
        Found::Folder(_) if name.starts_with("hf:") => {
            return Err(Error::msg(format!(
                "`{name}` is a model; a split of a data set is written `hf:datasets/owner/name#train`"
            )));
        }
        Found::Folder(p) => {
            let mut all = cx.readers.iter();
            if let Some(reader) = all.find(|r| r.reads_folders_of(form)) {
                return Ok(vec![(name.to_string(), Blob::Path(p), reader)]);
            }
            if form == Form::Images {
                return Err(Error::msg(format!(
                    "{}: no reader for folders",
                    p.display()
                )));
            }
            return Err(Error::msg(format!(
                "{} is a folder; a file of rows is wanted",
                p.display()
            )));
        }
        Found::Embedded(_) => return Err(Error::msg(format!("{name} is not a table of rows"))),
    };
    let read = files.into_iter().map(|(name, blob)| {
        let path = match &blob {
            Blob::Path(p) => p.display().to_string(),
            // Embedded tables are tab-separated.
            Blob::Embedded(_) => format!("{name}.tsv"),
        };
        let reader = reader(cx, &path)?;
        Ok((name, blob, reader))
    });
    read.collect()
}

/// Opens the files of rows that a name stands for, each with whichever reader reads its kind.
pub fn open_tables(cx: &Context, name: &str, options: &ReadOptions) -> Result<Vec<Arc<dyn Table>>> {
    let found = find(cx, name, Form::Images)?;
    let tables = found
        .iter()
        .map(|(name, blob, reader)| reader.open(name, blob, options));
    tables.collect()
}

/// Opens what a name stands for and finds the columns that a model takes.
pub fn open_rows(cx: &Context, name: &str, form: &RowForm, named: &Named) -> Result<FoundRows> {
    let mut tables = Vec::new();
    for (name, blob, reader) in find(cx, name, form.form)? {
        let table = reader.open(&name, &blob, &form.options())?;
        tables.push(match form.form {
            Form::Images => referred(table.clone(), form.image(table.columns(), named)?, &blob),
            _ => table,
        });
    }
    form.find(tables, named)
}

/// Paths of images in a column are relative to the folder of the table's file.
fn referred(table: Arc<dyn Table>, column: usize, blob: &Blob) -> Arc<dyn Table> {
    let folder = match blob {
        Blob::Path(path) => path.parent().map(PathBuf::from),
        Blob::Embedded(_) => None,
    };
    match folder {
        Some(folder) => Arc::new(Referred {
            table,
            column,
            folder,
        }),
        None => table,
    }
}

fn reader<'c>(cx: &'c Context, path: &str) -> Result<&'c Arc<dyn Reader>> {
    cx.readers.iter().find(|r| r.reads(path)).ok_or_else(|| {
        let all = cx.readers.iter().flat_map(|r| r.extensions().iter());
        // `csv.gz` is `csv`, packed.
        let known: Vec<String> = all
            .filter(|e| !e.contains('.'))
            .map(|e| format!(".{e}"))
            .collect();
        Error::msg(format!(
            "{path}: no reader for this kind of file; there are readers for {}, text files also packed as .gz or .xz",
            known.join(", ")
        ))
    })
}

/// Index base and width over all files of the recipe: svmlight says neither whether it counts from 0 or 1 nor how wide it is.
fn index_range(found: &[(&'static str, Vec<File<'_>>)], cx: &Context) -> Option<(u32, usize)> {
    let files = found.iter().flat_map(|(_, files)| files);
    let of = |f: &File<'_>| match cx.registry.shared() {
        Some(shared) => shared.index_range(f.reader, &f.name, &f.blob),
        None => f.reader.index_range(&f.name, &f.blob),
    };
    let (lowest, highest) = files
        .filter_map(|f| of(f).ok()?)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let base = lowest.min(1);
    Some((base, (highest - base) as usize + 1))
}

/// The value; an error is noted at its place.
pub(super) fn noted<T>(keys: &Keys, at: &At, result: Result<T>) -> Option<T> {
    result
        .map_err(|e| keys.error(at.clone(), e.to_string()))
        .ok()
}
