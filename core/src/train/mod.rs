//! The one training loop, and what it needs: optimizers, schedules, checkpoints, the gradient check.

mod check;
mod checkpoint;
mod event;
pub(crate) mod frozen;
mod infer;
mod liveness;
mod moments;
mod optimizer;
pub(crate) mod pass;
mod phase;
mod record;
mod run;
mod runner;
mod schedule;
mod shared;
mod step;

pub use checkpoint::{Best, Place, Position, SavedMap};
pub use event::{Event, Observer, Silent, Stop, Stoppable};
pub use frozen::frozen_features;
pub(crate) use infer::predict_as_is;
pub use infer::{Domains, EVALUATION_BATCH, predict, predict_cuts};
pub use optimizer::{Optimizer, OptimizerSpec, rate_groups};
pub use run::{Deciding, Job, Outcome, run};
pub use schedule::{Schedule, Shape};
pub use shared::Shared;
