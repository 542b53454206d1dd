//! A table of text cells in one buffer: no allocation a cell.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::{Input, ReadOptions, Table};

use crate::source::Source;

/// Text cells, row after row.
pub struct Cells {
    name: String,
    columns: Vec<String>,
    /// Every cell's text, end to end.
    text: String,
    /// Where each cell ends in `text`; it begins where the one before ends.
    ends: Vec<usize>,
    /// The line each row begins at, from 1.
    lines: Vec<usize>,
}

impl Table for Cells {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.lines.len()
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let i = row * self.columns.len() + column;
        let from = if i == 0 { 0 } else { self.ends[i - 1] };
        Ok(Input::Text(Cow::Borrowed(&self.text[from..self.ends[i]])))
    }

    fn place(&self, row: usize) -> String {
        format!("{}:{}", self.name, self.lines[row])
    }
}

/// Takes rows one at a time; the first one names the columns or counts them.
pub struct Builder<'s> {
    source: &'s Source,
    /// What to do about a wrong number of fields, which differs by format.
    advice: &'static str,
    header: bool,
    /// The line that said how many fields there are.
    first: usize,
    cells: Cells,
}

impl<'s> Builder<'s> {
    /// For one file.
    pub fn new(source: &'s Source, options: &ReadOptions, advice: &'static str) -> Self {
        let cells = Cells {
            name: source.name().to_string(),
            columns: Vec::new(),
            text: String::with_capacity(source.text().len()),
            ends: Vec::new(),
            lines: Vec::new(),
        };
        Builder {
            source,
            advice,
            header: options.header,
            first: 0,
            cells,
        }
    }

    /// One row that begins at a line.
    pub fn row<'t>(&mut self, line: usize, fields: impl Iterator<Item = &'t str>) -> Result<()> {
        if self.first == 0 {
            self.first = line;
            if self.header {
                self.cells.columns = fields.map(|f| f.trim().to_string()).collect();
                let mut seen = BTreeSet::new();
                return match self.cells.columns.iter().find(|c| !seen.insert(*c)) {
                    None => Ok(()),
                    Some(twice) => Err(self.source.error(
                        line,
                        format!("two columns are named `{twice}`; rename one, or write `header = false` if this line is data"),
                    )),
                };
            }
            let fields: Vec<&str> = fields.collect();
            self.cells.columns = (1..=fields.len()).map(|n| n.to_string()).collect();
            return self.push(line, fields.into_iter());
        }
        self.push(line, fields)
    }

    fn push<'t>(&mut self, line: usize, fields: impl Iterator<Item = &'t str>) -> Result<()> {
        let before = self.cells.ends.len();
        for field in fields {
            self.cells.text.push_str(field);
            self.cells.ends.push(self.cells.text.len());
        }
        let (found, wanted) = (self.cells.ends.len() - before, self.cells.columns.len());
        if found != wanted {
            let s = if found == 1 { "" } else { "s" };
            return Err(self.source.error(
                line,
                format!(
                    "{found} field{s}, and line {} has {wanted}; {}",
                    self.first, self.advice
                ),
            ));
        }
        self.cells.lines.push(line);
        Ok(())
    }

    /// The table; an error when it has no rows.
    pub fn finish(mut self) -> Result<Arc<dyn Table>> {
        if self.cells.lines.is_empty() {
            return Err(self.source.error(
                self.first.max(1),
                "no rows follow the names of the columns; write `header = false` if this line is data",
            ));
        }
        self.cells.text.shrink_to_fit();
        Ok(Arc::new(self.cells))
    }
}
