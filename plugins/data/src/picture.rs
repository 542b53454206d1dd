//! One image as a table of one row: what `predict photo.jpg` reads.

use std::path::Path;
use std::sync::Arc;

use tlkit_core::data::{Blob, ReadOptions, Reader, Table};
use tlkit_core::{Error, Result};

use crate::folder::{Files, READ};

/// Reads `.jpg`, `.png`, `.webp`, `.bmp`, `.gif`.
#[derive(Clone, Copy, Debug)]
pub struct Picture;

impl Reader for Picture {
    fn extensions(&self) -> &[&str] {
        &READ
    }

    fn open(&self, name: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let Blob::Path(path) = blob else {
            return Err(Error::msg(format!("{name}: not a file")));
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let shown = Path::new(name)
            .parent()
            .map_or_else(String::new, |p| p.display().to_string());
        let shown = if shown.is_empty() { "." } else { &shown };
        Ok(Arc::new(Files::new(
            shown,
            folder,
            vec![path.clone()],
            None,
        )))
    }
}
