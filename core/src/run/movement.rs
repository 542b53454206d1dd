//! How far each tensor went, for `liveness.json`: a tensor that should train and did not is seen there at once.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};
use serde::Serialize;

use crate::Result;
use crate::nn::{Role, Store};
use crate::strategy::Transfer;

/// One tensor of the trained model beside its start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Movement {
    /// Its name.
    pub name: String,
    /// The stage of the model that holds it; none where it is another network's.
    pub stage: Option<String>,
    /// Numbers in it.
    pub values: usize,
    /// Whether some phase trains it by its gradient; what a closed-form phase writes does not count.
    pub trains: bool,
    /// Whether its gradient is zero in mathematics, so that it stays where it is though it trains.
    pub invariant: bool,
    /// The Euclidean norm of its start.
    pub norm: f64,
    /// The Euclidean norm of end minus start.
    pub change: f64,
}

/// Compares the tensors of two stores of one recipe, by name.
pub(super) fn movement(
    transfer: &Transfer<'_>,
    start: &Store,
    end: &Store,
    trained: &BTreeSet<String>,
) -> Result<Vec<Movement>> {
    let mut stages = BTreeMap::new();
    for stage in transfer.model.chain().stages() {
        for p in stage.params() {
            stages.insert(p.name().to_string(), stage.name().to_string());
        }
    }
    let mut rows = Vec::new();
    for p in end.all() {
        let Some(was) = start.get(p.name()) else {
            continue;
        };
        let (norm, change) = norms(&was.detached(), &p.detached())?;
        rows.push(Movement {
            name: p.name().to_string(),
            stage: stages.get(p.name()).cloned(),
            values: p.count(),
            trains: trained.contains(p.name()),
            invariant: p.role() == Role::InvariantBias,
            norm,
            change,
        });
    }
    Ok(rows)
}

/// The norm of the start, and that of the difference.
fn norms(start: &Tensor, end: &Tensor) -> Result<(f64, f64)> {
    let values = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
    let (start, end) = (values(start)?, values(end)?);
    let (mut norm, mut change) = (0.0, 0.0);
    for (a, b) in start.iter().zip(&end) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        norm += a * a;
        change += (b - a) * (b - a);
    }
    Ok((norm.sqrt(), change.sqrt()))
}
