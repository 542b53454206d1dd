//! Some rows of a domain.

use std::sync::Arc;

use super::labels::{Domain, Labels, Sealed};
use super::table::{Input, Samples};
use crate::Result;

/// Rows by index, in the order given; they keep their own names.
struct Picked {
    of: Arc<dyn Samples>,
    rows: Vec<u32>,
}

impl Samples for Picked {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> String {
        self.of.id(self.rows[row] as usize)
    }

    fn place(&self, row: usize) -> String {
        self.of.place(self.rows[row] as usize)
    }

    fn input(&self, row: usize) -> Result<Input<'_>> {
        self.of.input(self.rows[row] as usize)
    }
}

/// Some rows of others, by index, in the order given; they keep their own names.
pub fn pick(of: Arc<dyn Samples>, rows: Vec<u32>) -> Arc<dyn Samples> {
    Arc::new(Picked { of, rows })
}

/// What is known of rows, for some of them.
pub trait Pick {
    /// That of these rows.
    fn of_rows(self, rows: &[u32]) -> Self;
}

impl Pick for () {
    fn of_rows(self, _: &[u32]) -> Self {}
}

impl Pick for Labels {
    fn of_rows(self, rows: &[u32]) -> Self {
        self.pick(rows)
    }
}

impl Pick for Sealed<Labels> {
    fn of_rows(self, rows: &[u32]) -> Self {
        self.map(|labels| labels.pick(rows))
    }
}

impl<L: Pick> Domain<L> {
    /// Some rows of it.
    pub(crate) fn picked(self, rows: &[u32]) -> Domain<L> {
        Domain {
            name: self.name,
            inputs: pick(self.inputs, rows.to_vec()),
            labels: self.labels.of_rows(rows),
        }
    }

    /// Its first rows, at most so many.
    pub(crate) fn first(self, most: usize) -> Domain<L> {
        let rows: Vec<u32> = (0..self.inputs.len().min(most) as u32).collect();
        self.picked(&rows)
    }
}
