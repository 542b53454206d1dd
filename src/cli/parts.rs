//! What this binary is made of: the plugins that recipes can name, and where names are looked up.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::Resolve;
use tlkit_core::registry::Registry;

/// Every built-in plugin.
pub fn registry() -> Result<Registry> {
    let mut registry = Registry::new();
    tlkit_bert::register(&mut registry)?;
    tlkit_data::register(&mut registry)?;
    tlkit_features::register(&mut registry)?;
    tlkit_inductive::register(&mut registry)?;
    Ok(registry)
}

/// Finds `builtin:`, `hf:` and paths.
pub fn resolve() -> Arc<dyn Resolve> {
    Arc::new(tlkit_hub::Hub)
}
