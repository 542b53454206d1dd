//! A matrix of f32 by row, in memory or mapped, and where it is put together.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use tlkit_ops::mapped::Floats;

use super::disk::{HEADER, SUM, header, sum};
use crate::{Error, Result};

/// `(rows, width)`, looked up by row.
pub struct Rows {
    rows: usize,
    width: usize,
    values: Values,
}

enum Values {
    Memory(Vec<f32>),
    Mapped(Floats),
}

impl Rows {
    pub(super) fn mapped(rows: usize, width: usize, values: Floats) -> Self {
        Rows {
            rows,
            width,
            values: Values::Mapped(values),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Numbers a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All of them, row after row.
    pub fn values(&self) -> &[f32] {
        match &self.values {
            Values::Memory(v) => v,
            Values::Mapped(m) => m.as_slice(),
        }
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values()[row * self.width..(row + 1) * self.width]
    }

    /// Some rows, `(rows, width)`, f32.
    pub fn gather(&self, rows: &[u32], device: &Device) -> Result<Tensor> {
        let mut picked = Vec::with_capacity(rows.len() * self.width);
        for &r in rows {
            picked.extend_from_slice(self.row(r as usize));
        }
        Ok(Tensor::from_vec(picked, (rows.len(), self.width), device)?)
    }

    /// All rows, `(rows, width)`, f32.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        Ok(Tensor::from_slice(
            self.values(),
            (self.rows, self.width),
            device,
        )?)
    }
}

/// Where rows are put as they are computed.
pub struct Sink {
    rows: usize,
    width: usize,
    put: usize,
    to: To,
    failed: Option<Error>,
}

enum To {
    Memory(Vec<f32>),
    /// The file, once its width is known.
    File(PathBuf, Option<File>),
}

/// What became of a sink.
pub(super) enum Closed {
    /// A whole file, synced, of rows of so many numbers, to be taken as an entry.
    File(PathBuf, usize),
    /// Rows in memory, and why they are not in a file, if they should be.
    Memory(Rows, Option<Error>),
}

impl Sink {
    pub(super) fn memory(rows: usize) -> Self {
        Self::new(rows, To::Memory(Vec::new()))
    }

    pub(super) fn file(path: PathBuf, rows: usize) -> Self {
        Self::new(rows, To::File(path, None))
    }

    fn new(rows: usize, to: To) -> Self {
        Sink {
            rows,
            width: 0,
            put: 0,
            to,
            failed: None,
        }
    }

    /// Puts some rows, their values one row after the other.
    pub fn put(&mut self, rows: &[u32], values: &[f32]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let width = values.len() / rows.len();
        if self.width == 0 {
            self.width = width;
        }
        let far = rows.iter().any(|&r| r as usize >= self.rows);
        if width == 0 || width != self.width || values.len() != rows.len() * width || far {
            return Err(Error::msg(format!(
                "{} numbers for {} of {} rows of {}",
                values.len(),
                rows.len(),
                self.rows,
                self.width
            )));
        }
        if let To::File(path, file) = &mut self.to {
            match write(path, file, self.rows, rows, values, width) {
                Ok(()) => {}
                // A full disk stops the storing and not the run: what is in the file comes back to memory, and the rest follows.
                Err(e) => {
                    let all = taken_back(path, self.rows * width, self.put > 0)?;
                    self.to = To::Memory(all);
                    self.failed = Some(e);
                }
            }
        }
        if let To::Memory(all) = &mut self.to {
            all.resize(self.rows * width, 0.0);
            for (&r, v) in rows.iter().zip(values.chunks_exact(width)) {
                all[r as usize * width..(r as usize + 1) * width].copy_from_slice(v);
            }
        }
        self.put += rows.len();
        Ok(())
    }

    /// Ends it. An error when rows are wanting; the file is gone then.
    pub(super) fn close(mut self) -> Result<Closed> {
        let whole = self.put == self.rows && self.rows > 0;
        if !whole {
            return Err(Error::msg(format!(
                "{} of {} rows were computed",
                self.put, self.rows
            )));
        }
        let unsynced = match &self.to {
            To::File(path, Some(file)) => sealed(path, file)
                .err()
                .map(Error::io(path))
                .zip(Some(path)),
            _ => None,
        };
        // Some file systems say only now that they are full.
        if let Some((e, path)) = unsynced {
            let all = taken_back(path, self.rows * self.width, true)?;
            self.failed = Some(e);
            self.to = To::Memory(all);
        }
        match &self.to {
            To::File(path, None) => {
                return Err(Error::msg(format!(
                    "{}: nothing was written",
                    path.display()
                )));
            }
            To::File(_, Some(_)) | To::Memory(_) => {}
        }
        // What is left in `self` has no file to remove.
        let to = std::mem::replace(&mut self.to, To::Memory(Vec::new()));
        Ok(match to {
            To::File(path, _) => Closed::File(path, self.width),
            To::Memory(values) => {
                let rows = Rows {
                    rows: self.rows,
                    width: self.width,
                    values: Values::Memory(values),
                };
                Closed::Memory(rows, self.failed.take())
            }
        })
    }
}

impl Drop for Sink {
    /// Half a file is of no use to anybody.
    fn drop(&mut self) {
        if let To::File(path, file) = &mut self.to {
            drop(file.take());
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The numbers that are in a file already; it is removed.
fn taken_back(path: &Path, len: usize, any: bool) -> Result<Vec<f32>> {
    let mut values = vec![0f32; len];
    let read = std::fs::read(path);
    let _ = std::fs::remove_file(path);
    if any {
        let bytes = read.map_err(Error::io(path))?;
        let numbers = bytes.get(HEADER..).unwrap_or_default().chunks_exact(4);
        for (v, b) in values.iter_mut().zip(numbers) {
            *v = f32::from_ne_bytes([b[0], b[1], b[2], b[3]]);
        }
    }
    Ok(values)
}

/// Writes the sum of all numbers into the header, and waits for the disk.
fn sealed(path: &Path, mut file: &File) -> std::io::Result<()> {
    let sum = sum(&File::open(path)?)?;
    file.seek(SeekFrom::Start(SUM as u64))?;
    file.write_all(&sum.to_le_bytes())?;
    file.sync_all()
}

fn write(
    path: &Path,
    file: &mut Option<File>,
    total: usize,
    rows: &[u32],
    values: &[f32],
    width: usize,
) -> Result<()> {
    let file = match file {
        Some(f) => f,
        None => {
            let mut f = File::create(path).map_err(Error::io(path))?;
            f.write_all(&header(total, width))
                .map_err(Error::io(path))?;
            f.set_len((HEADER + total * width * size_of::<f32>()) as u64)
                .map_err(Error::io(path))?;
            file.insert(f)
        }
    };
    for (&r, v) in rows.iter().zip(values.chunks_exact(width)) {
        let at = HEADER + r as usize * width * size_of::<f32>();
        let bytes: Vec<u8> = v.iter().flat_map(|x| x.to_ne_bytes()).collect();
        file.seek(SeekFrom::Start(at as u64))
            .and_then(|_| file.write_all(&bytes))
            .map_err(Error::io(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written before the disk was full is not computed again.
    #[test]
    fn a_file_that_cannot_be_written_on_comes_back_to_memory() -> Result<()> {
        let path = std::env::temp_dir().join(format!("tlkit-sink-{}", std::process::id()));
        let mut sink = Sink::file(path.clone(), 4);
        sink.put(&[0, 2], &[1.0, 2.0])?;
        // From here on the file is open for reading alone: every write to it fails, as on a full disk.
        let To::File(_, file) = &mut sink.to else {
            return Err(Error::msg("not a file"));
        };
        *file = Some(File::open(&path).map_err(Error::io(&path))?);
        sink.put(&[3, 1], &[4.0, 3.0])?;
        match sink.close()? {
            Closed::Memory(rows, why) => {
                assert_eq!(rows.values(), [1.0, 3.0, 2.0, 4.0]);
                assert!(why.is_some());
            }
            Closed::File(..) => return Err(Error::msg("still a file")),
        }
        assert!(!path.exists());
        Ok(())
    }
}
