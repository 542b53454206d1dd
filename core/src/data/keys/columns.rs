//! Which column is what: by name or number, as the recipe says, or by the usual names.

use super::Form;
use crate::data::Table;
use crate::recipe::{At, Column, Keys};

/// What columns of images are usually called; `image.bytes` is the hub's.
pub(in crate::data) const IMAGE_COLUMNS: [&str; 9] = [
    "image",
    "image.bytes",
    "img.bytes",
    "img",
    "path",
    "file",
    "file_name",
    "filename",
    "image.path",
];

/// What holds under `[source]` where a key of the data is not written there.
pub(super) const AS_IN_TARGET: &str = "as in [target]";

/// Columns by their place in a table, from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns {
    /// The text's, or the image's.
    pub input: usize,
    pub pair: Option<usize>,
    pub label: Option<usize>,
    pub features: Vec<usize>,
}

/// Columns by name or number, as the recipe says.
pub(super) struct ColumnKeys {
    /// `text`, or `image`.
    input: (Option<Column>, At),
    /// What the recipe calls it.
    noun: &'static str,
    pair: (Option<Column>, At),
    label: (Option<Column>, At),
    /// Columns that are no features.
    without: (Option<Vec<String>>, At),
    pub header: bool,
}

impl ColumnKeys {
    /// `target`: those of the target, where this is the source domain; what is not written here is as there.
    pub fn read(keys: &Keys, form: Form, target: Option<&ColumnKeys>) -> Self {
        let unset = |alone: &str| target.map_or(alone, |_| AS_IN_TARGET).to_string();
        let noun = match form {
            Form::Images => "image",
            _ => "text",
        };
        let mut columns = ColumnKeys {
            input: (None, keys.here()),
            noun,
            pair: (None, keys.here()),
            label: (None, keys.here()),
            without: (None, keys.here()),
            header: true,
        };
        if form != Form::Features {
            let help = match form {
                Form::Images => "the image's column: bytes, or paths relative to the file",
                _ => "the text's column",
            };
            columns.input = (
                keys.column(noun)
                    .help(help)
                    .unset(unset(&format!(
                        "`{noun}`, or the only one that is not the label"
                    )))
                    .optional(),
                keys.at(noun),
            );
        }
        if form == Form::Text {
            columns.pair = (
                keys.column("pair")
                    .help("the second text's column")
                    .unset(unset("single texts"))
                    .optional(),
                keys.at("pair"),
            );
        }
        if form != Form::PlainText {
            columns.label = (
                keys.column("label")
                    .help("the label's column")
                    .unset(unset("`label`"))
                    .optional(),
                keys.at("label"),
            );
        }
        if form == Form::Features {
            columns.without = (
                keys.one_or_more("without")
                    .help("columns that are no features: an id, a date")
                    .unset(unset("every column but the label is one"))
                    .optional(),
                keys.at("without"),
            );
        }
        let header = keys.bool("header");
        let header = match target {
            None => header.default(true, "the first line names the columns"),
            Some(target) => header
                .default(target.header, AS_IN_TARGET)
                .varies(AS_IN_TARGET),
        };
        columns.header = header
            .help("whether the first line names the columns")
            .read();
        match target {
            None => columns,
            Some(target) => columns.or(target),
        }
    }

    fn or(mut self, other: &ColumnKeys) -> Self {
        for (mine, theirs) in [
            (&mut self.input, &other.input),
            (&mut self.pair, &other.pair),
            (&mut self.label, &other.label),
        ] {
            if mine.0.is_none() {
                *mine = theirs.clone();
            }
        }
        if self.without.0.is_none() {
            self.without = other.without.clone();
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
        let absent = match &self.label.0 {
            Some(Column::Name(n)) => !there.contains(n),
            Some(Column::Number(n)) => *n > there.len(),
            None => false,
        };
        let mut out = Columns {
            label: match absent && !labelled {
                true => None,
                false => named(keys, table, at, &self.label)?,
            },
            pair: named(keys, table, at, &self.pair)?,
            ..Columns::default()
        };
        let mut input = named(keys, table, at, &self.input)?;
        if form != Form::PlainText && out.label.is_none() {
            out.label = there.iter().position(|c| c == "label");
            if out.label.is_none() && labelled {
                let flat = form == Form::Images && there.len() == 1;
                keys.error(at.clone(), "which column is the label?")
                    .label(match flat {
                        true => "it has images and no classes".to_string(),
                        false => listed(table),
                    })
                    .help(match flat {
                        true => "put the images into a folder a class, `photos/cat/1.jpg`, or write a CSV file with the columns `image` and `label`",
                        false => "name it: `label = \"...\"`, or its number where `header = false`",
                    });
                return None;
            }
        }
        if form == Form::Features {
            let without = self.without.0.as_deref().unwrap_or_default();
            if let Some(odd) = without.iter().find(|name| !there.contains(name)) {
                keys.error(
                    self.without.1.clone(),
                    format!("the data has no column `{odd}`"),
                )
                .also(at.clone(), listed(table));
                return None;
            }
            out.features = (0..there.len())
                .filter(|&c| Some(c) != out.label && Some(c) != besides)
                .filter(|&c| !without.contains(&there[c]))
                .collect();
            if out.features.is_empty() {
                keys.error(at.clone(), "no column is left as a feature")
                    .label(listed(table));
                return None;
            }
            return Some(out);
        }
        let usual: &[&str] = match form {
            Form::Images => &IMAGE_COLUMNS,
            _ => &["text"],
        };
        if input.is_none() {
            let place = |name: &&str| there.iter().position(|c| c == name);
            input = usual.iter().find_map(place);
        }
        if input.is_none() {
            let rest: Vec<usize> = (0..there.len())
                .filter(|&c| Some(c) != out.label && Some(c) != out.pair && Some(c) != besides)
                .collect();
            input = if let [only] = rest[..] {
                Some(only)
            } else {
                None
            };
        }
        let noun = self.noun;
        let Some(input) = input else {
            keys.error(at.clone(), format!("which column is the {noun}?"))
                .label(listed(table))
                .help(format!("name it: `{noun} = \"...\"`"));
            return None;
        };
        let same = [
            (
                Some(input),
                &self.input.1,
                noun,
                out.label,
                &self.label.1,
                "label",
            ),
            (
                Some(input),
                &self.input.1,
                noun,
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
        out.input = input;
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
        // On the hub an image is a group of its bytes and its path, and is called by the group's name.
        Some(Column::Name(name)) if within(there, name).is_some() => Some(within(there, name)),
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

/// The bytes of a group of this name.
fn within(columns: &[String], name: &str) -> Option<usize> {
    let bytes = columns.iter().map(|c| c.strip_suffix(".bytes"));
    bytes.into_iter().position(|group| group == Some(name))
}

fn listed(table: &dyn Table) -> String {
    let names: Vec<String> = table.columns().iter().map(|c| format!("`{c}`")).collect();
    format!("it has {}", names.join(", "))
}
