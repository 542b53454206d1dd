//! Entries in a folder: found by name, locked while they are made, the oldest removed when there are too many.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tlkit_ops::mapped::Floats;

use super::key::Key;
use super::rows::Rows;
use crate::sum::Sum;
use crate::train::{Event, Observer};
use crate::{Error, Result};

/// Bytes before the numbers.
pub(super) const HEADER: usize = 64;
/// What a file begins with; the last number tells another byte order apart.
const MAGIC: &[u8; 16] = b"tlkit rows 2\n\0\0\0";
/// Where the sum of the numbers stands in it.
pub(super) const SUM: usize = 40;
/// What a machine of another byte order would read differently.
const ORDER: u32 = 0x0102_0304;
/// Bytes summed at once.
const PART: usize = 1 << 20;
/// How much is kept when nothing else is said.
const LIMIT: u64 = 8 << 30;
/// A part that is older was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(48 * 3600);

/// A folder of entries. All runs of a user share one.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    limit: u64,
}

impl Cache {
    /// In this folder, made when something is stored; `limit` in bytes.
    pub fn at(folder: impl Into<PathBuf>, limit: u64) -> Self {
        Cache {
            folder: folder.into(),
            limit,
        }
    }

    /// The user's: `TLKIT_CACHE`, else `$XDG_CACHE_HOME/tlkit`, else `~/.cache/tlkit` (on Windows `%LOCALAPPDATA%\tlkit\cache`), there the
    /// folder `rows`. `TLKIT_CACHE_GIB` is how much is kept, 8 when it does not say. `None` where there is no home.
    pub fn of_the_user() -> Option<Self> {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let folder = set("TLKIT_CACHE")
            .or_else(|| Some(set("XDG_CACHE_HOME")?.join("tlkit")))
            .or_else(|| Some(set("HOME")?.join(".cache").join("tlkit")))
            .or_else(|| Some(set("LOCALAPPDATA")?.join("tlkit").join("cache")))?;
        Some(Cache::at(folder.join("rows"), limit()))
    }

    /// In this folder, of which as much is kept as of the user's.
    pub fn limited(folder: impl Into<PathBuf>) -> Self {
        Cache::at(folder, limit())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn entry(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.rows", key.name()))
    }

    /// A name for the file while it is written, this process's own.
    pub(super) fn part(&self, key: &Key) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let (name, pid) = (key.name(), std::process::id());
        self.folder.join(format!("{name}.{pid}-{n}.part"))
    }

    /// An entry of so many rows. One that is not whole, or of another machine, counts as absent; so does one whose numbers changed since they were
    /// written, and a note says so: a run on them would end in other weights, and nobody would know why.
    pub(super) fn find(&self, key: &Key, rows: usize, observer: &dyn Observer) -> Option<Rows> {
        let path = self.entry(key);
        let mut file = File::open(&path).ok()?;
        let mut head = [0u8; HEADER];
        file.read_exact(&mut head).ok()?;
        let number = |at: usize| Some(u64::from_le_bytes(head[at..at + 8].try_into().ok()?));
        let (n, width) = (number(24)? as usize, number(32)? as usize);
        let told = number(SUM)?;
        head[SUM..SUM + 8].fill(0);
        if head != header(n, width) || n != rows || width == 0 {
            return None;
        }
        let len = n.checked_mul(width)?;
        if file.metadata().ok()?.len() != (HEADER + len * size_of::<f32>()) as u64 {
            return None;
        }
        if sum(&file).ok()? != told {
            observer.event(&Event::Note(&format!(
                "{}: not the numbers that were written there; they are computed again (is the disk sound?)",
                path.display()
            )));
            let _ = std::fs::remove_file(&path);
            return None;
        }
        // What was used last is removed last.
        let _ = File::options()
            .append(true)
            .open(&path)
            .and_then(|f| f.set_modified(SystemTime::now()));
        let values = Floats::open(&file, HEADER, len).ok()?;
        Some(Rows::mapped(n, width, values))
    }

    /// Waits until no other process makes this entry. `None` where the folder or the file system has no room for a lock.
    pub(super) fn lock(&self, key: &Key, observer: &dyn Observer) -> Result<Option<Lock>> {
        if std::fs::create_dir_all(&self.folder).is_err() {
            return Ok(None);
        }
        let path = self.folder.join(format!("{}.lock", key.name()));
        let Ok(file) = File::create(&path) else {
            return Ok(None);
        };
        let mut said = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Lock { file, path })),
                Err(TryLockError::WouldBlock) => {
                    if !said {
                        observer.event(&Event::Note(
                            "another process computes the same features; waiting for it",
                        ));
                        said = true;
                    }
                    if observer.stopping() {
                        return Err(Error::Stopped { step: 0 });
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::Error(_)) => return Ok(None),
            }
        }
    }

    /// Takes a whole file as the entry, makes room, and reads it back; why not, where it cannot be the entry. What was opened before stays readable, whoever
    /// cleans up meanwhile.
    pub(super) fn adopt(
        &self,
        key: &Key,
        part: &Path,
        (rows, width): (usize, usize),
    ) -> Result<(Rows, Option<Error>)> {
        let entry = self.entry(key);
        let file = File::open(part).map_err(Error::io(part))?;
        let values = Floats::open(&file, HEADER, rows * width).map_err(Error::io(part))?;
        let why = match std::fs::rename(part, &entry) {
            Ok(()) => {
                self.make_room(&entry);
                None
            }
            Err(e) => {
                let _ = std::fs::remove_file(part);
                Some(Error::io(&entry)(e))
            }
        };
        Ok((Rows::mapped(rows, width, values), why))
    }

    /// Removes what was not used for the longest time until the rest fits, but never the newest.
    pub fn make_room(&self, newest: &Path) {
        let Ok(files) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let mut entries = Vec::new();
        for file in files.flatten() {
            let (path, Ok(meta)) = (file.path(), file.metadata()) else {
                continue;
            };
            let age = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let is = |ending: &str| path.extension().is_some_and(|e| e == ending);
            if is("rows") {
                entries.push((path != newest, age, meta.len(), path));
            } else if is("part") && age.elapsed().is_ok_and(|a| a > ABANDONED) {
                let _ = std::fs::remove_file(path);
            }
        }
        // The newest first, whatever the clock says; then by when they were used.
        entries.sort_by(|a, b| (a.0, b.1, &a.3).cmp(&(b.0, a.1, &b.3)));
        let mut sum = 0u64;
        for (others, _, size, path) in entries {
            sum = sum.saturating_add(size);
            if others && sum > self.limit {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// How much is kept, in bytes: `TLKIT_CACHE_GIB`, 8 where it does not say.
fn limit() -> u64 {
    let gib = std::env::var("TLKIT_CACHE_GIB").ok();
    let gib = gib
        .and_then(|v| v.parse::<f64>().ok())
        .filter(|v| *v >= 0.0);
    gib.map_or(LIMIT, |v| (v * (1u64 << 30) as f64) as u64)
}

/// Held while an entry is made.
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever waits on the removed file finds the entry when it gets the lock; whoever comes later makes a new one.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Of the numbers of a file, from behind its header on.
pub(super) fn sum(file: &File) -> std::io::Result<u64> {
    // Read and not mapped, so that what was looked at is not counted as this process's memory.
    let mut file = file;
    file.seek(SeekFrom::Start(HEADER as u64))?;
    let mut sum = Sum::default();
    let mut part = vec![0; PART];
    loop {
        let mut filled = 0;
        while filled < PART {
            match file.read(&mut part[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        sum.add(&part[..filled]);
        if filled < PART {
            return Ok(sum.value());
        }
    }
}

/// The first bytes of a file, its sum not yet in it.
pub(super) fn header(rows: usize, width: usize) -> [u8; HEADER] {
    let mut head = [0u8; HEADER];
    head[..16].copy_from_slice(MAGIC);
    head[16..20].copy_from_slice(&ORDER.to_ne_bytes());
    head[24..32].copy_from_slice(&(rows as u64).to_le_bytes());
    head[32..40].copy_from_slice(&(width as u64).to_le_bytes());
    head
}
