//! Where the rows come from: a file by the readers of recipes, lines of standard input, or words of the command line. They are
//! handed out in blocks, so that memory does not grow with the input.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlkit_core::data::{self, Form, Named, RowForm, Samples, Table, open_rows};
use tlkit_core::recipe::Column;
use tlkit_core::registry::Context;
use tlkit_core::run::Saved;
use tlkit_core::{Error, Result};

use super::broken;
use crate::cli::arguments::Predict;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::parts::{self, Fetch};

/// Rows that are answered at once.
const BLOCK: usize = 1024;

/// Rows, block by block.
pub enum Input {
    /// A table on disk.
    Table {
        name: String,
        inputs: Arc<dyn Samples>,
        from: usize,
        /// Rows that are answered at once.
        block: usize,
    },
    /// A row a line.
    Lines {
        form: RowForm,
        reader: Box<dyn BufRead>,
        line: usize,
        rows: usize,
        /// Lines that are answered at once.
        block: usize,
    },
    /// All there is.
    Given(Option<Arc<dyn Samples>>),
}

impl Input {
    /// As the command line says.
    pub fn open(arguments: &Predict, saved: &Saved) -> std::result::Result<Self, Failure> {
        let form = &saved.rows;
        if !arguments.text.is_empty() && form.form == Form::Images {
            return Err(Failure::Wrong(
                "the model takes images, and `--text` is none; name image files, folders or patterns".into(),
            ));
        }
        if !arguments.text.is_empty() {
            if arguments.column.is_some() || arguments.pair.is_some() {
                return Err(Failure::Wrong(
                    "`--column` and `--pair` name columns of a file, and `--text` is none; of two texts it has both, a tab between them".into(),
                ));
            }
            let mut rows = Vec::new();
            for (i, text) in arguments.text.iter().enumerate() {
                let row = row(form, text)
                    .map_err(|e| Failure::Wrong(format!("--text, number {}: {e}", i + 1)))?;
                rows.push(row);
            }
            return Ok(Input::Given(Some(Arc::new(Rows { first: 0, rows }))));
        }
        let named = Named {
            text: arguments.column.as_deref().map(column),
            pair: arguments.pair.as_deref().map(column),
            image: arguments.column.as_deref().map(column),
            label: None,
        };
        if form.form == Form::Images
            && let Some(paths) = pictures(&arguments.files)?
        {
            let found = form.find(vec![paths], &named).map_err(Failure::wrong)?;
            return Ok(Input::Table {
                name: arguments.files.join(" "),
                block: block(saved, found.inputs.as_ref()),
                inputs: found.inputs,
                from: 0,
            });
        }
        if let [first, second, ..] = &arguments.files[..] {
            return Err(Failure::Wrong(match form.form {
                Form::Images => format!(
                    "{first} and {second}: images, folders and patterns may be several; of a table one"
                ),
                _ => format!("{first} and {second}: one file at a time"),
            }));
        }
        match arguments.files.first().map(String::as_str) {
            Some("-") => Ok(Self::standard(saved, arguments.line_buffered)),
            None if std::io::stdin().is_terminal() => Err(Failure::Wrong(
                "what is to be predicted?\n  name a FILE, or `-` for lines of standard input, or write `--text \"...\"`".into(),
            )),
            None => Ok(Self::standard(saved, arguments.line_buffered)),
            Some(file) => {
                let found = open(file, saved, &named, !arguments.no_header)?;
                Ok(Input::Table {
                    name: file.to_string(),
                    block: block(saved, found.inputs.as_ref()),
                    inputs: found.inputs,
                    from: 0,
                })
            }
        }
    }

    /// Somebody who types a line waits for its answer. Otherwise blocks are full: if they hung on when a pipe has how much, so would
    /// the last digits, which depend on the rows that a row is multiplied with.
    fn standard(saved: &Saved, line_buffered: bool) -> Self {
        let single = line_buffered || std::io::stdin().is_terminal();
        Input::Lines {
            form: saved.rows.clone(),
            reader: Box::new(BufReader::new(std::io::stdin())),
            line: 0,
            rows: 0,
            block: match (single, saved.one_by_one()) {
                (true, _) => 1,
                (false, true) => BLOCK,
                // As of a file: all.
                (false, false) => usize::MAX,
            },
        }
    }

    /// The same without images that cannot be read, where the rows are known.
    pub fn readable(self, saved: &Saved) -> Result<Self> {
        let Input::Table {
            name,
            inputs,
            from,
            block,
        } = self
        else {
            return Ok(self);
        };
        let kept = broken::readable(inputs.as_ref(), saved)?;
        let inputs = match kept {
            Some(kept) => data::pick(inputs, kept),
            None => inputs,
        };
        Ok(Input::Table {
            name,
            inputs,
            from,
            block,
        })
    }

    /// All rows, where they are known.
    pub fn all(&self) -> Option<&dyn Samples> {
        match self {
            Input::Table { inputs, .. } => Some(inputs.as_ref()),
            Input::Lines { .. } | Input::Given(_) => None,
        }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        match self {
            Input::Table { name, .. } => name,
            Input::Lines { .. } => "standard input",
            Input::Given(_) => "--text",
        }
    }

    /// The next rows; none at the end.
    pub fn next(&mut self) -> Result<Option<Arc<dyn Samples>>> {
        match self {
            Input::Table {
                inputs,
                from,
                block,
                ..
            } => {
                let first = *from;
                let len = (inputs.len() - first).min(*block);
                if len == 0 {
                    return Ok(None);
                }
                *from += len;
                let inputs = inputs.clone();
                Ok(Some(Arc::new(Window { inputs, first, len })))
            }
            Input::Lines {
                form,
                reader,
                line,
                rows,
                block,
            } => {
                let first = *rows;
                let block = lines(reader.as_mut(), form, line, *block)?;
                if first == 0 {
                    remark(form, &block);
                }
                *rows += block.len();
                if block.is_empty() {
                    return Ok(None);
                }
                Ok(Some(Arc::new(Rows { first, rows: block })))
            }
            Input::Given(rows) => Ok(rows.take()),
        }
    }
}

/// How many rows of a file are answered at once: all, where the rows beside a row decide what is said of it. In a file that is sorted by class they would
/// be those of its own.
fn block(saved: &Saved, rows: &dyn Samples) -> usize {
    match saved.one_by_one() {
        true => BLOCK,
        false => rows.len(),
    }
}

/// The images that the arguments name, where each is an image, a folder or a pattern.
fn pictures(named: &[String]) -> std::result::Result<Option<Arc<dyn Table>>, Failure> {
    let mut all = Vec::new();
    for name in named {
        let path = PathBuf::from(name);
        if path.is_dir() {
            let inside = tlkit_data::pictures_under(&path).map_err(Failure::wrong)?;
            if inside.is_empty() {
                return Err(Failure::Wrong(format!("{name}: no image in this folder")));
            }
            all.extend(inside);
        } else if path.is_file() {
            if !tlkit_data::is_picture(&path) {
                return Ok(None);
            }
            all.push(path);
        } else if name.contains(['*', '?', '[']) {
            // As a shell has it: hidden files are named or left alone.
            let how = glob::MatchOptions {
                require_literal_leading_dot: true,
                ..glob::MatchOptions::default()
            };
            let found = glob::glob_with(name, how)
                .map_err(|e| Failure::Wrong(format!("`{name}` is no pattern: {e}")))?;
            let mut found: Vec<PathBuf> = found.filter_map(|p| p.ok()).collect();
            found.retain(|p| p.is_file() && tlkit_data::is_picture(p));
            if found.is_empty() {
                return Err(Failure::Wrong(format!("`{name}` matches no image")));
            }
            all.extend(found);
        } else if named.len() > 1 || tlkit_data::is_picture(&path) {
            return Err(Failure::Wrong(format!("{name}: no such file or folder")));
        } else {
            return Ok(None);
        }
    }
    let some = !all.is_empty();
    Ok(some.then(|| tlkit_data::pictures(all)))
}

/// Opens a file of rows and finds the columns that a model takes. `header`: its first line may name them.
pub fn open(
    file: &str,
    saved: &Saved,
    named: &Named,
    header: bool,
) -> std::result::Result<data::FoundRows, Failure> {
    let wrong = |e: Error| {
        let text = e.to_string();
        let mut text = match text.contains(file) {
            true => text,
            false => format!("{file}: {text}"),
        };
        // A reader of theirs may be what opens this.
        for plugin in saved.not_loaded() {
            text.push_str(&format!("\n  a plugin of the run is not loaded: {plugin}"));
        }
        Failure::Wrong(text)
    };
    let resolve = parts::resolve(Fetch::Aloud);
    let mut cx = Context::new(saved.registry(), &resolve, Path::new("."));
    cx.readers.splice(0..0, saved.reader());
    let form = RowForm {
        header: header && saved.rows.header,
        ..saved.rows.clone()
    };
    let found = open_rows(&cx, file, &form, named).map_err(wrong)?;
    if let Some(name) = &found.taken {
        output::err(&format!(
            "note: the text is the only column there is, `{name}`; if that is a row, `--no-header` says so\n"
        ));
    }
    Ok(found)
}

/// A column as a person writes it: a number counts from 1.
pub fn column(text: &str) -> Column {
    match text.parse::<usize>() {
        Ok(n) => Column::Number(n),
        Err(_) => Column::Name(text.to_string()),
    }
}

/// One row of standard input or of `--text`.
enum Row {
    Text(String),
    Pair(String, String),
    Features(Vec<f32>),
    /// The path, and what the file holds.
    Image(String, Vec<u8>),
}

fn row(form: &RowForm, text: &str) -> Result<Row> {
    match (form.form, &form.pair) {
        (Form::Features, _) => {
            let cells = text
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|c| !c.is_empty());
            let numbers = cells
                .map(|c| {
                    let number = c.parse::<f32>().ok().filter(|v| v.is_finite());
                    number.ok_or_else(|| Error::msg(format!("`{c}` is not a number")))
                })
                .collect::<Result<Vec<f32>>>()?;
            if numbers.len() != form.width {
                return Err(Error::msg(format!(
                    "{} numbers, and the model takes {}, separated by commas",
                    numbers.len(),
                    form.width
                )));
            }
            Ok(Row::Features(numbers))
        }
        (Form::Images, _) => {
            let path = text.trim();
            let bytes = std::fs::read(path).map_err(|e| {
                Error::msg(format!(
                    "{path}: {e}; the model takes images, a path a line"
                ))
            })?;
            Ok(Row::Image(path.to_string(), bytes))
        }
        (_, Some(_)) => match text.split_once('\t') {
            Some((a, b)) => Ok(Row::Pair(a.to_string(), b.to_string())),
            None => Err(Error::msg(
                "the model takes pairs of texts; write a tab between the two",
            )),
        },
        (_, None) => Ok(Row::Text(text.to_string())),
    }
}

/// The next lines. Blank ones are skipped, as the reader of `.txt` skips them.
fn lines(
    reader: &mut dyn BufRead,
    form: &RowForm,
    line: &mut usize,
    most: usize,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut bytes = Vec::new();
    while rows.len() < most {
        bytes.clear();
        let read = reader
            .read_until(b'\n', &mut bytes)
            .map_err(|e| Error::msg(format!("standard input: {e}")))?;
        if read == 0 {
            break;
        }
        *line += 1;
        let place = format!("standard input:{line}");
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::msg(format!("{place}: not UTF-8")))?
            .trim_end_matches(['\n', '\r']);
        if !text.trim().is_empty() {
            rows.push(row(form, text).map_err(|e| Error::msg(format!("{place}: {e}")))?);
        }
    }
    Ok(rows)
}

/// Lines have no header. Where the first looks like that of the model's own table, it was answered like any other, and so were the separators in the others.
fn remark(form: &RowForm, rows: &[Row]) {
    let (Some(Row::Text(first)), Some(column)) = (rows.first(), &form.text) else {
        return;
    };
    let mut cells = first.split([',', '\t']).map(|c| c.trim().trim_matches('"'));
    if cells.any(|c| c == column) {
        output::err(&format!(
            "note: lines of standard input are texts and nothing else, and the first, `{first}`, looks like the header of a table; write the table to a file, and \
             name that\n"
        ));
    }
}

/// Rows in memory; the first of them is row `first` of all.
struct Rows {
    first: usize,
    rows: Vec<Row>,
}

impl Samples for Rows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> String {
        match &self.rows[row] {
            Row::Image(path, _) => path.clone(),
            _ => (self.first + row).to_string(),
        }
    }

    fn input(&self, row: usize) -> Result<data::Input<'_>> {
        Ok(match &self.rows[row] {
            Row::Text(t) => data::Input::Text(Cow::Borrowed(t)),
            Row::Pair(a, b) => data::Input::Pair(Cow::Borrowed(a), Cow::Borrowed(b)),
            Row::Features(f) => data::Input::Features(Cow::Borrowed(f)),
            Row::Image(_, bytes) => data::Input::Image(Cow::Borrowed(bytes)),
        })
    }
}

/// Some of a table's rows.
struct Window {
    inputs: Arc<dyn Samples>,
    first: usize,
    len: usize,
}

impl Samples for Window {
    fn len(&self) -> usize {
        self.len
    }

    fn id(&self, row: usize) -> String {
        self.inputs.id(self.first + row)
    }

    fn place(&self, row: usize) -> String {
        self.inputs.place(self.first + row)
    }

    fn input(&self, row: usize) -> Result<data::Input<'_>> {
        self.inputs.input(self.first + row)
    }
}
