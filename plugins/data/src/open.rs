//! From a file to a table: in memory where it is small; where it is not, by an index on disk, its text unpacked once.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use tlkit_core::data::{Blob, ReadOptions, Table};
use tlkit_core::{Error, Result};

use crate::cache::{self, Cached, Made, Making};
use crate::format::Format;
use crate::pipe;
use crate::scan::{Failure, Sink, scan};
use crate::store::{Bytes, Index, Store};
use crate::table::Indexed;
use crate::unpack::{Packed, peek};

/// Opens a text file.
pub fn text<F: Format + 'static>(
    format: F,
    name: &str,
    blob: &Blob,
    options: &ReadOptions,
) -> Result<Arc<dyn Table>> {
    let path = match blob {
        Blob::Path(path) => path,
        Blob::Embedded(bytes) => return embedded(format, name, bytes, options.header),
    };
    pipe::refuse(name, path)?;
    let (made, mut file, packed) = look(
        name,
        path,
        &format!("{} header {}", format.key(), options.header),
    )?;
    if packed == Packed::Plain && made.size() <= options.in_memory {
        let mut bytes = Vec::with_capacity(made.size() as usize);
        file.read_to_end(&mut bytes).map_err(Error::io(path))?;
        let mut sink = InMemory::entries();
        let columns = scan(name, &bytes[..], &format, options.header, &mut sink)
            .map_err(|f| failed(name, packed, f))?;
        let store = Store::new(
            Bytes::Memory(Cow::Owned(bytes)),
            Index::Memory(sink.entries),
        );
        return Ok(Indexed::table(name, columns, store, format));
    }
    let folder = cache::folder(&options.cache);
    let plain = |file: &File| -> Result<Option<(File, u64)>> {
        match packed {
            Packed::Plain => {
                let file = file.try_clone().map_err(Error::io(path))?;
                Ok(Some((file, made.size())))
            }
            _ => Ok(None),
        }
    };
    let of_cached = |cached: Cached, format: F, file: &File| -> Result<Arc<dyn Table>> {
        let columns = cached.columns.clone();
        let store = Store::cached(cached, plain(file)?).map_err(Error::io(path))?;
        Ok(Indexed::table(name, columns, store, format))
    };
    if let Some(cached) = folder.as_ref().and_then(|f| Cached::find(f, &made)) {
        return of_cached(cached, format, &file);
    }
    // How a packed file's size turns out is seen by unpacking it, as far as memory is to go.
    if packed != Packed::Plain {
        let limit = if folder.is_some() {
            options.in_memory
        } else {
            u64::MAX
        };
        match unpacked(&format, name, &mut file, packed, options.header, limit) {
            Ok((columns, store)) => return Ok(Indexed::table(name, columns, store, format)),
            Err(Failure::Sink(_)) => {}
            Err(failure) => return Err(failed(name, packed, failure)),
        }
    }
    if let Some(folder) = &folder {
        let mut made_now = || -> std::result::Result<Cached, Failure> {
            let mut sink = OnDisk {
                making: Making::begin(folder, &made).map_err(Failure::Sink)?,
                keep_text: packed != Packed::Plain,
            };
            let reader = stream(&mut file, packed).map_err(Failure::Read)?;
            let columns = scan(name, reader, &format, options.header, &mut sink)?;
            sink.making.finish(&columns).map_err(Failure::Sink)
        };
        match made_now() {
            Ok(cached) => {
                unchanged(name, path, &made)?;
                return of_cached(cached, format, &file);
            }
            // The folder cannot be written, or is full: memory will have to do.
            Err(Failure::Sink(_)) => {}
            Err(failure) => return Err(failed(name, packed, failure)),
        }
    }
    if packed != Packed::Plain {
        let (columns, store) = unpacked(&format, name, &mut file, packed, options.header, u64::MAX)
            .map_err(|f| failed(name, packed, f))?;
        return Ok(Indexed::table(name, columns, store, format));
    }
    let mut sink = InMemory::entries();
    let reader = stream(&mut file, packed).map_err(Error::io(path))?;
    let columns = scan(name, reader, &format, options.header, &mut sink)
        .map_err(|f| failed(name, packed, f))?;
    unchanged(name, path, &made)?;
    let bytes = Bytes::File {
        file,
        length: made.size(),
    };
    let store = Store::new(bytes, Index::Memory(sink.entries));
    Ok(Indexed::table(name, columns, store, format))
}

/// What a file is, itself, and how it is packed.
fn look(name: &str, path: &Path, format: &str) -> Result<(Made, File, Packed)> {
    let made = Made::from(path, format).map_err(Error::io(path))?;
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut start = Vec::new();
    file.by_ref()
        .take(6)
        .read_to_end(&mut start)
        .map_err(Error::io(path))?;
    file.seek(SeekFrom::Start(0)).map_err(Error::io(path))?;
    Ok((made, file, Packed::of(name, &start)?))
}

/// Whether the file is still what it was when the pass over it began.
pub fn unchanged(name: &str, path: &Path, made: &Made) -> Result<()> {
    match made.same_as_now(path) {
        true => Ok(()),
        false => Err(Error::msg(format!(
            "{name}: it changed while it was read; run again"
        ))),
    }
}

fn stream<'f>(file: &'f mut File, packed: Packed) -> io::Result<impl BufRead + 'f> {
    file.seek(SeekFrom::Start(0))?;
    Ok(BufReader::with_capacity(1 << 18, packed.unpack(file)))
}

/// A packed file in memory, as far as the limit.
fn unpacked<F: Format>(
    format: &F,
    name: &str,
    file: &mut File,
    packed: Packed,
    header: bool,
    limit: u64,
) -> std::result::Result<(Vec<String>, Store), Failure> {
    let mut sink = InMemory {
        text: Some(Vec::new()),
        limit,
        entries: Vec::new(),
    };
    let reader = stream(file, packed).map_err(Failure::Read)?;
    let columns = scan(name, reader, format, header, &mut sink)?;
    Ok((columns, sink.store()))
}

fn embedded<F: Format + 'static>(
    format: F,
    name: &str,
    bytes: &'static [u8],
    header: bool,
) -> Result<Arc<dyn Table>> {
    let packed = Packed::of(name, bytes)?;
    let mut sink = InMemory::entries();
    let bytes: Cow<'static, [u8]> = match packed {
        Packed::Plain => Cow::Borrowed(bytes),
        _ => Cow::Owned(whole(name, bytes)?),
    };
    let columns =
        scan(name, &bytes[..], &format, header, &mut sink).map_err(|f| failed(name, packed, f))?;
    let store = Store::new(Bytes::Memory(bytes), Index::Memory(sink.entries));
    Ok(Indexed::table(name, columns, store, format))
}

/// All of a file, as it is or unpacked.
pub fn whole_of(name: &str, blob: &Blob) -> Result<Vec<u8>> {
    if let Blob::Path(path) = blob {
        pipe::refuse(name, path)?;
    }
    whole(name, &blob.bytes()?[..])
}

/// All of a stream, unpacked.
pub fn whole(name: &str, stream: impl Read) -> Result<Vec<u8>> {
    let read = |e: io::Error| Error::msg(format!("{name}: {e}"));
    let (start, stream) = peek(stream).map_err(read)?;
    let packed = Packed::of(name, &start)?;
    let mut bytes = Vec::new();
    packed
        .unpack(stream)
        .read_to_end(&mut bytes)
        .map_err(|e| packed.error(name, &e))?;
    Ok(bytes)
}

fn failed(name: &str, packed: Packed, failure: Failure) -> Error {
    match failure {
        Failure::Data(e) => e,
        Failure::Read(e) => packed.error(name, &e),
        Failure::Sink(e) => Error::msg(format!("{name}: {e}")),
    }
}

/// Keeps what is found in memory.
pub struct InMemory {
    /// The text, where it is not at hand already.
    pub text: Option<Vec<u8>>,
    /// Most bytes of text; more is an error of the sink.
    pub limit: u64,
    /// The rows.
    pub entries: Vec<(u64, u64)>,
}

impl InMemory {
    fn entries() -> Self {
        InMemory {
            text: None,
            limit: u64::MAX,
            entries: Vec::new(),
        }
    }

    /// Text and rows.
    pub fn store(self) -> Store {
        let text = self.text.unwrap_or_default();
        Store::new(Bytes::Memory(Cow::Owned(text)), Index::Memory(self.entries))
    }
}

impl Sink for InMemory {
    fn text(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(text) = &mut self.text {
            if (text.len() + bytes.len()) as u64 > self.limit {
                return Err(io::Error::other("larger than is to be held in memory"));
            }
            text.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn row(&mut self, offset: u64, line: u64) -> io::Result<()> {
        self.entries.push((offset, line));
        Ok(())
    }
}

/// Keeps what is found in the cache.
pub struct OnDisk {
    /// The file in the making.
    pub making: Making,
    /// Whether the text goes there too.
    pub keep_text: bool,
}

impl Sink for OnDisk {
    fn text(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.keep_text {
            true => self.making.text(bytes),
            false => Ok(()),
        }
    }

    fn row(&mut self, offset: u64, line: u64) -> io::Result<()> {
        self.making.row(offset, line)
    }
}
