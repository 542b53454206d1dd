//! The pass over a text file that finds its rows and checks them: as a stream, so that a file need not fit into memory.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

use tlkit_core::Error;

use crate::format::{Blank, Columns, Format, State, Wrong};
use crate::table::position;

/// A row longer than this is a mistake: a quote that is never closed, or a file of another kind.
const LONGEST: u64 = 256 << 20;

/// Takes what the pass finds.
pub trait Sink {
    /// The next bytes of the text.
    fn text(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// A row: where it begins, and in which line.
    fn row(&mut self, offset: u64, line: u64) -> io::Result<()>;
}

/// Why a pass ended early.
#[derive(Debug)]
pub enum Failure {
    /// The file is wrong.
    Data(Error),
    /// The file cannot be read.
    Read(io::Error),
    /// What was found cannot be kept.
    Sink(io::Error),
}

/// A spreadsheet leaves columns without names, and mostly without values. One may stay so; of several each gets a name.
fn name_the_unnamed(columns: &mut [String]) {
    if columns.iter().filter(|c| c.is_empty()).count() < 2 {
        return;
    }
    for (i, name) in columns.iter_mut().enumerate() {
        if name.is_empty() {
            *name = format!("unnamed {}", i + 1);
        }
    }
}

struct Pass<'a, F, S> {
    name: &'a str,
    format: &'a F,
    header: bool,
    sink: &'a mut S,
    columns: Columns,
    /// The line that said how many columns there are.
    first: Option<u64>,
    rows: u64,
}

/// Finds the rows of a text. Gives the columns' names.
pub fn scan<F: Format, S: Sink>(
    name: &str,
    mut reader: impl BufRead,
    format: &F,
    header: bool,
    sink: &mut S,
) -> Result<Vec<String>, Failure> {
    let mut pass = Pass {
        name,
        format,
        header,
        sink,
        columns: Columns::default(),
        first: None,
        rows: 0,
    };
    let mut row: Vec<u8> = Vec::new();
    let mut state = State::default();
    let (mut offset, mut line) = (0u64, 0u64);
    // Where the row in hand began.
    let (mut start, mut start_line) = (0, 1);
    // Blank lines that are rows if another row follows.
    let mut blanks: Vec<(u64, u64)> = Vec::new();
    loop {
        let before = row.len();
        let n = reader
            .by_ref()
            .take(LONGEST - before as u64)
            .read_until(b'\n', &mut row)
            .map_err(Failure::Read)?;
        if n == 0 {
            if before == 0 {
                break;
            }
            let cut = format.cut(&state);
            return Err(pass.wrong(&row, start_line, cut));
        }
        pass.sink.text(&row[before..]).map_err(Failure::Sink)?;
        if offset == 0 {
            if row.starts_with(&[0xff, 0xfe]) || row.starts_with(&[0xfe, 0xff]) {
                let words = format!("{name}: this is UTF-16; save the file as UTF-8");
                return Err(Failure::Data(Error::msg(words)));
            }
            if row.starts_with(&[0xef, 0xbb, 0xbf]) {
                row.drain(..3);
                start = 3;
            }
        }
        offset += n as u64;
        line += 1;
        let whole = format
            .take(&row[before..], before, &mut state)
            .map_err(|wrong| pass.wrong(&row, start_line, wrong))?;
        if row.len() as u64 >= LONGEST {
            let mut wrong = format.cut(&state);
            if wrong.byte.is_none() {
                wrong = Wrong::row("a row of more than 256 MiB; is this a file of rows?");
            }
            return Err(pass.wrong(&row, start_line, wrong));
        }
        if !whole {
            continue;
        }
        let text = std::str::from_utf8(&row).map_err(|e| {
            let words = "not UTF-8; save the file as UTF-8";
            pass.wrong(&row, start_line, Wrong::at(e.valid_up_to(), words))
        })?;
        let bare = text.strip_suffix('\n').unwrap_or(text);
        let bare = bare.strip_suffix('\r').unwrap_or(bare);
        let blank = match format.blank() {
            Blank::Skip => bare.trim().is_empty(),
            Blank::SkipEmpty | Blank::Row => bare.is_empty(),
        };
        if !blank {
            if pass.first.is_none() {
                // What cannot be read is found when the pass gets there, if it does.
                let mut more = || {
                    let next = reader.fill_buf().unwrap_or_default();
                    next.iter().any(|b| !b.is_ascii_whitespace())
                };
                let begun = format.begins(bare, &mut more);
                begun.map_err(|wrong| pass.wrong(bare.as_bytes(), start_line, wrong))?;
            }
            for (start, line) in blanks.drain(..) {
                pass.row("", start, line)?;
            }
            pass.row(bare, start, start_line)?;
        } else if format.blank() == Blank::Row {
            blanks.push((start, start_line));
        }
        row.clear();
        state = State::default();
        (start, start_line) = (offset, line + 1);
    }
    pass.finish()
}

impl<F: Format, S: Sink> Pass<'_, F, S> {
    fn wrong(&self, row: &[u8], line: u64, wrong: Wrong) -> Failure {
        let place = match wrong.byte {
            None => format!("{}:{line}", self.name),
            Some(byte) => {
                let (down, column) = position(&row[..byte.min(row.len())]);
                format!("{}:{}:{column}", self.name, line + down)
            }
        };
        Failure::Data(Error::msg(format!("{place}: {}", wrong.words)))
    }

    fn row(&mut self, row: &str, start: u64, line: u64) -> Result<(), Failure> {
        let wrong = |pass: &Self, w: Wrong| pass.wrong(row.as_bytes(), line, w);
        let first = match self.first {
            Some(first) => first,
            None => {
                self.first = Some(line);
                if self.header && self.format.has_header() {
                    let mut names = self.format.names(row).map_err(|w| wrong(self, w))?;
                    name_the_unnamed(&mut names);
                    let mut seen = BTreeSet::new();
                    let twice = names.iter().find(|c| !seen.insert(*c));
                    return match twice {
                        None => {
                            self.columns = Columns::of(names);
                            Ok(())
                        }
                        Some(twice) => Err(wrong(
                            self,
                            Wrong::row(format!(
                                "two columns are named `{twice}`; rename one, or write `header = false` if this line is data"
                            )),
                        )),
                    };
                }
                let names = self.format.unnamed(row).map_err(|w| wrong(self, w))?;
                self.columns = Columns::of(names);
                line
            }
        };
        let mut columns = std::mem::take(&mut self.columns);
        let checked = self.format.check(row, &mut columns, first);
        self.columns = columns;
        checked.map_err(|w| wrong(self, w))?;
        self.rows += 1;
        self.sink.row(start, line).map_err(Failure::Sink)
    }

    fn finish(self) -> Result<Vec<String>, Failure> {
        let words = match self.first {
            None => format!("{}: the file is empty", self.name),
            Some(first) if self.rows == 0 => format!(
                "{}:{first}: no rows follow the names of the columns; write `header = false` if this line is data",
                self.name
            ),
            Some(_) => return Ok(self.columns.into_names()),
        };
        Err(Failure::Data(Error::msg(words)))
    }
}
