//! What an alignment is given and what it makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::OFFICE_CALTECH;
use tlkit_core::model::{Affine, Map};
use tlkit_core::random::Stream;
use tlkit_core::recipe::Keys;

use super::components::Projected;
use super::heads::Head;
use super::matrix::Mat;

/// Both domains' features, and what is known of them.
pub(crate) struct Pair<'a> {
    /// `(rows, width)`.
    pub source: &'a Mat,
    /// One class a source row.
    pub labels: &'a [u32],
    /// How many classes.
    pub classes: usize,
    /// `(rows, width)`.
    pub target: &'a Mat,
    /// What will answer.
    pub head: &'a Head,
    /// The run's.
    pub random: Stream,
    /// Asked once a round: an error where somebody wants to stop.
    pub going_on: &'a dyn Fn() -> Result<()>,
}

/// Both domains' features where they lie together.
pub(crate) struct Aligned {
    /// Of the source's rows, on which the head is fitted.
    pub source: Mat,
    /// Of the target's rows.
    pub target: Mat,
    /// How a target row gets there; none where it stays as it is.
    pub map: Option<Arc<dyn Map>>,
    /// For the result.
    pub report: BTreeMap<String, f64>,
    /// Whether the columns are directions that the method made: how far each spreads is part of what it found.
    pub made: bool,
}

impl Aligned {
    /// Both moved.
    pub fn new(source: Mat, target: Mat) -> Self {
        Aligned {
            source,
            target,
            map: None,
            report: BTreeMap::new(),
            made: false,
        }
    }

    /// The target stays.
    pub fn source_moved(source: Mat, target: &Mat) -> Self {
        Aligned::new(source, target.clone())
    }

    /// Of all rows, the source's first.
    pub fn split(both: Projected, source: usize) -> Self {
        let target = both.rows.nrows() - source;
        Aligned {
            map: Some(both.map),
            ..Aligned::new(
                both.rows.rows(0, source).into_owned(),
                both.rows.rows(source, target).into_owned(),
            )
        }
    }

    /// The columns are directions that the method made.
    pub fn made(mut self) -> Self {
        self.made = true;
        self
    }

    /// How a target row gets there.
    pub fn by(mut self, map: Affine) -> Self {
        self.map = Some(Arc::new(map));
        self
    }

    /// A number for the result.
    pub fn saying(mut self, name: &str, value: f64) -> Self {
        self.report.insert(name.to_string(), value);
        self
    }
}

/// A closed-form alignment of features.
pub(crate) trait Align: Send + Sync {
    /// Brings the domains together. Target labels are not among what it is given.
    fn align(&self, pair: &Pair<'_>) -> Result<Aligned>;
}

/// `dim`, how many directions are kept; what its methods take was found on Office with Caltech.
pub(crate) fn dim(keys: &Keys, default: usize, origin: &str) -> usize {
    keys.usize("dim")
        .range(1..)
        .default(default, origin)
        .tuned_on(&[OFFICE_CALTECH])
        .help("how many directions are kept, as far as the features have them")
        .read()
}

/// A share of the covariances' mean variance.
pub(crate) fn relative(share: f64, covariances: &[&Mat]) -> f64 {
    let of = |c: &&Mat| c.trace() / c.nrows().max(1) as f64;
    let mean = covariances.iter().map(of).sum::<f64>() / covariances.len().max(1) as f64;
    // Features that do not vary at all need something to divide by.
    (share * mean).max(1e-12)
}
