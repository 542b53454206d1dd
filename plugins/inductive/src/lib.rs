//! Inductive strategies: the target has labels, and the source's encoder is carried over to it. One file each.
//!
//! - `fine-tune` ([`FineTune`]): everything trains, or the stages from `train_from` on
//! - `feature-extraction` ([`FeatureExtraction`]): the encoder is frozen, its features computed once, and a regularised
//!   logistic regression fitted on them
//! - `from-scratch`: `fine-tune` on fresh weights, the yardstick for what was carried over
//! - `distill` ([`Distill`]): a teacher's answers or vectors are learned, from texts that need no labels
//! - `gradual-unfreeze` ([`GradualUnfreeze`]): from the head down, a stage at a time
//! - `lora` ([`Lora`]), `bitfit` ([`BitFit`]): most of the encoder stays as it is
//! - `l2-sp` ([`L2Sp`]): fine-tuning that is pulled back to where it started
//! - `knn` ([`Nearest`]): the classes of the nearest training rows
//! - `phases` ([`Phases`]): phases written by hand, `[[strategy.phases]]`

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::{Kind, Registry};

mod bitfit;
mod distill;
mod feature_extraction;
mod fine_tune;
mod gradual_unfreeze;
mod knn;
mod l2_sp;
mod lora;
mod phases;
mod stages;
mod supervised;

pub use bitfit::BitFit;
pub use distill::{Distill, cosine_distance, soft_labels};
pub use feature_extraction::FeatureExtraction;
pub use fine_tune::FineTune;
pub use gradual_unfreeze::GradualUnfreeze;
pub use knn::Nearest;
pub use l2_sp::L2Sp;
pub use lora::Lora;
pub use phases::Phases;
pub use supervised::Supervised;

/// Adds every strategy of this crate to a registry.
pub fn register(registry: &mut Registry) -> Result<()> {
    let inductive = Kind::Inductive;
    registry.strategy(
        "fine-tune",
        inductive,
        "train the encoder and a new head",
        Arc::new(FineTune::make),
    )?;
    registry.strategy(
        "feature-extraction",
        inductive,
        "freeze the encoder, fit a logistic head on its features",
        Arc::new(FeatureExtraction::make),
    )?;
    registry.strategy(
        "from-scratch",
        inductive,
        "the same network on fresh weights",
        Arc::new(FineTune::scratch),
    )?;
    registry.strategy(
        "phases",
        inductive,
        "phases written by hand",
        Arc::new(Phases::make),
    )?;
    registry.strategy(
        "distill",
        inductive,
        "learn what a teacher says, its answers or its vectors",
        Arc::new(Distill::make),
    )?;
    registry.strategy(
        "gradual-unfreeze",
        inductive,
        "unfreeze from the head down, a stage at a time",
        Arc::new(GradualUnfreeze::make),
    )?;
    registry.strategy(
        "lora",
        inductive,
        "freeze the encoder, train thin matrices beside its own",
        Arc::new(Lora::make),
    )?;
    registry.strategy(
        "bitfit",
        inductive,
        "train the encoder's biases and the head",
        Arc::new(BitFit::make),
    )?;
    registry.strategy(
        "l2-sp",
        inductive,
        "fine-tune, pulled back to where the weights started",
        Arc::new(L2Sp::make),
    )?;
    registry.strategy(
        "knn",
        inductive,
        "freeze the encoder, answer as the nearest training rows do",
        Arc::new(Nearest::make),
    )?;
    registry.frozen("feature-extraction");
    registry.frozen("knn");
    Ok(())
}
