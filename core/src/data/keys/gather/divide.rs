//! Rows set aside where no file is given.

use std::collections::BTreeSet;

use super::*;
use crate::recipe::Column;

impl Gather<'_> {
    /// `per_class`, and the parts that are split off where no file is given.
    pub(super) fn split(
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
        if self.folds.is_some() && main.labels.is_some() {
            let rows = self.dealt(written, main.pick(&all_rows(&main)))?;
            self.dealt.replace(Some(Dealt {
                rows,
                audit: audit.clone(),
                found: found.clone(),
            }));
        }
        if let (Some(fold), Some(_)) = (self.fold, &main.labels) {
            main = self.dealt(written, main)?;
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
        let all_learned = main.name == "source" && self.closed_form;
        let validation = match given(aside) || self.is_sealed(main.name) || all_learned {
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
        let asked_for = [
            (aside, validation, &parts.validation),
            ("test", test, &parts.test),
        ];
        for (name, share, rows) in asked_for {
            if rows.is_empty() && share > 0.0 {
                let at = self.at(main.name);
                found.push(audit::none_set_aside(
                    main.name,
                    at,
                    name,
                    share,
                    main.rows.len(),
                    main.scanned.groups.as_deref().map(count),
                ));
            }
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

    /// The rows that folds deal among them: what is set aside as test stays unseen.
    fn dealt(&self, written: &Written, main: Rowed) -> Option<Rowed> {
        let asked = &written.split;
        let files = &written.files;
        let given = files.iter().any(|(n, f)| *n == "test" && !f.is_empty());
        let aside = match (&main.labels, &main.scanned.groups) {
            _ if given || asked.test <= 0.0 => None,
            (Some(labels), Some(groups)) => {
                Some(grouped(labels, groups, 0.0, asked.test, asked.seed))
            }
            (Some(labels), None) => Some(stratified(labels, 0.0, asked.test, asked.seed)),
            (None, _) => None,
        };
        let main = match aside {
            Some(aside) => {
                // Said once, and not again by the run of each fold.
                if self.folds.is_some() {
                    let n = main.rows.len() - aside.train.len();
                    self.keys
                        .warning(
                            asked.test_at.clone(),
                            format!("{n} rows are neither learned from nor tested on"),
                        )
                        .label("set aside before the folds are dealt")
                        .help("leave it out to have all rows in the folds, or keep them for `tlkit evaluate`");
                }
                main.pick(&aside.train)
            }
            None => main,
        };
        if let (Some(groups), Some(column)) = (&main.scanned.groups, &asked.group.0) {
            let of = self.folds.or(self.fold.map(|f| f.of)).unwrap_or(0);
            let n = count(groups);
            if n < of {
                let groups = if n == 1 { "group" } else { "groups" };
                let column = match column {
                    Column::Name(name) => format!("`{name}`"),
                    Column::Number(n) => format!("column {n}"),
                };
                let what = format!("{n} {groups} of {column} are too few for {of} folds");
                self.keys
                    .error(asked.group.1.clone(), what)
                    .help("a fold needs a group at least: fewer `folds`, or rows without `group`");
                return None;
            }
        }
        Some(main)
    }

    /// What was left out has left something to learn.
    pub(super) fn still_two_classes(&self, main: &Rowed, classes: &[String]) -> Option<()> {
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
                let error = self.keys.error(self.at(main.name), what);
                error.help(match main.scanned.groups {
                    Some(_) => "`split.group` sets whole groups aside: ask for smaller shares, name more groups, or leave `group` out; rows without text are left out too, and rows that are also validation or test rows",
                    None => "rows without text are left out, and rows that are also validation or test rows; `overlap = \"keep\"` under [evaluate] keeps the latter",
                });
                None
            }
        }
    }
}

/// How many groups there are, of the group of each row.
fn count(groups: &[u32]) -> usize {
    groups.iter().collect::<BTreeSet<_>>().len()
}
