//! Statistics that a run and a report of runs both need, in one copy: pure functions from numbers to numbers.
//!
//! - [`wilson`]: the interval of a share; [`normal_quantile`]
//! - [`corrected_t`]: folds of a cross-validation, which share rows
//! - [`paired`], [`mcnemar`], [`paired_interval`]: two models on the same rows. Nothing here speaks of a method: for that, seeds are needed.
//!
//! ```
//! // Of 50 rows both have 36 right, only the first 12, only the second 2, none 0.
//! let (low, high) = tlkit_statistics::paired_interval(36, 12, 2, 0, 0.95);
//! assert!(low > 0.05 && high < 0.35);
//! ```

mod folds;
mod interval;
mod paired;

pub use folds::{Folds, corrected_t};
pub use interval::{Interval, normal_quantile, wilson};
pub use paired::{Paired, mcnemar, paired, paired_interval};
