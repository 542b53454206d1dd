//! Baselines: the simplest things that could have been done with the same training rows, beside every result. One file each.
//!
//! - `majority` ([`Majority`]): always says the class that training saw most
//! - `tf-idf` ([`TfIdf`]): words and pairs of neighbouring words, weighed by how rare they are, and a logistic regression
//! - `logistic-regression` ([`OnFeatures`]): the same on feature vectors
//!
//! A network that is not better than these has not been worth its time; the result says so in words.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::registry::Registry;

mod features;
mod majority;
mod strength;
mod tfidf;
mod vocabulary;

pub use features::OnFeatures;
pub use majority::Majority;
pub use tfidf::TfIdf;
pub use vocabulary::Vocabulary;

/// Adds the baselines to a registry.
pub fn register(registry: &mut Registry) -> Result<()> {
    registry.baseline("majority", Arc::new(Majority))?;
    registry.baseline("tf-idf", Arc::new(TfIdf))?;
    registry.baseline("logistic-regression", Arc::new(OnFeatures))
}
