//! Run directories to tables, pages and evidence.
//!
//! Reads what a run left behind (`result.json`, `identity.json`, `recipe.toml`, `metrics.jsonl`, `predictions.jsonl`, `liveness.json`)
//! and nothing else: not the recipe's data, not the model. Whatever wrote the directory, in whatever version, a field that is not
//! there is left out.
//!
//! ```no_run
//! let run = tlkit_report::Run::read("runs/sentiment/20261120-204512-s0".as_ref());
//! print!("{}", tlkit_report::result_table(&run, false));
//! print!("{}", tlkit_report::why(&run).text(&run, false));
//! std::fs::write("report.html", tlkit_report::page(&run))?;
//!
//! let all = tlkit_report::Run::all("runs".as_ref());
//! print!("{}", tlkit_report::list_table(&all, false));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! - [`Run`] is a run directory as it stands; [`Status`] says how far it is; [`Record`] is its training, phase by phase
//! - [`result_table`] is one run in full, [`list_table`] many of them a line each
//! - [`page`] is one run as `report.html`: a part a file under `page/`, charts under `plot/`
//! - [`why`] is what stands out in a run, with its numbers: a look a function under `why/`
//! - [`Experiment`] is many runs that belong together, [`Comparison`] what can be said of them, by [`statistics`]
//! - [`Table`] aligns columns, for whoever prints one; [`flat`] is a recipe's keys with their tables' names

mod embedding;
mod experiment;
mod keys;
mod list;
mod number;
mod page;
mod plot;
mod record;
mod result;
mod run;
mod scores;
mod shell;
pub mod statistics;
mod style;
mod table;
mod why;

pub use experiment::{
    Arm, Axis, Comparison, Difference, Experiment, Format, Gate, Metric, Outcome, PairCell, Row,
    Rows, Trial, imported_methods,
};
pub use keys::flat;
pub use list::list_table;
pub use page::page;
pub use record::{Phase, Record};
pub use result::{result_table, scores_table};
pub use run::{Run, Status};
pub use style::Style;
pub use table::{Align, Table};
pub use why::{Finding, Level, Why, why};
