//! Rows at random: bytes in memory or on disk, and an index of where each row begins. What is on disk stays there; a thread
//! holds the row it reads, and what stands behind it while it reads on.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::{Cached, ENTRY};
use crate::read_at::read_at;

/// Index entries read at a time.
const BLOCK: u64 = 256;
/// Bytes read ahead of a thread that reads row after row.
const AHEAD: u64 = 64 << 10;

/// Where rows begin, and in which line.
pub enum Index {
    /// In memory.
    Memory(Vec<(u64, u64)>),
    /// In a file, from this byte on.
    File {
        /// The file.
        file: File,
        /// Where the first entry stands.
        at: u64,
        /// How many there are.
        rows: u64,
    },
}

/// The rows' bytes.
pub enum Bytes {
    /// In memory.
    Memory(Cow<'static, [u8]>),
    /// In a file, up to this byte.
    File {
        /// The file.
        file: File,
        /// How much of it is rows.
        length: u64,
    },
}

/// Rows at random.
pub struct Store {
    bytes: Bytes,
    index: Index,
    /// Tells stores apart in what threads hold.
    id: u64,
}

/// What a thread holds.
#[derive(Default)]
struct Near {
    id: u64,
    /// The first row of the entries held.
    first: u64,
    entries: Vec<(u64, u64)>,
    /// Where the bytes held begin.
    from: u64,
    bytes: Vec<u8>,
    /// The row read last, and one more.
    next: u64,
}

thread_local! {
    static NEAR: RefCell<Near> = RefCell::default();
}

impl Store {
    /// Of bytes and an index.
    pub fn new(bytes: Bytes, index: Index) -> Store {
        static STORES: AtomicU64 = AtomicU64::new(1);
        let id = STORES.fetch_add(1, Ordering::Relaxed);
        Store { bytes, index, id }
    }

    /// Of a cached file; `plain` is the file that its index is of, where the text was not unpacked.
    pub fn cached(cached: Cached, plain: Option<(File, u64)>) -> io::Result<Store> {
        let (file, length) = match plain {
            Some(plain) => plain,
            None => (cached.file.try_clone()?, cached.text),
        };
        let index = Index::File {
            file: cached.file,
            at: cached.text,
            rows: cached.rows,
        };
        Ok(Store::new(Bytes::File { file, length }, index))
    }

    /// How many rows.
    pub fn rows(&self) -> u64 {
        match &self.index {
            Index::Memory(entries) => entries.len() as u64,
            Index::File { rows, .. } => *rows,
        }
    }

    fn length(&self) -> u64 {
        match &self.bytes {
            Bytes::Memory(bytes) => bytes.len() as u64,
            Bytes::File { length, .. } => *length,
        }
    }

    /// The row's bytes, where they are in memory.
    pub fn held(&self, row: u64) -> Option<&[u8]> {
        match (&self.bytes, &self.index) {
            (Bytes::Memory(bytes), Index::Memory(entries)) => {
                let row = row as usize;
                let to = entries.get(row + 1).map_or(bytes.len(), |e| e.0 as usize);
                Some(&bytes[entries[row].0 as usize..to])
            }
            _ => None,
        }
    }

    /// Looks at the row's bytes and the line it begins at.
    pub fn with<T>(&self, row: u64, look: impl FnOnce(&[u8], u64) -> T) -> io::Result<T> {
        if let (Some(bytes), Index::Memory(entries)) = (self.held(row), &self.index) {
            return Ok(look(bytes, entries[row as usize].1));
        }
        NEAR.with_borrow_mut(|near| {
            if near.id != self.id {
                *near = Near {
                    id: self.id,
                    ..Near::default()
                };
            }
            let (from, line) = self.entry(near, row)?;
            let to = match row + 1 < self.rows() {
                true => self.entry(near, row + 1)?.0,
                false => self.length(),
            };
            let broken = || io::Error::new(io::ErrorKind::InvalidData, "the index is broken");
            if to < from || to > self.length() {
                return Err(broken());
            }
            let on = near.next == row;
            near.next = row + 1;
            let bytes = match &self.bytes {
                Bytes::Memory(bytes) => &bytes[from as usize..to as usize],
                Bytes::File { file, length } => {
                    let held = near.from..near.from + near.bytes.len() as u64;
                    if from < held.start || to > held.end {
                        let ahead = if on { AHEAD } else { 0 };
                        let wanted = (to - from).max(ahead).min(length - from);
                        near.bytes.clear();
                        near.bytes.resize(wanted as usize, 0);
                        near.from = from;
                        if let Err(e) = read_at(file, &mut near.bytes, from) {
                            near.bytes.clear();
                            return Err(e);
                        }
                    }
                    let at = (from - near.from) as usize;
                    &near.bytes[at..at + (to - from) as usize]
                }
            };
            Ok(look(bytes, line))
        })
    }

    fn entry(&self, near: &mut Near, row: u64) -> io::Result<(u64, u64)> {
        match &self.index {
            Index::Memory(entries) => Ok(entries[row as usize]),
            Index::File { file, at, rows } => {
                let held = near.first..near.first + near.entries.len() as u64;
                if !held.contains(&row) {
                    let n = BLOCK.min(rows - row);
                    let mut bytes = vec![0; (n * ENTRY) as usize];
                    read_at(file, &mut bytes, at + row * ENTRY)?;
                    let number = |b: &[u8]| {
                        let mut eight = [0; 8];
                        eight.copy_from_slice(b);
                        u64::from_le_bytes(eight)
                    };
                    near.entries.clear();
                    near.entries.extend(
                        bytes
                            .chunks_exact(ENTRY as usize)
                            .map(|e| (number(&e[..8]), number(&e[8..]))),
                    );
                    near.first = row;
                }
                Ok(near.entries[(row - near.first) as usize])
            }
        }
    }
}
