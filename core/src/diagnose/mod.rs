//! What is between a source and a target domain, looked at before anything is trained: `tlkit diagnose`.
//!
//! Everything is measured on the features of the encoder as it starts, and no label of the target is read.
//!
//! - [`Separation`]: can a classifier tell the domains apart? (proxy A-distance)
//! - [`Discrepancy`]: do the features differ in distribution by more than chance? (MMD, permutation test)
//! - [`LabelShift`]: which shares would the classes have on the target, if only shares changed?
//! - [`Matched`]: do the domains differ still where the source has those shares?
//! - [`Overlap`]: classes that the target may lack, and target rows that are near no source row
//!
//! [`Diagnosis::of`] works them out of two tables of features; [`diagnose`] makes those of a checked recipe. What it suggests is a place to begin, by rules
//! that say their reason; none of it has seen a label of the target, so none can promise a gain.

mod discrepancy;
mod labels;
mod matched;
mod overlap;
mod recipe;
mod separation;
mod suggest;

use serde::Serialize;

pub use discrepancy::Discrepancy;
pub use labels::{ClassShare, LabelShift};
pub use matched::Matched;
pub use overlap::Overlap;
pub use recipe::diagnose;
pub use separation::Separation;
pub use suggest::Suggestion;

use crate::random::Stream;

/// Rows of a domain that are looked at, at most; more are drawn from.
pub const MOST_ROWS: usize = 2000;

/// A p under this is not chance.
const LEVEL: f64 = 0.05;

/// Features of one domain, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// `(rows, width)`.
    pub values: &'a [f64],
    /// How wide a row is.
    pub width: usize,
}

impl<'a> Table<'a> {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// One of them.
    pub fn row(&self, i: usize) -> &'a [f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// 1.
    pub format: u32,
    /// The domains' names.
    pub source: String,
    /// The domains' names.
    pub target: String,
    /// Rows that were looked at.
    pub source_rows: usize,
    /// Rows that were looked at.
    pub target_rows: usize,
    /// How wide the features are.
    pub width: usize,
    /// The key of `[source]` that draws weights which nobody has trained, where one does: then these are features of a random network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained: Option<&'static str>,
    /// Share of source rows that a classifier on these features has right, by five-fold cross-validation.
    pub source_accuracy: f64,
    /// Share of the largest class of the source.
    pub majority: f64,
    /// Proxy A-distance.
    pub separation: Separation,
    /// Maximum mean discrepancy.
    pub discrepancy: Discrepancy,
    /// Shares of classes.
    pub labels: LabelShift,
    /// What shares of classes leave, where the answers lean to other classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<Matched>,
    /// Classes and rows of one domain alone.
    pub overlap: Overlap,
    /// Where to begin, first things first.
    pub suggestions: Vec<Suggestion>,
}

impl Diagnosis {
    /// Of two domains' features. `methods` are the strategies that may be suggested.
    pub fn of(
        names: (&str, &str),
        source: Table<'_>,
        labels: &[u32],
        classes: &[String],
        target: Table<'_>,
        methods: &[String],
        random: Stream,
    ) -> Diagnosis {
        let (source, target, labels) = (
            drawn(source, random.purpose("source")),
            drawn(target, random.purpose("target")),
            drawn_labels(labels, random.purpose("source")),
        );
        let width = source.width;
        let (source, target) = standardised(source.table(), target.table());
        let (s, t) = (
            Table {
                values: &source,
                width,
            },
            Table {
                values: &target,
                width,
            },
        );
        let folds = labels::Folds::of(s, &labels, classes.len(), random.purpose("folds"));
        let mut counts = vec![0usize; classes.len()];
        labels.iter().for_each(|&c| counts[c as usize] += 1);
        let separation = Separation::of(s, t, random.purpose("separation"));
        let discrepancy = Discrepancy::of(s, t, random.purpose("discrepancy"));
        let shift = LabelShift::of(&folds, s, &labels, classes, t);
        let overlap = Overlap::of(s, t, &shift);
        let matched = shift
            .leans()
            .then(|| Matched::of(s, &labels, t, &shift, random.purpose("matched")));
        let mut diagnosis = Diagnosis {
            format: 1,
            source: names.0.to_string(),
            target: names.1.to_string(),
            source_rows: s.rows(),
            target_rows: t.rows(),
            width,
            untrained: None,
            source_accuracy: folds.accuracy,
            majority: counts.iter().max().copied().unwrap_or(0) as f64 / labels.len().max(1) as f64,
            separation,
            discrepancy,
            labels: shift,
            matched,
            overlap,
            suggestions: Vec::new(),
        };
        diagnosis.suggestions = suggest::suggestions(&diagnosis, methods);
        diagnosis
    }
}

/// Rows of one's own.
struct Owned {
    values: Vec<f64>,
    width: usize,
}

impl Owned {
    fn table(&self) -> Table<'_> {
        Table {
            values: &self.values,
            width: self.width,
        }
    }
}

/// At most [`MOST_ROWS`] rows, in their order.
fn kept(rows: usize, random: Stream) -> Vec<u32> {
    let mut order = random.permutation(rows);
    order.truncate(MOST_ROWS);
    order.sort_unstable();
    order
}

fn drawn(table: Table<'_>, random: Stream) -> Owned {
    let rows = kept(table.rows(), random);
    let values = rows.iter().flat_map(|&r| table.row(r as usize)).copied();
    Owned {
        values: values.collect(),
        width: table.width,
    }
}

fn drawn_labels(labels: &[u32], random: Stream) -> Vec<u32> {
    let rows = kept(labels.len(), random);
    rows.iter().map(|&r| labels[r as usize]).collect()
}

/// Both domains by their common mean and deviation: what differs between them stays.
fn standardised(source: Table<'_>, target: Table<'_>) -> (Vec<f64>, Vec<f64>) {
    let width = source.width;
    // Each domain has half a say, whatever its size.
    let mean_of = |t: Table<'_>, f: &dyn Fn(f64, usize) -> f64| -> Vec<f64> {
        let mut sum = vec![0.0; width];
        for row in t.values.chunks_exact(width) {
            sum.iter_mut()
                .zip(row)
                .enumerate()
                .for_each(|(k, (s, v))| *s += f(*v, k));
        }
        sum.iter().map(|s| s / t.rows().max(1) as f64).collect()
    };
    let both = |f: &dyn Fn(f64, usize) -> f64| -> Vec<f64> {
        let (a, b) = (mean_of(source, f), mean_of(target, f));
        a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect()
    };
    let mean = both(&|v, _| v);
    let square = both(&|v, k| (v - mean[k]).powi(2));
    // Constant is what has one value in both; what rounding left of its mean is no spread.
    let constant: Vec<bool> = (0..width)
        .map(|k| {
            let first = source.values.get(k).or(target.values.get(k));
            let of = |t: Table<'_>| {
                t.values
                    .iter()
                    .skip(k)
                    .step_by(width)
                    .all(|v| Some(v) == first)
            };
            of(source) && of(target)
        })
        .collect();
    let scale = |t: Table<'_>| -> Vec<f64> {
        let value = |(i, v): (usize, &f64)| {
            let k = i % width;
            match constant[k] {
                true => 0.0,
                false => (v - mean[k]) / square[k].sqrt(),
            }
        };
        t.values.iter().enumerate().map(value).collect()
    };
    (scale(source), scale(target))
}

#[cfg(test)]
mod tests;
