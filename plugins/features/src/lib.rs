//! Feature vectors in, classes out: the source task `features`, a small multi-layer perceptron, and the target task
//! `classification`.
//!
//! For data that is numbers already (SURF histograms, word counts, measurements), and for trying out a strategy in seconds:
//!
//! ```toml
//! [source]
//! task = "features"
//! hidden = [64]              # widths of the hidden layers; the last is the width of the features
//!
//! [target]
//! task = "classification"
//! train = "amazon.svmlight"  # or a CSV or TSV whose columns are numbers but for `label`
//!
//! [strategy]
//! kind = "inductive"
//! method = "fine-tune"
//! ```
//!
//! The network starts from fresh weights, and its first layer is as wide as the data: core tells the source task
//! (`SourceTask::expect_width`) once the target task has opened its files.
//!
//! `hidden = []` leaves the vectors as they are, which is the default of methods in closed form; `scale` says what is done to each row first ([`Scale`]).
//!
//! Where to look: [`FeaturesSource`] has the keys and the family's defaults, [`Mlp`] the stages, [`Vectors`] how rows become
//! batches, [`Classification`] the head and the loss.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::Registry;

mod classification;
mod export;
mod mlp;
mod norm;
mod prepare;
mod scale;
mod source;

pub use classification::Classification;
pub use mlp::{Mlp, Shape};
pub use prepare::Vectors;
pub use scale::{Scale, Step};
pub use source::FeaturesSource;

/// Adds `features` and `classification`.
pub fn register(registry: &mut Registry) -> Result<()> {
    registry.source("features", &[], Arc::new(FeaturesSource::make))?;
    registry.target("classification", Arc::new(Classification::make))
}
