//! The one owner of a run's parameters: by name, in a fixed order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};

use super::param::{Init, Param, Role, Value};
use super::selection::Select;
use super::weights::Weights;
use crate::random::Stream;
use crate::{Error, Result};

/// The owner of all parameters of a run: the encoder's, the head's, and whatever a strategy adds.
///
/// Everything that walks over it does so in the order of names, so that no result depends on when a module was built.
pub struct Store {
    device: Device,
    dtype: DType,
    seed: Stream,
    params: Mutex<BTreeMap<String, Param>>,
    version: Arc<AtomicU64>,
    saved: Option<Weights>,
}

impl Store {
    /// An empty store. `dtype` is `F32`, or `F64` where gradients are checked.
    pub fn new(device: &Device, dtype: DType, seed: u64) -> Self {
        Store {
            device: device.clone(),
            dtype,
            seed: Stream::new(seed).purpose("init"),
            params: Mutex::default(),
            version: Arc::default(),
            saved: None,
        }
    }

    /// A store whose every parameter is read from `saved`, under its full name, whatever a scope would do to make it: for a
    /// model that is made again. Nothing is drawn. [`Weights::finish`] of [`Store::saved`] says what was missing.
    pub fn saved_in(device: &Device, dtype: DType, saved: Weights) -> Self {
        Store {
            saved: Some(saved),
            ..Store::new(device, dtype, 0)
        }
    }

    /// What the parameters are read from, where they are not made.
    pub fn saved(&self) -> Option<&Weights> {
        self.saved.as_ref()
    }

    /// Where parameters live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What they are made of.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A place to make parameters under a common prefix.
    pub fn scope(&self, prefix: &str) -> Scope<'_> {
        Scope {
            store: self,
            prefix: prefix.to_string(),
            weights: None,
            apart: None,
        }
    }

    /// One parameter by its full name.
    pub fn get(&self, name: &str) -> Option<Param> {
        self.lock().get(name).cloned()
    }

    /// All parameters that a selection holds, in the order of their names.
    pub fn select(&self, which: &Select) -> Vec<Param> {
        self.lock()
            .values()
            .filter(|p| which.holds(p))
            .cloned()
            .collect()
    }

    /// Every parameter and statistic, in the order of their names.
    pub fn all(&self) -> Vec<Param> {
        self.lock().values().cloned().collect()
    }

    /// From now on exactly these train. Nothing is rebuilt.
    pub fn train_only(&self, which: &Select) {
        for p in self.lock().values() {
            p.train(which.holds(p));
        }
    }

    /// Copies every parameter under the prefix `from` to the prefix `to`: a teacher, a second encoder, starting weights.
    /// Parameters that exist under `to` are overwritten.
    pub fn fork(&self, from: &str, to: &str) -> Result<()> {
        for p in self.under(from) {
            let name = format!("{to}{}", &p.name()[from.len()..]);
            let value = p.detached().copy()?;
            match self.get(&name) {
                Some(old) => old.var().set(&value)?,
                None => drop(self.insert(name, p.role(), None, value)?),
            }
        }
        self.touch();
        Ok(())
    }

    /// Moves every parameter under `to` towards its namesake under `from`: `to = keep * to + (1 - keep) * from`, an exponential
    /// moving average (Tarvainen & Valpola 2017).
    pub fn average(&self, from: &str, to: &str, keep: f64) -> Result<()> {
        for p in self.under(from) {
            let name = format!("{to}{}", &p.name()[from.len()..]);
            let average = self.get(&name).ok_or_else(|| {
                Error::msg(format!("no parameter {name} to average {} into", p.name()))
            })?;
            let new = ((average.detached() * keep)? + (p.detached() * (1.0 - keep))?)?;
            average.var().set(&new)?;
        }
        self.touch();
        Ok(())
    }

    /// Every parameter whose name begins with this prefix and a dot.
    fn under(&self, prefix: &str) -> Vec<Param> {
        let inside = |p: &Param| {
            let rest = p.name().strip_prefix(prefix);
            rest.is_some_and(|r| r.starts_with('.'))
        };
        self.all().into_iter().filter(inside).collect()
    }

    /// Counts up whenever a weight changed; packed copies and caches watch it.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Says that weights changed.
    pub fn touch(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    fn insert(&self, name: String, role: Role, init: Option<Init>, value: Tensor) -> Result<Param> {
        self.add(name, role, init, Value::here(value)?)
    }

    fn add(&self, name: String, role: Role, init: Option<Init>, value: Value) -> Result<Param> {
        let param = Param::new(name.clone(), role, init, value, self.version.clone());
        if self.lock().insert(name.clone(), param.clone()).is_some() {
            return Err(Error::msg(format!(
                "two modules made a parameter named {name}"
            )));
        }
        Ok(param)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Param>> {
        // A panic while the map was held leaves it whole: it is only ever inserted into.
        self.params
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A prefix in a [`Store`], and the checkpoint, if any, that fills the parameters made there.
#[derive(Clone)]
pub struct Scope<'a> {
    store: &'a Store,
    prefix: String,
    weights: Option<Arc<Weights>>,
    apart: Option<Arc<str>>,
}

impl<'a> Scope<'a> {
    /// Parameters made here are read from `weights`; what is absent there is noted as missing (see [`Weights::report`]).
    pub fn with_weights(mut self, weights: Arc<Weights>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// The same place, its parameters initialised and not loaded: for a head that no checkpoint holds.
    pub fn fresh(&self) -> Self {
        Scope {
            weights: None,
            ..self.clone()
        }
    }

    /// The same place, where what is drawn is drawn by a stream of its own: see [`crate::task::SourceTask::ancestor`].
    pub fn apart(&self, from: Option<String>) -> Self {
        Scope {
            apart: from.map(Arc::from),
            ..self.clone()
        }
    }

    /// One level down.
    pub fn sub(&self, name: &str) -> Self {
        Scope {
            prefix: self.full(name),
            ..self.clone()
        }
    }

    /// The store behind it.
    pub fn store(&self) -> &'a Store {
        self.store
    }

    /// The prefix, without a final dot.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Makes a parameter: from the checkpoint where there is one, otherwise by `init` from a stream that is a function
    /// of the seed and the name alone.
    pub fn param(&self, name: &str, shape: &[usize], role: Role, init: Init) -> Result<Param> {
        let full = self.full(name);
        let (dtype, device) = (self.store.dtype, &self.store.device);
        if let (Some(saved), Role::Embedding, DType::F32, true) =
            (&self.store.saved, role, dtype, device.is_cpu())
            && let Some(table) = saved.table(&full, shape)?
        {
            return self
                .store
                .add(full, role, Some(init), Value::in_file(table));
        }
        let value = match (&self.store.saved, &self.weights) {
            // What is missing gets zeros here and is an error when all are made: then it can be listed.
            (Some(saved), _) => Some(match saved.take(&full, shape, dtype, device)? {
                Some(v) => v,
                None => Tensor::zeros(shape, dtype, device)?,
            }),
            (None, Some(w)) => w.take(&full, shape, dtype, device)?,
            (None, None) => None,
        };
        let loaded = value.is_some();
        let value = match value {
            Some(v) => v,
            None => self.initial(&full, shape, init)?,
        };
        let value = Value::here(value)?.loaded(loaded);
        self.store.add(full, role, Some(init), value)
    }

    fn initial(&self, full: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let (dtype, device) = (self.store.dtype, &self.store.device);
        let n = shape.iter().product();
        let stream = self.store.seed.purpose(full);
        let stream = match &self.apart {
            Some(ancestor) => stream.purpose("after").purpose(ancestor),
            None => stream,
        };
        Ok(match init {
            Init::Zeros => Tensor::zeros(shape, dtype, device)?,
            Init::Ones => Tensor::ones(shape, dtype, device)?,
            Init::Normal(std) => {
                let values: Vec<f32> = stream
                    .normals(n)
                    .into_iter()
                    .map(|x| x * std as f32)
                    .collect();
                Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?
            }
            Init::Uniform(bound) => {
                let values: Vec<f32> = stream
                    .uniforms(n)
                    .into_iter()
                    .map(|u| (2.0 * u - 1.0) * bound as f32)
                    .collect();
                Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?
            }
        })
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::new(&Device::Cpu, DType::F32, 0)
    }

    #[test]
    fn initial_values_depend_on_the_name_and_not_on_the_order() -> Result<()> {
        let (one, two) = (store(), store());
        let make = |s: &Store, n: &str| {
            s.scope("")
                .param(n, &[3], Role::Weight, Init::Normal(1.0))?
                .tensor()
                .to_vec1::<f32>()
                .map_err(Error::from)
        };
        let (a, b) = (make(&one, "a")?, make(&one, "b")?);
        assert_eq!((make(&two, "b")?, make(&two, "a")?), (b.clone(), a.clone()));
        assert_ne!(a, b);
        Ok(())
    }

    #[test]
    fn a_fork_is_a_copy() -> Result<()> {
        let store = store();
        let w = store
            .scope("model")
            .param("w", &[2], Role::Weight, Init::Ones)?;
        store.fork("model", "teacher")?;
        w.var().set(&Tensor::zeros(2, DType::F32, &Device::Cpu)?)?;
        assert_eq!(
            store.get("teacher.w").unwrap().tensor().to_vec1::<f32>()?,
            [1.0, 1.0]
        );
        Ok(())
    }
}
