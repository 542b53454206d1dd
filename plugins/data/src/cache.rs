//! The folder where unpacked files and indices are kept, and the files in it: written whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tlkit_core::data::Cache;

use crate::read_at::read_at;

/// At the end of every file of this layout.
const MAGIC: &[u8; 8] = b"tlkitix1";

/// The folder of rows, where there is to be one.
pub fn folder(cache: &Cache) -> Option<PathBuf> {
    Some(base(cache)?.join("rows"))
}

/// The folder of everything that is kept.
pub fn base(cache: &Cache) -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let home = || var("HOME").map(PathBuf::from);
    Some(match cache {
        Cache::Off => return None,
        Cache::Folder(path) => path.clone(),
        Cache::Standard => match var("TLKIT_CACHE") {
            Some(path) => path.into(),
            None if cfg!(windows) => PathBuf::from(var("LOCALAPPDATA")?).join("tlkit"),
            None => match var("XDG_CACHE_HOME") {
                Some(path) => PathBuf::from(path).join("tlkit"),
                None if cfg!(target_os = "macos") => home()?.join("Library/Caches/tlkit"),
                None => home()?.join(".cache/tlkit"),
            },
        },
    })
}

/// What a cached file was made from: it is stale when any of this is another.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    path: PathBuf,
    size: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    /// The format, its version, and how it was read.
    format: String,
}

impl Made {
    /// From a file as it is now.
    pub fn from(path: &Path, format: &str) -> io::Result<Made> {
        let path = path.canonicalize()?;
        let meta = path.metadata()?;
        let modified = meta.modified()?.duration_since(UNIX_EPOCH);
        Ok(Made {
            size: meta.len(),
            modified: modified.map_or(0, |d| d.as_nanos() as u64),
            path,
            format: format.to_string(),
        })
    }

    /// Whether the file is still the same.
    pub fn same_as_now(&self, path: &Path) -> bool {
        Made::from(path, &self.format).is_ok_and(|now| now == *self)
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// One file a path and format: what is stale is written over, so that nothing piles up.
    fn name(&self) -> String {
        let mut sha = Sha256::new();
        sha.update(self.path.as_os_str().as_encoded_bytes());
        sha.update([0]);
        sha.update(self.format.as_bytes());
        let hex: String = sha.finalize()[..16]
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        format!("{hex}.rows")
    }

    fn to_json(&self) -> Value {
        json!({
            "path": self.path.to_string_lossy(),
            "size": self.size,
            "modified": self.modified,
            "format": self.format,
        })
    }
}

/// A cached file: text that was unpacked (or none), then an offset and a line a row, then what it was made from.
pub struct Cached {
    /// The file.
    pub file: File,
    /// Bytes of text at its beginning.
    pub text: u64,
    /// Rows.
    pub rows: u64,
    /// The columns' names.
    pub columns: Vec<String>,
}

/// Bytes of an index entry.
pub const ENTRY: u64 = 16;

impl Cached {
    /// The file made from this, where there is one that is whole and not stale.
    pub fn find(folder: &Path, made: &Made) -> Option<Cached> {
        let path = folder.join(made.name());
        let mut file = File::open(&path).ok()?;
        let length = file.seek(SeekFrom::End(0)).ok()?;
        let mut end = [0; 16];
        read_at(&file, &mut end, length.checked_sub(16)?).ok()?;
        let (size, magic) = end.split_at(8);
        let size = u64::from_le_bytes(size.try_into().ok()?);
        if magic != MAGIC || size > 1 << 24 {
            return None;
        }
        let at = length.checked_sub(16 + size)?;
        let mut meta = vec![0; size as usize];
        read_at(&file, &mut meta, at).ok()?;
        let meta: Value = serde_json::from_slice(&meta).ok()?;
        let number = |key: &str| meta[key].as_u64();
        let (text, rows) = (number("text")?, number("rows")?);
        if meta["made"] != made.to_json() || rows.checked_mul(ENTRY)?.checked_add(text)? != at {
            return None;
        }
        let columns = meta["columns"].as_array()?.iter();
        let columns: Option<Vec<String>> =
            columns.map(|c| c.as_str().map(str::to_string)).collect();
        // What was used last makes room last.
        let _ = File::options()
            .append(true)
            .open(&path)
            .and_then(|f| f.set_modified(SystemTime::now()));
        Some(Cached {
            file,
            text,
            rows,
            columns: columns?,
        })
    }
}

/// A cached file in the making. Dropped before `finish`, it leaves nothing.
pub struct Making {
    folder: PathBuf,
    made: Made,
    text: BufWriter<NamedTempFile>,
    written: u64,
    entries: BufWriter<File>,
    rows: u64,
}

impl Making {
    /// Makes the folder where it is not there.
    pub fn begin(folder: &Path, made: &Made) -> io::Result<Making> {
        std::fs::create_dir_all(folder)?;
        Ok(Making {
            folder: folder.to_path_buf(),
            made: made.clone(),
            text: BufWriter::with_capacity(1 << 18, NamedTempFile::new_in(folder)?),
            written: 0,
            entries: BufWriter::with_capacity(1 << 16, tempfile::tempfile_in(folder)?),
            rows: 0,
        })
    }

    /// More text.
    pub fn text(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.text.write_all(bytes)
    }

    /// One more row: where it begins, and in which line.
    pub fn row(&mut self, offset: u64, line: u64) -> io::Result<()> {
        self.rows += 1;
        self.entries.write_all(&offset.to_le_bytes())?;
        self.entries.write_all(&line.to_le_bytes())
    }

    /// Puts it together, gives it its name, and makes room for it: what was used longest ago goes.
    pub fn finish(self, columns: &[String]) -> io::Result<Cached> {
        let mut entries = self.entries.into_inner().map_err(|e| e.into_error())?;
        entries.seek(SeekFrom::Start(0))?;
        let mut out = self.text;
        io::copy(&mut entries.take(self.rows * ENTRY), &mut out)?;
        let meta = json!({
            "made": self.made.to_json(),
            "text": self.written,
            "rows": self.rows,
            "columns": columns,
        });
        let meta = meta.to_string();
        out.write_all(meta.as_bytes())?;
        out.write_all(&(meta.len() as u64).to_le_bytes())?;
        out.write_all(MAGIC)?;
        let file = out.into_inner().map_err(|e| e.into_error())?;
        file.as_file().sync_all()?;
        let path = self.folder.join(self.made.name());
        let file = file.persist(&path)?;
        tlkit_core::cache::Cache::limited(&self.folder).make_room(&path);
        Ok(Cached {
            file,
            text: self.written,
            rows: self.rows,
            columns: columns.to_vec(),
        })
    }
}
