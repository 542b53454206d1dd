//! Run directories to tables.
//!
//! Reads what a run left behind (`result.json`, `identity.json`) and nothing else: not the recipe's data, not the model.
//! Whatever wrote the directory, in whatever version, a field that is not there is left out of the table.
//!
//! ```no_run
//! let run = tlkit_report::Run::read("runs/sentiment/20261120-204512-s0".as_ref());
//! print!("{}", tlkit_report::result_table(&run, false));
//!
//! let all = tlkit_report::Run::all("runs".as_ref());
//! print!("{}", tlkit_report::list_table(&all, false));
//! ```
//!
//! - [`Run`] is a run directory as it stands; [`Status`] says how far it is
//! - [`result_table`] is one run in full, [`list_table`] many of them a line each
//! - [`Experiment`] is many runs that belong together, [`Comparison`] what can be said of them, by [`statistics`]
//! - [`Table`] aligns columns, for whoever prints one

mod experiment;
mod list;
mod result;
mod run;
pub mod statistics;
mod style;
mod table;

pub use experiment::{
    Arm, Axis, Comparison, Difference, Experiment, Format, Gate, Metric, Outcome, PairCell, Row,
    Rows, Trial,
};
pub use list::list_table;
pub use result::result_table;
pub use run::{Run, Status};
pub use style::Style;
pub use table::{Align, Table};
