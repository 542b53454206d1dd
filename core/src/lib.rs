//! The words of transfer learning as traits, and the one loop that trains.
//!
//! A *source task* is what is known already: it brings an *encoder*. A *target task* is what is wanted: it brings data, a
//! *head*, a loss. A *strategy* says how to carry the one over to the other, as a list of *phases*. A recipe names the three, and
//!
//! ```text
//! recipe::Written  ->  Checked  ->  run::execute  ->  run directory
//! ```
//!
//! is the whole flow: [`Checked::new`] builds the tasks and the strategy and reports every error of the recipe in one go;
//! [`run::execute`] trains, selects, opens the seal of the test labels once, and writes what came of it.
//!
//! Where to look:
//! - [`task`], [`strategy`]: the traits that a plugin implements; [`registry`]: how it is found by name
//! - [`nn`]: parameters by name in a fixed order, stages (the unit of recording), the chain that runs them
//! - [`head`]: heads that a recipe lists layer by layer
//! - [`data`]: tables, samples, examples, batches; labels, and the seal on those that a learner may not see
//! - [`cache`]: features and outputs on disk by their content; [`outside`]: a teacher
//! - [`audit`]: what is wrong with the rows, said before training; [`diagnose`]: what is between a source and a target domain
//! - [`train`]: the loop, optimizers, schedules, checkpoints, the gradient check
//! - [`experiment`]: a table of runs over one recipe, each cell checked before the first runs
//! - [`metrics`], [`evaluate`]: scores with their intervals, and what stands beside them; [`logistic`]: the solver of heads and baselines; [`folds`]: how
//!   their constants are chosen
//! - [`select`]: choosing an epoch without labels of the target
//! - [`rank`]: which source to carry over, without training
//! - [`random`]: randomness as a function of seed and purpose, so that nothing about it needs saving
//!
//! Core names no plugin, draws nothing, and knows no file format but its own.

pub mod audit;
pub mod baseline;
pub mod cache;
pub mod check;
mod class_loss;
pub mod data;
pub mod device;
pub mod diagnose;
mod error;
pub mod evaluate;
pub mod experiment;
pub mod folds;
pub mod head;
pub mod logistic;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod neighbours;
pub mod nn;
pub mod outside;
pub mod probe;
pub mod random;
pub mod rank;
pub mod registry;
pub mod run;
pub mod select;
pub mod strategy;
mod sum;
pub mod task;
pub mod train;

pub use check::Checked;
pub use class_loss::{ClassLoss, ClassLossKeys};
pub use error::{Context, Error, NonFinite, Result};
pub use tlkit_recipe as recipe;

/// Bytes as lowercase hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
