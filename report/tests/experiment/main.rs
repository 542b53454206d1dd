//! Experiments of made-up runs: what is said of them, and what is refused.

#[path = "../fixture/mod.rs"]
mod fixture;
mod pairs;
mod rows;
mod verdicts;

use tlkit_report::Comparison;

fn words<'a>(c: &'a Comparison, method: &str) -> &'a str {
    let row = c.rows.iter().find(|r| r.method == method).expect("the row");
    &row.difference.as_ref().expect("a difference").words
}
