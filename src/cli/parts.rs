//! What this binary is made of: the plugins that recipes can name, and where names are looked up.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::Resolve;
use tlkit_core::registry::Registry;
use tlkit_hub::{Hub, Settings};

use super::downloads::Downloads;

/// Every built-in plugin, and those of the user.
pub fn registry() -> Result<Registry> {
    let mut registry = Registry::new();
    tlkit_baselines::register(&mut registry)?;
    tlkit_bert::register(&mut registry)?;
    tlkit_data::register(&mut registry)?;
    tlkit_features::register(&mut registry)?;
    tlkit_inductive::register(&mut registry)?;
    tlkit_resnet::register(&mut registry)?;
    tlkit_transductive::register(&mut registry)?;
    super::plugins::register(&mut registry);
    Ok(registry)
}

/// What a verb does about names that are on the hub and not in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// They are left alone.
    Never,
    /// They are downloaded, and that is shown.
    Aloud,
    /// They are downloaded.
    Silently,
}

/// Finds `builtin:`, `hf:` and paths.
pub fn resolve(fetch: Fetch) -> Arc<dyn Resolve> {
    let settings = Settings::from_env();
    let shown = Downloads::new(fetch == Fetch::Silently, settings.bars);
    let hub = Hub::new(settings).heard_by(move |event| shown.event(event));
    Arc::new(match fetch {
        Fetch::Never => hub.without_downloads(),
        Fetch::Aloud | Fetch::Silently => hub,
    })
}
