//! What is wrong with the rows, said before a model is trained on them.
//!
//! The data keys count while they read ([`crate::data::DataKeys::audit`]); [`crate::Checked::audit`] adds what takes a checkpoint's
//! preparation. Findings are words for a person, with examples that say where; a run prints them, and they stand in
//! `result.json`. What no run should go on with (one class, a test class that training never saw) is no finding but an error
//! in the recipe. The labels of a sealed domain are not read for any of it.

mod images;
mod length;
mod rows;

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::recipe::At;

pub(crate) use images::{Others, broken, looks, near_copies, single};
pub(crate) use length::tokens;
pub(crate) use rows::{
    Side, alike_labels, alone, balance, conflicts, counting, dropped_empty, duplicates, empty,
    none_set_aside, overlap, shared,
};

/// Of what a row says: rows with equal keys are taken for the same.
pub(crate) type Key = u64;

/// How much a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fill {
    /// Nothing but spaces.
    Empty,
    /// At most one letter or digit.
    Nearly,
    /// Something.
    Full,
}

/// What becomes of training rows that are also rows to judge by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overlap {
    /// They are dropped from the training rows.
    #[default]
    Drop,
    /// They stay.
    Keep,
    /// The recipe is wrong.
    Stop,
}

impl Overlap {
    /// As a recipe writes them.
    pub const NAMES: [&str; 3] = ["drop", "keep", "stop"];

    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "drop" => Some(Overlap::Drop),
            "keep" => Some(Overlap::Keep),
            "stop" => Some(Overlap::Stop),
            _ => None,
        }
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Note,
    /// Probably not as it was meant.
    Warning,
}

/// A row that a finding is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// Where it stands: `films.tsv:13`.
    pub row: String,
    /// Its first 100 characters.
    pub text: String,
}

/// Where it stands, and what it says: an image says nothing.
impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.text.as_str() {
            "" => write!(f, "{}", self.row),
            text => write!(f, "{}: {text}", self.row),
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// `duplicates`, `conflicts`, `overlap`, `empty`, `near-empty`, `labels`, `balance`, `alone`, `counter`, `split`, `truncated`, `unknown`; of images
    /// `broken`, `copies`, `single`, `size`.
    pub kind: &'static str,
    /// The split it is about.
    pub split: &'static str,
    /// How much it matters.
    pub level: Level,
    /// Rows that it is true of.
    pub count: usize,
    /// Rows that were looked at.
    pub of: usize,
    /// The finding in words, in one line without a full stop.
    pub words: String,
    /// Some of the rows, at most three; of what is `broken` at most a thousand.
    pub examples: Vec<Example>,
    /// The place in the recipe that names the rows, where it is known.
    #[serde(skip)]
    pub at: Option<At>,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Audit {
    /// Rows by split.
    pub rows: BTreeMap<&'static str, usize>,
    /// Rows by split and class, where labels are open.
    pub classes: BTreeMap<&'static str, Counts>,
    /// Training rows that were left out, and why: `overlap`, `empty`, `broken` (of any split).
    pub dropped: BTreeMap<&'static str, usize>,
    /// Share of a split's texts that the length limit cuts.
    pub truncated: BTreeMap<&'static str, f64>,
    /// Share of a split's tokens that the vocabulary does not know; only splits that have some.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<&'static str, f64>,
    /// Whether every test row is among the rows adapted on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tests_adapted: bool,
    /// What is worth a line, warnings first.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// Adds findings; warnings go before notes.
    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.findings.sort_by_key(|f| f.level == Level::Note);
    }
}

/// Rows a class, in the order of the classes. JSON has them as an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<(String, usize)>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, n) in &self.0 {
            map.serialize_entry(name, n)?;
        }
        map.end()
    }
}

/// `1 row`, `12 rows`.
fn rows_in_words(n: usize) -> String {
    if n == 1 {
        "1 row".into()
    } else {
        format!("{n} rows")
    }
}

/// A share for a person: `0.4 %`, `12 %`.
fn percent(share: f64) -> String {
    let p = share * 100.0;
    if p < 10.0 {
        format!("{:.1} %", p.max(0.1))
    } else {
        format!("{p:.0} %")
    }
}
