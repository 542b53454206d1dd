//! Plugins that were built elsewhere: found, probed, loaded, and wrapped in the traits of core.
//!
//! ```text
//! [[plugins]] path = ".."  ->  find (which file)  ->  file (may it be loaded, its sha256)
//!    ->  probe (what it brings: in a child process, or from the cache)  ->  registry, under the names of its entries
//!    ->  at the first use: library (loaded once, never unloaded)  ->  reader, term, strategy, source, target, metric
//!       (the traits of core)
//! ```
//!
//! What crosses the border is in `tlkit.h` and nowhere else; `unsafe` is in `tables.rs` (reading what a plugin hands over), `call.rs`
//! (what it may ask while it runs), `lend.rs`, `given.rs`, `home.rs` (tensors) and the calls themselves in the adapters.
//!
//! - `keys.rs`: a stranger's JSON Schema, read as the keys of a built-in are: diagnostics, `explain` and `schema` know no difference
//! - `phases.rs`: a strategy's phases, from JSON; `describe.rs`: parameters, from JSON
//! - `network.rs`: the calls of a source task; `stage.rs`, `prepare.rs`: what core sees of it; `home.rs`: its parameters, where they live in
//!   the plugin
//! - `driver.rs`: the one library that is no plugin, NVIDIA's driver: is there a device
//! - [`conformance`]: what `tlkit plugins check` asks of a library

mod call;
pub mod conformance;
mod describe;
mod driver;
mod error;
mod file;
mod find;
mod given;
mod home;
mod host;
mod keys;
mod lend;
mod library;
mod made;
mod manifest;
mod metric;
mod network;
mod phases;
mod prepare;
mod probe;
mod reader;
mod register;
mod source;
mod stage;
mod strategy;
mod tables;
mod target;
mod term;

pub use driver::cuda_devices;
pub use error::{Cause, LoadError};
pub use host::{Host, Named, Settings};
pub use library::before_loading;
pub use manifest::{EntryKind, Manifest, ManifestEntry};
pub use probe::answer as answer_probe;
