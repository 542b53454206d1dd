//! What the columns of an unknown file hold.

use std::collections::BTreeMap;
use std::path::Path;

use tlkit_core::data::{Input, Table};
use tlkit_core::{Error, Result};

use crate::folder::is_picture;

/// Rows that are looked at, spread evenly over the file.
const SAMPLE: usize = 5000;

/// Most bytes of values that are held at a time.
const HELD: usize = 128 << 20;

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
    facts_within(table, &sample, HELD)
}

/// Rows are gone through for as many columns at once as can be held in so many bytes: one for all of them in a table that is not large.
fn facts_within(table: &dyn Table, sample: &[usize], most: usize) -> Result<Vec<ColumnFacts>> {
    let names = table.columns();
    let mut facts = Vec::with_capacity(names.len());
    let mut width = names.len();
    while facts.len() < names.len() {
        let from = facts.len();
        let asked: Vec<usize> = (from..names.len()).take(width).collect();
        let (seen, wrong) = look(table, sample, &asked, most);
        if let Some(error) = wrong {
            return Err(error);
        }
        width = seen.len();
        let named = names[from..].iter().zip(seen);
        facts.extend(named.map(|(name, seen)| seen.facts(name, sample.len())));
    }
    Ok(facts)
}

/// Looks at these columns, or at the first of them where all are more than is to be held. The error is that of the column after those that
/// are given: the first column that has one, and its first row, whatever the order in which cells are read.
fn look(
    table: &dyn Table,
    sample: &[usize],
    columns: &[usize],
    most: usize,
) -> (Vec<Seen>, Option<Error>) {
    let mut seen: Vec<Seen> = columns.iter().map(|_| Seen::default()).collect();
    let mut wrong = None;
    for &row in sample {
        let cells = table.cells(row, &columns[..seen.len()]);
        for (c, cell) in cells.into_iter().enumerate() {
            match cell {
                Ok(cell) => seen[c].see(&cell),
                Err(error) => {
                    seen.truncate(c);
                    wrong = Some(error);
                    break;
                }
            }
        }
        if seen.is_empty() {
            break;
        }
        while seen.len() > 1 && seen.iter().map(Seen::bytes).sum::<usize>() > most {
            seen.truncate(seen.len().div_ceil(2));
            // It is met again.
            wrong = None;
        }
    }
    (seen, wrong)
}

/// A column's values, as far as rows were looked at.
#[derive(Default)]
struct Seen {
    /// End to end, and where each ends: some million short values are held, and a string each would take five times as much.
    texts: String,
    ends: Vec<usize>,
    bytes: bool,
    vector: bool,
}

impl Seen {
    fn see(&mut self, cell: &Input<'_>) {
        match cell {
            Input::Text(t) => {
                self.texts.push_str(t.trim());
                self.ends.push(self.texts.len());
            }
            Input::Image(_) => self.bytes = true,
            _ => self.vector = true,
        }
    }

    /// How much it holds.
    fn bytes(&self) -> usize {
        self.texts.len() + self.ends.len() * size_of::<usize>()
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(from, &to)| &self.texts[from..to])
    }

    /// Its facts, of so many rows.
    fn facts(&self, name: &str, rows: usize) -> ColumnFacts {
        let mut fact = ColumnFacts {
            name: name.to_string(),
            bytes: self.bytes,
            vector: self.vector,
            ..ColumnFacts::default()
        };
        let mut values: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut words, mut numbers, mut codes) = (0usize, 0usize, 0usize);
        for t in self.texts() {
            fact.empty += usize::from(t.is_empty());
            words += t.split_whitespace().count();
            numbers += usize::from(t.parse::<f32>().is_ok_and(f32::is_finite));
            let digits = t.contains(|c: char| c.is_ascii_digit());
            codes += usize::from(digits && !t.contains(char::is_whitespace));
            *values.entry(t).or_default() += 1;
        }
        let n = rows.max(1) as f64;
        (fact.words, fact.numbers) = (words as f64 / n, numbers as f64 / n);
        fact.codes = codes as f64 / n;
        values.remove("");
        fact.distinct = values.len();
        let paths = fact.distinct > 0 && values.keys().all(|v| is_picture(Path::new(v)));
        fact.pictures = fact.bytes || paths;
        let mut values: Vec<(&str, usize)> = values.into_iter().collect();
        values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        values.truncate(CLASSES);
        fact.values = values
            .into_iter()
            .map(|(v, n)| (v.to_string(), n))
            .collect();
        fact
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tlkit_core::data::{Blob, ReadOptions, Reader};

    /// A table that writes down which cells it was asked for at once; a cell of two letters is wrong.
    struct Noting {
        columns: Vec<String>,
        cells: Vec<Vec<&'static str>>,
        asked: Mutex<Vec<(usize, usize)>>,
    }

    impl Noting {
        fn new(cells: Vec<Vec<&'static str>>) -> Noting {
            Noting {
                columns: (0..cells[0].len()).map(|c| format!("c{c}")).collect(),
                cells,
                asked: Mutex::default(),
            }
        }

        /// How many cells at a time.
        fn widths(&self) -> Vec<usize> {
            let asked = self.asked.lock().expect("one thread");
            asked.iter().map(|(_, width)| *width).collect()
        }
    }

    impl Table for Noting {
        fn columns(&self) -> &[String] {
            &self.columns
        }
        fn rows(&self) -> usize {
            self.cells.len()
        }
        fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
            match self.cells[row][column] {
                wrong if wrong.len() == 2 => Err(Error::msg(format!("{row} {column}"))),
                right => Ok(Input::Text(right.into())),
            }
        }
        fn cells(&self, row: usize, columns: &[usize]) -> Vec<Result<Input<'_>>> {
            let asked = (row, columns.len());
            self.asked.lock().expect("one thread").push(asked);
            let wrong = |&c: &usize| self.cells[row][c].len() == 2;
            let n = columns
                .iter()
                .position(wrong)
                .map_or(columns.len(), |n| n + 1);
            columns[..n].iter().map(|&c| self.cell(row, c)).collect()
        }
        fn place(&self, row: usize) -> String {
            row.to_string()
        }
    }

    #[test]
    fn a_row_is_asked_for_once_for_all_its_columns() -> Result<()> {
        let table = Noting::new(vec![vec!["a", "b", "c", "d", "e"]; 3]);
        let facts = facts(&table)?;
        assert_eq!(table.widths(), [5, 5, 5]);
        assert_eq!(facts.len(), 5);
        assert_eq!(facts[4].name, "c4");
        assert_eq!(facts[4].values, [("e".to_string(), 3)]);
        Ok(())
    }

    #[test]
    fn what_is_more_than_can_be_held_is_looked_at_in_parts() -> Result<()> {
        let table = Noting::new(vec![vec!["a", "b", "c", "d", "e"]; 3]);
        let whole = facts(&table)?;
        // A value and where it ends are nine bytes.
        for most in [0, 30, 60, 100] {
            assert_eq!(facts_within(&table, &[0, 1, 2], most)?, whole, "{most}");
        }
        let table = Noting::new(vec![vec!["a", "b", "c", "d", "e"]; 3]);
        facts_within(&table, &[0, 1, 2], 60)?;
        assert_eq!(table.widths(), [5, 5, 3, 2, 2, 2, 1, 1, 1]);
        Ok(())
    }

    /// As if columns were gone through one by one.
    #[test]
    fn the_error_is_the_first_columns_and_not_the_first_rows() {
        let wrong = |cells: Vec<Vec<&'static str>>| {
            let table = Noting::new(cells);
            let rows: Vec<usize> = (0..table.rows()).collect();
            let all = [0, 20, 1000].map(|most| {
                let facts = facts_within(&table, &rows, most);
                facts.err().map(|e| e.to_string())
            });
            assert!(all.iter().all(|e| *e == all[0]), "{all:?}");
            all[0].clone()
        };
        assert_eq!(wrong(vec![vec!["a", "b", "xx"]; 2]).as_deref(), Some("0 2"));
        let steps = vec![
            vec!["a", "b", "c", "xx"],
            vec!["a", "b", "c", "d"],
            vec!["a", "xx", "c", "d"],
            vec!["a", "xx", "xx", "d"],
        ];
        assert_eq!(wrong(steps).as_deref(), Some("2 1"));
        assert_eq!(wrong(vec![vec!["xx"], vec!["xx"]]).as_deref(), Some("0 0"));
    }

    #[test]
    fn a_list_among_the_values_is_told_where_it_stands() -> Result<()> {
        let rows = "{\"a\": 1, \"b\": []}\n{\"a\": {}, \"b\": 2}\n";
        let blob = Blob::Embedded(rows.as_bytes());
        let table = crate::JsonLines.open("r.jsonl", &blob, &ReadOptions::default())?;
        let said = facts(table.as_ref()).err().map(|e| e.to_string());
        let wanted = "r.jsonl:2:7: `a` is an object; a text or a number is wanted";
        assert_eq!(said.as_deref(), Some(wanted));
        Ok(())
    }
}
