//! A few rows of a domain that stand for all of it.

use std::sync::Arc;

use crate::Result;
use crate::data::{Domain, Input, Labels, Loaded, Samples, Sealed};

/// The rows of each split that a run in small has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picks {
    pub source: Option<Vec<u32>>,
    pub target: Option<Vec<u32>>,
    pub validation: Option<Vec<u32>>,
    pub test: Option<Vec<u32>>,
}

impl Picks {
    /// A labelled domain, its picked rows only.
    pub fn labelled(rows: &Option<Vec<u32>>, domain: Domain<Labels>) -> Domain<Labels> {
        match rows {
            None => domain,
            Some(rows) => Domain {
                inputs: picked(&domain.inputs, rows),
                labels: domain.labels.pick(rows),
                name: domain.name,
            },
        }
    }

    /// The same under the seal.
    pub fn sealed(
        rows: &Option<Vec<u32>>,
        domain: Domain<Sealed<Labels>>,
    ) -> Domain<Sealed<Labels>> {
        match rows {
            None => domain,
            Some(rows) => Domain {
                inputs: picked(&domain.inputs, rows),
                labels: domain.labels.map(|l| l.pick(rows)),
                name: domain.name,
            },
        }
    }
}

/// At most `most` rows at even distances in the order of length, the shortest and the longest among them.
pub(super) fn pick(loaded: &Loaded, most: usize) -> Result<Vec<u32>> {
    let order: Vec<u32> = loaded.by_length(1)?.into_iter().flatten().collect();
    let n = most.min(order.len());
    let last = order.len().saturating_sub(1);
    let mut rows: Vec<u32> = (0..n)
        .map(|i| order[i * last / n.saturating_sub(1).max(1)])
        .collect();
    // Back into the file's order: neighbours in length are not to be neighbours in a batch that was not asked to group.
    rows.sort_unstable();
    Ok(rows)
}

/// Some rows of a domain's inputs.
pub(super) fn picked(inputs: &Arc<dyn Samples>, rows: &[u32]) -> Arc<dyn Samples> {
    Arc::new(Picked {
        inputs: inputs.clone(),
        rows: rows.to_vec(),
    })
}

struct Picked {
    inputs: Arc<dyn Samples>,
    rows: Vec<u32>,
}

impl Picked {
    fn row(&self, row: usize) -> usize {
        self.rows[row] as usize
    }
}

impl Samples for Picked {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> String {
        self.inputs.id(self.row(row))
    }

    fn place(&self, row: usize) -> String {
        self.inputs.place(self.row(row))
    }

    fn input(&self, row: usize) -> Result<Input<'_>> {
        self.inputs.input(self.row(row))
    }
}
