//! A whole file's text, for formats that are read at once: unpacked, checked for UTF-8, its byte-order mark removed; and errors that point into it.

use tlkit_core::data::Blob;
use tlkit_core::{Error, Result};

use crate::table::position;

/// The text of one file.
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// Reads a file whole. `name` is how the user wrote it; packed files are known by their first bytes.
    pub fn read(name: &str, blob: &Blob) -> Result<Source> {
        let mut bytes = crate::open::whole_of(name, blob)?;
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(Error::msg(format!(
                "{name}: this is UTF-16; save the file as UTF-8"
            )));
        }
        let mark = if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
            3
        } else {
            0
        };
        bytes.drain(..mark);
        let text = String::from_utf8(bytes).map_err(|e| {
            let good = e.utf8_error().valid_up_to();
            let (down, column) = position(&e.as_bytes()[..good]);
            let line = down + 1;
            Error::msg(format!(
                "{name}:{line}:{column}: not UTF-8; save the file as UTF-8"
            ))
        })?;
        if text.trim().is_empty() {
            return Err(Error::msg(format!("{name}: the file is empty")));
        }
        Ok(Source {
            name: name.to_string(),
            text,
        })
    }

    /// How the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Lines with their numbers from 1, without their ends; blank lines at the end of the file are no lines.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .trim_end_matches(['\n', '\r'])
            .split('\n')
            .map(|l| l.strip_suffix('\r').unwrap_or(l))
            .enumerate()
            .map(|(i, l)| (i + 1, l))
    }

    /// An error at a byte of the text.
    pub fn error_at(&self, byte: usize, what: impl std::fmt::Display) -> Error {
        let (down, column) = position(&self.text.as_bytes()[..byte]);
        let line = down + 1;
        Error::msg(format!("{}:{line}:{column}: {what}", self.name))
    }
}
