//! A checkpoint's tensors, by the names that the model asks for; what was asked for and absent, what was never asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Tensors of a checkpoint, renamed to the names of the model that will take them.
///
/// A checkpoint loaded under a wrong prefix gives random weights without a word in most libraries. Here what is missing is an
/// error ([`Weights::finish`]) and what is left over is listed.
pub struct Weights {
    file: String,
    tensors: BTreeMap<String, Tensor>,
    taken: Mutex<BTreeSet<String>>,
    missing: Mutex<BTreeSet<String>>,
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
    /// Reads a safetensors file. `rename` maps the file's names to the model's; `None` leaves a tensor out unlisted.
    pub fn read(file: &Path, rename: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let bytes = std::fs::read(file).map_err(Error::io(file))?;
        Self::parse(&file.display().to_string(), &bytes, rename)
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
        Weights {
            file: file.to_string(),
            tensors,
            taken: Mutex::default(),
            missing: Mutex::default(),
        }
    }

    /// The names present, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor's shape, without taking it.
    pub fn dims(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(Tensor::dims)
    }

    /// The tensor of this name, converted; `None`, and noted, when it is absent; an error when its shape is another.
    pub fn take(
        &self,
        name: &str,
        shape: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let Some(t) = self.tensors.get(name) else {
            lock(&self.missing).insert(name.to_string());
            return Ok(None);
        };
        if t.dims() != shape {
            return Err(Error::msg(format!(
                "{}: {name} has shape {:?}, and the model wants {shape:?}",
                self.file,
                t.dims()
            )));
        }
        lock(&self.taken).insert(name.to_string());
        Ok(Some(t.to_dtype(dtype)?.to_device(device)?))
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
    fn half_a_file_says_so() {
        let text = Weights::parse("x.safetensors", b"\x08\0\0", &|n| Some(n.into()))
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains("not a whole safetensors file"), "{text}");
    }
}
