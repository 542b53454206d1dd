//! Parameters: one owner, keyed by name, in a fixed order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor, Var};

use super::weights::Weights;
use crate::random::Stream;
use crate::{Error, Result};

/// What a parameter is for. Weight decay, BitFit and the liveness check ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A matrix or a kernel.
    Weight,
    /// An additive vector.
    Bias,
    /// A bias whose gradient is zero in mathematics (an attention key's; one before batch norm): it never moves.
    InvariantBias,
    /// The scale of a normalisation.
    NormWeight,
    /// The shift of a normalisation.
    NormBias,
    /// A table that is looked up by row.
    Embedding,
    /// A running statistic: saved and loaded, never trained.
    Statistic,
}

impl Role {
    /// Whether weight decay applies by default: not to biases, not to normalisations (as BERT was trained).
    pub fn decays(self) -> bool {
        matches!(self, Role::Weight | Role::Embedding)
    }
}

/// How a parameter starts when no checkpoint holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform in `[-bound, bound]`.
    Uniform(f64),
}

/// One weight. Clones are the same weight.
///
/// [`tensor`](Param::tensor) is the variable while it trains and a detached view of the same storage while it is
/// frozen: freezing and unfreezing rebuild nothing, and a frozen prefix records nothing.
#[derive(Clone)]
pub struct Param(Arc<Cell>);

struct Cell {
    name: String,
    role: Role,
    init: Option<Init>,
    var: Var,
    trains: AtomicBool,
    /// Of the store.
    version: Arc<AtomicU64>,
}

impl Param {
    /// Its full name: `encoder.layer.0.attention.self.query.weight`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        self.0.role
    }

    /// How it starts where nothing is loaded; `None` of a copy.
    pub fn init(&self) -> Option<Init> {
        self.0.init
    }

    /// Whether gradients are wanted for it now.
    pub fn trains(&self) -> bool {
        self.0.trains.load(Ordering::Relaxed)
    }

    /// The tensor to compute with.
    pub fn tensor(&self) -> Tensor {
        if self.trains() {
            self.0.var.as_tensor().clone()
        } else {
            self.0.var.as_detached_tensor()
        }
    }

    /// A view that records nothing, also while it trains: for hand-written pullbacks.
    pub fn detached(&self) -> Tensor {
        self.0.var.as_detached_tensor()
    }

    /// The variable itself, to update it.
    pub fn var(&self) -> &Var {
        &self.0.var
    }

    /// Another number than before whenever it may have changed: [`Store::version`]. Copies of it that are kept elsewhere watch it.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Its shape.
    pub fn dims(&self) -> &[usize] {
        self.0.var.dims()
    }

    /// How many numbers it holds.
    pub fn count(&self) -> usize {
        self.0.var.elem_count()
    }
}

/// Which parameters: by phase, by update, by optimizer group.
#[derive(Clone, Debug, PartialEq)]
pub enum Select {
    /// None.
    Nothing,
    /// All but statistics.
    All,
    /// Names, where `*` stands for any run of characters.
    Names(Vec<String>),
    /// Those of the given roles within another selection.
    Roles(Vec<Role>, Box<Select>),
    /// In any of these.
    Any(Vec<Select>),
    /// In the first and not in the second.
    Except(Box<Select>, Box<Select>),
}

impl Select {
    /// Whether it holds a parameter.
    pub fn holds(&self, param: &Param) -> bool {
        if param.role() == Role::Statistic {
            return false;
        }
        match self {
            Select::Nothing => false,
            Select::All => true,
            Select::Names(patterns) => patterns.iter().any(|p| glob(p, param.name())),
            Select::Roles(roles, within) => roles.contains(&param.role()) && within.holds(param),
            Select::Any(all) => all.iter().any(|s| s.holds(param)),
            Select::Except(a, b) => a.holds(param) && !b.holds(param),
        }
    }

    /// All parameters of these stages.
    pub fn stages(stages: &[Arc<dyn super::Stage>]) -> Self {
        let params = stages.iter().flat_map(|s| s.params());
        Select::Names(params.map(|p| p.name().to_string()).collect())
    }

    /// One name or pattern.
    pub fn name(pattern: impl Into<String>) -> Self {
        Select::Names(vec![pattern.into()])
    }
}

/// `*` matches any run of characters, everything else itself.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => match name.strip_prefix(head) {
            None => false,
            Some(tail) => (0..=tail.len())
                .filter(|&i| tail.is_char_boundary(i))
                .any(|i| glob(rest, &tail[i..])),
        },
    }
}

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
            p.0.trains.store(which.holds(p), Ordering::Relaxed);
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
        let var = Var::from_tensor(&value)?;
        let trains = AtomicBool::new(role != Role::Statistic);
        let param = Param(Arc::new(Cell {
            name: name.clone(),
            role,
            init,
            var,
            trains,
            version: self.version.clone(),
        }));
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
        let value = match (&self.store.saved, &self.weights) {
            // What is missing gets zeros here and is an error when all are made: then it can be listed.
            (Some(saved), _) => Some(match saved.take(&full, shape, dtype, device)? {
                Some(v) => v,
                None => Tensor::zeros(shape, dtype, device)?,
            }),
            (None, Some(w)) => w.take(&full, shape, dtype, device)?,
            (None, None) => None,
        };
        let value = match value {
            Some(v) => v,
            None => self.initial(&full, shape, init)?,
        };
        self.store.insert(full, role, Some(init), value)
    }

    fn initial(&self, full: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let (dtype, device) = (self.store.dtype, &self.store.device);
        let n = shape.iter().product();
        let stream = self.store.seed.purpose(full);
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
    fn a_frozen_parameter_is_the_same_storage_and_records_nothing() -> Result<()> {
        let store = store();
        let w = store
            .scope("a")
            .param("w", &[2], Role::Weight, Init::Normal(1.0))?;
        store.train_only(&Select::Nothing);
        assert!(!w.tensor().track_op());
        w.var().set(&Tensor::new(&[5f32, 6.0], &Device::Cpu)?)?;
        assert_eq!(w.tensor().to_vec1::<f32>()?, [5.0, 6.0]);
        store.train_only(&Select::name("a.*"));
        assert!(w.tensor().track_op());
        Ok(())
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
    fn globs() {
        assert!(glob("encoder.*.weight", "encoder.layer.0.weight"));
        assert!(!glob("encoder.*.weight", "encoder.layer.0.bias"));
        assert!(glob("*", ""));
        assert!(!glob("head", "head.weight"));
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
