//! Many runs, compared: an experiment's folder, or run directories that a person names.
//!
//! [`Experiment`] is what is there (arms, pairs, seeds, and what each run predicted); [`Comparison`] is what can be said of it, by
//! the tests of [`crate::statistics`]; [`Comparison::print`] says it as text, Markdown, CSV, JSON, LaTeX or a page; a [`Gate`] asks
//! one question of it.
//!
//! ```no_run
//! let experiment = tlkit_report::Experiment::read("experiments/how-many-labels".as_ref())?;
//! print!("{}", experiment.compare(None).print(tlkit_report::Format::Text, false));
//! # Ok::<(), String>(())
//! ```

mod baselines;
mod changes;
mod charts;
mod compare;
mod difference;
mod domains;
mod families;
mod flips;
mod formats;
mod gate;
mod grid;
mod groups;
mod html;
mod notes;
mod read;
mod reasons;
mod rows;
mod seeds;
mod training;

pub use compare::{Comparison, PairCell, Row};
pub use difference::Difference;
pub use formats::Format;
pub use gate::{Gate, Outcome};
pub use read::{Arm, Axis, Experiment, Trial, imported_methods};
pub use rows::{Metric, Rows};
