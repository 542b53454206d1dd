//! From a table's columns to samples and labels.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::labels::Labels;
use super::table::{Input, Samples, Table};
use crate::{Error, Result};

/// One or more tables with the same columns, end to end.
#[derive(Clone)]
pub struct Rows {
    tables: Vec<Arc<dyn Table>>,
    /// Rows kept: table and row.
    kept: Arc<Vec<(u32, u32)>>,
}

impl Rows {
    /// All rows of the tables.
    pub fn new(tables: Vec<Arc<dyn Table>>) -> Self {
        let kept = tables
            .iter()
            .enumerate()
            .flat_map(|(t, table)| (0..table.rows() as u32).map(move |r| (t as u32, r)));
        let kept = Arc::new(kept.collect());
        Rows { tables, kept }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Only these rows.
    pub fn pick(&self, rows: &[u32]) -> Rows {
        Rows {
            tables: self.tables.clone(),
            kept: Arc::new(rows.iter().map(|&r| self.kept[r as usize]).collect()),
        }
    }

    /// The columns' names.
    pub fn columns(&self) -> &[String] {
        self.tables.first().map_or(&[], |t| t.columns())
    }

    /// One cell.
    pub fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let (t, r) = self.kept[row];
        self.tables[t as usize].cell(r as usize, column)
    }

    /// A cell that must be text.
    pub fn text(&self, row: usize, column: usize) -> Result<Cow<'_, str>> {
        match self.cell(row, column)? {
            Input::Text(t) => Ok(t),
            other => Err(Error::msg(format!(
                "{}: expected text, found {}",
                self.place(row),
                other.kind()
            ))),
        }
    }

    /// Where a row stands, for errors.
    pub fn place(&self, row: usize) -> String {
        let (t, r) = self.kept[row];
        self.tables[t as usize].place(r as usize)
    }

    /// The row's number in its file, from 0; with several files the file's number goes before it.
    pub fn id(&self, row: usize) -> String {
        let (t, r) = self.kept[row];
        if self.tables.len() == 1 {
            r.to_string()
        } else {
            format!("{t}:{r}")
        }
    }

    /// The label column as class names, a row each; an empty cell is an error at its place.
    pub fn names(&self, column: usize) -> Result<Vec<String>> {
        (0..self.len())
            .map(|row| match self.text(row, column)?.trim() {
                "" => Err(Error::msg(format!(
                    "{}: the label is empty",
                    self.place(row)
                ))),
                name => Ok(name.to_string()),
            })
            .collect()
    }
}

/// Class names in order: by number where all are numbers, by letter otherwise.
pub(crate) fn class_names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let set: BTreeSet<&String> = names.collect();
    let mut names: Vec<String> = set.into_iter().cloned().collect();
    if names.iter().all(|n| n.parse::<f64>().is_ok()) {
        names.sort_by(|a, b| {
            a.parse::<f64>()
                .unwrap_or(0.0)
                .total_cmp(&b.parse::<f64>().unwrap_or(0.0))
        });
    }
    names
}

/// Names to class indices; the error is the first name that is no class, and its row.
pub(crate) fn index(
    names: &[String],
    classes: &Arc<Vec<String>>,
) -> std::result::Result<Labels, (usize, String)> {
    let find = |(row, n): (usize, &String)| {
        classes
            .iter()
            .position(|c| c == n)
            .map(|i| i as u32)
            .ok_or((row, n.clone()))
    };
    Ok(Labels {
        classes: names
            .iter()
            .enumerate()
            .map(find)
            .collect::<std::result::Result<_, _>>()?,
        names: classes.clone(),
    })
}

/// Texts, or pairs of them, from columns.
pub struct Texts {
    /// The rows.
    pub rows: Rows,
    /// The text's column.
    pub text: usize,
    /// The second text's.
    pub pair: Option<usize>,
}

impl Samples for Texts {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> String {
        self.rows.id(row)
    }

    fn input(&self, row: usize) -> Result<Input<'_>> {
        let text = self.rows.text(row, self.text)?;
        Ok(match self.pair {
            None => Input::Text(text),
            Some(pair) => Input::Pair(text, self.rows.text(row, pair)?),
        })
    }
}

/// Feature vectors: a column of vectors (svmlight), or several columns of numbers (CSV).
pub struct Features {
    /// The rows.
    pub rows: Rows,
    /// The columns that make the vector.
    pub columns: Vec<usize>,
}

impl Features {
    /// How wide the vectors are.
    pub fn width(&self) -> Result<usize> {
        if self.rows.is_empty() {
            return Ok(0);
        }
        match self.input(0)? {
            Input::Features(f) => Ok(f.len()),
            _ => Ok(0),
        }
    }
}

impl Samples for Features {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> String {
        self.rows.id(row)
    }

    fn input(&self, row: usize) -> Result<Input<'_>> {
        if let [column] = self.columns[..]
            && let Input::Features(f) = self.rows.cell(row, column)?
        {
            return Ok(Input::Features(f));
        }
        let number = |&c: &usize| -> Result<f32> {
            let text = self.rows.text(row, c)?;
            let value = text.trim().parse::<f32>().ok().filter(|v| v.is_finite());
            value.ok_or_else(|| {
                Error::msg(format!(
                    "{}: `{}` is not a number",
                    self.rows.place(row),
                    text.trim()
                ))
            })
        };
        Ok(Input::Features(Cow::Owned(
            self.columns.iter().map(number).collect::<Result<_>>()?,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sorted_by_number_or_by_letter() {
        let names =
            |n: &[&str]| class_names(n.iter().map(|s| s.to_string()).collect::<Vec<_>>().iter());
        assert_eq!(names(&["10", "9", "-1", "9"]), ["-1", "9", "10"]);
        assert_eq!(names(&["b", "10", "a"]), ["10", "a", "b"]);
    }
}
