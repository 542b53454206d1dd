//! From a name in a recipe to files: what `checkpoint = "..."` and `train = "..."` stand for.
//!
//! | name | what it is |
//! |---|---|
//! | `builtin:bert-mini`, `builtin:reviews/films/train` | in the binary, so that a recipe runs without a network |
//! | `books.csv`, `../checkpoints/minilm`, `/data/books.csv` | a file or a folder; relative to the recipe's folder |
//! | `hf:owner/name@revision`, `hf:datasets/owner/name@revision` | on the Hugging Face hub; this version does not download, and says what to do instead |
//!
//! [`Hub`] implements core's `Resolve`; only the binary names this crate. A name that stands for nothing is an error that
//! lists what there is, and the nearest.
//!
//! ```
//! use std::path::Path;
//! use tlkit_core::data::Resolve;
//!
//! let error = tlkit_hub::Hub.resolve("builtin:reviews/film/train", Path::new(".")).unwrap_err();
//! assert!(error.to_string().contains("did you mean `builtin:reviews/films/train`?"), "{error}");
//! ```
//!
//! What is built in is whatever lies under `assets/` when this crate is compiled: each `.tsv` is a table of rows, each folder with
//! a `config.json` a checkpoint with all its files. Safetensors are embedded as they are.

use std::path::{Component, Path, PathBuf};

use tlkit_core::data::{Blob, Found, Resolve};
use tlkit_core::recipe::nearest;
use tlkit_core::{Error, Result};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What `builtin:` names stand for, in order: `bert-mini`, `reviews/films/test`, ... (without the prefix).
pub fn builtins() -> Vec<&'static str> {
    let tables = TABLES.iter().map(|(name, _)| *name);
    let mut names: Vec<&str> = tables
        .chain(FOLDERS.iter().map(|(name, _)| *name))
        .collect();
    names.sort_unstable();
    names
}

/// Finds what a recipe names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hub;

impl Resolve for Hub {
    fn resolve(&self, name: &str, base: &Path) -> Result<Found> {
        if let Some(builtin) = name.strip_prefix("builtin:") {
            return embedded(builtin);
        }
        if let Some(rest) = name.strip_prefix("hf:") {
            return Err(not_downloaded(name, rest));
        }
        if name.starts_with("http://") || name.starts_with("https://") {
            return Err(Error::msg(format!(
                "`{name}` is an address, and this version does not download; download the file and write its path"
            )));
        }
        local(name, base)
    }
}

fn embedded(name: &str) -> Result<Found> {
    if let Some((_, bytes)) = TABLES.iter().find(|(n, _)| *n == name) {
        return Ok(Found::File(Blob::Embedded(bytes)));
    }
    if let Some((_, files)) = FOLDERS.iter().find(|(n, _)| *n == name) {
        return Ok(Found::Embedded(files));
    }
    let there = builtins();
    let meant = nearest(name, there.iter().copied())
        .map_or_else(String::new, |n| format!("; did you mean `builtin:{n}`?"));
    let list: Vec<String> = there.iter().map(|n| format!("`builtin:{n}`")).collect();
    let list = if list.is_empty() {
        "nothing".to_string()
    } else {
        list.join(", ")
    };
    Err(Error::msg(format!(
        "nothing is built in as `builtin:{name}`{meant}\nbuilt in: {list}"
    )))
}

fn not_downloaded(name: &str, rest: &str) -> Error {
    let (rest, data) = match rest.strip_prefix("datasets/") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (rest, _split) = rest.split_once('#').unwrap_or((rest, ""));
    let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
    let kind = if data { "datasets/" } else { "" };
    let what = if data {
        "the data file and write its path".to_string()
    } else {
        "config.json, model.safetensors and tokenizer.json into one folder and write the folder's path".to_string()
    };
    Error::msg(format!(
        "`{name}`: this version cannot download; from https://huggingface.co/{kind}{repository}/tree/{revision} download {what}"
    ))
}

fn local(name: &str, base: &Path) -> Result<Found> {
    if name.trim().is_empty() {
        return Err(Error::msg("a path is wanted, and this is empty"));
    }
    let path = tidy(&base.join(name));
    // Follows links; one that leads nowhere is not found.
    let Ok(meta) = std::fs::metadata(&path) else {
        return Err(Error::msg(not_found(name, &path)));
    };
    Ok(if meta.is_dir() {
        Found::Folder(path)
    } else {
        Found::File(Blob::Path(path))
    })
}

/// Without the `.` parts that joining leaves. (`..` stays: after a link it is not what it looks like.)
fn tidy(path: &Path) -> PathBuf {
    let kept: PathBuf = path
        .components()
        .filter(|c| *c != Component::CurDir)
        .collect();
    if kept.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        kept
    }
}

/// Says how far the path exists, and what was probably meant there.
fn not_found(name: &str, path: &Path) -> String {
    let above = |p: &Path| match p.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        Some(parent) => Some(parent.to_path_buf()),
        None => None,
    };
    // The first part that is not there, and the folder that it is not in.
    let (mut missing, mut folder) = (path.to_path_buf(), above(path));
    while let Some(f) = folder.clone().filter(|f| !f.exists()) {
        missing = f.clone();
        folder = above(&f);
    }
    let Some(folder) = folder else {
        return format!("`{name}` is not there");
    };
    if !folder.is_dir() {
        return format!(
            "`{name}` is not there: {} is a file, not a folder",
            folder.display()
        );
    }
    let wanted = missing
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut there: Vec<String> = std::fs::read_dir(&folder)
        .map(|entries| {
            let entries = entries.filter_map(|e| e.ok());
            entries
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    there.sort();
    let meant = nearest(&wanted, there.iter().map(String::as_str))
        .map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
    if name == wanted {
        return format!(
            "`{name}` is not there: no such file or folder in {}{meant}",
            folder.display()
        );
    }
    format!(
        "`{name}` is not there: no `{wanted}` in {}{meant}",
        folder.display()
    )
}
