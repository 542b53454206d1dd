//! Reads the data keys of `[target]` and `[source]`: files, columns, splits, limits. Opens the files, so that a column that
//! is not there is an error in the recipe, before anything is loaded.
//!
//! - `written`: what the recipe says
//! - `columns`: which column is what
//! - `open`: names to tables
//! - `scan`: the one pass over every row
//! - `gather`: limits, splits, rows that are dropped; what stops a run

mod columns;
mod gather;
mod open;
mod scan;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::columns::{Features, Rows, Texts};
use super::labels::{Domain, Labels};
use super::pictures::Images;
use super::row_form::RowForm;
use super::table::Samples;
use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::recipe::Keys;
use crate::registry::{Context, SavedData};
use crate::{Error, Result};

use columns::Columns;
pub(super) use columns::IMAGE_COLUMNS;
pub use open::{open_rows, open_tables};
pub(crate) use scan::Scanned;

/// The split of a cross-validation that runs every fold: the rows that these deal among them.
pub const DEALT: &str = "folds";

/// What a task makes of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `text` (and `pair`), and `label`.
    Text,
    /// `text` alone: the task makes its own targets.
    PlainText,
    /// Every column that is not the label.
    Features,
    /// `image`, which is the bytes of a file or a path to one, and `label`.
    Images,
}

/// A table of data, by split.
pub struct DataKeys {
    splits: BTreeMap<&'static str, Part>,
    classes: Arc<Vec<String>>,
    form: Form,
    domain: String,
    source: String,
    digest: String,
    header: bool,
    index_base: Option<u32>,
    scene_size: Option<usize>,
    /// What a model that is made again knows of rows it does not have.
    saved: Option<RowForm>,
    audit: Audit,
}

/// The rows of one split.
struct Part {
    rows: Rows,
    labels: Option<Labels>,
    columns: Columns,
}

impl DataKeys {
    /// Reads `[target]`'s data keys and, where the target's labels are sealed, those of the labelled source domain that stand in `[source]`
    /// ([`Context::source_keys`]). `None` after an error was noted, or on a blank recipe.
    ///
    /// The splits: `train`, `validation` and `test`; in a transductive recipe `source`, `source-validation` (not for a closed form, which
    /// learns from all rows), `unlabelled`, `validation`, `test`, and `target-labels`: the rows of `unlabelled` with their labels, where they have any. Where every fold of a
    /// cross-validation is to be run, also [`DEALT`].
    pub fn target(keys: &Keys, cx: &Context, form: Form) -> Option<DataKeys> {
        if let Some(saved) = &cx.saved {
            return Some(Self::of_saved(saved, form));
        }
        if cx.transductive {
            let said = "the target's labels are sealed in a transductive recipe";
            if keys.has("train") {
                keys.forgive("unlabelled");
            }
            keys.refuse("train", said).help("write `unlabelled` for the rows to adapt on, or `kind = \"inductive\"` to learn from their labels");
            keys.refuse("per_class", said)
                .help("write `limit`, which takes the first rows whatever their class");
        } else {
            keys.refuse(
                "unlabelled",
                "an inductive recipe learns from labelled target rows",
            )
            .help("write `train`, or `kind = \"transductive\"` to adapt without labels");
        }
        gather::read(keys, cx, form)
    }

    /// No rows, and what is known of them: for a model that is made again.
    fn of_saved(saved: &SavedData, form: Form) -> DataKeys {
        DataKeys {
            splits: BTreeMap::new(),
            classes: saved.classes.clone(),
            form,
            domain: String::new(),
            source: String::new(),
            digest: String::new(),
            header: saved.rows.header,
            index_base: saved.rows.index_base,
            scene_size: saved.rows.scene_size,
            saved: Some(saved.rows.clone()),
            audit: Audit::default(),
        }
    }

    /// The classes' names.
    pub fn classes(&self) -> &Arc<Vec<String>> {
        &self.classes
    }

    /// A hash of every input and label that the run may use.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What was found in the rows before training.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// How wide the feature vectors are.
    pub fn width(&self) -> Result<usize> {
        if let Some(saved) = &self.saved {
            return Ok(saved.width);
        }
        let part = self
            .splits
            .values()
            .next()
            .ok_or_else(|| Error::msg("no data"))?;
        Features {
            rows: part.rows.clone(),
            columns: part.columns.features.clone(),
        }
        .width()
    }

    /// What a row is made of, for whoever has rows later.
    pub fn row_form(&self) -> Result<RowForm> {
        if let Some(saved) = &self.saved {
            return Ok(saved.clone());
        }
        let first = ["train", "unlabelled"] // the target's
            .iter()
            .find_map(|n| self.splits.get(n));
        let part = first.ok_or_else(|| Error::msg("no data"))?;
        let names = part.rows.columns();
        let name = |c: usize| names.get(c).cloned();
        let vector = self.form == Form::Features;
        let image = self.form == Form::Images;
        Ok(RowForm {
            form: self.form,
            text: name(part.columns.input).filter(|_| !vector && !image),
            image: name(part.columns.input).filter(|_| image),
            pair: part.columns.pair.and_then(name),
            label: part.columns.label.and_then(name),
            features: part
                .columns
                .features
                .iter()
                .filter_map(|&c| name(c))
                .collect(),
            width: if vector { self.width()? } else { 0 },
            index_base: self.index_base,
            scene_size: self.scene_size,
            header: self.header,
            columns: (!self.header).then_some(names.len()),
        })
    }

    /// One split as a domain; rows without labels get class 0 of none.
    ///
    /// # Errors
    /// A label of `target-labels` cannot be read or is no class of the run: they are read when they are asked for, and not before.
    pub fn domain(&self, split: &str) -> Result<Option<Domain<Labels>>> {
        let name = match split {
            "target-labels" => "unlabelled",
            _ => split,
        };
        let Some(part) = self.splits.get(name) else {
            return Ok(None);
        };
        let labels = match (split, part.columns.label) {
            ("target-labels", None) => return Ok(None),
            ("target-labels", Some(column)) => {
                let names = part.rows.names(column)?;
                let labels = super::columns::index(&names, &self.classes);
                Some(labels.map_err(|(row, name)| {
                    let what = format!(
                        "the label `{name}` is not among the classes {}",
                        self.classes.join(", ")
                    );
                    part.rows.wrong(row, column, what)
                })?)
            }
            _ => part.labels.clone(),
        };
        let labels = labels.unwrap_or_else(|| Labels {
            classes: vec![0; part.rows.len()],
            names: self.classes.clone(),
        });
        Ok(Some(Domain {
            name: match split.starts_with("source") {
                true => self.source.clone(),
                false => self.domain.clone(),
            },
            inputs: samples(self.form, &part.rows, &part.columns),
            labels,
        }))
    }
}

/// Rows as a task sees them.
fn samples(form: Form, rows: &Rows, columns: &Columns) -> Arc<dyn Samples> {
    match form {
        Form::Features => Arc::new(Features {
            rows: rows.clone(),
            columns: columns.features.clone(),
        }),
        Form::Images => Arc::new(Images {
            rows: rows.clone(),
            image: columns.input,
        }),
        Form::Text | Form::PlainText => Arc::new(Texts {
            rows: rows.clone(),
            text: columns.input,
            pair: columns.pair,
        }),
    }
}
