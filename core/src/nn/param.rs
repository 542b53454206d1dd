//! One parameter: a name, what it is for, and its numbers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use candle_core::{Tensor, Var};

use super::stored::Table;
use crate::Result;

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
pub(super) struct Value {
    var: OnceLock<Var>,
    /// Where it lies until all of it is asked for.
    table: Option<Table>,
    /// It came out of a file.
    loaded: bool,
}

impl Value {
    /// Numbers that are at hand.
    pub(super) fn here(tensor: Tensor) -> Result<Self> {
        Ok(Value {
            var: OnceLock::from(Var::from_tensor(&tensor)?),
            table: None,
            loaded: false,
        })
    }

    /// Numbers that a checkpoint gave, or not.
    pub(super) fn loaded(mut self, loaded: bool) -> Self {
        self.loaded = loaded;
        self
    }

    /// Numbers that stay in a file until all of them are asked for.
    pub(super) fn in_file(table: Table) -> Self {
        Value {
            var: OnceLock::new(),
            table: Some(table),
            loaded: true,
        }
    }

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
    /// One that trains unless it is a statistic; `version` is its store's.
    pub(super) fn new(
        name: String,
        role: Role,
        init: Option<Init>,
        value: Value,
        version: Arc<AtomicU64>,
    ) -> Self {
        Param(Arc::new(Cell {
            name,
            role,
            init,
            value,
            trains: AtomicBool::new(role != Role::Statistic),
            version,
        }))
    }

    /// Whether gradients are wanted for it from now on.
    pub(super) fn train(&self, trains: bool) {
        self.0.trains.store(trains, Ordering::Relaxed);
    }

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

    /// Whether it started with what a checkpoint has, and not with a draw.
    pub fn loaded(&self) -> bool {
        self.0.value.loaded
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

    /// Another number than before whenever it may have changed: [`Store::version`](super::Store::version). Copies of it that are kept elsewhere watch it.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle_core::{DType, Device};

    use super::*;
    use crate::Error;
    use crate::nn::{Select, Store, Weights};

    #[test]
    fn a_frozen_parameter_is_the_same_storage_and_records_nothing() -> Result<()> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
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
        words.train(false);
        let absent = Tensor::new(&[64u32], &Device::Cpu)?;
        assert_eq!(words.rows(&absent)?.0.dims(), [64, 3]);
        // What trains is tracked, whole.
        let (_, words) = in_a_file("trains", &table)?;
        let (all, _) = words.rows(&ids)?;
        assert!(all.track_op() && all.dims() == [64, 3]);
        Ok(())
    }
}
