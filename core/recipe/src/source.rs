//! Where something is written: a text with a name, and a range of bytes in it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text that diagnostics can quote: the recipe, one `--set`, or one line of a data file.
pub(crate) struct Source {
    pub name: String,
    pub text: String,
    /// The number of the text's first line: 1, but for a line cut out of a data file.
    pub first_line: usize,
    /// Reports are sorted by this, then by place: the recipe 0, `--set` from 1, data after both.
    pub order: usize,
    /// A file that cannot be quoted (it is not there, or is not text).
    pub opaque: bool,
}

impl Source {
    pub fn new(name: &str, text: &str, order: usize) -> Arc<Source> {
        Arc::new(Source {
            name: name.into(),
            text: text.into(),
            first_line: 1,
            order,
            opaque: false,
        })
    }
}

/// A place: which text, and which bytes of it. Cheap to clone and to keep, so a check that runs much later
/// (a column that the data does not have) still points at the line of the recipe that asked for it.
#[derive(Clone)]
pub struct At {
    pub(crate) source: Arc<Source>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl At {
    pub(crate) fn new(source: &Arc<Source>, span: Range<usize>) -> At {
        let end = span.end.min(source.text.len());
        At {
            source: source.clone(),
            start: span.start.min(end),
            end,
        }
    }

    /// The end of a text, for what should stand there and does not.
    pub(crate) fn end_of(source: &Arc<Source>) -> At {
        let end = source.text.trim_end().len();
        At::new(source, end..end)
    }

    /// A file as a whole: it does not exist, it is a folder, it is not text.
    pub fn file(name: &str) -> At {
        let source = Source {
            name: name.into(),
            text: String::new(),
            first_line: 1,
            order: 0,
            opaque: true,
        };
        At {
            source: Arc::new(source),
            start: 0,
            end: 0,
        }
    }

    /// A place in a data file: `line` and `column` count from 1, the column in characters; `text` is that line.
    ///
    /// ```
    /// let at = tlkit_recipe::At::in_data("reviews.csv", 4812, 3, "a,\"b");
    /// assert_eq!(at.to_string(), "reviews.csv:4812:3");
    /// ```
    pub fn in_data(file: &str, line: usize, column: usize, text: &str) -> At {
        let text = text.trim_end_matches(['\n', '\r']);
        let start = text
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(text.len(), |(byte, _)| byte);
        let end = text[start..]
            .chars()
            .next()
            .map_or(start, |c| start + c.len_utf8());
        let source = Source {
            name: file.into(),
            text: text.into(),
            first_line: line,
            order: usize::MAX,
            opaque: false,
        };
        At {
            source: Arc::new(source),
            start,
            end,
        }
    }

    /// The same start, underlining this many characters (a whole field, say), at most to the end of the text.
    pub fn wide(mut self, characters: usize) -> At {
        let rest = &self.source.text[self.start..];
        self.end = self.start
            + rest
                .char_indices()
                .nth(characters)
                .map_or(rest.len(), |(byte, _)| byte);
        self
    }

    /// The name of the file, as it was given; `--set` for the command line.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.position(self.start).0
    }

    /// The column, from 1, in characters (a tab is one, `é` is one).
    pub fn column(&self) -> usize {
        self.position(self.start).1
    }

    /// What is written there.
    pub fn text(&self) -> &str {
        &self.source.text[self.start..self.end]
    }

    /// True for a place in the recipe or on the command line that can be quoted.
    pub(crate) fn quotable(&self) -> bool {
        !self.source.opaque
    }

    pub(crate) fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.source.text[..byte];
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or("").chars().count();
        (self.source.first_line + line, column + 1)
    }

    pub(crate) fn sort_key(&self) -> (usize, usize, usize) {
        (self.source.order, self.start, self.end)
    }

    pub(crate) fn same_place(&self, other: &At) -> bool {
        self.sort_key() == other.sort_key()
            && self.source.name == other.source.name
            && self.line() == other.line()
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source.opaque {
            true => f.write_str(self.name()),
            false => write!(f, "{}:{}:{}", self.name(), self.line(), self.column()),
        }
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At({self})")
    }
}

/// Two places are equal where they name the same bytes of the same file.
impl PartialEq for At {
    fn eq(&self, other: &At) -> bool {
        self.same_place(other)
    }
}
