//! What the author of a plugin builds on.
//!
//! A plugin is a shared library that a recipe names by `[[plugins]] path = ".."`. In C it includes `include/tlkit.h`, which says all
//! there is to say. In Rust it implements the traits of core, as a built-in does, and hands them to [`export_plugin!`], which writes
//! the C side; nothing of Rust crosses, so that compiler and version of Candle are the author's to choose.
//!
//! ```
//! use tlkit_plugin::candle_core::{Result, Tensor};
//! use tlkit_plugin::core::recipe::Keys;
//! use tlkit_plugin::core::strategy::{LossTerm, Valued};
//! use tlkit_plugin::{Plugin, Term, differentiate};
//!
//! /// How far the features are from zero.
//! struct Small {
//!     taps: Vec<String>,
//!     power: f64,
//! }
//!
//! impl Term for Small {
//!     fn make(keys: &Keys) -> Option<Self> {
//!         let power = keys.f64("power").above(1.0).default(2.0, "a square").help("of each number").read();
//!         Some(Small { taps: vec!["features:0".into()], power })
//!     }
//! }
//!
//! impl LossTerm for Small {
//!     fn taps(&self) -> &[String] {
//!         &self.taps
//!     }
//!
//!     fn value_and_gradients(&self, taps: &[Tensor], params: &[Tensor]) -> tlkit_plugin::core::Result<Valued> {
//!         differentiate(taps, params, |taps, _| taps[0].abs()?.powf(self.power)?.mean_all())
//!     }
//! }
//!
//! tlkit_plugin::export_plugin!(
//!     Plugin::new("small", env!("CARGO_PKG_VERSION"), "keeps features small").loss_term::<Small>("small", "mean power of the features")
//! );
//! # fn main() {}
//! ```
//!
//! - [`Term`], [`Strategist`], [`Reads`], [`Source`], [`Targets`], [`Measures`]: what can be brought; each adds to a trait of core how it
//!   is made, or says as data what it is made of
//! - [`core`] has the traits; [`ops`] kernels with gradients that Candle lacks
//! - [`export_plugin!`], [`Plugin`]: the list of what is brought
//! - [`differentiate`]: a loss term from its value alone
//!
//! A panic does not leave the plugin: it becomes an error that names it.

mod border;
mod borrow;
mod differentiate;
mod give;
mod metric;
mod plugin;
mod reader;
mod source;
mod strategy;
mod target;
mod term;

pub use candle_core;
pub use tlkit_abi as abi;
pub use tlkit_core as core;
pub use tlkit_ops as ops;

pub use differentiate::differentiate;
pub use metric::Measures;
pub use plugin::{Plugin, export};
pub use reader::Reads;
pub use source::Source;
pub use strategy::{Phase, Strategist, TermUse};
pub use target::{Target, Targets};
pub use term::Term;

/// Writes the one symbol of a library: takes an expression that makes a [`Plugin`].
#[macro_export]
macro_rules! export_plugin {
    ($plugin:expr $(,)?) => {
        /// The one symbol, as tlkit.h declares it.
        ///
        /// # Safety
        /// `host` is null or leads to a table of tlkit.h.
        // SAFETY: nothing else in a plugin has this name; that is how it is found.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn tlkit_plugin_v1(
            host: *const $crate::abi::Host,
        ) -> *const $crate::abi::Plugin {
            $crate::export(host, || $plugin)
        }
    };
}
