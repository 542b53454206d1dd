//! The reader: a folder of folders of WAV files, a class a folder; or one file, without a class.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlkit_plugin::core::data::{Blob, Form, Input, ReadOptions, Reader, Table};
use tlkit_plugin::core::{Error, Result};

use crate::mel::{RATE, SAMPLES};
use crate::wav;

/// Reads `.wav`, and folders of them.
#[derive(Default)]
pub struct Folder;

impl Reader for Folder {
    fn extensions(&self) -> &[&str] {
        &["wav"]
    }

    fn reads_folders(&self) -> bool {
        true
    }

    fn reads_folders_of(&self, form: Form) -> bool {
        form == Form::Features
    }

    fn open(&self, name: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let samples = "samples".to_string();
        let Blob::Path(path) = blob else {
            let one = sound(&blob.bytes()?).map_err(|e| Error::msg(format!("{name}: {e}")))?;
            return Ok(Arc::new(One { columns: vec![samples], name: name.into(), one }));
        };
        if !path.is_dir() {
            let bytes = std::fs::read(path).map_err(Error::io(path))?;
            let one = sound(&bytes).map_err(|e| Error::msg(format!("{name}: {e}")))?;
            return Ok(Arc::new(One { columns: vec![samples], name: name.into(), one }));
        }
        let mut rows = Vec::new();
        for class in sorted(path)?.into_iter().filter(|p| p.is_dir()) {
            let label = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let files = sorted(&class)?.into_iter();
            rows.extend(files.filter(|p| is_wav(p)).map(|file| (file, label.clone())));
        }
        match rows.is_empty() {
            true => Err(Error::msg(format!("{name} has no folders with WAV files"))),
            false => Ok(Arc::new(Sounds { columns: vec![samples, "label".into()], rows })),
        }
    }
}

fn is_wav(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav"))
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        all.push(entry.map_err(Error::io(folder))?.path());
    }
    all.sort();
    Ok(all)
}

/// One second of it.
fn sound(bytes: &[u8]) -> std::result::Result<Vec<f32>, String> {
    let (rate, all) = wav::read(bytes)?;
    Ok(wav::resampled(&all, rate, RATE, SAMPLES))
}

/// A file is read when its row is asked for.
struct Sounds {
    columns: Vec<String>,
    rows: Vec<(PathBuf, String)>,
}

impl Table for Sounds {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let (file, label) = &self.rows[row];
        if column == 1 {
            return Ok(Input::Text(label.as_str().into()));
        }
        let bytes = std::fs::read(file).map_err(Error::io(file))?;
        let sound = sound(&bytes).map_err(|e| Error::msg(format!("{}: {e}", file.display())))?;
        Ok(Input::Features(sound.into()))
    }

    fn place(&self, row: usize) -> String {
        self.rows[row].0.display().to_string()
    }
}

struct One {
    columns: Vec<String>,
    name: String,
    one: Vec<f32>,
}

impl Table for One {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        1
    }

    fn cell(&self, _: usize, _: usize) -> Result<Input<'_>> {
        Ok(Input::Features(self.one.as_slice().into()))
    }

    fn place(&self, _: usize) -> String {
        self.name.clone()
    }
}
