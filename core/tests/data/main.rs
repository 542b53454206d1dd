//! The data keys on tables that a test can watch: what is found, what is dropped, what stops a run, and that sealed labels are
//! not read.

mod columns;
mod findings;
mod overlap;
mod sealed;
mod splits;
mod world;
