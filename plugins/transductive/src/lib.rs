//! Transductive strategies: the source has labels, the target has none, and the encoder is adapted to the target. One file each.
//!
//! - `source-only` ([`SourceOnly`]): nothing is adapted; what every method is compared with
//! - `target-supervised` ([`TargetSupervised`]): trained on the target's labels; the ceiling, an oracle's
//! - features brought together: `dan` ([`Dan`]), `deep-coral` ([`DeepCoral`]), `dann` ([`Dann`]), `cdan` ([`Cdan`]), `mcd` ([`Mcd`]),
//!   `mdd` ([`Mdd`]), `deep-jdot` ([`DeepJdot`])
//! - sure predictions: `mcc` ([`Mcc`])
//! - without source rows: `shot` ([`Shot`]), `tent` ([`Tent`]), `adabn` ([`AdaBn`])
//! - source rows weighted: `discriminator-weights` ([`DiscriminatorWeights`])
//! - text: `tapt` ([`Tapt`])
//! - label shift: `bbse` ([`Bbse`]), `em-prior` ([`EmPrior`])
//!
//! All that learn from source rows share a source phase, and after it as many epochs on the same source batches as `source-only` has (`phases.rs`); the losses
//! are functions of their own ([`losses`]).

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::{Kind, Registry};

mod adabn;
mod adversary;
mod aligned;
mod assignment;
mod bbse;
mod cdan;
mod dan;
mod dann;
mod deep_coral;
mod deep_jdot;
mod discriminator_weights;
mod em_prior;
pub mod losses;
mod mcc;
mod mcd;
mod mdd;
mod phases;
mod prior;
mod shallow;
mod shot;
mod source_only;
mod supervised;
mod tapt;
mod target_supervised;
mod tent;

pub use adabn::AdaBn;
pub use bbse::Bbse;
pub use cdan::{Cdan, multilinear, surely_weighted};
pub use dan::Dan;
pub use dann::Dann;
pub use deep_coral::DeepCoral;
pub use deep_jdot::{DeepJdot, transport};
pub use discriminator_weights::DiscriminatorWeights;
pub use em_prior::EmPrior;
pub use mcc::Mcc;
pub use mcd::Mcd;
pub use mdd::{Mdd, disparity};
pub use shot::{Shot, pseudo_labels};
pub use source_only::SourceOnly;
pub use tapt::Tapt;
pub use target_supervised::TargetSupervised;
pub use tent::Tent;

/// Adds every strategy of this crate to a registry.
pub fn register(registry: &mut Registry) -> Result<()> {
    type Maker = fn(
        &tlkit_core::recipe::Keys,
        &tlkit_core::registry::Context,
    ) -> Option<Box<dyn tlkit_core::strategy::Strategy>>;
    let all: [(&str, &'static str, Maker); 17] = [
        (
            "source-only",
            "learn the source and adapt nothing",
            SourceOnly::make,
        ),
        (
            "target-supervised",
            "learn from the target's labels: the ceiling, marked oracle",
            TargetSupervised::make,
        ),
        (
            "dan",
            "bring the features' means together in kernels' spaces",
            Dan::make,
        ),
        (
            "deep-coral",
            "bring the features' covariances together",
            DeepCoral::make,
        ),
        (
            "dann",
            "features that no discriminator tells apart",
            Dann::make,
        ),
        (
            "cdan",
            "features that no discriminator tells apart within a class",
            Cdan::make,
        ),
        ("mcd", "features on which two classifiers agree", Mcd::make),
        (
            "mdd",
            "no second classifier that disagrees on the target alone",
            Mdd::make,
        ),
        (
            "deep-jdot",
            "source and target rows paired off at the least cost",
            DeepJdot::make,
        ),
        (
            "mcc",
            "predictions that do not waver between classes",
            Mcc::make,
        ),
        (
            "shot",
            "without source rows: sure, diverse, and near their class's centre",
            Shot::make,
        ),
        (
            "tent",
            "without source rows: sure predictions by batch norm alone",
            Tent::make,
        ),
        (
            "adabn",
            "without source rows: batch norm with the target's statistics",
            AdaBn::make,
        ),
        (
            "discriminator-weights",
            "source rows count by how much they look like the target's",
            DiscriminatorWeights::make,
        ),
        (
            "tapt",
            "masked language modelling on the target first",
            Tapt::make,
        ),
        (
            "bbse",
            "class frequencies of the target by the confusion matrix",
            Bbse::make,
        ),
        (
            "em-prior",
            "class frequencies of the target by likelihood",
            EmPrior::make,
        ),
    ];
    for (name, about, make) in all {
        registry.strategy(name, Kind::Transductive, about, Arc::new(make))?;
    }
    shallow::register(registry)
}
