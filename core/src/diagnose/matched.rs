//! What is left between the domains once the source is given the shares of classes that were estimated for the target.
//!
//! If only shares changed, nothing is: the rows of a class look alike in both domains. A translation of the features may give the same answers on the target as other shares would, and stays
//! where it was. That two domains have one distribution is never shown, so this can only speak against a label shift, and of few rows it does not.

use serde::Serialize;

use super::labels::LabelShift;
use super::{Discrepancy, LEVEL, Owned, Separation, Table};
use crate::random::Stream;

/// The domains with equal shares of classes, by the estimate of [`LabelShift`].
#[derive(Clone, Debug, Serialize)]
pub struct Matched {
    /// Rows of the source that were kept: as many as the class allows that has the fewest for its share.
    pub source_rows: usize,
    /// Rows of the target: all of them.
    pub target_rows: usize,
    /// How well they are told apart still.
    pub separation: Separation,
    /// How far they differ still.
    pub discrepancy: Discrepancy,
}

/// A change of `distance` stands out of `rows` rows by about `distance sqrt(rows)` deviations. Under this many, that no difference is seen says little of a translation that would make the
/// same answers.
const DEVIATIONS: f64 = 2.5;

impl Matched {
    /// Whether there are rows enough that a change as large as the shares' would be seen.
    pub(super) fn tells(&self, distance: f64) -> bool {
        let rows = self.source_rows.min(self.target_rows);
        distance * (rows as f64).sqrt() >= DEVIATIONS
    }

    /// Whether a difference is seen.
    pub(super) fn differs(&self) -> bool {
        self.discrepancy.p < LEVEL || self.separation.apart() || self.separation.among_their_own()
    }

    pub(super) fn of(
        source: Table<'_>,
        labels: &[u32],
        target: Table<'_>,
        shift: &LabelShift,
        random: Stream,
    ) -> Matched {
        let mut rows = vec![Vec::new(); shift.shares.len()];
        for row in random.purpose("rows").permutation(labels.len()) {
            rows[labels[row as usize] as usize].push(row);
        }
        // Without replacement: a row that is there twice is its own nearest neighbour.
        let classes = || rows.iter().zip(&shift.shares).filter(|c| !c.0.is_empty());
        let most = classes()
            .map(|(rows, share)| rows.len() as f64 / share.target)
            .fold(f64::INFINITY, f64::min);
        let mut kept: Vec<u32> = classes()
            .flat_map(|(rows, share)| {
                &rows[..rows.len().min((share.target * most).round() as usize)]
            })
            .copied()
            .collect();
        kept.sort_unstable();
        let values = kept.iter().flat_map(|&r| source.row(r as usize));
        let kept = Owned {
            values: values.copied().collect(),
            width: source.width,
        };
        Matched {
            source_rows: kept.table().rows(),
            target_rows: target.rows(),
            separation: Separation::of(kept.table(), target, random.purpose("separation")),
            discrepancy: Discrepancy::of(kept.table(), target, random.purpose("discrepancy")),
        }
    }
}
