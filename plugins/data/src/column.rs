//! What the columns of an unknown file hold.

use std::collections::BTreeMap;
use std::path::Path;

use tlkit_core::Result;
use tlkit_core::data::{Input, Table};

use crate::folder::is_picture;

/// Rows that are looked at, spread evenly over the file.
const SAMPLE: usize = 5000;

/// More classes than this are taken for no classes.
pub(crate) const CLASSES: usize = 100;

/// What a column holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnFacts {
    /// Its name, or its number where the file has no header.
    pub name: String,
    /// Different values among the rows looked at.
    pub distinct: usize,
    /// Mean number of words of a value.
    pub words: f64,
    /// Share of the values that are numbers.
    pub numbers: f64,
    /// Share of the values that are one word with digits in it: dates, numbers of orders.
    pub codes: f64,
    /// Values that are empty.
    pub empty: usize,
    /// The commonest values, and how often each is there; all of them where there are at most [`CLASSES`].
    pub values: Vec<(String, usize)>,
    /// A vector, as svmlight has it.
    pub vector: bool,
    /// Nothing but images, or paths of them.
    pub pictures: bool,
    /// Images themselves, as bytes.
    pub bytes: bool,
}

/// Facts of every column of a table.
pub fn facts(table: &dyn Table) -> Result<Vec<ColumnFacts>> {
    let rows = table.rows();
    let taken = rows.min(SAMPLE);
    // Evenly, so that a file sorted by label shows all of them.
    let sample: Vec<usize> = (0..taken).map(|i| i * rows / taken.max(1)).collect();
    let names = table.columns().iter().enumerate();
    names
        .map(|(c, name)| {
            let mut fact = ColumnFacts {
                name: name.clone(),
                ..ColumnFacts::default()
            };
            let mut values: BTreeMap<String, usize> = BTreeMap::new();
            let (mut words, mut numbers, mut codes) = (0usize, 0usize, 0usize);
            for &row in &sample {
                match table.cell(row, c)? {
                    Input::Text(t) => {
                        let t = t.trim();
                        fact.empty += usize::from(t.is_empty());
                        words += t.split_whitespace().count();
                        numbers += usize::from(t.parse::<f32>().is_ok_and(f32::is_finite));
                        let digits = t.contains(|c: char| c.is_ascii_digit());
                        codes += usize::from(digits && !t.contains(char::is_whitespace));
                        *values.entry(t.to_string()).or_default() += 1;
                    }
                    Input::Image(_) => fact.bytes = true,
                    _ => fact.vector = true,
                }
            }
            let n = taken.max(1) as f64;
            (fact.words, fact.numbers) = (words as f64 / n, numbers as f64 / n);
            fact.codes = codes as f64 / n;
            fact.distinct = values.keys().filter(|v| !v.is_empty()).count();
            let mut paths = values.keys().filter(|v| !v.is_empty());
            let paths = fact.distinct > 0 && paths.all(|v| is_picture(Path::new(v)));
            fact.pictures = fact.bytes || paths;
            let mut values: Vec<(String, usize)> =
                values.into_iter().filter(|(v, _)| !v.is_empty()).collect();
            values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            values.truncate(CLASSES);
            fact.values = values;
            Ok(fact)
        })
        .collect()
}
