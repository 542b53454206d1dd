//! A checkpoint's tensors, by the names that the model asks for; what was asked for and absent, what was never asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use candle_core::{DType, Device, Tensor};

use super::stored::{Entry, Stored, Table};
use crate::data::Blob;
use crate::{Error, Result};

/// Tensors of a checkpoint, renamed to the names of the model that will take them.
///
/// A checkpoint loaded under a wrong prefix gives random weights without a word in most libraries. Here what is missing is an
/// error ([`Weights::finish`]) and what is left over is listed. Of a file only the header is read at first; a tensor's numbers
/// are read when it is taken.
pub struct Weights {
    file: String,
    tensors: BTreeMap<String, Held>,
    stored: Vec<Stored>,
    taken: Mutex<BTreeSet<String>>,
    missing: Mutex<BTreeSet<String>>,
}

/// A tensor in memory, or where it lies in the file.
enum Held {
    Here(Tensor),
    /// In which of the files, and where.
    There(usize, Entry),
}

/// What became of a checkpoint's tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Asked for and absent.
    pub missing: Vec<String>,
    /// Present and never asked for.
    pub unexpected: Vec<String>,
    /// Loaded.
    pub loaded: usize,
}

impl Weights {
    /// Opens a safetensors file. `rename` maps the file's names to the model's; `None` leaves a tensor out unlisted.
    pub fn read(file: &Path, rename: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let name = file.display().to_string();
        Self::open(&name, &Blob::Path(file.to_path_buf()), rename)
    }

    /// Opens safetensors on disk or in the binary; `file` is how errors call it.
    pub fn open(file: &str, blob: &Blob, rename: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let (stored, entries) = Stored::open(file, blob)?;
        let tensors = entries
            .into_iter()
            .filter_map(|(name, entry)| Some((rename(&name)?, Held::There(0, entry))))
            .collect();
        Ok(Weights {
            file: file.to_string(),
            tensors,
            stored: vec![stored],
            taken: Mutex::default(),
            missing: Mutex::default(),
        })
    }

    /// Reads safetensors from memory.
    pub fn parse(
        file: &str,
        bytes: &[u8],
        rename: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let broken = |e: &dyn std::fmt::Display| {
            Error::msg(format!("{file}: not a whole safetensors file ({e})"))
        };
        let tensors =
            candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(|e| broken(&e))?;
        let tensors = tensors
            .into_iter()
            .filter_map(|(k, v)| Some((rename(&k)?, v)))
            .collect();
        Ok(Self::from_tensors(file, tensors))
    }

    /// Tensors that are in memory already.
    pub fn from_tensors(file: &str, tensors: BTreeMap<String, Tensor>) -> Self {
        let here = tensors.into_iter().map(|(n, t)| (n, Held::Here(t)));
        Weights {
            file: file.to_string(),
            tensors: here.collect(),
            stored: Vec::new(),
            taken: Mutex::default(),
            missing: Mutex::default(),
        }
    }

    /// A tensor as the file has it, whatever its shape; `None` where there is none of this name. Counts as taken.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        let Some(held) = self.tensors.get(name) else {
            return Ok(None);
        };
        lock(&self.taken).insert(name.to_string());
        Ok(Some(match held {
            Held::Here(t) => t.clone(),
            Held::There(file, entry) => self.stored[*file].tensor(name, entry)?,
        }))
    }

    /// These tensors and those of another; of two with one name, the other's.
    pub fn over(mut self, other: Weights) -> Self {
        let files = self.stored.len();
        self.stored.extend(other.stored);
        for (name, held) in other.tensors {
            let held = match held {
                Held::There(file, entry) => Held::There(files + file, entry),
                here => here,
            };
            self.tensors.insert(name, held);
        }
        self
    }

    /// The names present, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor's shape, without taking it.
    pub fn dims(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|held| match held {
            Held::Here(t) => t.dims(),
            Held::There(_, entry) => &entry.shape,
        })
    }

    /// The tensor of this name, converted; `None`, and noted, when it is absent; an error when its shape is another.
    pub fn take(
        &self,
        name: &str,
        shape: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        if !self.holds(name, shape)? {
            return Ok(None);
        }
        match self.tensor(name)? {
            Some(t) => {
                self.finite(name, &t)?;
                Ok(Some(t.to_dtype(dtype)?.to_device(device)?))
            }
            None => Ok(None),
        }
    }

    /// The matrix of this name where its rows can stay in the file until they are asked for: f32 on disk. Otherwise none, and
    /// [`Weights::take`] has it.
    pub(super) fn table(&self, name: &str, shape: &[usize]) -> Result<Option<Table>> {
        let Some(Held::There(file, entry)) = self.tensors.get(name) else {
            return Ok(None);
        };
        if !self.holds(name, shape)? {
            return Ok(None);
        }
        let table = self.stored[*file].table(entry);
        if table.is_some() {
            lock(&self.taken).insert(name.to_string());
        }
        Ok(table)
    }

    /// Whether there is a tensor of this name; one that is absent is noted, one of another shape an error.
    fn holds(&self, name: &str, shape: &[usize]) -> Result<bool> {
        let Some(there) = self.dims(name) else {
            lock(&self.missing).insert(name.to_string());
            return Ok(false);
        };
        match there == shape {
            true => Ok(true),
            false => Err(Error::msg(format!(
                "{}: {name} has shape {there:?}, and the model wants {shape:?}",
                self.file
            ))),
        }
    }

    /// From a weight that is no number nothing can be learned.
    fn finite(&self, name: &str, t: &Tensor) -> Result<()> {
        if !t.dtype().is_float() {
            return Ok(());
        }
        let values = t.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        match values.iter().filter(|v| !v.is_finite()).count() {
            0 => Ok(()),
            bad => Err(Error::msg(format!(
                "{}: {bad} of {} numbers of {name} are NaN or infinite, so nothing can be learned from it; get the file again, or choose another checkpoint",
                self.file,
                values.len()
            ))),
        }
    }

    /// What became of the tensors so far.
    pub fn report(&self) -> LoadReport {
        let taken = lock(&self.taken);
        LoadReport {
            missing: lock(&self.missing).iter().cloned().collect(),
            unexpected: self
                .tensors
                .keys()
                .filter(|k| !taken.contains(*k))
                .cloned()
                .collect(),
            loaded: taken.len(),
        }
    }

    /// The report, or an error that lists what is missing.
    pub fn finish(&self) -> Result<LoadReport> {
        let report = self.report();
        if report.missing.is_empty() {
            return Ok(report);
        }
        Err(Error::Missing {
            file: self.file.clone(),
            missing: report.missing,
            unexpected: report.unexpected,
        })
    }
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Sets of names are whole after any panic.
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Init, Role, Store};
    use std::sync::Arc;

    #[test]
    fn a_wrong_prefix_is_an_error_that_lists_both_sides() -> Result<()> {
        let t = Tensor::ones(2, DType::F32, &Device::Cpu)?;
        let w = Arc::new(Weights::from_tensors(
            "x.safetensors",
            [("bert.w".to_string(), t)].into(),
        ));
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        store
            .scope("model")
            .with_weights(w.clone())
            .param("w", &[2], Role::Weight, Init::Zeros)?;
        let text = w.finish().unwrap_err().to_string();
        assert!(
            text.contains("model.w") && text.contains("bert.w"),
            "{text}"
        );
        Ok(())
    }

    #[test]
    fn a_wrong_shape_is_an_error_that_prints_both() -> Result<()> {
        let t = Tensor::ones(2, DType::F32, &Device::Cpu)?;
        let w = Weights::from_tensors("x", [("w".to_string(), t)].into());
        let text = w
            .take("w", &[3], DType::F32, &Device::Cpu)
            .unwrap_err()
            .to_string();
        assert!(text.contains("[2]") && text.contains("[3]"), "{text}");
        Ok(())
    }

    #[test]
    fn what_is_no_number_is_not_taken() -> Result<()> {
        for bad in [f32::NAN, f32::INFINITY] {
            let t = Tensor::new(&[1f32, bad, 2.0], &Device::Cpu)?;
            let w = Weights::from_tensors("x", [("w".to_string(), t)].into());
            let taken = w.take("w", &[3], DType::F32, &Device::Cpu);
            let text = taken.unwrap_err().to_string();
            assert!(text.starts_with("x: 1 of 3 numbers of w are"), "{text}");
        }
        Ok(())
    }

    #[test]
    fn a_file_gives_the_numbers_of_each_type_when_they_are_taken() -> Result<()> {
        let dir = std::env::temp_dir().join(format!("tlkit-weights-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let file = dir.join("x.safetensors");
        let values = Tensor::new(&[[1f32, -2.5, 3.0], [0.0, 65504.0, -0.125]], &Device::Cpu)?;
        let types = [DType::F32, DType::F16, DType::BF16, DType::F64, DType::I64];
        let mut tensors = BTreeMap::new();
        for t in types {
            tensors.insert(t.as_str().to_string(), values.to_dtype(t)?);
        }
        let bytes =
            safetensors::serialize(&tensors, None).map_err(|e| Error::msg(e.to_string()))?;
        std::fs::write(&file, &bytes).map_err(Error::io(&file))?;
        let w = Weights::read(&file, &|n| Some(format!("model.{n}")))?;
        for t in types {
            let name = format!("model.{}", t.as_str());
            assert_eq!(w.dims(&name), Some(&[2, 3][..]));
            let taken = w.take(&name, &[2, 3], DType::F32, &Device::Cpu)?.unwrap();
            let wanted = tensors[t.as_str()].to_dtype(DType::F32)?;
            assert_eq!(taken.to_vec2::<f32>()?, wanted.to_vec2::<f32>()?, "{t:?}");
        }
        assert_eq!(w.report().loaded, types.len());
        // Of two files with one name, the second's.
        let other = Tensor::ones(1, DType::F32, &Device::Cpu)?;
        let other = Weights::from_tensors("y", [("model.f32".to_string(), other)].into());
        let both = Weights::read(&file, &|n| Some(format!("model.{n}")))?.over(other);
        assert_eq!(both.dims("model.f32"), Some(&[1][..]));
        let kept = both.tensor("model.f64")?.unwrap();
        assert_eq!(kept.to_vec2::<f64>()?[0][1], -2.5);
        // Cut off anywhere, and lengthened.
        for part in [&bytes[..4], &bytes[..40], &bytes[..bytes.len() - 1]] {
            std::fs::write(&file, part).map_err(Error::io(&file))?;
            let said = Weights::read(&file, &|n| Some(n.into()))
                .err()
                .unwrap()
                .to_string();
            assert!(said.contains("not a whole safetensors file"), "{said}");
        }
        std::fs::write(&file, [&bytes[..], b"x"].concat()).map_err(Error::io(&file))?;
        assert!(Weights::read(&file, &|n| Some(n.into())).is_err());
        std::fs::remove_dir_all(&dir).map_err(Error::io(&dir))
    }

    #[test]
    fn half_a_file_says_so() {
        let text = Weights::parse("x.safetensors", b"\x08\0\0", &|n| Some(n.into()))
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains("not a whole safetensors file"), "{text}");
    }
}
