//! Closed-form adaptation of features: nothing is trained by gradients.

use tlkit_core::Result;
use tlkit_core::registry::Registry;

/// Adds them to a registry.
pub(crate) fn register(_: &mut Registry) -> Result<()> {
    Ok(())
}
