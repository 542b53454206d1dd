//! Which file a name means.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{Cause, LoadError};

/// The file that `path` names: as it stands, or with this platform's prefix and suffix; where it names no folder, or its folder holds no
/// such file, its name is looked for in `elsewhere`.
pub(crate) fn find(path: &Path, elsewhere: &[PathBuf]) -> Result<PathBuf, LoadError> {
    let mut looked = Vec::new();
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default();
    for folder in std::iter::once(folder).chain(elsewhere.iter().map(PathBuf::as_path)) {
        for candidate in candidates(folder, name) {
            if candidate.is_file() {
                return candidate.canonicalize().map_err(|e| {
                    LoadError::new(Cause::System, format!("{}: {e}", candidate.display()))
                });
            }
            looked.push(candidate.display().to_string());
        }
    }
    let error = LoadError::new(
        Cause::NotFound,
        format!("there is no plugin `{}`", path.display()),
    );
    Err(error.help(format!("looked for {}", looked.join(", "))))
}

/// Rust turns `-` of a package into `_` of a library.
fn candidates(folder: &Path, name: &OsStr) -> Vec<PathBuf> {
    let mut all = vec![folder.join(name)];
    if let Some(name) = name.to_str()
        && !name.ends_with(DLL_SUFFIX)
    {
        let under = name.replace('-', "_");
        for name in [name, &under] {
            for prefix in [DLL_PREFIX, ""] {
                all.push(folder.join(format!("{prefix}{name}{DLL_SUFFIX}")));
            }
        }
    }
    all.dedup();
    let mut seen = Vec::new();
    all.retain(|p| {
        !seen.contains(p) && {
            seen.push(p.clone());
            true
        }
    });
    all
}

/// The libraries that lie in a folder, in the order of their names.
pub(crate) fn lying_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut all: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.is_file() && p.to_str().is_some_and(|p| p.ends_with(DLL_SUFFIX)))
        .filter_map(|p| p.canonicalize().ok())
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_and_suffix_of_the_platform_are_added() {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("{DLL_PREFIX}huber_alignment{DLL_SUFFIX}");
        std::fs::write(folder.path().join(&file), "").unwrap();
        let expected = folder.path().canonicalize().unwrap().join(&file);
        for name in ["huber_alignment", "huber-alignment", file.as_str()] {
            assert_eq!(find(&folder.path().join(name), &[]).unwrap(), expected);
            let elsewhere = [folder.path().to_path_buf()];
            assert_eq!(find(Path::new(name), &elsewhere).unwrap(), expected);
        }
        assert_eq!(lying_in(folder.path()), [expected]);
        let error = find(&folder.path().join("other"), &[]).unwrap_err();
        assert_eq!(error.cause, Cause::NotFound);
        assert!(
            error.help.contains(&format!("other{DLL_SUFFIX}")),
            "{error}"
        );
    }
}
