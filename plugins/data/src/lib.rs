//! Readers of data files: from bytes to a table of cells.
//!
//! | ending | what it is | columns |
//! |---|---|---|
//! | `.tsv` | fields separated by tabs, a row a line; no quoting, so a field holds neither a tab nor a line break | the first line's names |
//! | `.csv` | RFC 4180: commas, and quotes around fields that hold commas, quotes or line breaks | the first line's names |
//! | `.svmlight`, `.libsvm`, `.svm` | `label index:value index:value ...`, absent values are 0 | `label`, `features` |
//! | `.txt` | a text a line; blank lines are skipped | `text` |
//!
//! Each may be compressed: `.csv.gz`. Text is UTF-8, with or without a byte-order mark. Where `header = false` in the recipe,
//! the columns of TSV and CSV are called `1`, `2` and so on.
//!
//! Every error points into the data, `reviews.csv:4812:17: ...` (line and column count from 1, columns in characters), and says what
//! to do.
//!
//! ```
//! use tlkit_core::data::{Blob, ReadOptions, Reader};
//!
//! let blob = Blob::Embedded(b"text\tlabel\nA fine film.\tpositive\n");
//! let table = tlkit_data::Tsv.open("films.tsv", &blob, &ReadOptions::default())?;
//! assert_eq!(table.columns(), ["text", "label"]);
//! assert_eq!(table.place(0), "films.tsv:2");
//! # Ok::<(), tlkit_core::Error>(())
//! ```
//!
//! Tables stay in memory: [`cells`] keeps all of a file's text in one buffer with offsets into it, [`svmlight`] keeps the
//! values that are not zero.
//!
//! # Adding a format
//!
//! Implement `tlkit_core::data::Reader` in a file of its own, take the bytes from [`source::Source`] (which knows gzip, the
//! byte-order mark and UTF-8, and makes errors with a place), and add it to [`register`].

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::Registry;

pub mod cells;
mod csv;
pub mod guess;
mod lines;
pub mod scenes;
pub mod source;
pub mod svmlight;
mod tsv;

pub use csv::Csv;
pub use lines::Lines;
pub use svmlight::SvmLight;
pub use tsv::Tsv;

/// Adds every reader of this crate.
pub fn register(registry: &mut Registry) -> Result<()> {
    registry.reader(Arc::new(Tsv));
    registry.reader(Arc::new(Csv));
    registry.reader(Arc::new(SvmLight));
    registry.reader(Arc::new(Lines));
    Ok(())
}
