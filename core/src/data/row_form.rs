//! What a row is made of, so that a model can be given rows long after its training data is gone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{Features, Rows, Texts};
use super::keys::{Form, IMAGE_COLUMNS};
use super::pictures::Images;
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
    /// The image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
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
    /// The side of drawn scenes, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene_size: Option<usize>,
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
    /// The image's column.
    pub image: Option<Column>,
}

/// Columns that an error lists; vectors have hundreds.
const LISTED: usize = 12;

fn quoted(names: &[String]) -> String {
    let some = names.iter().take(LISTED).map(|c| format!("`{c}`"));
    let list = some.collect::<Vec<_>>().join(", ");
    match names.len() {
        0..=LISTED => list,
        n => format!("{list} and {} more", n - LISTED),
    }
}

fn listed(there: &[String]) -> String {
    format!("the data has {}", quoted(there))
}

fn asked(there: &[String], column: &Column) -> Result<usize> {
    let found = match column {
        Column::Number(n) if (1..=there.len()).contains(n) => Some(n - 1),
        Column::Number(_) => None,
        Column::Name(name) => there.iter().position(|c| c == name),
    };
    found.ok_or_else(|| {
        let what = match column {
            Column::Number(n) => n.to_string(),
            Column::Name(n) => format!("`{n}`"),
        };
        Error::msg(format!("there is no column {what}; {}", listed(there)))
    })
}

/// The rows of a table as a model takes them.
pub struct Found {
    /// The inputs.
    pub inputs: Arc<dyn Samples>,
    /// The rows they come from.
    pub rows: Rows,
    /// The label's column, where there is one.
    pub label: Option<usize>,
    /// The column that was taken for the text though it has another name than the run's.
    pub taken: Option<String>,
}

/// A name of more words than this is a sentence: a row of a file that has no names.
const WORDS: usize = 4;

impl RowForm {
    /// How to open a file of such rows.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            header: self.header,
            min_width: self.width,
            index_base: self.index_base,
            drawn_side: self.scene_size.unwrap_or(ReadOptions::DRAWN_SIDE),
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
        let listed = || listed(&there);
        let asked = |column: &Column| asked(&there, column);
        self.fits(named)?;
        let label = self.label(&there, named)?;
        let rows = Rows::new(tables)?;
        if self.form == Form::Features {
            let label = label.filter(|_| !self.all_features(&there, named));
            let columns = self.vector(&there, label)?;
            if let Some(column) = label.filter(|l| columns.contains(l)) {
                return Err(Error::msg(format!(
                    "the label's column, `{}`, is one that the model takes",
                    there[column]
                )));
            }
            let inputs = Arc::new(Features {
                columns,
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
                taken: None,
            });
        }
        if self.form == Form::Images {
            let image = self.image(&there, named)?;
            return Ok(Found {
                inputs: Arc::new(Images {
                    rows: rows.clone(),
                    image,
                }),
                rows,
                label,
                taken: None,
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
                // Columns by number: the only one is where the label was.
                [] if there.len() == 1 && named.label.is_none() && !self.header => Some(0),
                _ => None,
            }
        };
        let own = || self.text.as_deref().and_then(at).or_else(|| at("text"));
        let mut taken = None;
        let text = match &named.text {
            Some(column) => asked(column)?,
            None => match own().or_else(rest) {
                Some(text) if own().is_some() || !self.header => text,
                Some(text) if there[text].split_whitespace().count() > WORDS => {
                    return Err(Error::msg(format!(
                        "the first line names the columns, and this one would be called `{}`; if it is a row, `--no-header` says so, else `--column` names the text",
                        there[text]
                    )));
                }
                Some(text) => {
                    taken = Some(there[text].clone());
                    text
                }
                None => {
                    let was = self.text.as_deref().unwrap_or("text");
                    return Err(Error::msg(format!(
                        "which column is the text? The run's was `{was}`, and {}; `--column` names it",
                        listed()
                    )));
                }
            },
        };
        // A number that was the label's may be another's in a file without labels.
        let free = named.label.is_none() && !self.header;
        let label = label.filter(|&l| !(free && (l == text || Some(l) == pair)));
        // As in a recipe. What a person names wins nothing by being the answer, or the other text.
        let named_one = named.text.is_some() || named.pair.is_some() || named.label.is_some();
        let same = [
            ("text", Some(text), "label", label),
            ("text", Some(text), "pair", pair),
            ("pair", pair, "label", label),
        ];
        let same = same.into_iter().find(|(_, a, _, b)| a.is_some() && a == b);
        if let (Some((one, at, other, _)), true) = (same, named_one) {
            let column = at.and_then(|c| there.get(c)).cloned().unwrap_or_default();
            return Err(Error::msg(format!(
                "{one} and {other} are the same column, `{column}`; {}",
                listed()
            )));
        }
        Ok(Found {
            inputs: Arc::new(Texts {
                rows: rows.clone(),
                text,
                pair,
            }),
            rows,
            label,
            taken,
        })
    }

    /// What a person names is of what the model takes.
    fn fits(&self, named: &Named) -> Result<()> {
        let what = match self.form {
            Form::Features if named.text.is_some() || named.pair.is_some() => {
                "the model takes vectors, by the names of their columns; `--column` and `--pair` are for texts and images"
            }
            Form::Images if named.pair.is_some() => {
                "the model takes images; `--pair` is for pairs of texts"
            }
            Form::Text | Form::PlainText if named.pair.is_some() && self.pair.is_none() => {
                "the model takes single texts; `--pair` is for one that takes pairs"
            }
            _ => return Ok(()),
        };
        Err(Error::msg(what))
    }

    /// The label's column, where there is one.
    fn label(&self, there: &[String], named: &Named) -> Result<Option<usize>> {
        let at = |name: &str| there.iter().position(|c| c == name);
        match &named.label {
            Some(column) => asked(there, column).map(Some),
            None => Ok(self.label.as_deref().and_then(at).or_else(|| at("label"))),
        }
    }

    /// The image's column: the run's own, one of the usual names, or the only one that is not the label.
    pub(super) fn image(&self, there: &[String], named: &Named) -> Result<usize> {
        let label = self.label(there, named)?;
        let at = |name: &str| there.iter().position(|c| c == name);
        if let Some(column) = &named.image {
            return asked(there, column);
        }
        let rest: Vec<usize> = (0..there.len()).filter(|&c| Some(c) != label).collect();
        let only = match rest[..] {
            [only] => Some(only),
            _ => None,
        };
        let own = self.image.as_deref().and_then(at);
        let usual = || IMAGE_COLUMNS.iter().find_map(|n| at(n));
        own.or_else(usual).or(only).ok_or_else(|| {
            let was = self.image.as_deref().unwrap_or("image");
            Error::msg(format!(
                "which column is the image? The run's was `{was}`, and {}; `--column` names it",
                listed(there)
            ))
        })
    }

    /// Whether a file whose columns are numbers has as many as the model takes, and so none for a label.
    fn all_features(&self, there: &[String], named: &Named) -> bool {
        !self.header && named.label.is_none() && there.len() == self.features.len()
    }

    /// The columns of a vector: by the run's names; all but the label's, in their order, where nothing has a name.
    fn vector(&self, there: &[String], label: Option<usize>) -> Result<Vec<usize>> {
        // Numbers are places and no names: where as many columns are left as the model takes, they are these in their order, wherever the label stands.
        let rest = || (0..there.len()).filter(|&c| Some(c) != label);
        if !self.header && rest().count() == self.features.len() {
            return Ok(rest().collect());
        }
        let found: Vec<Option<usize>> = self
            .features
            .iter()
            .map(|name| there.iter().position(|c| c == name))
            .collect();
        if found.iter().all(Option::is_none) {
            let rest: Vec<usize> = (0..there.len()).filter(|&c| Some(c) != label).collect();
            // What has no names, or is one vector, is taken by its place.
            if !self.header || rest.len() == 1 || self.features.len() == 1 {
                return Ok(rest);
            }
            return Err(Error::msg(format!(
                "the model takes the columns {}, and {}; if the first line is a row, `--no-header` says so, and the columns are taken in their order",
                quoted(&self.features),
                listed(there)
            )));
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
