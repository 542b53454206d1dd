//! Transductive strategies: the source has labels, the target has none, and the encoder is adapted to the target.

use tlkit_core::Result;
use tlkit_core::registry::Registry;

mod shallow;

/// Adds every strategy of this crate to a registry.
pub fn register(registry: &mut Registry) -> Result<()> {
    shallow::register(registry)
}
