//! A table whose rows are found by an index.

use std::sync::Arc;

use tlkit_core::data::{Input, Table};
use tlkit_core::{Error, Result};

use crate::format::{Cell, Cells, Wrong};
use crate::store::Store;

/// Rows in a store, cells by a format.
pub struct Indexed<F> {
    name: String,
    columns: Vec<String>,
    store: Store,
    format: F,
}

impl<F: Cells + 'static> Indexed<F> {
    /// A table; `name` is how the user wrote it.
    pub fn table(name: &str, columns: Vec<String>, store: Store, format: F) -> Arc<dyn Table> {
        Arc::new(Indexed {
            name: name.to_string(),
            columns,
            store,
            format,
        })
    }

    /// What the file says of a row that is wrong now and was not when it was indexed.
    fn wrong(&self, row: usize, wrong: Wrong) -> Error {
        let place = match wrong.byte {
            Some(byte) => self.place_at(row, |_| Some(byte)),
            None => self.place(row),
        };
        Error::msg(format!("{place}: {}", wrong.words))
    }

    fn unread(&self, e: std::io::Error) -> Error {
        Error::msg(format!(
            "{}: {e}; it seems to have changed while it was read, so run again",
            self.name
        ))
    }

    /// Line and column of a byte of a row.
    fn place_at(&self, row: usize, byte: impl FnOnce(&[u8]) -> Option<usize>) -> String {
        let place = self.store.with(row as u64, |bytes, line| {
            let Some(byte) = byte(bytes) else {
                return format!("{}:{line}", self.name);
            };
            let (down, column) = position(&bytes[..byte.min(bytes.len())]);
            format!("{}:{}:{column}", self.name, line + down)
        });
        place.unwrap_or_else(|_| self.name.clone())
    }
}

/// Lines passed, and the column from 1, of what follows these bytes.
pub fn position(before: &[u8]) -> (u64, usize) {
    let lines = before.iter().filter(|&&b| b == b'\n').count() as u64;
    let start = before
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |i| i + 1);
    // Bytes that continue a character do not count.
    let column = 1 + before[start..]
        .iter()
        .filter(|&&b| b & 0xc0 != 0x80)
        .count();
    (lines, column)
}

impl<F: Cells + 'static> Table for Indexed<F> {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.store.rows() as usize
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let cell = match self.store.held(row as u64) {
            Some(bytes) => self.format.cell(bytes, column, &self.columns),
            None => self
                .store
                .with(row as u64, |bytes, _| {
                    let cell = self.format.cell(bytes, column, &self.columns);
                    cell.map(Cell::owned)
                })
                .map_err(|e| self.unread(e))?,
        };
        cell.map(Cell::input)
            .map_err(|wrong| self.wrong(row, wrong))
    }

    fn cells(&self, row: usize, columns: &[usize]) -> Vec<Result<Input<'_>>> {
        let cells = match self.store.held(row as u64) {
            Some(bytes) => self.format.cells(bytes, columns, &self.columns),
            None => {
                let owned = self.store.with(row as u64, |bytes, _| {
                    let cells = self.format.cells(bytes, columns, &self.columns).into_iter();
                    cells.map(|cell| cell.map(Cell::owned)).collect()
                });
                match owned {
                    Ok(cells) => cells,
                    Err(e) => return vec![Err(self.unread(e))],
                }
            }
        };
        let cells = cells.into_iter().map(|cell| cell.map(Cell::input));
        cells
            .map(|cell| cell.map_err(|wrong| self.wrong(row, wrong)))
            .collect()
    }

    fn place(&self, row: usize) -> String {
        self.place_at(row, |_| None)
    }

    fn place_of(&self, row: usize, column: usize) -> String {
        self.place_at(row, |bytes| {
            self.format.offset(bytes, column, &self.columns)
        })
    }
}
