//! The whole program, on the `features` source task: seconds a run, and data written by the test itself.
//!
//! - `audit.rs`: what is said of the rows before training; the page on one's own CSV
//! - `run.rs`: what a run leaves behind and says; exit codes
//! - `resume.rs`: Ctrl-C, SIGKILL, and going on with the same bits
//! - `place.rs`: run directories, and what is refused
//! - `verbs.rs`: validate, explain, schema, recipes, runs, completions, help

mod audit;
mod bench;
mod place;
mod resume;
mod run;
mod verbs;
