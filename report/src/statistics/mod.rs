//! How comparisons decide: pure functions from numbers to numbers.
//!
//! Two questions have two answers. *Which of these two models do I keep?* is answered by one run each: [`mcnemar`] and
//! [`paired_interval`]. *Is this method better?* needs seeds; its unit is seed x test row, crossed: [`Crossed`]. Tests over the
//! rows alone call seeds' luck a difference, and tests over the seeds alone call the rows' luck one; the test in
//! `crossed.rs` simulates how often this one does.
//!
//! - [`Crossed`]: mean, interval and p of a difference by seed and row, over one test set or over several (strata)
//! - [`holm`]: adjusted p-values of a family
//! - [`Verdict`]: from interval and adjusted p to a word
//! - [`bootstrap`]: scores that are no mean over rows
//! - [`corrected_t`]: folds of a cross-validation, which share rows
//! - [`Tally`], [`wilcoxon`], [`mean_ranks`]: over pairs of domains
//! - [`gap_closed`]: the share of the way from source-only to a ceiling

mod bootstrap;
mod crossed;
mod gap;
mod holm;
mod over_pairs;
mod random;
mod verdict;

pub use bootstrap::{BOOTSTRAP_SEEDS, Drawn, bootstrap};
pub use crossed::Crossed;
pub use gap::gap_closed;
pub use holm::holm;
pub use over_pairs::{Tally, WILCOXON_PAIRS, independent, mean_ranks, wilcoxon};
pub use tlkit_statistics::{corrected_t, mcnemar, normal_quantile, paired_interval, wilson};
pub use verdict::{Tested, Verdict, verdict};

/// Fewer seeds than this say nothing of a method.
pub const LEAST_SEEDS: usize = 3;

/// The share of true differences of the stated size that a design sees, where it states one.
pub const POWER: f64 = 0.8;
