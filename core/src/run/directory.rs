//! One run, one folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Hashes of the rows that the run learned from.
pub(super) const TRAINED_ON: &str = "trained-on.bin";

/// Writes beside, syncs, renames: a reader sees the old file or the new one, never half of one. What a link leads to is written, and a device as it is.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if path.exists() && !path.is_file() && !path.is_dir() {
        return std::fs::write(path, bytes).map_err(Error::io(path));
    }
    let beside = path.with_extension(match path.extension() {
        Some(e) => format!("{}.part", e.to_string_lossy()),
        None => "part".to_string(),
    });
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|f| !f.exists()) {
        return Err(Error::msg(format!(
            "{}: the folder {} is not there",
            path.display(),
            folder.display()
        )));
    }
    let written = (|| {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    if let Err(e) = written {
        // Of a disk that is full nothing is kept that nobody reads.
        let _ = std::fs::remove_file(&beside);
        return Err(Error::io(&beside)(e));
    }
    std::fs::rename(&beside, path).map_err(Error::io(path))
}

/// A run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    /// At this path; nothing is made yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Directory(path.into())
    }

    /// Makes the folder.
    pub fn create(&self) -> Result<()> {
        for dir in [self.0.clone(), self.0.join("checkpoint")] {
            std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        }
        Ok(())
    }

    /// The run directory of a part of this run: `folds/3`, `tune/2`. `number` is from 1.
    pub fn part(&self, of: &str, number: usize) -> Directory {
        Directory(self.0.join(of).join(number.to_string()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The complete recipe, replayable.
    pub fn recipe(&self) -> PathBuf {
        self.0.join("recipe.toml")
    }

    /// What the run is, written when it starts: a resume compares.
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.json")
    }

    /// What came of it.
    pub fn result(&self) -> PathBuf {
        self.0.join("result.json")
    }

    /// One line an epoch, and at most about 500 a phase of single steps.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// One line a test row.
    pub fn predictions(&self) -> PathBuf {
        self.0.join("predictions.jsonl")
    }

    /// Small copies of some test images, one a line.
    pub fn thumbnails(&self) -> PathBuf {
        self.0.join("thumbnails.jsonl")
    }

    /// How far each tensor went.
    pub fn liveness(&self) -> PathBuf {
        self.0.join("liveness.json")
    }

    /// Where rows of source and target lie, before an adaptation and after it.
    pub fn embedding(&self) -> PathBuf {
        self.0.join("embedding.json")
    }

    /// To go on from.
    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint").join("state.safetensors")
    }

    /// The trained model.
    pub fn model(&self) -> PathBuf {
        self.0.join("model")
    }

    /// Hashes of the rows that the run learned from.
    pub fn trained_on(&self) -> PathBuf {
        self.0.join(TRAINED_ON)
    }

    /// What was said.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.txt")
    }

    /// Whether the run here ended well.
    pub fn finished(&self) -> bool {
        std::fs::read_to_string(self.result())
            .ok()
            .and_then(|t| serde_json::from_str::<serde_json::Value>(&t).ok())
            .is_some_and(|v| v["status"] == "done")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() -> Result<()> {
        let dir = std::env::temp_dir().join(format!("tlkit-write-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let file = dir.join("a.json");
        write_whole(&file, b"one")?;
        write_whole(&file, b"two")?;
        assert_eq!(std::fs::read(&file).map_err(Error::io(&file))?, b"two");
        assert_eq!(std::fs::read_dir(&dir).map_err(Error::io(&dir))?.count(), 1);
        std::fs::remove_dir_all(&dir).map_err(Error::io(&dir))
    }
}
