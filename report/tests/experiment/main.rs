//! Experiments of made-up runs: what is said of them, and what is refused.

mod blanks;
mod families;
#[path = "../fixture/mod.rs"]
mod fixture;
mod folds;
mod made;
mod pairs;
mod printed;
mod rows;
mod seeds;
mod verdicts;

use tlkit_report::Comparison;

fn words<'a>(c: &'a Comparison, method: &str) -> &'a str {
    let row = c.rows.iter().find(|r| r.method == method).expect("the row");
    &row.difference.as_ref().expect("a difference").words
}
