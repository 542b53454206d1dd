//! From a table's columns to samples and labels.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::labels::Labels;
use super::table::{Input, Samples, Table};
use crate::{Error, Result};

/// One or more tables with the same columns, end to end.
#[derive(Clone)]
pub struct Rows {
    tables: Arc<Vec<Arc<dyn Table>>>,
    /// The number of each table's first row, and of the one after the last.
    starts: Arc<Vec<u32>>,
    /// The rows that are kept; `None` where all are.
    kept: Option<Arc<Vec<u32>>>,
}

impl Rows {
    /// All rows of the tables.
    pub fn new(tables: Vec<Arc<dyn Table>>) -> Result<Self> {
        let mut starts = vec![0u32];
        for table in &tables {
            let end = starts[starts.len() - 1] as usize + table.rows();
            let end = u32::try_from(end).map_err(|_| {
                Error::msg(format!(
                    "{}: {end} rows are more than can be numbered; use fewer files, or `limit`",
                    table.place(0)
                ))
            })?;
            starts.push(end);
        }
        Ok(Rows {
            tables: Arc::new(tables),
            starts: Arc::new(starts),
            kept: None,
        })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        match &self.kept {
            Some(kept) => kept.len(),
            None => self.starts[self.starts.len() - 1] as usize,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Only these rows.
    pub fn pick(&self, rows: &[u32]) -> Rows {
        let kept = match &self.kept {
            Some(kept) => rows.iter().map(|&r| kept[r as usize]).collect(),
            None => rows.to_vec(),
        };
        Rows {
            kept: Some(Arc::new(kept)),
            ..self.clone()
        }
    }

    /// The columns' names.
    pub fn columns(&self) -> &[String] {
        self.tables.first().map_or(&[], |t| t.columns())
    }

    /// Its table, and the row in it.
    fn locate(&self, row: usize) -> (usize, usize) {
        let row = self.kept.as_ref().map_or(row as u32, |kept| kept[row]);
        let table = self.starts.partition_point(|&start| start <= row) - 1;
        (table, (row - self.starts[table]) as usize)
    }

    /// One cell.
    pub fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let (t, r) = self.locate(row);
        self.tables[t].cell(r, column)
    }

    /// Cells of one row, up to the first that is wrong, in one pass over it: as [`Table::cells`] says.
    pub fn cells(&self, row: usize, columns: &[usize]) -> Vec<Result<Input<'_>>> {
        let (t, r) = self.locate(row);
        self.tables[t].cells(r, columns)
    }

    /// A cell that must be text.
    pub fn text(&self, row: usize, column: usize) -> Result<Cow<'_, str>> {
        self.as_text(row, column, self.cell(row, column)?)
    }

    fn as_text<'i>(&self, row: usize, column: usize, cell: Input<'i>) -> Result<Cow<'i, str>> {
        match cell {
            Input::Text(t) => Ok(t),
            other => {
                let what = format!(
                    "expected text in the column `{}`, found {}",
                    self.columns()[column],
                    other.kind()
                );
                Err(self.wrong(row, column, what))
            }
        }
    }

    /// Where a row stands, for errors.
    pub fn place(&self, row: usize) -> String {
        let (t, r) = self.locate(row);
        self.tables[t].place(r)
    }

    /// An error in one cell: `reviews.csv:4812:17: ...`.
    pub fn wrong(&self, row: usize, column: usize, what: impl std::fmt::Display) -> Error {
        let (t, r) = self.locate(row);
        Error::msg(format!("{}: {what}", self.tables[t].place_of(r, column)))
    }

    /// The row's own name, or its number in its file, from 0; with several files the file's number goes before it.
    pub fn id(&self, row: usize) -> String {
        let (t, r) = self.locate(row);
        if let Some(own) = self.tables[t].id(r) {
            return own;
        }
        if self.tables.len() == 1 {
            r.to_string()
        } else {
            format!("{t}:{r}")
        }
    }

    /// The class name in a label cell; an empty one is an error at its place.
    pub fn name(&self, row: usize, column: usize) -> Result<String> {
        let cell = self.cell(row, column)?;
        if let Input::Features(values) = &cell {
            let what = format!(
                "the label in `{}` is a vector (of {}); give one number or name a row: in NumPy an array of one dimension, `label.ravel()`",
                self.columns()[column],
                values.len()
            );
            return Err(self.wrong(row, column, what));
        }
        let text = self.as_text(row, column, cell)?;
        match text.trim() {
            "" => Err(self.wrong(
                row,
                column,
                "the label is empty; write one, or take the row out",
            )),
            name => Ok(name.to_string()),
        }
    }

    /// The label column as class names, a row each.
    pub fn names(&self, column: usize) -> Result<Vec<String>> {
        (0..self.len()).map(|row| self.name(row, column)).collect()
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
    let places: BTreeMap<&str, u32> = (0u32..)
        .zip(classes.iter())
        .map(|(i, c)| (c.as_str(), i))
        .collect();
    let find = |(row, n): (usize, &String)| {
        let place = places.get(n.as_str()).copied();
        place.ok_or_else(|| (row, n.clone()))
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

    fn place(&self, row: usize) -> String {
        self.rows.place(row)
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

    /// A column of whole vectors is not the only one that is taken.
    fn beside(&self, row: usize, vector: usize) -> Error {
        let names = self.rows.columns();
        let others = self.columns.iter().filter(|&&c| c != vector);
        let others: Vec<String> = others.map(|&c| format!("{:?}", names[c])).collect();
        self.rows.wrong(
            row,
            vector,
            format!(
                "`{}` is a vector beside other columns, and is taken alone: leave them out, `without = [{}]`",
                names[vector],
                others.join(", ")
            ),
        )
    }
}

impl Samples for Features {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn id(&self, row: usize) -> String {
        self.rows.id(row)
    }

    fn place(&self, row: usize) -> String {
        self.rows.place(row)
    }

    fn input(&self, row: usize) -> Result<Input<'_>> {
        if let [column] = self.columns[..]
            && let Input::Features(f) = self.rows.cell(row, column)?
        {
            return Ok(Input::Features(f));
        }
        let cells = self.rows.cells(row, &self.columns).into_iter();
        let numbers = self.columns.iter().zip(cells).map(|(&c, cell)| {
            let cell = cell?;
            if let Input::Features(_) = cell {
                return Err(self.beside(row, c));
            }
            let text = self.rows.as_text(row, c, cell)?;
            let value = number(text.trim(), &self.rows.columns()[c]);
            value.map_err(|what| self.rows.wrong(row, c, what))
        });
        Ok(Input::Features(Cow::Owned(numbers.collect::<Result<_>>()?)))
    }
}

/// The number that a cell of a feature column holds; the error says what stands there instead.
fn number(text: &str, column: &str) -> std::result::Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        // `inf` and `NaN`, however they are written, have no digit.
        Ok(_) if text.contains(|c: char| c.is_ascii_digit()) => Err(format!(
            "`{text}` is too large: a feature is a number of 32 bits, up to 3.4e38; scale the column"
        )),
        Ok(_) => Err(format!(
            "`{text}` is no number to learn from; write a finite one, or take the row out"
        )),
        Err(_) if text.is_empty() => Err(format!(
            "the value of `{column}` is missing; write a number, or take the row out"
        )),
        Err(_) => Err(format!("`{text}` is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two columns of vectors beside one of numbers, as in an `.npz`.
    struct Vectors(Vec<String>);

    impl Table for Vectors {
        fn columns(&self) -> &[String] {
            &self.0
        }

        fn rows(&self) -> usize {
            1
        }

        fn cell(&self, _: usize, column: usize) -> Result<Input<'_>> {
            Ok(match column {
                0 => Input::Features(Cow::Borrowed(&[1.0, 2.0])),
                1 => Input::Features(Cow::Borrowed(&[3.0])),
                _ => Input::Text("7".into()),
            })
        }

        fn place(&self, row: usize) -> String {
            format!("row {row}")
        }
    }

    /// What is wrong is the column, and it is named.
    #[test]
    fn a_vector_where_one_value_is_wanted_is_named() {
        let names = ["features", "label", "index"].map(String::from);
        let rows = Rows::new(vec![Arc::new(Vectors(names.to_vec()))]).unwrap();
        let error = rows.name(0, 1).unwrap_err().to_string();
        assert!(
            error.starts_with("row 0: the label in `label` is a vector (of 1)"),
            "{error}"
        );
        let columns = vec![0, 2];
        let features = Features {
            rows: rows.clone(),
            columns,
        };
        let error = features.width().unwrap_err().to_string();
        assert!(
            error.starts_with("row 0: `features` is a vector beside other columns")
                && error.ends_with("`without = [\"index\"]`"),
            "{error}"
        );
        let error = rows.text(0, 0).unwrap_err().to_string();
        assert!(error.contains("in the column `features`"), "{error}");
    }

    #[test]
    fn classes_are_sorted_by_number_or_by_letter() {
        let names =
            |n: &[&str]| class_names(n.iter().map(|s| s.to_string()).collect::<Vec<_>>().iter());
        assert_eq!(names(&["10", "9", "-1", "9"]), ["-1", "9", "10"]);
        assert_eq!(names(&["b", "10", "a"]), ["10", "a", "b"]);
    }
}
