//! The `tlkit` binary.
fn main() {}
