//! Comma-separated values after RFC 4180; blank lines are skipped. Where rows end is found here, since a row must be found without
//! reading those before it; what the fields of one row say is left to `csv-core`.

use std::cell::RefCell;
use std::result::Result;
use std::sync::Arc;

use csv_core::ReadRecordResult;
use tlkit_core::data::{Blob, ReadOptions, Reader, Table};

use crate::format::{Blank, Cell, Cells, Columns, Format, State, Wrong, fields, text, up_to_wrong};

/// Reads `.csv`.
#[derive(Clone, Copy, Debug)]
pub struct Csv;

const ADVICE: &str = "put quotes around a field that holds a comma or a line break";

impl Reader for Csv {
    fn extensions(&self) -> &[&str] {
        &["csv", "csv.gz", "csv.xz"]
    }

    fn open(
        &self,
        name: &str,
        blob: &Blob,
        options: &ReadOptions,
    ) -> tlkit_core::Result<Arc<dyn Table>> {
        crate::open::text(*self, name, blob, options)
    }
}

impl Cells for Csv {
    fn key(&self) -> &'static str {
        "csv 1"
    }

    fn cell<'r>(
        &self,
        row: &'r [u8],
        column: usize,
        columns: &[String],
    ) -> Result<Cell<'r>, Wrong> {
        let row = whole(row);
        if !row.contains(&b'"') {
            let field = row.split(|&b| b == b',').nth(column).unwrap_or_default();
            return Ok(Cell::Text(text(field)?.into()));
        }
        let (bytes, ends) = record(row, columns.len());
        let from = if column == 0 { 0 } else { ends[column - 1] };
        Ok(Cell::Text(
            text(&bytes[from..ends[column]])?.to_string().into(),
        ))
    }

    fn cells<'r>(
        &self,
        row: &'r [u8],
        wanted: &[usize],
        columns: &[String],
    ) -> Vec<Result<Cell<'r>, Wrong>> {
        let row = whole(row);
        if !row.contains(&b'"') {
            let all: Vec<&[u8]> = row.split(|&b| b == b',').collect();
            return up_to_wrong(wanted, |column| {
                let field = all.get(column).copied().unwrap_or_default();
                Ok(Cell::Text(text(field)?.into()))
            });
        }
        let (bytes, ends) = record(row, columns.len());
        up_to_wrong(wanted, |column| {
            let from = if column == 0 { 0 } else { ends[column - 1] };
            let field = text(&bytes[from..ends[column]])?;
            Ok(Cell::Text(field.to_string().into()))
        })
    }

    fn offset(&self, row: &[u8], column: usize, _: &[String]) -> Option<usize> {
        if column == 0 {
            return Some(0);
        }
        commas(whole(row)).nth(column - 1).map(|i| i + 1)
    }
}

/// Where the commas between fields are. A quote counts at the beginning of a field only.
fn commas(row: &[u8]) -> impl Iterator<Item = usize> {
    let (mut start, mut quoted) = (true, false);
    row.iter().enumerate().filter_map(move |(i, &b)| {
        let between = b == b',' && !quoted;
        match b {
            b'"' if start => quoted = true,
            // Two quotes within quotes are one: closed and opened again.
            b'"' if quoted => {
                quoted = false;
                start = true;
                return None;
            }
            _ => {}
        }
        start = between;
        between.then_some(i)
    })
}

/// The row without its line end and blank lines after it. (A field does not end in a line break: a quote would follow.)
fn whole(row: &[u8]) -> &[u8] {
    let end = row.iter().rposition(|b| !matches!(b, b'\r' | b'\n'));
    &row[..end.map_or(0, |i| i + 1)]
}

thread_local! {
    /// Its table of states takes longer to build than a row to read. (And a clone of it, in csv-core 0.1.13, reads nothing.)
    static READER: RefCell<csv_core::Reader> = RefCell::new(csv_core::Reader::new());
}

/// The fields of a row, end to end, and where each ends; `least` ends in any case.
fn record(row: &[u8], least: usize) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = vec![0; row.len() + 1];
    // A comma a field, at most.
    let commas = row.iter().filter(|&&b| b == b',').count();
    let mut ends = vec![0; commas + 2];
    let (mut input, mut written, mut ended) = (row, 0, 0);
    READER.with_borrow_mut(|reader| {
        reader.reset();
        loop {
            let (result, read, wrote, more) =
                reader.read_record(input, &mut bytes[written..], &mut ends[ended..]);
            (input, written, ended) = (&input[read..], written + wrote, ended + more);
            // An empty input, the second time, says that it ends here.
            if !matches!(result, ReadRecordResult::InputEmpty) {
                break;
            }
        }
    });
    bytes.truncate(written);
    ends.truncate(ended);
    ends.resize(ended.max(least), written);
    (bytes, ends)
}

/// A first line of one field that holds what separates fields elsewhere, and is not in quotes, which say that it is one.
fn other_separator(only: &str) -> Result<(), Wrong> {
    let (what, help) = match only {
        text if text.contains('\t') => ("a tab", "a file with tabs is named `.tsv`"),
        text if text.contains(';') => (
            "`;`",
            "save the file with commas, or with tabs and the name `.tsv`",
        ),
        _ => return Ok(()),
    };
    Err(Wrong::row(format!(
        "this line is one field and holds {what}, and what separates fields in `.csv` is the comma; {help}; or put it in quotes, if it is one field"
    )))
}

impl Format for Csv {
    fn blank(&self) -> Blank {
        Blank::SkipEmpty
    }

    /// What a lenient parser lets pass is an error: a quote that is never closed takes the rest of the file, text after a closing
    /// quote is glued on.
    fn take(&self, line: &[u8], so_far: usize, state: &mut State) -> Result<bool, Wrong> {
        enum At {
            FieldStart,
            Plain,
            Quoted(usize),
            Closed(usize),
        }
        let mut at = match state.quoted {
            Some(opened) => At::Quoted(opened),
            None => At::FieldStart,
        };
        for (i, &b) in line.iter().enumerate() {
            at = match (at, b) {
                (At::FieldStart, b'"') => At::Quoted(so_far + i),
                (At::Quoted(opened), b'"') => At::Closed(opened),
                (At::Quoted(opened), _) => At::Quoted(opened),
                // Two quotes within quotes are one.
                (At::Closed(opened), b'"') => At::Quoted(opened),
                (_, b'\r') if line.get(i + 1) != Some(&b'\n') && i + 1 < line.len() => {
                    return Err(Wrong::at(
                        so_far + i,
                        "a carriage return that ends no line; save the file with Unix or Windows line ends",
                    ));
                }
                (_, b',' | b'\n' | b'\r') => At::FieldStart,
                (At::Closed(_), _) => {
                    return Err(Wrong::at(
                        so_far + i,
                        "text after a closing quote; write a quote inside a quoted field twice: \"\"",
                    ));
                }
                (At::FieldStart | At::Plain, _) => At::Plain,
            };
        }
        state.quoted = match at {
            At::Quoted(opened) => Some(opened),
            _ => None,
        };
        Ok(state.quoted.is_none())
    }

    fn cut(&self, state: &State) -> Wrong {
        Wrong::at(
            state.quoted.unwrap_or(0),
            "a quote is opened here and never closed",
        )
    }

    fn has_header(&self) -> bool {
        true
    }

    fn names(&self, row: &str) -> Result<Vec<String>, Wrong> {
        let (bytes, ends) = record(whole(row.as_bytes()), 1);
        let mut names = Vec::with_capacity(ends.len());
        let mut from = 0;
        for end in ends {
            names.push(text(&bytes[from..end])?.trim().to_string());
            from = end;
        }
        match names.as_slice() {
            [only] if !row.starts_with('"') => other_separator(only).map(|()| names),
            _ => Ok(names),
        }
    }

    fn unnamed(&self, row: &str) -> Result<Vec<String>, Wrong> {
        let n = self.names(row)?.len();
        Ok((1..=n).map(|n| n.to_string()).collect())
    }

    fn check(&self, row: &str, columns: &mut Columns, first: u64) -> Result<(), Wrong> {
        let found = 1 + commas(row.as_bytes()).count();
        match found == columns.len() {
            true => Ok(()),
            false => Err(fields(found, columns.len(), first, ADVICE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_separator_is_named() {
        for (line, what) in [("id;text;label", "`;`"), ("id\ttext\tlabel", "a tab")] {
            let wrong = Csv.names(line).unwrap_err();
            assert!(wrong.words.contains(what), "{}", wrong.words);
        }
        assert_eq!(Csv.names("text"), Ok(vec!["text".to_string()]));
        assert!(Csv.names("a;b,c").is_ok());
        assert_eq!(Csv.names("\"a;b\tc\""), Ok(vec!["a;b\tc".to_string()]));
    }
}
