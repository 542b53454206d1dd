//! Readers of data files: from bytes to a table of cells.
//!
//! | ending | what it is | columns |
//! |---|---|---|
//! | `.tsv` | fields separated by tabs, a row a line; no quoting, so a field holds neither a tab nor a line break | the first line's names |
//! | `.csv` | RFC 4180: commas, and quotes around fields that hold commas, quotes or line breaks | the first line's names |
//! | `.jsonl`, `.ndjson`, `.json` | JSON Lines: an object a line | the keys |
//! | `.parquet` | Parquet, packed by snappy, gzip or zstd or not at all; columns of lists are left out | its own |
//! | `.svmlight`, `.libsvm`, `.svm` | `label index:value index:value ...`, absent values are 0 | `label`, `features` |
//! | `.npy` | a NumPy array, a row a vector; no labels | `features` |
//! | `.npz` | several by name: of two dimensions a vector a row, of one dimension a value a row (`np.savez("rows.npz", features=x, label=y)`) | the arrays' names |
//! | `.txt` | a text a line; blank lines are skipped | `text` |
//! | a folder | images (`.jpg`, `.png`, `.webp`, `.bmp`, `.gif`), a folder a class | `image`, `label`; `image` alone where there are no folders |
//! | `-idx3-ubyte`, `.idx3-ubyte` | IDX, as MNIST has it; the labels lie beside it as `-labels-idx1-ubyte` | `image`, `label` |
//! | `.jpg`, `.png`, ... | one image | `image` |
//! | `builtin:scenes/day/train` | scenes drawn by code ([`scenes`]) | `image`, `label` |
//!
//! Text files may be packed: `.csv.gz`, `.csv.xz`. Text is UTF-8, with or without a byte-order mark. Where `header = false` in the
//! recipe, the columns of TSV and CSV are called `1`, `2` and so on. A Parquet file that names its classes (Hugging Face's
//! `ClassLabel`) gives the names and not their numbers.
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
//! # Memory
//!
//! Files up to `ReadOptions::in_memory` bytes (16 MiB) are held as they are, with an index of where each row begins. Of larger
//! ones the index is on disk and rows are read when they are asked for, so memory stays flat however long the file is. The index
//! is made by one pass that checks every row, and kept in the cache folder: `$TLKIT_CACHE`, or `tlkit` in the user's (`~/.cache`
//! on Linux). It belongs to a path, a size and a time of change; a file that changed is read anew. Packed and Parquet files are
//! unpacked into the same place, once. A cached file appears whole or not at all, and where the folder cannot be written memory
//! serves instead. (svmlight is held in memory whatever its size: its values that are not zero; so are NumPy arrays.)
//!
//! # Adding a format
//!
//! A text format whose rows are lines is a file with `format::Cells` (a row's bytes to a cell) and `format::Format` (what a row is,
//! what is wrong with it), opened by `open::text`, as `tsv` is. Any other implements `tlkit_core::data::Reader`. Add it to [`register`].

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::Registry;

mod cache;
mod column;
mod csv;
mod drawn;
mod folder;
mod format;
pub mod guess;
mod header;
mod idx;
mod json;
mod lines;
mod looks;
mod names;
mod numpy;
mod open;
mod parquet;
mod picture;
mod pictures;
mod pipe;
mod read_at;
mod scan;
pub mod scenes;
mod source;
mod store;
mod svmlight;
mod table;
mod tsv;
mod unpack;

pub use csv::Csv;
pub use drawn::Drawn;
pub use folder::{Folder, is_picture, pictures, pictures_under};
pub use idx::Idx;
pub use json::JsonLines;
pub use lines::Lines;
pub use numpy::NumPy;
pub use parquet::Parquet;
pub use picture::Picture;
pub use pictures::Codecs;
pub use svmlight::SvmLight;
pub use tsv::Tsv;

/// Adds every reader of this crate.
pub fn register(registry: &mut Registry) -> Result<()> {
    registry.reader(Arc::new(Tsv));
    registry.reader(Arc::new(Csv));
    registry.reader(Arc::new(JsonLines));
    registry.reader(Arc::new(Parquet));
    registry.reader(Arc::new(SvmLight));
    registry.reader(Arc::new(Lines));
    registry.reader(Arc::new(NumPy));
    registry.reader(Arc::new(Folder));
    registry.reader(Arc::new(Idx));
    registry.reader(Arc::new(Picture));
    registry.reader(Arc::new(Drawn));
    registry.set_pictures(Arc::new(Codecs));
    Ok(())
}
