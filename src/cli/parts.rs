//! What this binary is made of: the plugins that recipes can name, and where names are looked up.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::data::Resolve;
use tlkit_core::registry::Registry;

/// Every built-in plugin.
pub fn registry() -> Result<Registry> {
    let mut registry = Registry::new();
    tlkit_data::register(&mut registry)?;
    tlkit_inductive::register(&mut registry)?;
    Ok(registry)
}

/// Finds `builtin:`, `hf:` and paths.
pub fn resolve() -> Arc<dyn Resolve> {
    Arc::new(Paths)
}

struct Paths;

impl Resolve for Paths {
    fn resolve(&self, name: &str, base: &std::path::Path) -> Result<tlkit_core::data::Found> {
        use tlkit_core::data::{Blob, Found};
        let path = base.join(name);
        match path.is_dir() {
            true => Ok(Found::Folder(path)),
            false if path.is_file() => Ok(Found::File(Blob::Path(path))),
            false => Err(tlkit_core::Error::msg(format!(
                "{}: no such file",
                path.display()
            ))),
        }
    }
}
