//! How many texts the length limit cuts: counted on a sample, by the checkpoint's own preparation.

use rayon::prelude::*;

use super::{Example, Finding, Level, percent};
use crate::Result;
use crate::data::{Prepare, Samples};

/// Rows looked at in a split; they lie evenly over it.
const SAMPLE: usize = 2_000;

/// The share of texts that are cut, and what is to be said of it; `None` where nothing has a length.
pub(crate) fn truncated(
    split: &'static str,
    inputs: &dyn Samples,
    prepare: &dyn Prepare,
) -> Result<Option<(f64, Option<Finding>)>> {
    let Some(limit) = prepare.limit() else {
        return Ok(None);
    };
    let n = inputs.len();
    let of = n.min(SAMPLE);
    let cut = |i: usize| -> Result<Option<usize>> {
        let row = i * n / of;
        let example = prepare.example(&inputs.input(row)?)?;
        Ok(example.is_cut().then_some(row))
    };
    let all: Vec<Result<Option<usize>>> = (0..of).into_par_iter().map(cut).collect();
    let mut rows = Vec::new();
    for row in all {
        rows.extend(row?);
    }
    let share = rows.len() as f64 / of.max(1) as f64;
    if rows.is_empty() {
        return Ok(Some((0.0, None)));
    }
    let mut examples = Vec::new();
    for &row in rows.iter().take(3) {
        examples.push(Example {
            row: inputs.place(row),
            text: super::rows::preview(&inputs.input(row)?),
        });
    }
    let seen = if of < n { "about " } else { "" };
    let finding = Finding {
        kind: "truncated",
        split,
        level: if share > 0.1 {
            Level::Warning
        } else {
            Level::Note
        },
        count: rows.len(),
        of,
        words: format!(
            "{seen}{} of {split} is longer than {limit} tokens and is cut there",
            percent(share)
        ),
        examples,
        at: None,
    };
    Ok(Some((share, Some(finding))))
}
