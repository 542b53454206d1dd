//! Tab-separated values, without quoting: what stands between two tabs is the field, quotes and all.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::{Blob, ReadOptions, Reader, Table};

use crate::format::{
    Blank, Cell, Cells, Columns, Format, Wrong, fields, first_line, text, up_to_wrong,
};

/// Reads `.tsv`.
#[derive(Clone, Copy, Debug)]
pub struct Tsv;

const ADVICE: &str = "TSV has no quoting: write a space for a tab or a line break inside a text";

impl Reader for Tsv {
    fn extensions(&self) -> &[&str] {
        &["tsv", "tsv.gz", "tsv.xz"]
    }

    fn open(&self, name: &str, blob: &Blob, options: &ReadOptions) -> Result<Arc<dyn Table>> {
        crate::open::text(*self, name, blob, options)
    }
}

impl Cells for Tsv {
    fn key(&self) -> &'static str {
        "tsv 1"
    }

    fn cell<'r>(
        &self,
        row: &'r [u8],
        column: usize,
        _: &[String],
    ) -> std::result::Result<Cell<'r>, Wrong> {
        let line = first_line(row);
        let field = line.split(|&b| b == b'\t').nth(column).unwrap_or_default();
        Ok(Cell::Text(text(field)?.into()))
    }

    fn cells<'r>(
        &self,
        row: &'r [u8],
        wanted: &[usize],
        _: &[String],
    ) -> Vec<std::result::Result<Cell<'r>, Wrong>> {
        let all: Vec<&[u8]> = first_line(row).split(|&b| b == b'\t').collect();
        up_to_wrong(wanted, |column| {
            let field = all.get(column).copied().unwrap_or_default();
            Ok(Cell::Text(text(field)?.into()))
        })
    }

    fn offset(&self, row: &[u8], column: usize, _: &[String]) -> Option<usize> {
        let before = first_line(row).split(|&b| b == b'\t').take(column);
        Some(before.map(|f| f.len() + 1).sum())
    }
}

impl Format for Tsv {
    fn blank(&self) -> Blank {
        Blank::Row
    }

    fn has_header(&self) -> bool {
        true
    }

    fn names(&self, row: &str) -> std::result::Result<Vec<String>, Wrong> {
        Ok(row.split('\t').map(|f| f.trim().to_string()).collect())
    }

    fn unnamed(&self, row: &str) -> std::result::Result<Vec<String>, Wrong> {
        let n = row.split('\t').count();
        Ok((1..=n).map(|n| n.to_string()).collect())
    }

    fn check(
        &self,
        row: &str,
        columns: &mut Columns,
        first: u64,
    ) -> std::result::Result<(), Wrong> {
        let found = row.split('\t').count();
        match found == columns.len() {
            true => Ok(()),
            false => Err(fields(found, columns.len(), first, ADVICE)),
        }
    }
}
