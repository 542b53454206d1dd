//! What can be said of a library's file before a line of it runs: whose it is, for which machine, and what identifies it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::error::{Cause, LoadError};

/// A file as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub path: PathBuf,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
    pub sha256: String,
}

impl Stamp {
    /// Reads the file. One that others may write is refused unless that is allowed; one of another platform always.
    pub fn of(path: &Path, allow_writable: bool) -> Result<Stamp, LoadError> {
        let system =
            |e: std::io::Error| LoadError::new(Cause::System, format!("{}: {e}", path.display()));
        let meta = path.metadata().map_err(system)?;
        if !allow_writable {
            refuse_writable(path)?;
        }
        let (sha256, start) = read(path)?;
        right_platform(path, &start)?;
        let modified = meta.modified().ok();
        let modified = modified.and_then(|m| m.duration_since(UNIX_EPOCH).ok());
        Ok(Stamp {
            path: path.to_path_buf(),
            size: meta.len(),
            modified: modified.map_or(0, |d| d.as_nanos() as u64),
            sha256,
        })
    }
}

/// The hash of a file.
pub(crate) fn sha256(path: &Path) -> Result<String, LoadError> {
    Ok(read(path)?.0)
}

/// Its hash, and its first bytes.
fn read(path: &Path) -> Result<(String, Vec<u8>), LoadError> {
    let system =
        |e: std::io::Error| LoadError::new(Cause::System, format!("{}: {e}", path.display()));
    let mut file = File::open(path).map_err(system)?;
    let mut sha = sha2::Sha256::new();
    let mut start = Vec::new();
    let mut block = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut block).map_err(system)?;
        if n == 0 {
            return Ok((tlkit_core::hex(&sha.finalize()), start));
        }
        start.extend_from_slice(&block[..n.min(64_usize.saturating_sub(start.len()))]);
        sha.update(&block[..n]);
    }
}

/// The file, and the folder that it could be replaced in (unless only owners may remove there, as in `/tmp`).
#[cfg(unix)]
fn refuse_writable(path: &Path) -> Result<(), LoadError> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().unwrap_or(Path::new("/"));
    for (at, sticky) in [(path, 0), (folder, 0o1000)] {
        let Ok(meta) = at.metadata() else { continue };
        let mode = meta.permissions().mode();
        if mode & 0o002 != 0 && mode & sticky == 0 {
            let error = LoadError::new(
                Cause::Writable,
                format!(
                    "{} can be written by everybody on this machine",
                    at.display()
                ),
            );
            return Err(error.help(format!(
                "`chmod o-w {}`, or allow it with `allow_writable = true`",
                at.display()
            )));
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_writable(_: &Path) -> Result<(), LoadError> {
    Ok(())
}

/// What the first bytes say of system and processor.
fn right_platform(path: &Path, start: &[u8]) -> Result<(), LoadError> {
    let here = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    let name = path.display();
    let Some((system, processor)) = platform(start) else {
        let error = LoadError::new(Cause::NotAPlugin, format!("{name} is no shared library"));
        return Err(error);
    };
    let right_system = match system {
        "macOS" => cfg!(target_vendor = "apple"),
        "Windows" => cfg!(windows),
        _ => cfg!(unix) && !cfg!(target_vendor = "apple"),
    };
    if right_system && (processor == std::env::consts::ARCH || processor.is_empty()) {
        return Ok(());
    }
    let of = match processor {
        "" => system.to_string(),
        p => format!("{system} on {p}"),
    };
    let error = LoadError::new(
        Cause::Platform,
        format!("{name} is a library for {of}, and this is {here}"),
    );
    Err(error.help("build it here"))
}

/// The system and the processor, the latter empty where it is not said.
fn platform(start: &[u8]) -> Option<(&'static str, &'static str)> {
    let word = |at: usize, little: bool| -> Option<u16> {
        let two: [u8; 2] = start.get(at..at + 2)?.try_into().ok()?;
        Some(match little {
            true => u16::from_le_bytes(two),
            false => u16::from_be_bytes(two),
        })
    };
    match start.get(..4)? {
        [0x7f, b'E', b'L', b'F'] => {
            let processor = match word(18, *start.get(5)? == 1)? {
                0x3e => "x86_64",
                0xb7 => "aarch64",
                0x03 => "x86",
                0x28 => "arm",
                0xf3 => "riscv64",
                _ => "another processor",
            };
            Some(("Linux", processor))
        }
        [0xcf, 0xfa, 0xed, 0xfe] => match start.get(4..8)? {
            [7, 0, 0, 1] => Some(("macOS", "x86_64")),
            [12, 0, 0, 1] => Some(("macOS", "aarch64")),
            _ => Some(("macOS", "another processor")),
        },
        [0xca, 0xfe, 0xba, 0xbe] => Some(("macOS", "")),
        [b'M', b'Z', ..] => Some(("Windows", "")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_platforms_are_told_apart() {
        let mut elf = vec![0u8; 64];
        elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        elf[18] = 0xb7;
        assert_eq!(platform(&elf), Some(("Linux", "aarch64")));
        elf[18] = 0x3e;
        assert_eq!(platform(&elf), Some(("Linux", "x86_64")));
        assert_eq!(platform(b"MZ\x90\x00"), Some(("Windows", "")));
        assert_eq!(
            platform(&[0xcf, 0xfa, 0xed, 0xfe, 12, 0, 0, 1]),
            Some(("macOS", "aarch64"))
        );
        assert_eq!(platform(b"#!/bin/sh"), None);
        assert_eq!(platform(b""), None);
    }
}
