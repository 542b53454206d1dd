//! Which column is what: by name or number, as the recipe says, or by the usual names.

use super::Form;
use crate::data::Table;
use crate::recipe::{At, Column, Keys};

/// Columns by their place in a table, from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns {
    pub text: usize,
    pub pair: Option<usize>,
    pub label: Option<usize>,
    pub features: Vec<usize>,
}

/// Columns by name or number, as the recipe says.
pub(super) struct ColumnKeys {
    text: (Option<Column>, At),
    pair: (Option<Column>, At),
    label: (Option<Column>, At),
    pub header: bool,
}

impl ColumnKeys {
    pub fn read(keys: &Keys, form: Form) -> Self {
        let mut columns = ColumnKeys {
            text: (None, keys.here()),
            pair: (None, keys.here()),
            label: (None, keys.here()),
            header: true,
        };
        if form != Form::Features {
            columns.text = (
                keys.column("text")
                    .help("the text's column")
                    .unset("`text`, or the only one that is not the label")
                    .optional(),
                keys.at("text"),
            );
        }
        if form == Form::Text {
            columns.pair = (
                keys.column("pair")
                    .help("the second text's column")
                    .unset("single texts")
                    .optional(),
                keys.at("pair"),
            );
        }
        if form != Form::PlainText {
            columns.label = (
                keys.column("label")
                    .help("the label's column")
                    .unset("`label`")
                    .optional(),
                keys.at("label"),
            );
        }
        columns.header = keys
            .bool("header")
            .default(true, "the first line names the columns")
            .help("whether the first line names the columns")
            .read();
        columns
    }

    /// What these do not say is as in another table: the source domain's columns are the target's.
    pub fn or(mut self, keys: &Keys, other: &ColumnKeys) -> Self {
        for (mine, theirs) in [
            (&mut self.text, &other.text),
            (&mut self.pair, &other.pair),
            (&mut self.label, &other.label),
        ] {
            if mine.0.is_none() {
                *mine = theirs.clone();
            }
        }
        if !keys.has("header") {
            self.header = other.header;
        }
        self
    }

    /// The columns of a table; an error at the key that names one that is not there. `besides`: a column that is
    /// neither text nor feature, `split.group`. `labelled`: whether there must be labels.
    pub fn find(
        &self,
        keys: &Keys,
        table: &dyn Table,
        at: &At,
        form: Form,
        besides: Option<usize>,
        labelled: bool,
    ) -> Option<Columns> {
        let there = table.columns();
        // Sealed rows may come without any labels.
        let absent = matches!(&self.label.0, Some(Column::Name(n)) if !there.contains(n));
        let mut out = Columns {
            label: match absent && !labelled {
                true => None,
                false => named(keys, table, at, &self.label)?,
            },
            pair: named(keys, table, at, &self.pair)?,
            ..Columns::default()
        };
        let mut text = named(keys, table, at, &self.text)?;
        if form != Form::PlainText && out.label.is_none() {
            out.label = there.iter().position(|c| c == "label");
            if out.label.is_none() && labelled {
                keys.error(at.clone(), "which column is the label?")
                    .label(listed(table))
                    .help("name it: `label = \"...\"`, or its number where `header = false`");
                return None;
            }
        }
        if form == Form::Features {
            out.features = (0..there.len())
                .filter(|&c| Some(c) != out.label && Some(c) != besides)
                .collect();
            return Some(out);
        }
        if text.is_none() {
            text = there.iter().position(|c| c == "text");
        }
        if text.is_none() {
            let rest: Vec<usize> = (0..there.len())
                .filter(|&c| Some(c) != out.label && Some(c) != out.pair && Some(c) != besides)
                .collect();
            text = if let [only] = rest[..] {
                Some(only)
            } else {
                None
            };
        }
        let Some(text) = text else {
            keys.error(at.clone(), "which column is the text?")
                .label(listed(table))
                .help("name it: `text = \"...\"`");
            return None;
        };
        let same = [
            (
                Some(text),
                &self.text.1,
                "text",
                out.label,
                &self.label.1,
                "label",
            ),
            (
                Some(text),
                &self.text.1,
                "text",
                out.pair,
                &self.pair.1,
                "pair",
            ),
            (
                out.pair,
                &self.pair.1,
                "pair",
                out.label,
                &self.label.1,
                "label",
            ),
        ];
        for (one, one_at, one_is, other, other_at, other_is) in same {
            if one.is_some() && one == other {
                let (this, that) = (format!("the {one_is}"), format!("the {other_is}"));
                keys.conflict(
                    &[
                        (one_at.clone(), this.as_str()),
                        (other_at.clone(), that.as_str()),
                    ],
                    format!("{one_is} and {other_is} are the same column"),
                );
                return None;
            }
        }
        out.text = text;
        Some(out)
    }
}

/// The column that a key names, `Some(None)` where it is not written; an error at the key where it is not there.
pub(super) fn named(
    keys: &Keys,
    table: &dyn Table,
    at: &At,
    (column, place): &(Option<Column>, At),
) -> Option<Option<usize>> {
    let there = table.columns();
    match column {
        None => Some(None),
        Some(Column::Number(n)) if (1..=there.len()).contains(n) => Some(Some(n - 1)),
        Some(Column::Name(name)) if there.contains(name) => {
            Some(there.iter().position(|c| c == name))
        }
        Some(column) => {
            let what = match column {
                Column::Number(n) => format!("column {n}"),
                Column::Name(n) => format!("column `{n}`"),
            };
            keys.error(place.clone(), format!("the data has no {what}"))
                .also(at.clone(), listed(table));
            None
        }
    }
}

fn listed(table: &dyn Table) -> String {
    let names: Vec<String> = table.columns().iter().map(|c| format!("`{c}`")).collect();
    format!("it has {}", names.join(", "))
}
