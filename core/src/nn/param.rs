//! Parameters: one owner, keyed by name, in a fixed order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use candle_core::{DType, Device, Tensor, Var};

use super::stored::Table;
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

/// A share of a table's rows, one in so many, up to which they are read without the others.
const FEW: usize = 8;

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
    value: Value,
    trains: AtomicBool,
    /// Of the store.
    version: Arc<AtomicU64>,
}

/// What a parameter holds.
struct Value {
    var: OnceLock<Var>,
    /// Where it lies until all of it is asked for.
    table: Option<Table>,
}

impl Value {
    fn var(&self) -> &Var {
        self.var.get_or_init(|| {
            let whole = self.table.as_ref().map(Table::whole);
            let whole = whole.expect("a value is here or in a file");
            // As many numbers as the shape says were seen to be there when the file was opened.
            let var = whole.and_then(|t| Ok(Var::from_tensor(&t)?));
            var.expect("a tensor of the shape that the file has")
        })
    }

    fn dims(&self) -> &[usize] {
        match (self.var.get(), &self.table) {
            (None, Some(table)) => table.dims(),
            _ => self.var().dims(),
        }
    }
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
            self.var().as_tensor().clone()
        } else {
            self.var().as_detached_tensor()
        }
    }

    /// A view that records nothing, also while it trains: for hand-written pullbacks.
    pub fn detached(&self) -> Tensor {
        self.var().as_detached_tensor()
    }

    /// The variable itself, to update it.
    pub fn var(&self) -> &Var {
        self.0.value.var()
    }

    /// Another number than before whenever it may have changed: [`Store::version`]. Copies of it that are kept elsewhere watch it.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Its shape.
    pub fn dims(&self) -> &[usize] {
        self.0.value.dims()
    }

    /// How many numbers it holds.
    pub fn count(&self) -> usize {
        self.dims().iter().product()
    }

    /// A table that has the rows `ids`, and where in it they are: of a frozen table that lies in a file those rows alone, where they are few. A
    /// vocabulary is most of a small language model, and a sentence has a few words of it.
    pub fn rows(&self, ids: &Tensor) -> Result<(Tensor, Tensor)> {
        let whole = || Ok((self.tensor(), ids.clone()));
        let Some(table) = self.0.value.table.as_ref() else {
            return whole();
        };
        if self.trains() || self.0.value.var.get().is_some() {
            return whole();
        }
        let wanted: Vec<u32> = ids.flatten_all()?.to_vec1()?;
        let mut distinct = wanted.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() * FEW > self.dims()[0] {
            return whole();
        }
        // An id of no row is for the lookup to refuse.
        let Some(found) = table.rows(&distinct)? else {
            return whole();
        };
        let place = |id: &u32| distinct.partition_point(|x| x < id) as u32;
        let places: Vec<u32> = wanted.iter().map(place).collect();
        let places = Tensor::from_vec(places, ids.dims(), ids.device())?;
        Ok((found, places))
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
        let value = Value {
            var: OnceLock::from(Var::from_tensor(&value)?),
            table: None,
        };
        self.add(name, role, init, value)
    }

    fn add(&self, name: String, role: Role, init: Option<Init>, value: Value) -> Result<Param> {
        let trains = AtomicBool::new(role != Role::Statistic);
        let param = Param(Arc::new(Cell {
            name: name.clone(),
            role,
            init,
            value,
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
        if let (Some(saved), Role::Embedding, DType::F32, true) =
            (&self.store.saved, role, dtype, device.is_cpu())
            && let Some(table) = saved.table(&full, shape)?
        {
            let value = Value {
                var: OnceLock::new(),
                table: Some(table),
            };
            return self.store.add(full, role, Some(init), value);
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

    /// A file of one table, and a store that reads from it.
    fn in_a_file(name: &str, table: &Tensor) -> Result<(Store, Param)> {
        let pid = std::process::id();
        let file = std::env::temp_dir().join(format!("tlkit-{name}-{pid}.safetensors"));
        let tensors = BTreeMap::from([("words".to_string(), table.clone())]);
        let bytes =
            safetensors::serialize(&tensors, None).map_err(|e| Error::msg(e.to_string()))?;
        std::fs::write(&file, bytes).map_err(Error::io(&file))?;
        let weights = Weights::read(&file, &|n| Some(n.to_string()))?;
        let store = Store::saved_in(&Device::Cpu, DType::F32, weights);
        let shape = table.dims().to_vec();
        let words = (store.scope("")).param("words", &shape, Role::Embedding, Init::Zeros)?;
        // What is open stays open.
        std::fs::remove_file(&file).map_err(Error::io(&file))?;
        store.saved().expect("a file").finish()?;
        Ok((store, words))
    }

    #[test]
    fn of_a_frozen_table_in_a_file_rows_are_read_and_nothing_else() -> Result<()> {
        let table = Tensor::arange(0f32, 192.0, &Device::Cpu)?.reshape((64, 3))?;
        let (store, words) = in_a_file("rows", &table)?;
        let ids = Tensor::new(&[[9u32, 2, 9], [63, 2, 0]], &Device::Cpu)?;
        let read = |p: &Param, ids: &Tensor| -> Result<(usize, Vec<f32>)> {
            let (table, ids) = p.rows(ids)?;
            let found = table.index_select(&ids.flatten_all()?, 0)?;
            Ok((table.dim(0)?, found.flatten_all()?.to_vec1()?))
        };
        let wanted = table.index_select(&ids.flatten_all()?, 0)?;
        let wanted = wanted.flatten_all()?.to_vec1::<f32>()?;
        // It trains until it is frozen, and then all of it is wanted.
        store.train_only(&Select::Nothing);
        assert_eq!(read(&words, &ids)?, (4, wanted.clone()));
        assert!(words.0.value.var.get().is_none(), "the rest was read too");
        assert_eq!((words.dims(), words.count()), (&[64, 3][..], 192));
        // Many rows, or a row that there is not, are for the whole table.
        let many = Tensor::arange(0u32, 9, &Device::Cpu)?;
        assert_eq!(words.rows(&many)?.0.dims(), [64, 3]);
        assert_eq!(read(&words, &ids)?, (64, wanted.clone()));
        assert_eq!(words.tensor().to_vec2::<f32>()?, table.to_vec2::<f32>()?);
        let (_, words) = in_a_file("absent", &table)?;
        words.0.trains.store(false, Ordering::Relaxed);
        let absent = Tensor::new(&[64u32], &Device::Cpu)?;
        assert_eq!(words.rows(&absent)?.0.dims(), [64, 3]);
        // What trains is tracked, whole.
        let (_, words) = in_a_file("trains", &table)?;
        let (all, _) = words.rows(&ids)?;
        assert!(all.track_op() && all.dims() == [64, 3]);
        Ok(())
    }
}
