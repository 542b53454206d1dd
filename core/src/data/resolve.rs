//! From a name in a recipe to files.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::recipe::{At, Keys, Noted};
use crate::{Error, Result};

/// Bytes on disk or in the binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// A file.
    Path(PathBuf),
    /// Embedded in the binary.
    Embedded(&'static [u8]),
}

impl Blob {
    /// The whole content.
    pub fn bytes(&self) -> Result<Cow<'static, [u8]>> {
        match self {
            Blob::Path(p) => Ok(Cow::Owned(std::fs::read(p).map_err(Error::io(p))?)),
            Blob::Embedded(b) => Ok(Cow::Borrowed(b)),
        }
    }

    /// Hands the whole content over, a piece at a time: a hash of a large file has no use for all of it in memory.
    pub fn pieces(&self, mut each: impl FnMut(&[u8])) -> Result<()> {
        match self {
            Blob::Path(p) => {
                let mut file = File::open(p).map_err(Error::io(p))?;
                let mut piece = vec![0; 1 << 16];
                loop {
                    match file.read(&mut piece) {
                        Ok(0) => return Ok(()),
                        Ok(n) => each(&piece[..n]),
                        // A signal came in between.
                        Err(e) if e.kind() == ErrorKind::Interrupted => {}
                        Err(e) => return Err(Error::io(p)(e)),
                    }
                }
            }
            Blob::Embedded(b) => {
                each(b);
                Ok(())
            }
        }
    }

    /// The whole content as text.
    pub fn text(&self, name: &str) -> Result<String> {
        String::from_utf8(self.bytes()?.into_owned()).map_err(|e| {
            Error::msg(format!(
                "{name}: not UTF-8 at byte {}",
                e.utf8_error().valid_up_to()
            ))
        })
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// One file.
    File(Blob),
    /// The files of one table, in order: the shards of a data set's split. Each with a name for errors.
    Files(Vec<(String, PathBuf)>),
    /// A folder on disk.
    Folder(PathBuf),
    /// A folder in the binary: names and contents.
    Embedded(&'static [(&'static str, &'static [u8])]),
}

impl Found {
    /// A file of a folder, if it is there.
    pub fn file(&self, name: &str) -> Option<Blob> {
        match self {
            Found::File(_) | Found::Files(_) => None,
            Found::Folder(dir) => Some(dir.join(name)).filter(|p| p.is_file()).map(Blob::Path),
            Found::Embedded(files) => files
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, b)| Blob::Embedded(b)),
        }
    }

    /// The `model_type` in a checkpoint's config.json; timm's say `architecture`.
    pub fn model_type(&self) -> Option<String> {
        let text = self.file("config.json")?.text("config.json").ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        let said = json["model_type"]
            .as_str()
            .or(json["architecture"].as_str());
        said.map(str::to_string)
    }

    /// What is wrong with a checkpoint's config.json, where there is one that is no JSON.
    pub fn broken_config(&self) -> Option<String> {
        let text = self.file("config.json")?.text("config.json");
        let read = text.map(|t| serde_json::from_str::<serde_json::Value>(&t));
        match read {
            Ok(Ok(_)) => None,
            Ok(Err(e)) => Some(e.to_string()),
            Err(e) => Some(e.to_string()),
        }
    }

    /// Whether a run of tlkit trained it: its config.json has a key `tlkit`.
    pub fn is_ours(&self) -> bool {
        let text = self
            .file("config.json")
            .and_then(|f| f.text("config.json").ok());
        let json = text.and_then(|t| serde_json::from_str::<serde_json::Value>(&t).ok());
        json.is_some_and(|json| json.get("tlkit").is_some())
    }
}

/// Finds files by name: `builtin:bert-mini`, `hf:owner/name@revision`, a path. The hub implements it; `src` wires it in.
pub trait Resolve: Send + Sync {
    /// `base` is the folder that relative paths start from.
    ///
    /// # Errors
    /// There is no such thing, with what to do about it. [`Error::NotHere`] when it would have to be downloaded first, from a
    /// resolver that does not download.
    fn resolve(&self, name: &str, base: &Path) -> Result<Found>;

    /// The name with the commit that it stood for when it was resolved: a branch moves, a run does not. `None` where the name says
    /// it all.
    fn pinned(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Notes at a place of the recipe what kept a name from being resolved: an error, or that this part was not checked.
pub fn note_unresolved(keys: &Keys, at: At, error: &Error) -> Noted {
    match error {
        Error::NotHere(what) => keys.not_checked(at, what),
        error => keys.error(at, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_in_order() -> Result<()> {
        let whole: Vec<u8> = (0..200_001u32).map(|i| (i % 251) as u8).collect();
        let path = std::env::temp_dir().join(format!("tlkit-pieces-{}", std::process::id()));
        std::fs::write(&path, &whole).map_err(Error::io(&path))?;
        let gathered = |blob: &Blob| -> Result<Vec<u8>> {
            let mut all = Vec::new();
            blob.pieces(|piece| all.extend_from_slice(piece))?;
            Ok(all)
        };
        assert!(gathered(&Blob::Path(path.clone()))? == whole);
        assert_eq!(gathered(&Blob::Embedded(b"inside"))?, b"inside");
        std::fs::remove_file(&path).map_err(Error::io(&path))?;
        assert!(gathered(&Blob::Path(path)).is_err(), "it is gone");
        Ok(())
    }
}
