//! Packed files, known by their first bytes.

use std::io::{self, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use tlkit_core::{Error, Result};

/// Memory that one xz block may ask for, in KiB: its files say how much they need, and a broken one says anything.
const XZ_MEMORY: u32 = 1 << 20;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// Not at all.
    Plain,
    /// gzip, one member or several.
    Gzip,
    /// xz, one stream or several.
    Xz,
}

impl Packed {
    /// By the file's first bytes.
    pub fn of(name: &str, start: &[u8]) -> Result<Packed> {
        if start.starts_with(&[0x1f, 0x8b]) {
            return Ok(Packed::Gzip);
        }
        if start.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
            return Ok(Packed::Xz);
        }
        let other = |what: &str, unpack: &str| {
            Err(Error::msg(format!(
                "{name}: this is {what}, which is not read; unpack it first: `{unpack}`"
            )))
        };
        if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            return other("a zstd file", "unzstd FILE");
        }
        if start.starts_with(b"BZh") {
            return other("a bzip2 file", "bunzip2 FILE");
        }
        if start.starts_with(b"PK\x03\x04") {
            return other("a zip archive", "unzip FILE");
        }
        if start.starts_with(b"PAR1") {
            return Err(Error::msg(format!(
                "{name}: this is a Parquet file; give its name the ending .parquet"
            )));
        }
        Ok(Packed::Plain)
    }

    /// What was packed, as a stream.
    pub fn unpack<'r>(self, file: impl Read + 'r) -> Box<dyn Read + 'r> {
        match self {
            Packed::Plain => Box::new(file),
            Packed::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file))),
            Packed::Xz => Box::new(XzReader::new_mem_limit(
                BufReader::with_capacity(1 << 16, file),
                true,
                XZ_MEMORY,
            )),
        }
    }

    /// An error of that stream.
    pub fn error(self, name: &str, e: &io::Error) -> Error {
        match self {
            Packed::Plain => Error::msg(format!("{name}: {e}")),
            Packed::Gzip => Error::msg(format!(
                "{name}: not a whole gzip file ({e}); copy or pack it again"
            )),
            Packed::Xz => Error::msg(format!(
                "{name}: not a whole xz file ({e}); copy or pack it again"
            )),
        }
    }
}

/// A stream's first bytes, at most six, and the stream with them before it.
pub fn peek<R: Read>(mut stream: R) -> io::Result<(Vec<u8>, io::Chain<Cursor<Vec<u8>>, R>)> {
    let mut start = Vec::new();
    stream.by_ref().take(6).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(stream)))
}
