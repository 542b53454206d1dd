//! Runs a checked recipe, and the run directory: files that appear whole or not at all.

mod directory;
mod execute;

pub use directory::{Directory, write_whole};
pub use execute::{
    Identity, Layer, Overview, RunResult, Surroundings, execute, overview, summary, weights_sha256,
};
