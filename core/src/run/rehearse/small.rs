//! A few rows of a domain that stand for all of it.

use crate::Result;
use crate::data::Loaded;

/// The rows of each split that a run in small has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picks {
    pub source: Option<Vec<u32>>,
    pub target: Option<Vec<u32>>,
    pub source_validation: Option<Vec<u32>>,
    pub watched: Option<Vec<u32>>,
    pub validation: Option<Vec<u32>>,
    pub test: Option<Vec<u32>>,
}

impl Picks {
    /// Rows of what nothing was picked from.
    pub const OTHERS: usize = super::ROWS;
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
