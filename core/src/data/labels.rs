//! Labels, and the seal on those that a learner may not see.

use std::sync::Arc;

use super::table::Samples;

/// One class index a row, and what the classes are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Class indices, one a row.
    pub classes: Vec<u32>,
    /// The classes' own names, by index.
    pub names: Arc<Vec<String>>,
}

impl Labels {
    /// Rows by index.
    pub fn pick(&self, rows: &[u32]) -> Labels {
        Labels {
            classes: rows.iter().map(|&r| self.classes[r as usize]).collect(),
            names: self.names.clone(),
        }
    }

    /// The rows of each class, in their order.
    pub fn by_class(&self) -> Vec<Vec<u32>> {
        let mut rows = vec![Vec::new(); self.names.len()];
        for (row, &class) in (0u32..).zip(&self.classes) {
            rows[class as usize].push(row);
        }
        rows
    }

    /// How many rows each class has.
    pub fn counts(&self) -> Vec<usize> {
        let mut n = vec![0; self.names.len()];
        for &c in &self.classes {
            n[c as usize] += 1;
        }
        n
    }
}

/// Labels that training code cannot read: it does not compile.
///
/// Only core opens a seal, when a model is scored and the selection is final. There is no `Deref`, no `Debug`, no `Clone`, no
/// way to serialise it, and the field is private:
///
/// ```compile_fail
/// fn peek(labels: &tlkit_core::data::Sealed<Vec<u32>>) -> u32 {
///     labels.0[0] // error: field `0` of struct `Sealed` is private
/// }
/// ```
///
/// while the same labels in clear can be read:
///
/// ```
/// fn read(labels: &Vec<u32>) -> u32 {
///     labels[0]
/// }
/// # assert_eq!(read(&vec![3]), 3);
/// ```
pub struct Sealed<T>(T);

impl<T> Sealed<T> {
    /// Seals. There is no way back outside core.
    pub fn new(inner: T) -> Self {
        Sealed(inner)
    }

    /// What is sealed, changed under the seal.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Sealed<U> {
        Sealed(change(self.0))
    }

    /// Opens the seal; only code that holds a [`Reading`] and lives in core can.
    pub(crate) fn open(&self, _: &Reading) -> &T {
        &self.0
    }
}

/// The permission to see labels in clear. Only core makes one, so a strategy cannot ask a task for its labels a second time:
///
/// ```compile_fail
/// let permission = tlkit_core::data::Reading(()); // error: the field is private
/// ```
pub struct Reading(());

impl Reading {
    pub(crate) fn new() -> Self {
        Reading(())
    }
}

/// Inputs and how they are distributed, with labels (`Domain<Labels>`), sealed labels, or none (`Domain<()>`).
pub struct Domain<L> {
    /// For reports: `films`, `kitchen`.
    pub name: String,
    /// The inputs, one a row.
    pub inputs: Arc<dyn Samples>,
    /// What is known of them.
    pub labels: L,
}

impl<L> Domain<L> {
    /// The same inputs without labels.
    pub fn unlabelled(&self) -> Domain<()> {
        Domain {
            name: self.name.clone(),
            inputs: self.inputs.clone(),
            labels: (),
        }
    }

    /// The same domain, its labels sealed.
    pub fn seal(self) -> Domain<Sealed<L>> {
        Domain {
            name: self.name,
            inputs: self.inputs,
            labels: Sealed::new(self.labels),
        }
    }
}
