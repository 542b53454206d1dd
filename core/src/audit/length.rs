//! What becomes of texts as tokens: how many the length limit cuts, and how much of them the vocabulary does not know. Counted on a sample, by the
//! checkpoint's own preparation.

use rayon::prelude::*;

use super::{Example, Finding, Level, percent};
use crate::Result;
use crate::data::{Prepare, Samples};

/// Rows looked at in a split; they lie evenly over it.
const SAMPLE: usize = 2_000;
/// Shares of unknown tokens below this are not worth a line: a rare sign here and there.
const UNKNOWN_NOTED: f64 = 0.01;
/// From here on the tokenizer was probably made for other texts.
const UNKNOWN_WARNED: f64 = 0.1;

/// Of a split's texts, as tokens.
pub(crate) struct Tokens {
    /// Share of the texts that the limit cuts.
    pub(crate) truncated: f64,
    /// Share of the tokens that stand for something unknown.
    pub(crate) unknown: f64,
    /// What is to be said of it.
    pub(crate) findings: Vec<Finding>,
}

/// One row: its place in the table, whether it is cut, its tokens, and how many of them are unknown.
struct Seen {
    row: usize,
    cut: bool,
    tokens: usize,
    unknown: usize,
}

/// Looks at a split; `None` where nothing has a length.
pub(crate) fn tokens(
    split: &'static str,
    inputs: &dyn Samples,
    prepare: &dyn Prepare,
) -> Result<Option<Tokens>> {
    let Some(limit) = prepare.limit() else {
        return Ok(None);
    };
    let n = inputs.len();
    let of = n.min(SAMPLE);
    let look = |i: usize| -> Result<Seen> {
        let row = i * n / of;
        let example = prepare.example(&inputs.input(row)?)?;
        Ok(Seen {
            row,
            cut: example.is_cut(),
            tokens: example.length(),
            unknown: prepare.unknown(&example),
        })
    };
    let seen: Vec<Seen> = (0..of)
        .into_par_iter()
        .map(look)
        .collect::<Result<Vec<_>>>()?;
    let about = if of < n { "about " } else { "" };
    let finding = |kind, share: f64, warned, rows: &[&Seen], words| -> Result<Finding> {
        let first = rows.iter().take(3).map(|s| s.row);
        let example = |row| -> Result<Example> {
            Ok(Example {
                row: inputs.place(row),
                text: super::rows::preview(&inputs.input(row)?),
            })
        };
        Ok(Finding {
            kind,
            split,
            level: if share > warned {
                Level::Warning
            } else {
                Level::Note
            },
            count: rows.len(),
            of,
            words,
            examples: first.map(example).collect::<Result<_>>()?,
            at: None,
        })
    };
    let mut findings = Vec::new();
    let cut: Vec<&Seen> = seen.iter().filter(|s| s.cut).collect();
    let truncated = cut.len() as f64 / of.max(1) as f64;
    if !cut.is_empty() {
        let words = format!(
            "{about}{} of {split} is longer than {limit} tokens and is cut there",
            percent(truncated)
        );
        findings.push(finding("truncated", truncated, 0.1, &cut, words)?);
    }
    let all: usize = seen.iter().map(|s| s.tokens).sum();
    let lost: usize = seen.iter().map(|s| s.unknown).sum();
    let unknown = lost as f64 / all.max(1) as f64;
    if unknown > UNKNOWN_NOTED {
        let mut rows: Vec<&Seen> = seen.iter().filter(|s| s.unknown > 0).collect();
        // Those of which the least is known come first; among equals the order of the rows.
        let share = |s: &Seen| s.unknown as f64 / s.tokens.max(1) as f64;
        rows.sort_by(|a, b| share(b).total_cmp(&share(a)));
        let words = format!(
            "{about}{} of the tokens of {split} are unknown to the checkpoint's tokenizer, so that these words are all the same to it",
            percent(unknown)
        );
        findings.push(finding("unknown", unknown, UNKNOWN_WARNED, &rows, words)?);
    }
    Ok(Some(Tokens {
        truncated,
        unknown,
        findings,
    }))
}
