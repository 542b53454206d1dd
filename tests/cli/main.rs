//! The whole program, on the `features` source task: seconds a run, and data written by the test itself.
//!
//! - `run.rs`: what a run leaves behind and says; exit codes
//! - `resume.rs`: Ctrl-C, SIGKILL, and going on with the same bits
//! - `compare.rs`: experiments, comparisons, gates, imports
//! - `place.rs`: run directories, and what is refused
//! - `verbs.rs`: validate, explain, schema, recipes, runs, completions, help

mod bench;
mod compare;
mod place;
mod resume;
mod run;
mod verbs;
