//! Tab-separated values, without quoting: what stands between two tabs is the field, quotes and all.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::{Blob, ReadOptions, Reader, Table};

use crate::cells::Builder;
use crate::source::Source;

/// Reads `.tsv`.
pub struct Tsv;

impl Reader for Tsv {
    fn extensions(&self) -> &[&str] {
        &["tsv", "tsv.gz"]
    }

    fn open(&self, name: &str, blob: &Blob, options: &ReadOptions) -> Result<Arc<dyn Table>> {
        let source = Source::read(name, blob)?;
        let advice = "TSV has no quoting: write a space for a tab or a line break inside a text";
        let mut rows = Builder::new(&source, options, advice);
        for (number, line) in source.lines() {
            rows.row(number, line.split('\t'))?;
        }
        rows.finish()
    }
}
