//! How rows stand in a file's bytes: what a format knows, and the rest does not.

use std::borrow::Cow;
use std::collections::BTreeSet;

use tlkit_core::data::Input;

/// What is wrong in a row: where, as bytes from its beginning, and in words. Without a place it is the row as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Bytes from the row's beginning.
    pub byte: Option<usize>,
    /// What, and what to do.
    pub words: String,
}

impl Wrong {
    /// The row as a whole.
    pub fn row(words: impl Into<String>) -> Wrong {
        let (byte, words) = (None, words.into());
        Wrong { byte, words }
    }

    /// A place in it.
    pub fn at(byte: usize, words: impl Into<String>) -> Wrong {
        let (byte, words) = (Some(byte), words.into());
        Wrong { byte, words }
    }
}

/// A cell's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes that are no text: an image.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Cell<'a> {
    /// As a table hands it out.
    pub fn input(self) -> Input<'a> {
        match self {
            Cell::Text(t) => Input::Text(t),
            Cell::Bytes(b) => Input::Image(b),
        }
    }

    /// The same on its own.
    pub fn owned(self) -> Cell<'static> {
        match self {
            Cell::Text(t) => Cell::Text(Cow::Owned(t.into_owned())),
            Cell::Bytes(b) => Cell::Bytes(Cow::Owned(b.into_owned())),
        }
    }
}

/// Cells of a row, wherever the row's bytes are.
pub trait Cells: Send + Sync {
    /// A name with a version: part of what a cached index is found by.
    fn key(&self) -> &'static str;
    /// One cell. `row` may end in the row's own line end and in lines that are skipped.
    fn cell<'r>(&self, row: &'r [u8], column: usize, columns: &[String])
    -> Result<Cell<'r>, Wrong>;
    /// The cells `wanted`, in that order, up to the first that is wrong. A format that passes other cells on its way to one looks at the
    /// row once for all of them.
    fn cells<'r>(
        &self,
        row: &'r [u8],
        wanted: &[usize],
        columns: &[String],
    ) -> Vec<Result<Cell<'r>, Wrong>> {
        up_to_wrong(wanted, |column| self.cell(row, column, columns))
    }
    /// Where a cell begins, as bytes from the row's beginning; `None` where rows are no text.
    fn offset(&self, row: &[u8], column: usize, columns: &[String]) -> Option<usize>;
}

/// A cell for each of the columns, up to the first that is wrong.
pub fn up_to_wrong<'r>(
    wanted: &[usize],
    cell: impl Fn(usize) -> Result<Cell<'r>, Wrong>,
) -> Vec<Result<Cell<'r>, Wrong>> {
    let mut cells = Vec::with_capacity(wanted.len());
    for &column in wanted {
        cells.push(cell(column));
        if cells.last().is_some_and(Result::is_err) {
            break;
        }
    }
    cells
}

/// The columns of a file that is being read.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    names: Vec<String>,
    /// The same, for whether a name is among them.
    known: BTreeSet<String>,
}

impl Columns {
    /// Those of the first row.
    pub fn of(names: Vec<String>) -> Columns {
        let known = names.iter().cloned().collect();
        Columns { names, known }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// One more at the end, where it is new.
    pub fn add(&mut self, name: String) {
        if !self.known.contains(&name) {
            self.known.insert(name.clone());
            self.names.push(name);
        }
    }

    /// Their names.
    pub fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// What becomes of a blank line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blank {
    /// It is no row, be there spaces in it or not.
    Skip,
    /// It is no row when there is nothing in it at all.
    SkipEmpty,
    /// It is a row, but for those at the end of the file.
    Row,
}

/// A text format: rows are made of whole lines.
pub trait Format: Cells {
    /// Blank lines.
    fn blank(&self) -> Blank;
    /// Takes one more line of a row, its end included, and says whether the row is whole.
    fn take(&self, _line: &[u8], _so_far: usize, _state: &mut State) -> Result<bool, Wrong> {
        Ok(true)
    }
    /// What to say when the file ends within a row.
    fn cut(&self, _state: &State) -> Wrong {
        Wrong::row("the file ends within a row")
    }
    /// Whether the first row can name the columns.
    fn has_header(&self) -> bool {
        false
    }
    /// The columns that a first row names.
    fn names(&self, row: &str) -> Result<Vec<String>, Wrong>;
    /// The columns by a first row that names none.
    fn unnamed(&self, row: &str) -> Result<Vec<String>, Wrong>;
    /// Checks a row; may add columns that it is the first to have. `first` is the line that said how many there are.
    fn check(&self, row: &str, columns: &mut Columns, first: u64) -> Result<(), Wrong>;
    /// What the first row says of the file as a whole, before its columns are asked for. `more` looks whether text follows it, and may be
    /// called by who has an error to give.
    fn begins(&self, _row: &str, _more: &mut dyn FnMut() -> bool) -> Result<(), Wrong> {
        Ok(())
    }
}

/// Where a row stands after some of its lines; the formats whose rows are lines need none.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Within quotes: where they were opened.
    pub quoted: Option<usize>,
}

/// The row's text without its line end: its first line.
pub fn first_line(row: &[u8]) -> &[u8] {
    let end = row.iter().position(|&b| b == b'\n').unwrap_or(row.len());
    let line = &row[..end];
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// As text; what was UTF-8 when the index was made is so still, unless somebody wrote to the file.
pub fn text(bytes: &[u8]) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|e| {
        Wrong::at(
            e.valid_up_to(),
            "not UTF-8; the file changed while it was read",
        )
    })
}

/// The error of a row whose fields are too many or too few.
pub fn fields(found: usize, wanted: usize, first: u64, advice: &str) -> Wrong {
    let s = if found == 1 { "" } else { "s" };
    Wrong::row(format!(
        "{found} field{s}, and line {first} has {wanted}; {advice}"
    ))
}
