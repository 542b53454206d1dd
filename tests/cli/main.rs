//! The whole program, on the `features` source task: seconds a run, and data written by the test itself.
//!
//! - `audit.rs`: what is said of the rows before training; the page on one's own CSV
//! - `run.rs`: what a run leaves behind and says; exit codes
//! - `resume.rs`: Ctrl-C, SIGKILL, and going on with the same bits
//! - `device.rs`: which binary computes
//! - `compare.rs`: experiments, comparisons, gates, imports
//! - `folds.rs`, `tune.rs`: runs that have parts: cross-validation, grids
//! - `plan.rs`: what a run will take, before it runs
//! - `place.rs`: run directories, and what is refused
//! - `predict.rs`, `evaluate.rs`: a finished run's model on other rows; `files.rs`: of files without names of columns
//! - `images.rs`: photographs, from a folder to a report
//! - `import.rs`: predictions that were made elsewhere
//! - `init.rs`: a recipe from a file
//! - `numbers.rs`: what a run learns from numbers that are odd
//! - `parts.rs`: what only the network can say of a recipe, before anything runs
//! - `rank.rs`: sources in the order of their features
//! - `report.rs`: the page of a run, and what stands out in it
//! - `schema.rs`: what an editor finds wrong in a recipe
//! - `verbs.rs`: validate, explain, schema, recipes, runs, completions, help

mod audit;
mod bench;
mod compare;
mod device;
mod evaluate;
mod files;
mod folds;
mod images;
mod import;
mod init;
mod numbers;
mod parts;
mod piped;
mod place;
mod plan;
mod predict;
mod rank;
mod report;
mod resume;
mod run;
mod schema;
mod tune;
mod verbs;
