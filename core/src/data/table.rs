//! What a reader brings (a table of cells) and what a task makes of it (samples).

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use super::keys::Form;
use super::resolve::Blob;
use crate::Result;

/// One input, as a reader found it.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Two texts.
    Pair(Cow<'a, str>, Cow<'a, str>),
    /// An encoded image.
    Image(Cow<'a, [u8]>),
    /// A vector of numbers.
    Features(Cow<'a, [f32]>),
}

impl Input<'_> {
    /// What it is, for errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Input::Text(_) => "text",
            Input::Pair(..) => "a pair of texts",
            Input::Image(_) => "an image",
            Input::Features(_) => "a feature vector",
        }
    }

    /// What a person sees of it in a report: at most `most` characters on one line. None of an image.
    pub fn preview(&self, most: usize) -> Option<String> {
        // Enough of a long text to cut from, not all of it.
        let line = |text: &str| {
            let words: Vec<&str> = text.split_whitespace().take(most).collect();
            words.join(" ")
        };
        let text = match self {
            Input::Text(t) => line(t),
            Input::Pair(a, b) => format!("{} | {}", line(a), line(b)),
            Input::Image(_) => return None,
            Input::Features(values) => {
                let numbers: Vec<String> =
                    values.iter().take(most).map(|v| format!("{v}")).collect();
                numbers.join(", ")
            }
        };
        Some(match text.char_indices().nth(most) {
            Some(_) => {
                text.chars()
                    .take(most.saturating_sub(1))
                    .collect::<String>()
                    + "\u{2026}"
            }
            None => text,
        })
    }
}

/// Inputs by row, at random.
pub trait Samples: Send + Sync {
    /// How many rows.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// What the row is called in predictions: its number in its file, from 0, or its own name.
    fn id(&self, row: usize) -> String;
    /// Where it stands, for a person: `films.tsv:13`.
    fn place(&self, row: usize) -> String {
        self.id(row)
    }
    /// The row itself.
    fn input(&self, row: usize) -> Result<Input<'_>>;
}

/// What a reader brings: named columns, cells at random.
pub trait Table: Send + Sync {
    /// Column names; numbers from 1 where the file has no header.
    fn columns(&self) -> &[String];
    /// How many rows.
    fn rows(&self) -> usize;
    /// One cell.
    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>>;
    /// Cells of one row, in the order of `columns`, up to the first that is wrong: what [`Table::cell`] says of each. A reader that finds a
    /// cell only by passing those before it does it here in one pass; rows have tens of thousands of columns.
    fn cells(&self, row: usize, columns: &[usize]) -> Vec<Result<Input<'_>>> {
        let mut cells = Vec::with_capacity(columns.len());
        for &column in columns {
            let cell = self.cell(row, column);
            let wrong = cell.is_err();
            cells.push(cell);
            if wrong {
                break;
            }
        }
        cells
    }
    /// A name of the row's own: a file's in a folder. `None` where rows are only numbered.
    fn id(&self, _row: usize) -> Option<String> {
        None
    }
    /// Where the row begins, for errors: `reviews.csv:4812`.
    fn place(&self, row: usize) -> String;
    /// Where a cell begins, for errors: `reviews.csv:4812:17`; the row's place where a format cannot say.
    fn place_of(&self, row: usize, _column: usize) -> String {
        self.place(row)
    }
}

/// Where a reader keeps what it would not work out twice: the unpacked text of compressed files, and where each row begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// `$TLKIT_CACHE`, or `tlkit` in the user's cache folder.
    #[default]
    Standard,
    /// This folder.
    Folder(PathBuf),
    /// Nowhere: in memory.
    Off,
}

/// How to open a file.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Whether the first line names the columns.
    pub header: bool,
    /// For readers whose files do not say how wide they are (svmlight): the width over all files of the recipe. Vectors are at
    /// least this wide.
    pub min_width: usize,
    /// svmlight: the lowest index over all files of the recipe (0 or 1); `None` decides by this file alone.
    pub index_base: Option<u32>,
    /// Where unpacked files and indices are kept.
    pub cache: Cache,
    /// Files up to this many bytes, unpacked, are held in memory; of larger ones an index on disk says where each row begins.
    pub in_memory: u64,
    /// Pixels a side of pictures that are drawn and not read.
    pub drawn_side: usize,
}

impl ReadOptions {
    /// The side of drawn pictures where nobody says it.
    pub const DRAWN_SIDE: usize = 64;
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            header: true,
            min_width: 0,
            index_base: None,
            cache: Cache::Standard,
            in_memory: 16 << 20,
            drawn_side: ReadOptions::DRAWN_SIDE,
        }
    }
}

/// Opens files of some kinds.
pub trait Reader: Send + Sync {
    /// Name endings without the dot: `csv`.
    fn extensions(&self) -> &[&str];
    /// Whether it opens this file: by its ending, where nothing else is said.
    fn reads(&self, path: &str) -> bool {
        let lower = path.to_lowercase();
        let mut all = self.extensions().iter();
        all.any(|e| lower.ends_with(&format!(".{e}")))
    }
    /// Whether it opens folders.
    fn reads_folders(&self) -> bool {
        false
    }
    /// Whether it opens folders of such rows. Who opens folders at all opens those of images, if it does not say otherwise.
    fn reads_folders_of(&self, form: Form) -> bool {
        form == Form::Images && self.reads_folders()
    }
    /// Tables that it makes without any file, by their names after `builtin:`.
    fn builtins(&self) -> Vec<String> {
        Vec::new()
    }
    /// Whether a name after `builtin:` is for it, right or wrong; it is opened by its whole name, with an empty blob.
    fn makes(&self, _builtin: &str) -> bool {
        false
    }
    /// Opens one file. `name` is how the user wrote it.
    fn open(&self, name: &str, blob: &Blob, options: &ReadOptions) -> Result<Arc<dyn Table>>;
    /// The lowest and the highest feature index in the file, where its format leaves the index base and the width open.
    fn index_range(&self, _name: &str, _blob: &Blob) -> Result<Option<(u32, u32)>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_line_of_at_most_so_many_characters() {
        let text = |t: &'static str| Input::Text(t.into());
        assert_eq!(text("a\n\tb  c").preview(300).unwrap(), "a b c");
        assert_eq!(text("äöüß").preview(4).unwrap(), "äöüß");
        assert_eq!(text("äöüßx").preview(4).unwrap(), "äöü\u{2026}");
        let pair = Input::Pair("one".into(), "two".into());
        assert_eq!(pair.preview(300).unwrap(), "one | two");
        let features = Input::Features(vec![0.5, -1.0, 0.25].into());
        assert_eq!(features.preview(300).unwrap(), "0.5, -1, 0.25");
        assert_eq!(features.preview(5).unwrap(), "0.5,\u{2026}");
        assert_eq!(Input::Image(vec![0u8].into()).preview(300), None);
    }
}
