//! Experiments: a table of runs over one base recipe.
//!
//! An experiment file names a base and what differs from cell to cell: methods, seeds, values of any recipe key (`vary`), pairs
//! of domains. Each cell is the base with a few keys over it ([`crate::recipe::Overlay`]), checked like any recipe before the
//! first one runs; an error points into the experiment or into the base, wherever it is written.
//!
//! ```text
//! experiment.toml -> Written -> Design (read.rs)  ->  cells (cells.rs), each a Checked recipe  ->  Plan
//! ```
//!
//! A [`Plan`] holds, for each cell, the recipe written out (it runs alone, from anywhere) and the identity that its run will
//! have: a finished cell is one whose run has that identity. Running cells is the binary's business; comparing them is
//! `tlkit-report`'s.

mod beside;
mod cells;
mod domains;
mod method;
mod plan;
mod read;

pub use cells::{Cell, MOST_CELLS};
pub use method::named;
pub use plan::{Plan, plan};
