//! From open files to the parts of a run: limits, rows that are left out, splits, and what no run should go on with.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::columns::Columns;
use super::open::{Opened, noted, open};
use super::scan::{Scanned, scan};
use super::written::{INDUCTIVE, SEALED, SOURCE, Written};
use super::{DataKeys, Form, Part, samples};
use crate::Result;
use crate::audit::{self, Audit, Counts, Fill, Finding, Key, Overlap, Side};
use crate::data::columns::{Rows, class_names, index};
use crate::data::split::{Fold, Split, grouped, per_class, stratified};
use crate::data::{Labels, Likeness, Pictures, Samples};
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
    let target = Written::read(keys, form, names, true);
    let source = cx.source_keys.as_ref().map(|s| {
        let mut written = Written::read(s, form, SOURCE, false);
        written.columns = written.columns.or(s, &target.columns);
        written
    });
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
        fold: cx.fold,
        target: &target,
        source: source.as_ref(),
        classes: cx.classes.clone(),
        pictures: cx.registry.pictures().filter(|_| form == Form::Images),
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
    /// The part of a cross-validation that is tested.
    fold: Option<Fold>,
    target: &'a Written,
    /// The labelled source domain's keys.
    source: Option<&'a Written>,
    /// The classes, where a finished run brings them.
    classes: Option<Arc<Vec<String>>>,
    /// Who opens images, where rows are images.
    pictures: Option<&'a Arc<dyn Pictures>>,
    /// svmlight: where the indices of all files count from.
    index_base: Option<u32>,
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
        let mut whole = None;
        for group in source.into_iter().chain([target]) {
            let written = group.written;
            let (group, all) = self.arranged(group, &classes, &mut audit, &mut found)?;
            if written.tests_adapted {
                parts.push(Rowed {
                    name: "test",
                    ..group.main.pick(&all_rows(&group.main))
                });
            }
            whole = whole.or(all);
            parts.push(group.main);
            parts.extend(group.others);
        }
        for part in &parts {
            found.extend(self.noted(part.name, self.findings(part))?);
            audit.rows.insert(part.name, part.rows.len());
            if let Some(labels) = &part.labels {
                let counts = labels.names.iter().cloned().zip(labels.counts());
                audit.classes.insert(part.name, Counts(counts.collect()));
            }
        }
        found.extend(self.noted(self.target.main(), self.judged_twice(&parts))?);
        found.extend(self.noted(self.target.main(), self.copies(&parts))?);
        audit.add(found);

        // From here on nothing is found any more: the labels of sealed test rows are read, for the scores.
        let classes = self.open_sealed(&mut parts, classes)?;
        let digest = digest(&parts);
        parts.extend(whole);
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

    /// A domain's rows as the run uses them; and, of a source, all that are labelled, for methods that set nothing aside.
    fn arranged<'w>(
        &self,
        group: Group<'w>,
        classes: &[String],
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<(Group<'w>, Option<Rowed>)> {
        let Group {
            written,
            main,
            mut others,
        } = group;
        let source = main.name == "source";
        let main = self.leave_out(main, &others, audit, found)?;
        let whole = source.then(|| {
            let main = match (written.per_class, &main.labels) {
                (Some(n), Some(labels)) => main.pick(&per_class(labels, n, written.split.seed)),
                _ => main.pick(&all_rows(&main)),
            };
            Rowed {
                name: "source-all",
                ..main
            }
        });
        let (main, split_off) = self.split(written, main, &others, audit, found)?;
        self.still_two_classes(&main, classes)?;
        others.extend(split_off);
        let group = Group {
            written,
            main,
            others,
        };
        Some((group, whole))
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
        let scanned = scan(self.form, &rows, &part.columns, label, group, pictures);
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

    /// Leaves out images that cannot be read, where the recipe says so; else they stop it.
    fn without_broken(
        &self,
        side: Rowed,
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<Rowed> {
        let broken = &side.scanned.broken;
        if broken.is_empty() {
            return Some(side);
        }
        let (some, all) = (broken.len(), side.rows.len());
        let title = format!("{some} of {all} images of `{}` cannot be read", side.name);
        if !self.written(side.name).skip_broken || some == all {
            let mut error = self.keys.error(self.at(side.name), title);
            for (_, why) in broken.iter().take(LISTED) {
                error = error.note(why.clone());
            }
            if some > LISTED {
                error = error.note(format!("and {} more", some - LISTED));
            }
            error.help(match some == all {
                true => "are these images, and is `image` the right column?",
                false => "mend them or take them away; `skip_broken = true` beside the data leaves them out",
            });
            return None;
        }
        *audit.dropped.entry("broken").or_default() += some;
        found.push(audit::broken(side.name, self.at(side.name), broken, all));
        let rows: Vec<u32> = broken.iter().map(|(row, _)| *row).collect();
        Some(side.without(&rows))
    }

    /// Images that look like those of another split, or of their own.
    fn copies(&self, parts: &[Rowed]) -> Result<Vec<Finding>> {
        let Some(pictures) = self.pictures else {
            return Ok(Vec::new());
        };
        let near = |a: &Likeness, b: &Likeness| pictures.near(a, b);
        let mut found = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let Some(looks) = &part.scanned.looks else {
                continue;
            };
            // Adapting without labels on rows that are tested is a custom of its own.
            let others: Vec<audit::Others<'_>> = parts
                .iter()
                .skip(i + 1)
                .filter(|other| !(part.name == "unlabelled" && other.name == "test"))
                .filter_map(|other| {
                    Some(audit::Others {
                        name: other.name,
                        keys: &other.scanned.keys,
                        looks: other.scanned.looks.as_ref()?,
                    })
                })
                .collect();
            found.extend(
                self.with_side(part, |side| audit::near_copies(side, looks, &others, &near))?,
            );
        }
        Ok(found)
    }

    /// No two splits hold the same rows.
    fn differ(&self, sides: &[Rowed]) -> Option<()> {
        let sorted = |side: &Rowed| {
            let mut all = side.scanned.digests.clone();
            all.sort_unstable();
            all
        };
        let mut right = Some(());
        for (i, one) in sides.iter().enumerate() {
            for other in &sides[i + 1..] {
                let custom = self.is_sealed(one.name) && other.name == "test";
                if custom || one.rows.len() != other.rows.len() || sorted(one) != sorted(other) {
                    continue;
                }
                let (this, that) = (format!("as `{}`", other.name), format!("as `{}`", one.name));
                self.keys
                    .conflict(
                        &[
                            (self.at(one.name), this.as_str()),
                            (self.at(other.name), that.as_str()),
                        ],
                        format!("`{}` and `{}` hold the same rows", one.name, other.name),
                    )
                    .help(match one.name.starts_with("source") && !other.name.starts_with("source") {
                        true => "from a domain to itself there is nothing to carry over: give the target's rows",
                        false => "a model that has seen the rows it is judged on looks better than it is: give other rows, or leave the key out and write `split = { test = 0.2 }`",
                    });
                right = None;
            }
        }
        right
    }

    /// The classes, by the labelled rows to learn from; each side's labels by them.
    fn classes<'g>(
        &self,
        source: Option<&mut Group<'g>>,
        target: &mut Group<'g>,
    ) -> Option<Arc<Vec<String>>> {
        let mut classes: Arc<Vec<String>> = self.classes.clone().unwrap_or_default();
        let first = match &source {
            Some(source) => &source.main,
            None => &target.main,
        };
        if first.scanned.labels.is_some() && classes.is_empty() {
            classes = first.scanned.classes();
            if classes.len() < 2 {
                let what = classes.first().cloned().unwrap_or_default();
                self.keys
                    .error(
                        self.at(first.name),
                        format!("every row has the label `{what}`"),
                    )
                    .help("a classifier needs two classes; is `label` the right column?");
                return None;
            }
        }
        let groups = source.into_iter().chain([target]);
        for group in groups {
            for side in std::iter::once(&mut group.main).chain(&mut group.others) {
                if classes.is_empty() && side.scanned.labels.is_some() {
                    classes = side.scanned.classes();
                }
                side.labels = match side.scanned.labels(&classes) {
                    Ok(labels) => labels,
                    Err((row, label)) => {
                        self.unknown(side, row, &label, &classes);
                        return None;
                    }
                };
            }
        }
        Some(classes)
    }

    fn unknown(&self, side: &Rowed, row: usize, label: &str, classes: &[String]) {
        let what = format!("the label `{label}` is not among the training labels");
        let column = side.columns.label.unwrap_or(0);
        self.keys
            .error(
                self.at(side.name),
                side.rows.wrong(row, column, what).to_string(),
            )
            .note(format!("the classes are {}", classes.join(", ")));
    }

    /// Leaves blank rows out of the training rows, and those that stand in the files to judge by.
    fn leave_out(
        &self,
        main: Rowed,
        others: &[Rowed],
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<Rowed> {
        let n = main.rows.len() as u32;
        let blank: Vec<u32> = (0..n)
            .filter(|&r| main.scanned.fills[r as usize] == Fill::Empty)
            .collect();
        let mut out = blank.clone();
        if !blank.is_empty() {
            audit.dropped.insert("empty", blank.len());
            let said = self.with_side(&main, |side| audit::dropped_empty(side, &blank));
            found.extend(self.noted(main.name, said)?);
        }
        // The rows adapted on may be those tested on: their labels are sealed.
        if !self.is_sealed(main.name) {
            out.extend(self.overlap(&main, others, audit, found)?);
        }
        out.sort_unstable();
        Some(main.without(&out))
    }

    /// The rows of `main` to leave out, since they also stand in `others`.
    fn overlap(
        &self,
        main: &Rowed,
        others: &[Rowed],
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<Vec<u32>> {
        let mut theirs: Vec<Key> = others
            .iter()
            .flat_map(|o| o.scanned.keys.iter().copied())
            .collect();
        theirs.sort_unstable();
        let shared = audit::shared(&main.scanned.keys, &main.scanned.fills, &theirs);
        if shared.is_empty() {
            return Some(shared);
        }
        let names: Vec<&str> = others.iter().map(|o| o.name).collect();
        let names = names.join(" or ");
        // Vectors of few values are equal without anybody having copied a row: they stay.
        let policy = match (self.policy, self.form) {
            (Overlap::Drop, Form::Features) => Overlap::Keep,
            (policy, _) => policy,
        };
        let said = self.with_side(main, |side| audit::overlap(side, &shared, &names, policy));
        let said = self.noted(main.name, said)?;
        if let (Overlap::Stop, Some(finding)) = (policy, &said) {
            let n = shared.len();
            let mut error = self.keys.error(
                self.at(main.name),
                format!(
                    "{n} row{} of `{}` also stand{} in {names}",
                    if n == 1 { "" } else { "s" },
                    main.name,
                    if n == 1 { "s" } else { "" },
                ),
            );
            for example in &finding.examples {
                error = error.note(format!("{}: {}", example.row, example.text));
            }
            error.help("take them out of one, or write `overlap = \"drop\"` under [evaluate]");
            return None;
        }
        found.extend(said);
        if policy == Overlap::Drop {
            *audit.dropped.entry("overlap").or_default() += shared.len();
            return Some(shared);
        }
        Some(Vec::new())
    }

    /// `per_class`, and the parts that are split off where no file is given.
    fn split(
        &self,
        written: &Written,
        main: Rowed,
        others: &[Rowed],
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<(Rowed, Vec<Rowed>)> {
        let asked = &written.split;
        let mut main = main;
        if let (Some(n), Some(labels)) = (written.per_class, &main.labels) {
            main = main.pick(&per_class(labels, n, asked.seed));
        }
        let mut off = Vec::new();
        if let (Some(fold), Some(labels)) = (self.fold, &main.labels) {
            // What is set aside as test stays unseen.
            let files = &written.files;
            let given = files.iter().any(|(n, f)| *n == "test" && !f.is_empty());
            let aside = match (&main.scanned.groups, given) {
                (_, true) => None,
                (Some(groups), _) => Some(grouped(labels, groups, 0.0, asked.test, asked.seed)),
                (None, _) => Some(stratified(labels, 0.0, asked.test, asked.seed)),
            };
            if let Some(aside) = aside.filter(|_| asked.test > 0.0) {
                main = main.pick(&aside.train);
            }
            let parts = match (&main.scanned.groups, &main.labels) {
                (Some(groups), _) => fold.part_of_groups(groups, asked.seed),
                (None, Some(labels)) => fold.part(labels, asked.seed),
                // Folds are of labelled rows; so these were looked for above.
                (None, None) => return None,
            };
            off.push(Rowed {
                name: "test",
                ..main.pick(&parts.test)
            });
            main = main.pick(&parts.train);
        }
        let given = |name: &str| others.iter().chain(&off).any(|o| o.name == name);
        let aside = match main.name {
            "source" => "source-validation",
            _ => "validation",
        };
        let validation = match given(aside) || self.is_sealed(main.name) {
            true => 0.0,
            false => asked.validation,
        };
        let test = match given("test") || written.tests_adapted {
            true => 0.0,
            false => asked.test,
        };
        if validation + test <= 0.0 {
            return self.without_overlap(main, off, audit, found);
        }
        let one = Labels {
            classes: vec![0; main.rows.len()],
            names: Arc::new(vec![String::new()]),
        };
        let labels = main.labels.as_ref().unwrap_or(&one);
        let parts: Split = match &main.scanned.groups {
            Some(groups) => grouped(labels, groups, validation, test, asked.seed),
            None => stratified(labels, validation, test, asked.seed),
        };
        for (name, rows) in [(aside, &parts.validation), ("test", &parts.test)] {
            if !rows.is_empty() {
                off.push(Rowed {
                    name,
                    ..main.pick(rows)
                });
            }
        }
        if off.is_empty() && main.scanned.groups.is_some() {
            self.keys
                .error(
                    asked.group.1.clone(),
                    "every row is of one group, so nothing can be split off",
                )
                .help("leave `group` out, or give files for `validation` and `test`");
            return None;
        }
        main = main.pick(&parts.train);
        self.without_overlap(main, off, audit, found)
    }

    /// The rows to learn from less those that were split off a second time.
    fn without_overlap(
        &self,
        main: Rowed,
        off: Vec<Rowed>,
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<(Rowed, Vec<Rowed>)> {
        if self.is_sealed(main.name) || off.is_empty() {
            return Some((main, off));
        }
        let out = self.overlap(&main, &off, audit, found)?;
        Some((main.without(&out), off))
    }

    /// What was left out has left something to learn.
    fn still_two_classes(&self, main: &Rowed, classes: &[String]) -> Option<()> {
        let gone = match &main.labels {
            Some(labels) => {
                let counts = labels.counts();
                let some = counts.iter().filter(|&&n| n > 0).count();
                let none = counts.iter().position(|&n| n == 0);
                none.filter(|_| some < 2)
                    .map(|c| format!("no training row of `{}` is left", classes[c]))
            }
            None if main.rows.is_empty() => Some("no training row is left".to_string()),
            None => None,
        };
        match gone {
            None => Some(()),
            Some(what) => {
                self.keys.error(self.at(main.name), what).help(
                    "rows without text are left out, and rows that are also validation or test rows; `overlap = \"keep\"` under [evaluate] keeps the latter",
                );
                None
            }
        }
    }

    /// What is to be said of one part as the run uses it.
    fn findings(&self, part: &Rowed) -> Result<Vec<Finding>> {
        self.with_side(part, |side| {
            let mut found = Vec::new();
            found.extend(audit::duplicates(side)?);
            found.extend(audit::conflicts(side)?);
            found.extend(audit::empty(side)?);
            let main = part.name == self.written(part.name).main();
            if main {
                found.extend(audit::labels_by_case(side)?);
            }
            found.extend(audit::balance(side)?);
            if let Some(looks) = &part.scanned.looks {
                found.extend(audit::single(side)?);
                found.extend(audit::looks(side, looks, main)?);
            }
            Ok(found)
        })
    }

    /// Validation rows that are test rows too: the choice of the epoch has seen them. They stay, and it is said.
    fn judged_twice(&self, parts: &[Rowed]) -> Result<Option<Finding>> {
        let named = |name: &str| parts.iter().find(|p| p.name == name);
        let (Some(validation), Some(test)) = (named("validation"), named("test")) else {
            return Ok(None);
        };
        let mut theirs = test.scanned.keys.clone();
        theirs.sort_unstable();
        let scanned = &validation.scanned;
        let shared = audit::shared(&scanned.keys, &scanned.fills, &theirs);
        self.with_side(validation, |side| {
            audit::overlap(side, &shared, "test", Overlap::Keep)
        })
    }

    fn with_side<T>(&self, part: &Rowed, look: impl FnOnce(&Side<'_>) -> T) -> T {
        let inputs: Arc<dyn Samples> = samples(self.form, &part.rows, &part.columns);
        look(&Side {
            name: part.name,
            at: self.at(part.name),
            keys: &part.scanned.keys,
            fills: &part.scanned.fills,
            labels: part.labels.as_ref(),
            inputs: inputs.as_ref(),
            noun: match self.form {
                Form::Features => "features",
                Form::Images => "image",
                Form::Text | Form::PlainText => "text",
            },
        })
    }

    /// The labels of sealed test rows: core seals them again before anybody sees them.
    fn open_sealed(
        &self,
        parts: &mut [Rowed],
        classes: Arc<Vec<String>>,
    ) -> Option<Arc<Vec<String>>> {
        let mut classes = classes;
        if !self.sealed || self.form == Form::PlainText {
            return Some(classes);
        }
        for part in parts.iter_mut().filter(|p| p.name == "test") {
            let Some(column) = part.columns.label else {
                self.keys
                    .error(
                        self.at(part.name),
                        "rows without labels cannot be tested on",
                    )
                    .help("`target.label` names their column; or leave `test` out");
                return None;
            };
            let names = self.noted(part.name, part.rows.names(column))?;
            if classes.is_empty() {
                classes = Arc::new(class_names(names.iter()));
            }
            match index(&names, &classes) {
                Ok(labels) => part.labels = Some(labels),
                Err((row, name)) => {
                    self.unknown(part, row, &name, &classes);
                    return None;
                }
            }
        }
        Some(classes)
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
