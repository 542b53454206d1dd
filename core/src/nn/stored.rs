//! A safetensors file of which only the header is read until a tensor is wanted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Mutex;
use std::time::SystemTime;

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use tlkit_ops::mapped::Floats;

use crate::data::Blob;
use crate::{Error, Result};

/// A header larger than this is none: safetensors itself allows no more.
const LARGEST_HEADER: u64 = 100_000_000;

/// What holds the numbers.
pub(super) struct Stored {
    file: String,
    bytes: Bytes,
    /// Where the first tensor begins.
    start: u64,
    /// How the file was, where there is one.
    was: Option<Stamp>,
}

enum Bytes {
    Disk(Mutex<File>),
    Memory(&'static [u8]),
}

/// Where a tensor lies, and what it is.
pub(super) struct Entry {
    dtype: Dtype,
    pub shape: Vec<usize>,
    from: u64,
    to: u64,
}

impl Stored {
    /// Reads the header and compares it with the length of the file.
    pub fn open(file: &str, blob: &Blob) -> Result<(Self, BTreeMap<String, Entry>)> {
        let broken = |e: &dyn std::fmt::Display| {
            Error::msg(format!("{file}: not a whole safetensors file ({e})"))
        };
        let (bytes, length, was) = match blob {
            Blob::Path(path) => {
                let disk = File::open(path).map_err(Error::io(path))?;
                let was = stamp(&disk).map_err(Error::io(path))?;
                (Bytes::Disk(Mutex::new(disk)), was.0, Some(was))
            }
            Blob::Embedded(b) => (Bytes::Memory(b), b.len() as u64, None),
        };
        let mut size = [0u8; 8];
        bytes.fill(0, &mut size).map_err(|e| broken(&e))?;
        let size = u64::from_le_bytes(size);
        if size > LARGEST_HEADER || size + 8 > length {
            return Err(broken(&"its header is longer than the file"));
        }
        let mut header = vec![0u8; size as usize];
        bytes.fill(8, &mut header).map_err(|e| broken(&e))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| broken(&e))?;
        let start = 8 + size;
        if start + header.data_len() as u64 != length {
            return Err(broken(&"its tensors do not end where the file does"));
        }
        let entries = header.tensors().into_iter().map(|(name, info)| {
            let entry = Entry {
                dtype: info.dtype,
                shape: info.shape.clone(),
                from: info.data_offsets.0 as u64,
                to: info.data_offsets.1 as u64,
            };
            (name, entry)
        });
        let entries = entries.collect();
        let file = file.to_string();
        let stored = Stored {
            file,
            bytes,
            start,
            was,
        };
        Ok((stored, entries))
    }

    /// Reads one tensor, on the CPU, as the file has it.
    pub fn tensor(&self, name: &str, entry: &Entry) -> Result<Tensor> {
        let broken = |e: std::io::Error| Error::msg(format!("{}: {name}: {e}", self.file));
        let size = (entry.to - entry.from) as usize;
        let at = self.start + entry.from;
        if entry.dtype == Dtype::F32 && cfg!(target_endian = "little") {
            // Straight into place: most of loading is this copy.
            let mut values = vec![0f32; size / 4];
            let place: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
            self.bytes.fill(at, place).map_err(broken)?;
            return Ok(Tensor::from_vec(
                values,
                entry.shape.as_slice(),
                &Device::Cpu,
            )?);
        }
        let dtype = match entry.dtype {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::I64 => DType::I64,
            Dtype::I32 => DType::I32,
            Dtype::I16 => DType::I16,
            Dtype::U32 => DType::U32,
            Dtype::U8 => DType::U8,
            other => {
                return Err(Error::msg(format!(
                    "{}: {name} is of the type {other:?}, which is not read",
                    self.file
                )));
            }
        };
        let mut raw = vec![0u8; size];
        self.bytes.fill(at, &mut raw).map_err(broken)?;
        Ok(Tensor::from_raw_buffer(
            &raw,
            dtype,
            &entry.shape,
            &Device::Cpu,
        )?)
    }
}

/// A table of f32 in a file, of which rows can be read without the others.
pub(super) struct Table {
    floats: Floats,
    dims: [usize; 2],
    /// The file, what it is called, and how it was when its header was read.
    disk: File,
    name: String,
    was: Stamp,
}

/// Length and time of change of a file.
type Stamp = (u64, Option<SystemTime>);

fn stamp(file: &File) -> std::io::Result<Stamp> {
    let about = file.metadata()?;
    Ok((about.len(), about.modified().ok()))
}

impl Stored {
    /// A tensor as such a table; none where it is none, or lies in memory anyway.
    pub fn table(&self, entry: &Entry) -> Option<Table> {
        let &[rows, width] = entry.shape.as_slice() else {
            return None;
        };
        let (Bytes::Disk(file), Dtype::F32, true) =
            (&self.bytes, entry.dtype, cfg!(target_endian = "little"))
        else {
            return None;
        };
        let file = file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let offset = usize::try_from(self.start + entry.from).ok()?;
        // A file that cannot be mapped, or whose numbers are not aligned, is read as others are.
        let floats = Floats::open(&file, offset, rows * width).ok()?;
        Some(Table {
            floats,
            dims: [rows, width],
            disk: file.try_clone().ok()?,
            name: self.file.clone(),
            was: self.was?,
        })
    }
}

impl Table {
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// An error where somebody wrote into the file: its rows would be another model's than what was read of it before. (A file that is renamed into its place
    /// is another one, and this stays what it was.)
    fn unchanged(&self) -> Result<()> {
        match stamp(&self.disk) {
            Ok(now) if now == self.was => Ok(()),
            _ => Err(Error::msg(format!(
                "{}: the file changed while it was in use; start again, and put weights in place by renaming them",
                self.name
            ))),
        }
    }

    /// All of it.
    pub fn whole(&self) -> Result<Tensor> {
        self.unchanged()?;
        let values = self.floats.as_slice().to_vec();
        Ok(Tensor::from_vec(values, &self.dims[..], &Device::Cpu)?)
    }

    /// Some of its rows, in the order of `ids`; none where one of them is no row.
    pub fn rows(&self, ids: &[u32]) -> Result<Option<Tensor>> {
        self.unchanged()?;
        let [rows, width] = self.dims;
        if ids.iter().any(|&id| id as usize >= rows) {
            return Ok(None);
        }
        let floats = self.floats.as_slice();
        let row = |&id: &u32| &floats[id as usize * width..][..width];
        let values: Vec<f32> = ids.iter().flat_map(row).copied().collect();
        let found = Tensor::from_vec(values, (ids.len(), width), &Device::Cpu)?;
        Ok(Some(found))
    }
}

impl Bytes {
    fn fill(&self, at: u64, into: &mut [u8]) -> std::io::Result<()> {
        match self {
            Bytes::Disk(file) => {
                // A file's position is set anew each time, so it is whole after any panic.
                let mut file = file
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(into)
            }
            Bytes::Memory(bytes) => {
                let from = at as usize;
                let found = bytes.get(from..from + into.len()).ok_or_else(|| {
                    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it ends too early")
                })?;
                into.copy_from_slice(found);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_that_is_written_into_gives_no_more_rows() -> Result<()> {
        let dir = tempfile::tempdir().map_err(Error::io("a folder"))?;
        let path = dir.path().join("model.safetensors");
        let table = Tensor::arange(0f32, 6.0, &Device::Cpu)?.reshape((3, 2))?;
        let all = BTreeMap::from([("words".to_string(), table)]);
        let bytes = safetensors::serialize(&all, None).map_err(|e| Error::msg(e.to_string()))?;
        std::fs::write(&path, &bytes).map_err(Error::io(&path))?;
        let (stored, entries) = Stored::open("model.safetensors", &Blob::Path(path.clone()))?;
        let Some(table) = stored.table(&entries["words"]) else {
            // Where the header ends at no multiple of four there is no table.
            return Err(Error::msg("no table"));
        };
        // Another file in its place changes nothing.
        let beside = dir.path().join("beside");
        std::fs::write(&beside, &bytes[..8]).map_err(Error::io(&beside))?;
        let kept = dir.path().join("kept");
        std::fs::rename(&path, &kept).map_err(Error::io(&path))?;
        std::fs::rename(&beside, &path).map_err(Error::io(&path))?;
        let row = table.rows(&[1])?.map(|t| t.to_vec2::<f32>()).transpose()?;
        assert_eq!(row, Some(vec![vec![2.0, 3.0]]));
        // The same file, of the same length, written into.
        let file = File::options()
            .write(true)
            .open(&kept)
            .map_err(Error::io(&kept))?;
        let later = SystemTime::now() + Duration::from_secs(60);
        file.set_modified(later).map_err(Error::io(&kept))?;
        for ended in [table.rows(&[1]).map(drop), table.whole().map(drop)] {
            let why = ended.expect_err("it is refused").to_string();
            assert!(why.contains("changed while it was in use"), "{why}");
        }
        Ok(())
    }
}
