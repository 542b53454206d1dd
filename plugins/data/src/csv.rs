//! Comma-separated values after RFC 4180, through the `csv` crate; blank lines are skipped.

use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord};
use tlkit_core::Result;
use tlkit_core::data::{Blob, ReadOptions, Reader, Table};

use crate::cells::Builder;
use crate::source::Source;

/// Reads `.csv`.
pub struct Csv;

impl Reader for Csv {
    fn extensions(&self) -> &[&str] {
        &["csv", "csv.gz"]
    }

    fn open(&self, name: &str, blob: &Blob, options: &ReadOptions) -> Result<Arc<dyn Table>> {
        let source = Source::read(name, blob)?;
        quotes(&source)?;
        let advice = "put quotes around a field that holds a comma or a line break";
        let mut rows = Builder::new(&source, options, advice);
        let text = source.text().as_bytes();
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text);
        let mut record = StringRecord::new();
        let (mut line, mut counted) = (1, 0);
        while reader
            .read_record(&mut record)
            .map_err(|e| source.error(line, e))?
        {
            // A record's position may be the end of the line before, and blank lines belong to no record.
            let mut start = record.position().map_or(0, |p| p.byte() as usize);
            while matches!(text.get(start), Some(b'\r' | b'\n')) {
                start += 1;
            }
            line += text[counted..start].iter().filter(|&&b| b == b'\n').count();
            counted = start;
            rows.row(line, record.iter())?;
        }
        rows.finish()
    }
}

/// What the `csv` crate lets pass: a quote that is never closed takes the rest of the file, text after a closing quote is glued on.
fn quotes(source: &Source) -> Result<()> {
    enum At {
        FieldStart,
        Plain,
        Quoted { opened: usize },
        Closed { opened: usize },
    }
    let mut at = At::FieldStart;
    for (i, b) in source.text().bytes().enumerate() {
        at = match (at, b) {
            (At::FieldStart, b'"') => At::Quoted { opened: i },
            (At::Quoted { opened }, b'"') => At::Closed { opened },
            (At::Quoted { opened }, _) => At::Quoted { opened },
            // Two quotes within quotes are one.
            (At::Closed { opened }, b'"') => At::Quoted { opened },
            (At::FieldStart | At::Plain | At::Closed { .. }, b',' | b'\n' | b'\r') => {
                At::FieldStart
            }
            (At::Closed { .. }, _) => {
                return Err(source.error_at(
                    i,
                    "text after a closing quote; write a quote inside a quoted field twice: \"\"",
                ));
            }
            (At::FieldStart | At::Plain, _) => At::Plain,
        };
    }
    match at {
        At::Quoted { opened } => {
            Err(source.error_at(opened, "a quote is opened here and never closed"))
        }
        _ => Ok(()),
    }
}
