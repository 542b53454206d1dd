//! What a row is made of, so that a model can be given rows long after its training data is gone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{Features, Images, Rows, Texts};
use super::keys::Form;
use super::table::{ReadOptions, Samples, Table};
use crate::recipe::Column;
use crate::{Error, Result};

/// The columns that a run's rows had, by name; numbers from 1 where the files had no header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowForm {
    /// What the task makes of the columns.
    pub form: Form,
    /// The text's column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The second text's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// The label's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The columns that make a vector, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// How wide the vector is; 0 where there is none.
    #[serde(default)]
    pub width: usize,
    /// svmlight: the lowest index over the files of the run, which another file by itself may not show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_base: Option<u32>,
    /// Whether the first line of a file names the columns.
    pub header: bool,
}

/// Columns that a person names instead of the run's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The text's column.
    pub text: Option<Column>,
    /// The second text's.
    pub pair: Option<Column>,
    /// The label's.
    pub label: Option<Column>,
}

/// The rows of a table as a model takes them.
pub struct Found {
    /// The inputs.
    pub inputs: Arc<dyn Samples>,
    /// The rows they come from.
    pub rows: Rows,
    /// The label's column, where there is one.
    pub label: Option<usize>,
}

impl RowForm {
    /// How to open a file of such rows.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            header: self.header,
            min_width: self.width,
            index_base: self.index_base,
            ..ReadOptions::default()
        }
    }

    /// Finds the columns of one or more tables, taken end to end. The run's own names are tried first; a text may also be called `text`, or be the only
    /// column besides the label's. A label is found where there is one: only who needs it asks.
    pub fn find(&self, tables: Vec<Arc<dyn Table>>, named: &Named) -> Result<Found> {
        let there = tables.first().map_or(&[][..], |t| t.columns()).to_vec();
        if tables.iter().any(|t| t.columns() != there) {
            return Err(Error::msg("its files do not have the same columns"));
        }
        let at = |name: &str| there.iter().position(|c| c == name);
        let listed = || {
            let list: Vec<String> = there.iter().map(|c| format!("`{c}`")).collect();
            format!("the data has {}", list.join(", "))
        };
        let asked = |column: &Column| -> Result<usize> {
            match column {
                Column::Number(n) if (1..=there.len()).contains(n) => Ok(n - 1),
                Column::Name(name) if at(name).is_some() => Ok(at(name).unwrap_or(0)),
                Column::Number(n) => {
                    Err(Error::msg(format!("there is no column {n}; {}", listed())))
                }
                Column::Name(n) => Err(Error::msg(format!(
                    "there is no column `{n}`; {}",
                    listed()
                ))),
            }
        };
        let label = match &named.label {
            Some(column) => Some(asked(column)?),
            None => self.label.as_deref().and_then(at).or_else(|| at("label")),
        };
        let rows = Rows::new(tables)?;
        if self.form == Form::Features {
            let inputs = Arc::new(Features {
                columns: self.vector(&there, label)?,
                rows: rows.clone(),
            });
            let width = inputs.width()?;
            if width != self.width {
                return Err(Error::msg(format!(
                    "a row has {width} features, and the model takes {}; {}",
                    self.width,
                    listed()
                )));
            }
            return Ok(Found {
                inputs,
                rows,
                label,
            });
        }
        let pair = match (&named.pair, &self.pair) {
            (Some(column), _) => Some(asked(column)?),
            (None, Some(name)) => Some(at(name).ok_or_else(|| {
                Error::msg(format!(
                    "the model takes pairs of texts, and there is no column `{name}` for the second; {}",
                    listed()
                ))
            })?),
            (None, None) => None,
        };
        let rest = || {
            let rest: Vec<usize> = (0..there.len())
                .filter(|&c| Some(c) != label && Some(c) != pair)
                .collect();
            match rest[..] {
                [only] => Some(only),
                _ => None,
            }
        };
        let text = match &named.text {
            Some(column) => asked(column)?,
            None => self
                .text
                .as_deref()
                .and_then(at)
                .or_else(|| at(if self.form == Form::Image { "image" } else { "text" }))
                .or_else(rest)
                .ok_or_else(|| {
                    let was = self.text.as_deref().unwrap_or("text");
                    Error::msg(format!(
                        "which column is the text? The run's was `{was}`, and {}",
                        listed()
                    ))
                })?,
        };
        Ok(Found {
            inputs: match self.form {
                Form::Image => Arc::new(Images {
                    rows: rows.clone(),
                    column: text,
                }),
                _ => Arc::new(Texts {
                    rows: rows.clone(),
                    text,
                    pair,
                }),
            },
            rows,
            label,
        })
    }

    /// The columns of a vector: by the run's names, or all but the label's where none has its name.
    fn vector(&self, there: &[String], label: Option<usize>) -> Result<Vec<usize>> {
        let found: Vec<Option<usize>> = self
            .features
            .iter()
            .map(|name| there.iter().position(|c| c == name))
            .collect();
        if found.iter().all(Option::is_none) {
            return Ok((0..there.len()).filter(|&c| Some(c) != label).collect());
        }
        let pairs = self.features.iter().zip(found);
        pairs
            .map(|(name, at)| {
                at.ok_or_else(|| {
                    Error::msg(format!(
                        "there is no column `{name}`, which the model takes"
                    ))
                })
            })
            .collect()
    }
}
