//! Plain text: a text a line, one column `text`. Blank lines are skipped.

use std::result::Result;
use std::sync::Arc;

use tlkit_core::data::{Blob, ReadOptions, Reader, Table};

use crate::format::{Blank, Cell, Cells, Columns, Format, Wrong, first_line, text};

/// Reads `.txt`. There is no header, whatever the recipe says.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl Reader for Lines {
    fn extensions(&self) -> &[&str] {
        &["txt", "txt.gz", "txt.xz"]
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

impl Cells for Lines {
    fn key(&self) -> &'static str {
        "lines 1"
    }

    fn cell<'r>(&self, row: &'r [u8], _: usize, _: &[String]) -> Result<Cell<'r>, Wrong> {
        Ok(Cell::Text(text(first_line(row))?.into()))
    }

    fn offset(&self, _: &[u8], _: usize, _: &[String]) -> Option<usize> {
        Some(0)
    }
}

impl Format for Lines {
    fn blank(&self) -> Blank {
        Blank::Skip
    }

    fn names(&self, row: &str) -> Result<Vec<String>, Wrong> {
        self.unnamed(row)
    }

    fn unnamed(&self, _: &str) -> Result<Vec<String>, Wrong> {
        Ok(vec!["text".into()])
    }

    fn check(&self, _: &str, _: &mut Columns, _: u64) -> Result<(), Wrong> {
        Ok(())
    }
}
