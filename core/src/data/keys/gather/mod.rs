//! From open files to the parts of a run: limits, rows that are left out, splits, and what no run should go on with.

mod classes;
mod divide;
mod findings;
mod overlap;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::columns::Columns;
use super::open::{Opened, noted, open};
use super::scan::{Scanned, scan};
use super::written::{INDUCTIVE, SEALED, SOURCE, Written};
use super::{DEALT, DataKeys, Form, Part, samples};
use crate::Result;
use crate::audit::{self, Audit, Counts, Fill, Finding, Key, Overlap, Side};
use crate::data::columns::{Rows, class_names, index};
use crate::data::split::{Fold, Split, grouped, per_class, stratified};
use crate::data::{Labels, Likeness, Pictures, Samples, Shared};
use crate::recipe::{At, Keys};
use crate::registry::Context;

/// Broken images that an error names.
const LISTED: usize = 5;

/// Rows of one split, and what the pass over them left.
struct Rowed {
    name: &'static str,
    rows: Rows,
    columns: Columns,
    scanned: Scanned,
    labels: Option<Labels>,
}

/// Reads the data keys of a recipe. `None` after an error was noted, or on a blank recipe.
pub(super) fn read(keys: &Keys, cx: &Context, form: Form) -> Option<DataKeys> {
    let names = match cx.transductive {
        true => SEALED,
        false => INDUCTIVE,
    };
    let target = Written::read(keys, form, names, None);
    let source = cx.source_keys.as_ref();
    let source = source.map(|s| Written::read(s, form, SOURCE, Some(&target)));
    if keys.is_blank() {
        return None;
    }
    let mut tables: Vec<&Written> = source.iter().collect();
    tables.push(&target);
    let (opened, index_base) = open(keys, cx, form, &tables)?;
    // Said where the shares were read.
    if tables
        .iter()
        .any(|t| t.split.validation + t.split.test >= 1.0)
    {
        return None;
    }
    if !opened.iter().any(|(name, _)| *name == target.main()) {
        return None;
    }
    let gather = Gather {
        keys,
        form,
        sealed: cx.transductive,
        policy: cx.overlap,
        closed_form: cx.closed_form,
        fold: cx.fold,
        folds: cx.folds,
        dealt: RefCell::default(),
        target: &target,
        source: source.as_ref(),
        classes: cx.classes.clone(),
        pictures: cx.registry.pictures().filter(|_| form == Form::Images),
        shared: cx.registry.shared(),
        index_base,
    };
    gather.all(opened)
}

struct Gather<'a> {
    keys: &'a Keys,
    form: Form,
    /// The labels of the target's rows to learn from, and of its test rows, are not to be seen.
    sealed: bool,
    policy: Overlap,
    /// The method learns from all rows of the source: nothing of them is set aside to choose by.
    closed_form: bool,
    /// The part of a cross-validation that is tested.
    fold: Option<Fold>,
    /// How many parts, where each is a run of its own.
    folds: Option<usize>,
    /// The rows that these deal among them.
    dealt: RefCell<Option<Dealt>>,
    target: &'a Written,
    /// The labelled source domain's keys.
    source: Option<&'a Written>,
    /// The classes, where a finished run brings them.
    classes: Option<Arc<Vec<String>>>,
    /// Who opens images, where rows are images.
    pictures: Option<&'a Arc<dyn Pictures>>,
    /// What other recipes of one plan have looked through.
    shared: Option<&'a Shared>,
    /// svmlight: where the indices of all files count from.
    index_base: Option<u32>,
}

/// The rows of a cross-validation, and what was said of rows before they were dealt.
struct Dealt {
    rows: Rowed,
    audit: Audit,
    found: Vec<Finding>,
}

/// The rows of one domain: those to learn from, and the others.
struct Group<'a> {
    written: &'a Written,
    main: Rowed,
    others: Vec<Rowed>,
}

impl Gather<'_> {
    fn all(&self, opened: Vec<(&'static str, Opened)>) -> Option<DataKeys> {
        let mut audit = Audit::default();
        let mut found: Vec<Finding> = Vec::new();
        let mut sides = Vec::new();
        for (name, part) in opened {
            let side = self.scan(name, part)?;
            found.extend(self.noted(side.name, self.counting(&side))?);
            sides.push(self.without_broken(side, &mut audit, &mut found)?);
        }
        self.differ(&sides)?;
        let (of_source, of_target): (Vec<Rowed>, Vec<Rowed>) = sides
            .into_iter()
            .partition(|s| s.name.starts_with("source"));
        let mut source = self.source.and_then(|w| Group::of(w, of_source));
        let mut target = Group::of(self.target, of_target)?;
        let classes = self.classes(source.as_mut(), &mut target)?;
        // In a cross-validation a part of the training rows is the test; what was given as test stays unseen.
        if self.fold.is_some() {
            target.others.retain(|o| o.name != "test");
        }

        let mut parts: Vec<Rowed> = Vec::new();
        for group in source.into_iter().chain([target]) {
            let written = group.written;
            let group = self.arranged(group, &classes, &mut audit, &mut found)?;
            if written.tests_adapted {
                parts.push(Rowed {
                    name: "test",
                    ..group.main.pick(&all_rows(&group.main))
                });
            }
            parts.push(group.main);
            parts.extend(group.others);
        }
        if self.sealed {
            self.across(&mut parts, &mut audit, &mut found)?;
            if let Some(source) = parts.iter().find(|p| p.name == "source") {
                self.still_two_classes(source, &classes)?;
            }
            audit.tests_adapted = self.tests_adapted(&parts);
        }
        let mut in_folds = None;
        let audit = match self.dealt.take() {
            None => self.audited(&parts, audit, found)?,
            // A split that no fold has is nothing to speak of.
            Some(dealt) => {
                let given = self.target.files.iter();
                let given = given.filter(|(_, files)| !files.is_empty());
                let given: Vec<&str> = given.map(|(name, _)| *name).collect();
                let decides = |p: &&Rowed| p.name == "validation" && given.contains(&p.name);
                let decides = parts.iter().find(decides);
                let mut rows = vec![dealt.rows];
                rows.extend(decides.map(|d| d.pick(&all_rows(d))));
                let audit = self.audited(&rows, dealt.audit, dealt.found)?;
                in_folds = rows.into_iter().next().map(|rows| Rowed {
                    name: DEALT,
                    ..rows
                });
                audit
            }
        };

        // From here on nothing is found any more: the labels of sealed test rows are read, for the scores.
        let classes = self.open_sealed(&mut parts, classes)?;
        let digest = digest(&parts);
        parts.extend(in_folds);
        let splits = parts.into_iter().map(|p| {
            let part = Part {
                rows: p.rows,
                labels: p.labels,
                columns: p.columns,
            };
            (p.name, part)
        });
        let domain = |w: &Written| w.domain.clone().unwrap_or_else(|| stem(&w.files[0].1));
        Some(DataKeys {
            splits: splits.collect(),
            classes,
            form: self.form,
            domain: domain(self.target),
            source: self.source.map(domain).unwrap_or_default(),
            digest,
            header: self.target.columns.header,
            index_base: self.index_base,
            scene_size: (self.form == Form::Images).then_some(self.target.scene_size),
            saved: None,
            audit,
        })
    }

    /// The audit of these parts, to what was found while they were made.
    fn audited(&self, parts: &[Rowed], mut audit: Audit, mut found: Vec<Finding>) -> Option<Audit> {
        for part in parts {
            found.extend(self.noted(part.name, self.findings(part))?);
            audit.rows.insert(part.name, part.rows.len());
            if let Some(labels) = &part.labels {
                let counts = labels.names.iter().cloned().zip(labels.counts());
                audit.classes.insert(part.name, Counts(counts.collect()));
            }
        }
        found.extend(self.noted(self.target.main(), self.judged_twice(parts))?);
        found.extend(self.noted(self.target.main(), self.copies(parts))?);
        audit.add(found);
        Some(audit)
    }

    /// A domain's rows as the run uses them.
    fn arranged<'w>(
        &self,
        group: Group<'w>,
        classes: &[String],
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<Group<'w>> {
        let Group {
            written,
            main,
            mut others,
        } = group;
        let main = self.leave_out(main, &others, audit, found)?;
        let (main, split_off) = self.split(written, main, &others, audit, found)?;
        self.still_two_classes(&main, classes)?;
        others.extend(split_off);
        Some(Group {
            written,
            main,
            others,
        })
    }

    fn at(&self, name: &str) -> At {
        let source = self.source.and_then(|s| s.at(name));
        source
            .or_else(|| self.target.at(name))
            .unwrap_or_else(|| self.keys.at(name))
    }

    /// The keys of the table that a split stands in.
    fn written(&self, name: &str) -> &Written {
        let source = self.source.filter(|s| s.at(name).is_some());
        source.unwrap_or(self.target)
    }

    fn noted<T>(&self, name: &str, result: Result<T>) -> Option<T> {
        noted(self.keys, &self.at(name), result)
    }

    /// Reads every row of a split once.
    fn scan(&self, name: &'static str, part: Opened) -> Option<Rowed> {
        let written = self.written(name);
        let main = written.main() == name;
        let mut rows = part.rows;
        if let (Some(n), true) = (written.limit, main) {
            rows = rows.pick(&(0..rows.len().min(n) as u32).collect::<Vec<_>>());
        }
        let sealed = self.is_sealed(name);
        let label = part
            .columns
            .label
            .filter(|_| self.form != Form::PlainText && !sealed);
        let group = part.group.filter(|_| main);
        let pictures = self.pictures.map(AsRef::as_ref);
        if self.form == Form::Images && pictures.is_none() {
            self.keys
                .error(self.at(name), "nobody here opens images")
                .help("a plugin registers it: `Registry::set_pictures`");
            return None;
        }
        let fresh = || scan(self.form, &rows, &part.columns, label, group, pictures);
        let scanned = match self.shared {
            Some(shared) => {
                let limit = written.limit.filter(|_| main);
                let opener = self.pictures.map(|p| Arc::as_ptr(p).cast::<()>());
                let key = format!(
                    "{} {:?} {:?} {limit:?} {label:?} {group:?} {opener:?}",
                    part.shared, self.form, part.columns
                );
                shared.scan(&key, fresh).map(|s| s.as_ref().clone())
            }
            None => fresh(),
        };
        let scanned = self.noted(name, scanned)?;
        let (blank, n) = (scanned.empty(), rows.len());
        if blank * 2 > n {
            self.keys
                .error(
                    self.at(name),
                    format!("{blank} of {n} rows of `{name}` have no text"),
                )
                .help("is `text` the right column?");
            return None;
        }
        Some(Rowed {
            name,
            rows,
            columns: part.columns,
            scanned,
            labels: None,
        })
    }

    /// Whether nobody may see the labels of a split yet.
    fn is_sealed(&self, name: &str) -> bool {
        self.sealed && matches!(name, "unlabelled" | "test")
    }
}

impl<'a> Group<'a> {
    /// Rows of one table; `None` where it has none to learn from.
    fn of(written: &'a Written, sides: Vec<Rowed>) -> Option<Self> {
        let mut others = sides;
        let main = others.iter().position(|s| s.name == written.main())?;
        let main = others.remove(main);
        Some(Group {
            written,
            main,
            others,
        })
    }
}

fn all_rows(of: &Rowed) -> Vec<u32> {
    (0..of.rows.len() as u32).collect()
}

impl Rowed {
    fn pick(&self, rows: &[u32]) -> Rowed {
        Rowed {
            name: self.name,
            rows: self.rows.pick(rows),
            columns: self.columns.clone(),
            scanned: self.scanned.pick(rows),
            labels: self.labels.as_ref().map(|l| l.pick(rows)),
        }
    }

    /// All rows but these, which are sorted.
    fn without(self, out: &[u32]) -> Rowed {
        if out.is_empty() {
            return self;
        }
        let kept: Vec<u32> = (0..self.rows.len() as u32)
            .filter(|r| out.binary_search(r).is_err())
            .collect();
        self.pick(&kept)
    }
}

/// A hash of every input and label that the run may use, from what the pass left.
fn digest(parts: &[Rowed]) -> String {
    let mut parts: Vec<&Rowed> = parts.iter().collect();
    parts.sort_by_key(|p| p.name);
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.name.as_bytes());
        sha.update((part.rows.len() as u64).to_le_bytes());
        for digest in &part.scanned.digests {
            sha.update(digest);
        }
        if let Some(labels) = &part.labels {
            for name in labels.names.iter() {
                sha.update((name.len() as u64).to_le_bytes());
                sha.update(name.as_bytes());
            }
            labels
                .classes
                .iter()
                .for_each(|class| sha.update(class.to_le_bytes()));
        }
    }
    crate::hex(&sha.finalize())
}

/// What the rows are called where the recipe does not say.
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
    let path = Path::new(name);
    let said = path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let above = path.parent().and_then(Path::file_name);
    match (said, above) {
        // `photos/train` is the domain `photos`.
        (Some(split), Some(above))
            if ["train", "training", "unlabelled"].contains(&split.as_str())
                && path.extension().is_none() =>
        {
            above.to_string_lossy().into_owned()
        }
        (said, _) => said.unwrap_or_else(|| name.clone()),
    }
}
