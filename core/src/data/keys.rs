//! Reads the data keys of `[target]` and `[source]`: files, columns, splits, limits. Opens the files, so that a column that
//! is not there is an error in the recipe, before anything is loaded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::columns::{Features, Rows, Texts, class_names, index};
use super::labels::{Domain, Labels};
use super::resolve::{Blob, Found, note_unresolved};
use super::row_form::RowForm;
use super::split::stratified;
use super::table::{ReadOptions, Reader, Samples, Table};
use crate::random::Stream;
use crate::recipe::{At, Column, Keys};
use crate::registry::{Context, SavedData};
use crate::{Error, Result};

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
}

/// A table of data, by split.
pub struct DataKeys {
    splits: BTreeMap<&'static str, Part>,
    classes: Arc<Vec<String>>,
    form: Form,
    domain: String,
    digest: String,
    header: bool,
    index_base: Option<u32>,
    /// What a model that is made again knows of rows it does not have.
    saved: Option<RowForm>,
}

struct Part {
    rows: Rows,
    labels: Option<Labels>,
    columns: Columns,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Columns {
    text: usize,
    pair: Option<usize>,
    label: Option<usize>,
    features: Vec<usize>,
}

/// Columns by name or number, as the recipe says.
struct ColumnKeys {
    text: (Option<Column>, At),
    pair: (Option<Column>, At),
    label: (Option<Column>, At),
    header: bool,
}

impl DataKeys {
    /// Reads `[target]`'s data keys. `None` after an error was noted, or on a blank recipe.
    pub fn target(keys: &Keys, cx: &Context, form: Form) -> Option<DataKeys> {
        if let Some(saved) = &cx.saved {
            return Some(Self::of_saved(saved, form));
        }
        let names: &[&'static str] = match cx.transductive {
            true => &["unlabelled", "validation", "test"],
            false => &["train", "validation", "test"],
        };
        if cx.transductive {
            let said = "the target's labels are sealed in a transductive recipe";
            if keys.has("train") {
                keys.forgive("unlabelled");
            }
            keys.refuse("train", said).help("write `unlabelled` for the rows to adapt on, or `kind = \"inductive\"` to learn from their labels");
        } else {
            keys.refuse(
                "unlabelled",
                "an inductive recipe learns from labelled target rows",
            )
            .help("write `train`, or `kind = \"transductive\"` to adapt without labels");
        }
        Self::read(keys, cx, form, names)
    }

    /// Reads `[source]`'s data keys.
    pub fn source(keys: &Keys, cx: &Context, form: Form) -> Option<DataKeys> {
        if let Some(saved) = &cx.saved {
            return Some(Self::of_saved(saved, form));
        }
        Self::read(keys, cx, form, &["train", "validation"])
    }

    /// No rows, and what is known of them: for a model that is made again.
    fn of_saved(saved: &SavedData, form: Form) -> DataKeys {
        DataKeys {
            splits: BTreeMap::new(),
            classes: saved.classes.clone(),
            form,
            domain: String::new(),
            digest: String::new(),
            header: saved.rows.header,
            index_base: saved.rows.index_base,
            saved: Some(saved.rows.clone()),
        }
    }

    fn read(keys: &Keys, cx: &Context, form: Form, names: &[&'static str]) -> Option<DataKeys> {
        let main = names[0];
        let help = |n: &str| match n {
            "train" => "labelled rows to learn from",
            "unlabelled" => "rows to adapt on; their labels are never read",
            "validation" => "labelled rows that decide which epoch is kept",
            _ => "rows to report on",
        };
        let mut written = Vec::new();
        for &name in names {
            let key = keys
                .data(name)
                .help(help(name))
                .example("builtin:reviews/films/train");
            let values = match name == main {
                true => key.required(),
                false => key
                    .unset(if name == "validation" {
                        "a tenth of the training rows"
                    } else {
                        "no test"
                    })
                    .optional()
                    .unwrap_or_default(),
            };
            written.push((name, values));
        }
        let columns = ColumnKeys::read(keys, form);
        keys.reserved("scale", "scaling of features comes with domain adaptation");
        let domain = keys
            .string("domain")
            .help("a name for reports")
            .unset("the file's or folder's name")
            .optional();
        let limit = keys
            .usize("limit")
            .range(1..)
            .help("only the first rows of the training data")
            .unset("all")
            .optional();
        let per_class = keys
            .usize("per_class")
            .range(1..)
            .help("rows a class, drawn by split.seed")
            .unset("all")
            .optional();
        let split = keys.table("split");
        split.describe("how rows are set aside where no file is given");
        let validation = split
            .f64("validation")
            .range(0.0..0.9)
            .default(0.1, "a tenth, where no validation file is given")
            .help("share of the training rows")
            .read();
        let test = split
            .f64("test")
            .range(0.0..0.9)
            .default(0.0, "no test is split off")
            .help("share of the training rows")
            .read();
        let seed = split
            .u64("seed")
            .default(0u64, "the run's seed never moves the split")
            .help("of the split")
            .read();
        split.reserved("group", "grouped splits are not in this version");
        if keys.is_blank() {
            return None;
        }
        let mut opened = BTreeMap::new();
        let range = match form {
            Form::Features => index_range(&written, cx),
            _ => None,
        };
        // The width of the vectors and their columns' names, from the first file.
        let mut alike: Option<(usize, Vec<String>)> = None;
        let mut shut = false;
        for (name, values) in &written {
            if values.is_empty() {
                continue;
            }
            let options = ReadOptions {
                header: columns.header,
                min_width: range.map_or(0, |(_, width)| width),
                index_base: range.map(|(base, _)| base),
            };
            let tables: Vec<Option<Vec<_>>> = values
                .iter()
                .map(|(v, at)| open(keys, cx, v, at, &options))
                .collect();
            let tables: Option<Vec<Vec<_>>> = tables.into_iter().collect();
            let Some(tables) = tables else {
                // What is wrong with the other files is said in the same go.
                shut = true;
                continue;
            };
            let tables: Vec<_> = tables.into_iter().flatten().collect();
            let resolved: Option<Vec<Columns>> = tables
                .iter()
                .map(|(t, at)| columns.find(keys, t.as_ref(), at, form))
                .collect();
            let resolved = resolved?;
            if resolved.windows(2).any(|w| w[0] != w[1]) {
                keys.error(
                    tables[0].1.clone(),
                    "the files of a list must have the same columns",
                )
                .help("give each file its columns in one order");
                return None;
            }
            let columns = resolved.into_iter().next()?;
            let there = tables[0].0.columns().to_vec();
            let rows = Rows::new(tables.into_iter().map(|(t, _)| t).collect());
            if rows.is_empty() {
                keys.error(keys.at(name), format!("`{name}` has no rows"));
                return None;
            }
            if form == Form::Features {
                let f = Features {
                    rows: rows.clone(),
                    columns: columns.features.clone(),
                };
                let names = columns.features.iter().map(|&c| there[c].clone()).collect();
                let this = (noted(keys, name, f.width())?, names);
                match &alike {
                    None => alike = Some(this),
                    Some(first) if *first != this => {
                        keys.error(
                            keys.at(name),
                            format!("`{name}` does not have the columns of `{main}`"),
                        )
                        .help("give every file the same features, in one order");
                        return None;
                    }
                    Some(_) => {}
                }
            }
            opened.insert(*name, (rows, columns));
        }
        if shut {
            return None;
        }
        let (rows, found) = opened.get(main)?.clone();
        let mut data = DataKeys {
            splits: BTreeMap::new(),
            classes: Arc::default(),
            form,
            domain: domain.unwrap_or_else(|| stem(&written[0].1)),
            digest: String::new(),
            header: columns.header,
            index_base: range.map(|(base, _)| base),
            saved: None,
        };
        let sealed = main == "unlabelled";
        let mut rows = rows;
        if let Some(n) = limit {
            rows = rows.pick(&(0..rows.len().min(n) as u32).collect::<Vec<_>>());
        }
        let mut labels = None;
        if let Some(column) = found.label.filter(|_| !sealed) {
            let names = noted(keys, main, rows.names(column))?;
            data.classes = Arc::new(class_names(names.iter()));
            if data.classes.len() < 2 {
                let what = data.classes.first().cloned().unwrap_or_default();
                keys.error(keys.at(main), format!("every row has the label `{what}`"))
                    .help("a classifier needs two classes; is `label` the right column?");
                return None;
            }
            let all = index(&names, &data.classes).ok()?;
            let mut kept: Vec<u32> = (0..rows.len() as u32).collect();
            if let Some(n) = per_class {
                kept = draw(&all, n, seed);
            }
            rows = rows.pick(&kept);
            labels = Some(all.pick(&kept));
        }
        let has = |n: &str| opened.contains_key(n);
        // In a cross-validation the test is a part of the training rows; what is set aside as test, as file or as share, stays unseen.
        if let (Some(fold), Some(all)) = (cx.fold, &labels) {
            let rest = match has("test") {
                true => (0..rows.len() as u32).collect(),
                false => stratified(all, 0.0, test, seed).train,
            };
            let (pool, pooled) = (rows.pick(&rest), all.pick(&rest));
            let parts = fold.part(&pooled, seed);
            let part = Part {
                rows: pool.pick(&parts.test),
                labels: Some(pooled.pick(&parts.test)),
                columns: found.clone(),
            };
            data.splits.insert("test", part);
            rows = pool.pick(&parts.train);
            labels = Some(pooled.pick(&parts.train));
            opened.remove("test");
        }
        let has = |n: &str| opened.contains_key(n) || data.splits.contains_key(n);
        let (want_validation, want_test) = (
            if has("validation") || sealed {
                0.0
            } else {
                validation
            },
            if has("test") { 0.0 } else { test },
        );
        if want_validation + want_test > 0.0 {
            let one = Labels {
                classes: vec![0; rows.len()],
                names: Arc::new(vec![String::new()]),
            };
            let parts = stratified(
                labels.as_ref().unwrap_or(&one),
                want_validation,
                want_test,
                seed,
            );
            for (name, part) in [("validation", &parts.validation), ("test", &parts.test)] {
                if !part.is_empty() {
                    let part = Part {
                        rows: rows.pick(part),
                        labels: labels.as_ref().map(|l| l.pick(part)),
                        columns: found.clone(),
                    };
                    data.splits.insert(name, part);
                }
            }
            labels = labels.map(|l| l.pick(&parts.train));
            rows = rows.pick(&parts.train);
        }
        data.splits.insert(
            main,
            Part {
                rows,
                labels,
                columns: found,
            },
        );
        for (name, (rows, columns)) in opened {
            if name == main {
                continue;
            }
            let labels = match columns.label {
                Some(column) if form != Form::PlainText => {
                    let names = noted(keys, name, rows.names(column))?;
                    if data.classes.is_empty() {
                        data.classes = Arc::new(class_names(names.iter()));
                    }
                    match index(&names, &data.classes) {
                        Ok(l) => Some(l),
                        Err((row, label)) => {
                            keys.error(
                                keys.at(name),
                                format!(
                                    "{}: the label `{label}` is not among the training labels",
                                    rows.place(row)
                                ),
                            )
                            .note(format!("the classes are {}", data.classes.join(", ")));
                            return None;
                        }
                    }
                }
                _ => None,
            };
            data.splits.insert(
                name,
                Part {
                    rows,
                    labels,
                    columns,
                },
            );
        }
        data.digest = noted(keys, main, data.hash())?;
        Some(data)
    }

    /// The classes' names.
    pub fn classes(&self) -> &Arc<Vec<String>> {
        &self.classes
    }

    /// A hash of every input and label that the run may use.
    pub fn digest(&self) -> &str {
        &self.digest
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
        let first = ["train", "unlabelled"]
            .iter()
            .find_map(|n| self.splits.get(n));
        let part = first.ok_or_else(|| Error::msg("no data"))?;
        let names = part.rows.columns();
        let name = |c: usize| names.get(c).cloned();
        let vector = self.form == Form::Features;
        Ok(RowForm {
            form: self.form,
            text: name(part.columns.text).filter(|_| !vector),
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
            header: self.header,
        })
    }

    /// One split as a domain; rows without labels get class 0 of none.
    pub fn domain(&self, split: &str) -> Option<Domain<Labels>> {
        let part = self.splits.get(split)?;
        let labels = part.labels.clone().unwrap_or_else(|| Labels {
            classes: vec![0; part.rows.len()],
            names: self.classes.clone(),
        });
        Some(Domain {
            name: self.domain.clone(),
            inputs: self.samples(part),
            labels,
        })
    }

    fn samples(&self, part: &Part) -> Arc<dyn Samples> {
        match self.form {
            Form::Features => Arc::new(Features {
                rows: part.rows.clone(),
                columns: part.columns.features.clone(),
            }),
            _ => Arc::new(Texts {
                rows: part.rows.clone(),
                text: part.columns.text,
                pair: part.columns.pair,
            }),
        }
    }

    fn hash(&self) -> Result<String> {
        let mut sha = Sha256::new();
        for (name, part) in &self.splits {
            sha.update(name.as_bytes());
            let samples = self.samples(part);
            for row in 0..samples.len() {
                match samples.input(row)? {
                    super::Input::Text(t) => sha.update(t.as_bytes()),
                    super::Input::Pair(a, b) => {
                        sha.update(a.as_bytes());
                        sha.update([1]);
                        sha.update(b.as_bytes());
                    }
                    super::Input::Image(b) => sha.update(&b),
                    super::Input::Features(f) => f.iter().for_each(|v| sha.update(v.to_le_bytes())),
                }
                sha.update([0]);
                if let Some(l) = &part.labels {
                    sha.update(l.classes[row].to_le_bytes());
                }
            }
        }
        Ok(crate::hex(&sha.finalize()))
    }
}

impl ColumnKeys {
    fn read(keys: &Keys, form: Form) -> Self {
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

    /// The columns of a table; an error at the key that names one that is not there.
    fn find(&self, keys: &Keys, table: &dyn Table, at: &At, form: Form) -> Option<Columns> {
        let there = table.columns();
        let listed = || {
            format!(
                "it has {}",
                there
                    .iter()
                    .map(|c| format!("`{c}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        let named = |(column, place): &(Option<Column>, At)| -> Option<Option<usize>> {
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
                        .also(at.clone(), listed());
                    None
                }
            }
        };
        let mut out = Columns {
            label: named(&self.label)?,
            pair: named(&self.pair)?,
            ..Columns::default()
        };
        let mut text = named(&self.text)?;
        if form != Form::PlainText && out.label.is_none() {
            out.label = there.iter().position(|c| c == "label");
            if out.label.is_none() {
                keys.error(at.clone(), "which column is the label?")
                    .label(listed())
                    .help("name it: `label = \"...\"`, or its number where `header = false`");
                return None;
            }
        }
        if form == Form::Features {
            out.features = (0..there.len()).filter(|&c| Some(c) != out.label).collect();
            return Some(out);
        }
        if text.is_none() {
            text = there.iter().position(|c| c == "text");
        }
        if text.is_none() {
            let rest: Vec<usize> = (0..there.len())
                .filter(|&c| Some(c) != out.label && Some(c) != out.pair)
                .collect();
            text = if let [only] = rest[..] {
                Some(only)
            } else {
                None
            };
        }
        let Some(text) = text else {
            keys.error(at.clone(), "which column is the text?")
                .label(listed())
                .help("name it: `text = \"...\"`");
            return None;
        };
        if Some(text) == out.label {
            keys.conflict(
                &[
                    (self.text.1.clone(), "the text"),
                    (self.label.1.clone(), "the label"),
                ],
                "text and label are the same column",
            );
            return None;
        }
        out.text = text;
        Some(out)
    }
}

/// The tables that a data value names: one, or the shards of a data set's split.
fn open(
    keys: &Keys,
    cx: &Context,
    name: &str,
    at: &At,
    options: &ReadOptions,
) -> Option<Vec<(Arc<dyn Table>, At)>> {
    let tables = open_tables(cx, name, options)
        .map_err(|e| note_unresolved(keys, at.clone(), &e))
        .ok()?;
    Some(tables.into_iter().map(|t| (t, at.clone())).collect())
}

/// Opens the files of rows that a name stands for, each with whichever reader reads its kind.
pub fn open_tables(cx: &Context, name: &str, options: &ReadOptions) -> Result<Vec<Arc<dyn Table>>> {
    let found = find(cx, name)?;
    let tables = found
        .iter()
        .map(|(name, blob, reader)| reader.open(name, blob, options));
    tables.collect()
}

/// The files that a data value names, with a name for errors and a reader each.
fn find<'c>(cx: &'c Context, name: &str) -> Result<Vec<(String, Blob, &'c Arc<dyn Reader>)>> {
    let named = |blob| vec![(name.to_string(), blob)];
    let files = match cx.resolve.resolve(name, &cx.folder)? {
        Found::File(b) => named(b),
        Found::Files(files) => files
            .into_iter()
            .map(|(name, path)| (name, Blob::Path(path)))
            .collect(),
        Found::Folder(_) if name.starts_with("hf:") => {
            return Err(Error::msg(format!(
                "`{name}` is a model; a split of a data set is written `hf:datasets/owner/name#train`"
            )));
        }
        Found::Folder(p) => {
            return Err(Error::msg(format!(
                "{} is a folder; a file of rows is wanted",
                p.display()
            )));
        }
        Found::Embedded(_) => return Err(Error::msg(format!("{name} is not a table of rows"))),
    };
    let read = files.into_iter().map(|(name, blob)| {
        let reader = reader(cx, &name, &blob)?;
        Ok((name, blob, reader))
    });
    read.collect()
}

fn reader<'c>(cx: &'c Context, name: &str, blob: &Blob) -> Result<&'c Arc<dyn Reader>> {
    let path = match blob {
        Blob::Path(p) => p.display().to_string(),
        // Embedded tables are tab-separated.
        Blob::Embedded(_) => format!("{name}.tsv"),
    };
    let ends = |r: &&Arc<dyn Reader>| {
        r.extensions()
            .iter()
            .any(|e| path.to_lowercase().ends_with(&format!(".{e}")))
    };
    cx.readers.iter().find(ends).ok_or_else(|| {
        let known: Vec<String> = cx
            .readers
            .iter()
            .flat_map(|r| r.extensions().iter().map(|e| format!(".{e}")))
            .collect();
        Error::msg(format!(
            "{path}: no reader for this kind of file; there are readers for {}",
            known.join(", ")
        ))
    })
}

/// Index base and width over all files of the recipe: svmlight says neither whether it counts from 0 or 1 nor how wide it is.
fn index_range(written: &[(&str, Vec<(String, At)>)], cx: &Context) -> Option<(u32, usize)> {
    let files = written.iter().flat_map(|(_, v)| v);
    let files = files.filter_map(|(name, _)| find(cx, name).ok()).flatten();
    let (lowest, highest) = files
        .filter_map(|(name, blob, reader)| reader.index_range(&name, &blob).ok()?)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let base = lowest.min(1);
    Some((base, (highest - base) as usize + 1))
}

/// `n` rows a class, in the order of the file.
fn draw(labels: &Labels, n: usize, seed: u64) -> Vec<u32> {
    let stream = Stream::new(seed).purpose("per_class");
    let mut kept = Vec::new();
    for class in 0..labels.names.len() as u32 {
        let rows: Vec<u32> = (0..labels.classes.len() as u32)
            .filter(|&r| labels.classes[r as usize] == class)
            .collect();
        kept.extend(
            stream
                .at(class.into())
                .permutation(rows.len())
                .into_iter()
                .take(n)
                .map(|i| rows[i as usize]),
        );
    }
    kept.sort_unstable();
    kept
}

fn noted<T>(keys: &Keys, name: &str, result: Result<T>) -> Option<T> {
    result
        .map_err(|e| keys.error(keys.at(name), e.to_string()))
        .ok()
}

fn stem(values: &[(String, At)]) -> String {
    let Some((name, _)) = values.first() else {
        return "data".into();
    };
    if let Some(rest) = name.strip_prefix("builtin:") {
        // `builtin:reviews/films/train` is the domain `films`.
        return rest.rsplit('/').nth(1).unwrap_or(rest).to_string();
    }
    if let Some(rest) = name.strip_prefix("hf:") {
        // `hf:datasets/stanfordnlp/sst2@main#train` is the domain `sst2`.
        let repository = rest.split(['@', '#']).next().unwrap_or(rest);
        return repository
            .rsplit('/')
            .next()
            .unwrap_or(repository)
            .to_string();
    }
    Path::new(name)
        .file_stem()
        .map_or_else(|| name.clone(), |s| s.to_string_lossy().into_owned())
}
