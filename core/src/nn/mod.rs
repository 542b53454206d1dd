//! Parameters, stages, and the chain that runs and records them.

mod adapter;
mod chain;
mod gradient;
mod gradients;
mod layers;
mod param;
mod selection;
mod stage;
mod store;
mod stored;
mod weights;

pub use adapter::{Adaptable, Adapter, Slot};
pub use chain::{Chain, Recording, Taps};
pub(crate) use gradient::scaled;
pub use gradient::{scale_gradient, with_gradients};
pub use gradients::{Elsewhere, Gradients};
pub use layers::{Activation, Dense, Dropout, Linear};
pub use param::{Init, Param, Role};
pub use selection::Select;
pub use stage::{Batch, Flow, NormMode, Pass, Pullback, Running, Stage, segment};
pub use store::{Scope, Store};
pub use weights::{LoadReport, Weights};
