//! Runs a checked recipe, and the run directory: files that appear whole or not at all.

mod arrange;
mod directory;
mod embedding;
mod execute;
mod exported;
mod features;
mod folds;
mod given;
mod many;
mod movement;
mod network;
mod rehearse;
mod result;
mod saved;
mod thumbnails;
mod trained_on;
mod tune;

pub use arrange::{Layer, summary};
pub use directory::{Directory, write_whole};
pub(crate) use execute::SOURCE_ONLY;
pub use execute::{Surroundings, execute};
pub use exported::{write_json, write_tensors};
pub use features::features;
pub use folds::summarised;
pub(crate) use given::Given;
pub use given::{Overview, overview, test_rows};
pub use many::{Again, run};
pub use movement::Movement;
pub use network::write_network;
pub(crate) use rehearse::Picks;
pub use rehearse::{Cost, Course, Extent, Forecast, rehearse};
pub use result::{Identity, RunResult, weights_sha256};
pub use saved::Saved;
pub(crate) use saved::{FinishedRun, as_it_was, take as take_weights};
pub use trained_on::trained_on;
