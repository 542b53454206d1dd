//! Images in tables. Core hands their bytes on and asks a plugin what is in them: no codec is compiled into it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::columns::Rows;
use super::table::{Input, Samples, Table};
use crate::{Error, Result};

/// What is to be known of an image before a network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Pixels a row, as it is shown upright.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Whether no pixel has a colour.
    pub grey: bool,
    /// What copies of one image nearly share, whatever their size and compression; `None` where there is too little in the image to tell.
    pub likeness: Option<Likeness>,
}

/// By what copies are found: both must be near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// Copies differ in at most three bits.
    pub hash: u64,
    /// A small grey picture.
    pub greys: [u8; 72],
}

impl Look {
    /// Of an image that could not be read.
    pub(super) const NOTHING: Look = Look {
        width: 0,
        height: 0,
        grey: false,
        likeness: None,
    };
}

/// Opens images. A plugin brings it (`Registry::pictures`).
pub trait Pictures: Send + Sync {
    /// Decodes all of an image and says what it is; the error is what is wrong with it, for a person.
    fn look(&self, bytes: &[u8]) -> std::result::Result<Look, String>;
    /// The same where the SHA-256 of the bytes is known: what was found of them once need not be found again.
    fn look_named(&self, bytes: &[u8], _sha256: &[u8; 32]) -> std::result::Result<Look, String> {
        self.look(bytes)
    }
    /// All rows of a table have been looked at: what was found may be kept for other runs.
    fn keep(&self) {}
    /// Whether two images are taken for copies of one. It is asked of pairs whose hashes differ in at most three bits.
    fn near(&self, one: &Likeness, other: &Likeness) -> bool;
    /// A small JPEG for reports, its longer side at most `side` pixels; `None` where the bytes are no image.
    fn thumbnail(&self, bytes: &[u8], side: usize) -> Option<Vec<u8>>;
}

/// Images from a column: the bytes of an encoded file each.
pub struct Images {
    /// The rows.
    pub rows: Rows,
    /// The images' column.
    pub image: usize,
}

impl Samples for Images {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> String {
        self.rows.id(row)
    }

    fn place(&self, row: usize) -> String {
        self.rows.place(row)
    }

    fn input(&self, row: usize) -> Result<Input<'_>> {
        match self.rows.cell(row, self.image)? {
            image @ Input::Image(_) => Ok(image),
            other => {
                let what = format!("expected an image, found {}", other.kind());
                Err(self.rows.wrong(row, self.image, what))
            }
        }
    }
}

/// Most of a path that an error repeats: a cell that holds a picture itself has thousands of letters.
const REPEATED: usize = 120;

fn repeated(path: &str) -> Cow<'_, str> {
    match path.char_indices().nth(REPEATED) {
        None => path.into(),
        Some((end, _)) => format!("{}...", &path[..end]).into(),
    }
}

/// A table with a column of paths, which are read as images: relative to the folder of the table's own file.
pub(super) struct Referred {
    pub table: Arc<dyn Table>,
    pub column: usize,
    pub folder: PathBuf,
}

impl Table for Referred {
    fn columns(&self) -> &[String] {
        self.table.columns()
    }

    fn rows(&self) -> usize {
        self.table.rows()
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let path = match self.table.cell(row, column)? {
            Input::Text(path) if column == self.column => path,
            other => return Ok(other),
        };
        let wrong = |what: String| {
            let place = self.table.place_of(row, column);
            Error::msg(format!("{place}: {what}"))
        };
        let path = path.trim();
        if path.is_empty() {
            return Err(wrong("no path of an image".into()));
        }
        let said = repeated(path);
        let file = self.folder.join(path);
        // A pipe would be waited for, and a device read without end.
        if std::fs::metadata(&file).is_ok_and(|m| !m.is_file()) {
            return Err(wrong(format!("`{said}` is no file")));
        }
        match std::fs::read(file) {
            Ok(bytes) => Ok(Input::Image(bytes.into())),
            Err(e) if e.kind() == std::io::ErrorKind::InvalidFilename => Err(wrong(format!(
                "`{said}`, of {} bytes, is no path; a table that holds the pictures themselves is read from Parquet, as bytes",
                path.len()
            ))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(wrong(format!(
                "`{said}` is not there; paths are relative to the table's folder, {}",
                match self.folder.as_os_str().is_empty() {
                    true => Path::new("."),
                    false => &self.folder,
                }
                .display()
            ))),
            Err(e) => Err(wrong(format!("`{said}`: {e}"))),
        }
    }

    fn id(&self, row: usize) -> Option<String> {
        self.table.id(row)
    }

    fn place(&self, row: usize) -> String {
        self.table.place(row)
    }

    fn place_of(&self, row: usize, column: usize) -> String {
        self.table.place_of(row, column)
    }
}
