//! What a row is made of, so that a model can be given rows long after its training data is gone.

use std::collections::BTreeMap;
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
    /// How many columns a file of the run had, where they are numbers: one with fewer may lack any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<usize>,
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

/// A column's number, where it has one for a name.
fn number(column: &Option<String>) -> Option<usize> {
    column.as_ref()?.parse().ok().filter(|&n| n > 0)
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
    ///
    /// # Errors
    /// The columns are not there. Numbers are places and no names, so a file that has fewer columns than the run's is refused where it cannot be told
    /// which one it lacks.
    pub fn find(&self, tables: Vec<Arc<dyn Table>>, named: &Named) -> Result<Found> {
        let there = tables.first().map_or(&[][..], |t| t.columns()).to_vec();
        if tables.iter().any(|t| t.columns() != there) {
            return Err(Error::msg("its files do not have the same columns"));
        }
        self.fits(named)?;
        let label = self.label(&there, named)?;
        let rows = Rows::new(tables)?;
        match self.form {
            Form::Features => self.vectors(rows, &there, named, label),
            Form::Images => Ok(Found {
                inputs: Arc::new(Images {
                    rows: rows.clone(),
                    image: self.image(&there, named)?,
                }),
                rows,
                label,
                taken: None,
            }),
            Form::Text | Form::PlainText => self.texts(rows, &there, named, label),
        }
    }

    fn vectors(
        &self,
        rows: Rows,
        there: &[String],
        named: &Named,
        label: Option<usize>,
    ) -> Result<Found> {
        // As many columns as the model takes leave none for a label.
        let bare = !self.header && named.label.is_none() && there.len() == self.features.len();
        let label = label.filter(|_| !bare);
        let columns = match self.is_numbered(there) {
            true => self.numbered_vector(there, named, label)?,
            false => self.named_vector(there, label)?,
        };
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
                listed(there)
            )));
        }
        Ok(Found {
            inputs,
            rows,
            label,
            taken: None,
        })
    }

    /// The columns of a vector in a file whose columns are numbers.
    fn numbered_vector(
        &self,
        there: &[String],
        named: &Named,
        label: Option<usize>,
    ) -> Result<Vec<usize>> {
        let own: Vec<&str> = self.features.iter().map(String::as_str).collect();
        // First: the run's own numbers.
        if let Some(columns) = self.by_number(there, &own, named, label) {
            return Ok(columns);
        }
        let rest: Vec<usize> = (0..there.len()).filter(|&c| Some(c) != label).collect();
        let as_many = rest.len() == own.len();
        // Second: in their order, where nothing stands among them that the run left out.
        if as_many && (there.len() == own.len() || self.nothing_else()) {
            return Ok(rest);
        }
        // Third: the run's vectors had no columns of their own, as in an `.npy`.
        if own.len() == 1 && self.width > 1 {
            return Ok(rest);
        }
        Err(Error::msg(format!(
            "the model was fitted on {}, and {}: which of these it takes cannot be told; give the file the run's columns in their places{}",
            self.fitted_on(&self.features),
            listed(there),
            match number(&self.label) {
                Some(label) =>
                    format!(", with anything in column {label} where there are no labels"),
                None => String::new(),
            }
        )))
    }

    /// The columns of a vector in a file whose columns have names.
    fn named_vector(&self, there: &[String], label: Option<usize>) -> Result<Vec<usize>> {
        // Vectors have tens of thousands of columns.
        let numbered = there.iter().enumerate().map(|(at, name)| (name, at));
        let places: BTreeMap<&String, usize> = numbered.collect();
        let at = |name: &String| places.get(name).copied();
        let found: Vec<Option<usize>> = self.features.iter().map(at).collect();
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

    fn texts(
        &self,
        rows: Rows,
        there: &[String],
        named: &Named,
        label: Option<usize>,
    ) -> Result<Found> {
        let (text, pair, taken) = self.text_columns(there, named, label)?;
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
                listed(there)
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

    /// The text's column and the second text's; and the name of the first where it was taken for being the only one.
    fn text_columns(
        &self,
        there: &[String],
        named: &Named,
        label: Option<usize>,
    ) -> Result<(usize, Option<usize>, Option<String>)> {
        let at = |name: &str| there.iter().position(|c| c == name);
        let numbered = self.is_numbered(there) && named.text.is_none();
        if numbered && let Some((text, pair)) = self.numbered_texts(there, named)? {
            return Ok((text, pair, None));
        }
        let pair = match (&named.pair, &self.pair) {
            (Some(column), _) => Some(asked(there, column)?),
            (None, Some(name)) => Some(at(name).ok_or_else(|| {
                Error::msg(format!(
                    "the model takes pairs of texts, and there is no column `{name}` for the second; {}",
                    listed(there)
                ))
            })?),
            (None, None) => None,
        };
        if let Some(column) = &named.text {
            return Ok((asked(there, column)?, pair, None));
        }
        // A number that is not there, or has moved, says that the file lacks columns: what is left may be any.
        let lacking = numbered && number(&self.text).is_some();
        if !lacking && let Some(text) = self.text.as_deref().and_then(at).or_else(|| at("text")) {
            return Ok((text, pair, None));
        }
        let mut rest = (0..there.len()).filter(|&c| Some(c) != label && Some(c) != pair);
        let only = match (rest.next(), rest.next()) {
            // Beside a label that a person names it is the text.
            (Some(only), None) if !lacking || named.label.is_some() => Some(only),
            // The only one is where the label was.
            (None, _) if there.len() == 1 && named.label.is_none() && !self.header => Some(0),
            _ => None,
        };
        let Some(text) = only else {
            let was = match lacking {
                true => self.fitted_on(self.text.as_slice()),
                false => format!("`{}`", self.text.as_deref().unwrap_or("text")),
            };
            return Err(Error::msg(format!(
                "which column is the text? The run's was {was}, and {}; `--column` names it",
                listed(there)
            )));
        };
        if !self.header {
            return Ok((text, pair, None));
        }
        if there[text].split_whitespace().count() > WORDS {
            return Err(Error::msg(format!(
                "the first line names the columns, and this one would be called `{}`; if it is a row, `--no-header` says so, else `--column` names the text",
                there[text]
            )));
        }
        Ok((text, pair, Some(there[text].clone())))
    }

    /// The columns of the texts in a file whose columns are numbers: by the run's own; in their order, where nothing else is there.
    fn numbered_texts(
        &self,
        there: &[String],
        named: &Named,
    ) -> Result<Option<(usize, Option<usize>)>> {
        let pair = named.pair.as_ref().map(|column| asked(there, column));
        let pair = pair.transpose()?;
        let own_pair = self.pair.as_deref().filter(|_| pair.is_none());
        let own: Vec<&str> = self.text.as_deref().into_iter().chain(own_pair).collect();
        if let Some(columns) = self.by_number(there, &own, named, None)
            && let Some(&text) = columns.first()
        {
            return Ok(Some((text, pair.or(columns.get(1).copied()))));
        }
        let bare = named.label.is_none() && there.len() == own.len();
        Ok(match (bare, number(&self.text), number(&self.pair)) {
            (true, ..) if own.len() == 1 => Some((0, pair)),
            (true, Some(text), Some(pair)) if text > pair => Some((1, Some(0))),
            (true, Some(_), Some(_)) => Some((0, Some(1))),
            _ => None,
        })
    }

    /// Whether a file has numbers for names of its columns, as where its first line is a row.
    fn is_numbered(&self, there: &[String]) -> bool {
        let counted = there.iter().zip(1usize..).all(|(c, n)| *c == n.to_string());
        !self.header && counted
    }

    /// Where the run's columns of these names stand in a file of numbers. `None` where one is not there, is the label's, or may be another than in the
    /// run's files: of a file with fewer columns the label's may be what is missing, and of one with its label elsewhere it has moved; then what
    /// stands behind it has another number.
    fn by_number(
        &self,
        there: &[String],
        own: &[&str],
        named: &Named,
        label: Option<usize>,
    ) -> Option<Vec<usize>> {
        let at = |name: &&str| {
            let number = name.parse::<usize>().ok();
            number
                .filter(|n| (1..=there.len()).contains(n))
                .map(|n| n - 1)
        };
        let found: Vec<usize> = own.iter().map(at).collect::<Option<_>>()?;
        let was = number(&self.label).map(|n| n - 1);
        let now = named.label.as_ref().and(label);
        let elsewhere = now.is_some() && now != was;
        let fewer = match self.columns {
            Some(n) if elsewhere => there.len() <= n,
            Some(n) if now.is_none() => there.len() < n,
            _ => false,
        };
        let first = [was, now].into_iter().flatten().min();
        let moved = |c: usize| fewer && first.is_some_and(|l| c >= l);
        let wrong = |&c: &usize| Some(c) == label || moved(c);
        (!found.iter().any(wrong)).then_some(found)
    }

    /// Whether the run's files had no columns but the features' and the label's. (Of names a run keeps no others, and a file without any has none but these.)
    fn nothing_else(&self) -> bool {
        let own = self.features.iter().chain(&self.label);
        let numbers: Option<Vec<usize>> = own.map(|c| c.parse().ok()).collect();
        numbers.is_none_or(|all| {
            let last = all.iter().max().copied().unwrap_or(0);
            self.columns.unwrap_or(last) == all.len()
        })
    }

    /// The run's columns, for an error: `the columns `3`, `4` of 6, with the label in `2``.
    fn fitted_on(&self, own: &[String]) -> String {
        let column = if own.len() == 1 { "column" } else { "columns" };
        let of = self.columns.map_or(String::new(), |n| format!(" of {n}"));
        let label = self.label.as_ref();
        let label = label.map_or(String::new(), |l| format!(", with the label in `{l}`"));
        format!("the {column} {}{of}{label}", quoted(own))
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
}
