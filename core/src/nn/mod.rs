//! Parameters, stages, and the chain that runs and records them.

mod adapter;
mod chain;
mod gradient;
mod gradients;
mod layers;
mod param;
mod stage;
mod stored;
mod weights;

pub use adapter::{Adaptable, Adapter, Slot};
pub use chain::{Chain, Recording, Taps};
pub(crate) use gradient::scaled;
pub use gradient::{scale_gradient, with_gradients};
pub use gradients::{Elsewhere, Gradients};
pub use layers::{Activation, Dense, Dropout, Linear};
pub use param::{Init, Param, Role, Scope, Select, Store};
pub use stage::{Batch, Flow, NormMode, Pass, Pullback, Stage, segment};
pub use weights::{LoadReport, Weights};
