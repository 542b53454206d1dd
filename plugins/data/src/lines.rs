//! Plain text: a text a line, one column `text`. Blank lines are skipped.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::{Blob, ReadOptions, Reader, Table};

use crate::cells::Builder;
use crate::source::Source;

/// Reads `.txt`. There is no header, whatever the recipe says.
pub struct Lines;

impl Reader for Lines {
    fn extensions(&self) -> &[&str] {
        &["txt", "txt.gz"]
    }

    fn open(&self, name: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let source = Source::read(name, blob)?;
        let options = ReadOptions {
            header: true,
            ..ReadOptions::default()
        };
        let mut rows = Builder::new(&source, &options, "");
        rows.row(1, ["text"].into_iter())?;
        for (number, line) in source.lines().filter(|(_, l)| !l.trim().is_empty()) {
            rows.row(number, [line].into_iter())?;
        }
        rows.finish()
    }
}
