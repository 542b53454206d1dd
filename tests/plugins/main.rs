//! Plugins by the whole program: compiled from C, named by a recipe, run.
//!
//! - `loading.rs`: which file, and why one is not loaded
//! - `hostile.rs`: plugins that break one rule each; `broken.rs`: the same of source tasks, target tasks and metrics, `tasks.rs`: those that keep to the rules
//! - `anew.rs`: libraries that are others, or gone, when a finished run is used again
//! - `examples.rs`: those of the SDK in C, built from a clean folder; `rust.rs`: those in Rust, also as libraries of an older tlkit.h (`older.c`)

mod anew;
#[path = "../cli/bench.rs"]
#[allow(dead_code)]
mod bench;
mod broken;
mod compile;
mod examples;
mod hostile;
mod loading;
mod rust;
mod tasks;
