//! Parts of tlkit that are built elsewhere: the C header `include/tlkit.h`, and its tables in Rust.

pub use tlkit_abi as abi;
