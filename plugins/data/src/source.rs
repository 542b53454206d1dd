//! A file's text: decompressed, checked for UTF-8, its byte-order mark removed; and errors that point into it.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use tlkit_core::data::Blob;
use tlkit_core::{Error, Result};

/// The text of one file.
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// Reads a file whole. `name` is how the user wrote it; gzip is known by its first two bytes.
    pub fn read(name: &str, blob: &Blob) -> Result<Source> {
        let mut bytes = blob.bytes()?.into_owned();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            MultiGzDecoder::new(&bytes[..])
                .read_to_end(&mut plain)
                .map_err(|e| {
                    Error::msg(format!(
                        "{name}: not a whole gzip file ({e}); copy or compress it again"
                    ))
                })?;
            bytes = plain;
        }
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
            let (line, column) = position(&e.as_bytes()[..good]);
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

    /// An error in a line.
    pub fn error(&self, line: usize, what: impl std::fmt::Display) -> Error {
        Error::msg(format!("{}:{line}: {what}", self.name))
    }

    /// An error at a byte of the text.
    pub fn error_at(&self, byte: usize, what: impl std::fmt::Display) -> Error {
        let (line, column) = position(&self.text.as_bytes()[..byte]);
        Error::msg(format!("{}:{line}:{column}: {what}", self.name))
    }
}

/// Line and column, from 1, of what follows these bytes, which are UTF-8.
fn position(before: &[u8]) -> (usize, usize) {
    let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
    let start = before
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |i| i + 1);
    // Bytes that continue a character do not count.
    let column = 1 + before[start..]
        .iter()
        .filter(|&&b| b & 0xc0 != 0x80)
        .count();
    (line, column)
}
