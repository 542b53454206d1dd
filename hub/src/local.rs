//! Files and folders of this machine.

use std::path::{Component, Path, PathBuf};

use tlkit_core::data::{Blob, Found};
use tlkit_core::recipe::nearest;
use tlkit_core::{Error, Result};

/// A path, relative to the recipe's folder.
pub(crate) fn local(name: &str, base: &Path) -> Result<Found> {
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
