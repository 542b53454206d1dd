//! Transductive strategies: the source has labels, the target has none, and the encoder is adapted to the target. One file each.
//!
//! - `source-only` ([`SourceOnly`]): nothing is adapted; what every method is compared with
//! - `target-supervised` ([`TargetSupervised`]): trained on the target's labels; the ceiling, an oracle's

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::{Kind, Registry};

mod phases;
mod shallow;
mod source_only;
mod supervised;
mod target_supervised;

pub use source_only::SourceOnly;
pub use target_supervised::TargetSupervised;

/// Adds every strategy of this crate to a registry.
pub fn register(registry: &mut Registry) -> Result<()> {
    let kind = Kind::Transductive;
    registry.strategy(
        "source-only",
        kind,
        "learn the source and adapt nothing",
        Arc::new(SourceOnly::make),
    )?;
    registry.strategy(
        "target-supervised",
        kind,
        "learn from the target's labels: the ceiling, marked oracle",
        Arc::new(TargetSupervised::make),
    )?;
    shallow::register(registry)
}
