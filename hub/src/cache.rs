//! The cache on disk, as huggingface_hub lays it out, so that either finds what the other downloaded:
//!
//! ```text
//! models--owner--name/refs/main                          the commit that the branch was at
//!                     snapshots/<commit>/config.json     a link to
//!                     blobs/<etag>                       the file: its sha256 (large files) or git's sha1 (small ones)
//!                     blobs/<etag>.incomplete            a part of it
//!                     trees/<commit>.json                what files there are at that commit
//!                     .no_exist/<commit>/vocab.txt       the commit has no such file: it was asked for (read, not written)
//! .locks/models--owner--name/<etag>.lock                 held while the file is downloaded
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tlkit_core::{Error, Result};

use crate::name::Name;
use crate::settings::Settings;

/// The files of a commit: names and sizes.
pub(crate) type Tree = BTreeMap<String, Entry>;

/// A file of a commit, as the hub lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub size: Option<u64>,
    /// Git's name for it.
    pub blob: Option<String>,
    /// Of the content of a large file.
    pub sha256: Option<String>,
}

/// One repository in the cache.
pub(crate) struct Cache {
    root: PathBuf,
    locks: PathBuf,
}

impl Cache {
    pub fn of(settings: &Settings, name: &Name) -> Cache {
        Cache {
            root: settings.cache.join(name.folder()),
            locks: settings.cache.join(".locks").join(name.folder()),
        }
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// A file of a snapshot, when it is there in full size.
    pub fn file(&self, commit: &str, file: &str, entry: Option<&Entry>) -> Option<PathBuf> {
        let path = self.snapshot(commit).join(file);
        let there = fs::metadata(&path).ok().filter(|m| m.is_file())?;
        let whole = entry.and_then(|e| e.size).is_none_or(|n| n == there.len());
        whole.then_some(path)
    }

    /// The files that lie in a snapshot; all of the repository or a few.
    pub fn files(&self, commit: &str) -> Tree {
        let root = self.snapshot(commit);
        let mut tree = Tree::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                // Follows links, so that one whose blob is gone does not count.
                match fs::metadata(&path) {
                    Ok(m) if m.is_dir() => folders.push(path),
                    Ok(m) => {
                        let inside = path.strip_prefix(&root).ok().and_then(Path::to_str);
                        let size = Some(m.len());
                        let entry = Entry {
                            size,
                            ..Entry::default()
                        };
                        tree.extend(inside.map(|name| (name.replace('\\', "/"), entry)));
                    }
                    Err(_) => {}
                }
            }
        }
        tree
    }

    /// Whether huggingface_hub asked for a file of the commit, and there was none.
    pub fn has_not(&self, commit: &str, file: &str) -> bool {
        self.root.join(".no_exist").join(commit).join(file).exists()
    }

    pub fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    pub fn partial(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The commit that a branch was at when it was last asked for.
    pub fn read_ref(&self, revision: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        let commit = text.trim();
        crate::name::is_commit(commit).then(|| commit.to_string())
    }

    pub fn write_ref(&self, revision: &str, commit: &str) -> Result<()> {
        if self.read_ref(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        write_whole(&self.root.join("refs").join(revision), commit.as_bytes())
    }

    fn tree_path(&self, commit: &str) -> PathBuf {
        self.root.join("trees").join(format!("{commit}.json"))
    }

    /// The files of a commit, if they were ever listed. A commit never changes, so neither does this.
    pub fn tree(&self, commit: &str) -> Option<Tree> {
        let text = fs::read_to_string(self.tree_path(commit)).ok()?;
        let json: Value = serde_json::from_str(&text).ok()?;
        // A later format is another library's business.
        if json["format_version"] != 1 {
            return None;
        }
        let files = json["files"].as_object()?.iter().map(|(name, file)| {
            let text = |key: &str| file[key].as_str().map(str::to_string);
            let entry = Entry {
                size: file["lfs_size"].as_u64().or(file["size"].as_u64()),
                blob: text("blob_id"),
                sha256: text("lfs_sha256"),
            };
            (name.clone(), entry)
        });
        Some(files.collect())
    }

    /// Keeps the list of files, unless the hub left out what the format wants.
    pub fn write_tree(&self, commit: &str, tree: &Tree) -> Result<()> {
        let mut files = Map::new();
        for (name, entry) in tree {
            let (Some(size), Some(blob)) = (entry.size, &entry.blob) else {
                return Ok(());
            };
            let mut file = json!({ "size": size, "blob_id": blob });
            if let Some(sha256) = &entry.sha256 {
                file["lfs_sha256"] = json!(sha256);
                file["lfs_size"] = json!(size);
            }
            files.insert(name.clone(), file);
        }
        let text = json!({ "format_version": 1, "files": files }).to_string();
        write_whole(&self.tree_path(commit), text.as_bytes())
    }

    /// Puts a blob into a snapshot under the file's name.
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> Result<PathBuf> {
        let pointer = self.snapshot(commit).join(file);
        if let Some(folder) = pointer.parent() {
            fs::create_dir_all(folder).map_err(trouble(folder))?;
        }
        // From snapshots/<commit>/ three up, and one more for each folder that the file lies in.
        let up = "../".repeat(2 + file.matches('/').count());
        let target = format!("{up}blobs/{etag}");
        // Made beside and renamed: a reader never finds the name without the file.
        let beside = beside(&pointer);
        let _ = fs::remove_file(&beside);
        if symlink(&target, &beside).is_err() {
            // A file system without links: a second name, or else a copy.
            let blob = self.blob(etag);
            fs::hard_link(&blob, &beside)
                .or_else(|_| fs::copy(&blob, &beside).map(drop))
                .map_err(trouble(&beside))?;
        }
        fs::rename(&beside, &pointer).map_err(trouble(&pointer))?;
        Ok(pointer)
    }

    /// Holds a file's lock, the one that huggingface_hub takes too. `waits` is called once when another process has it.
    ///
    /// # Errors
    /// The other process has it and has not written a byte for so long.
    pub fn lock(&self, etag: &str, patience: Duration, waits: &dyn Fn(&Path)) -> Result<Lock> {
        let path = self.locks.join(format!("{etag}.lock"));
        fs::create_dir_all(&self.locks).map_err(trouble(&self.locks))?;
        let blobs = self.root.join("blobs");
        fs::create_dir_all(&blobs).map_err(trouble(&blobs))?;
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(trouble(&path))?;
        let mut since = Instant::now();
        let (mut seen, mut said) = (self.written(etag), false);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::WouldBlock) => {}
                // Some network file systems have no locks. The file is still renamed into place whole, and checked.
                Err(TryLockError::Error(_)) => return Ok(Lock(file)),
            }
            if !said {
                said = true;
                waits(&path);
            }
            let now = self.written(etag);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() >= patience {
                return Err(Error::msg(format!(
                    "another process holds {} and has written nothing for {}; end that process, or wait for it and run this again",
                    path.display(),
                    seconds(patience)
                )));
            }
            std::thread::sleep(Duration::from_millis(50).min(patience));
        }
    }

    /// How much there is of a file, in whatever partial file.
    fn written(&self, etag: &str) -> u64 {
        let entries = fs::read_dir(self.root.join("blobs")).into_iter().flatten();
        let sizes = entries.flatten().filter_map(|e| {
            let ours = e.file_name().to_str().is_some_and(|n| n.starts_with(etag));
            e.metadata().ok().filter(|_| ours).map(|m| m.len())
        });
        sizes.sum()
    }
}

/// Releases the lock when dropped.
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file releases it too.
        let _ = self.0.unlock();
    }
}

/// `2 minutes`, `30 seconds`.
pub(crate) fn seconds(d: Duration) -> String {
    match d.as_secs() {
        0 => format!("{} milliseconds", d.as_millis()),
        1 => "a second".into(),
        s if s < 120 => format!("{s} seconds"),
        s => format!("{} minutes", s / 60),
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(trouble(folder))?;
    }
    let beside = beside(path);
    let mut file = File::create(&beside).map_err(trouble(&beside))?;
    file.write_all(bytes).map_err(trouble(&beside))?;
    fs::rename(&beside, path).map_err(trouble(path))
}

/// A name of this process alone, in the same folder.
fn beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().map(|n| n.to_string_lossy());
    path.with_file_name(format!(
        ".{}.{}-{n}",
        name.unwrap_or_default(),
        std::process::id()
    ))
}

/// For `map_err`: what the disk refused, and what to do.
pub(crate) fn trouble(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    move |e| {
        let elsewhere = "HF_HUB_CACHE names a folder elsewhere";
        Error::msg(match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
                "no space is left for {path}; free some, or {elsewhere}. What is there already is kept, and gone on with"
            ),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                format!("{path} cannot be written ({e}); {elsewhere}")
            }
            _ => format!("{path}: {e}"),
        })
    }
}

#[cfg(unix)]
fn symlink(target: &str, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn symlink(_: &str, _: &Path) -> io::Result<()> {
    // Needs rights that few have.
    Err(io::ErrorKind::Unsupported.into())
}
