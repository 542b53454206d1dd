//! Pipes and devices where a file should be: who opens a pipe waits for somebody to write into it, and what it gives is gone when it was read
//! once, where a file is gone through several times.

use std::path::Path;

use tlkit_core::{Error, Result};

/// An error where the path is neither a file nor a folder; `name` is how the user wrote it. What is not there is left to who opens it.
pub fn refuse(name: &str, path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() && !meta.is_dir() => Err(Error::msg(format!(
            "{name}: a pipe or device, not a file; write it into a file first"
        ))),
        _ => Ok(()),
    }
}
