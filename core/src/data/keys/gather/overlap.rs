//! Rows that stand in more than one split: refused, left out or counted.

use super::*;

impl Gather<'_> {
    /// Images that look like those of another split, or of their own.
    pub(super) fn copies(&self, parts: &[Rowed]) -> Result<Vec<Finding>> {
        let Some(pictures) = self.pictures else {
            return Ok(Vec::new());
        };
        let near = |a: &Likeness, b: &Likeness| pictures.near(a, b);
        let opener = Arc::as_ptr(pictures).cast::<()>();
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
                        digests: &other.scanned.digests,
                        keys: &other.scanned.keys,
                        looks: other.scanned.looks.as_ref()?,
                    })
                })
                .collect();
            let kept = |other: Option<&audit::Others<'_>>, make: &dyn Fn() -> Vec<u32>| {
                let Some(shared) = self.shared else {
                    return Ok(make());
                };
                let sum =
                    |digests: &[[u8; 16]]| crate::hex(&Sha256::digest(digests.as_flattened()));
                let own = sum(&part.scanned.digests);
                let other = other.map(|o| sum(o.digests));
                shared.alike(&format!("{opener:p} {own} {other:?}"), make)
            };
            found.extend(self.with_side(part, |side| {
                audit::near_copies(side, looks, &others, &near, &kept)
            })?);
        }
        Ok(found)
    }

    /// No two splits hold the same rows.
    pub(super) fn differ(&self, sides: &[Rowed]) -> Option<()> {
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

    /// Leaves blank rows out of the training rows, and those that stand in the files to judge by.
    pub(super) fn leave_out(
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
            *audit.dropped.entry("empty").or_default() += blank.len();
            let said = self.with_side(&main, |side| audit::dropped_empty(side, &blank));
            found.extend(self.noted(main.name, said)?);
        }
        // The rows adapted on may be those tested on: their labels are sealed.
        if !self.is_sealed(main.name) {
            let others: Vec<&Rowed> = others.iter().collect();
            out.extend(self.overlap(&main, &others, audit, found)?);
        }
        out.sort_unstable();
        Some(main.without(&out))
    }

    /// Leaves rows of the source that also stand among the target's rows to judge by out of what is learned from. Inputs are compared; what
    /// is said of labels is of the open ones.
    pub(super) fn across(
        &self,
        parts: &mut Vec<Rowed>,
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<()> {
        let Some(at) = parts.iter().position(|p| p.name == "source") else {
            return Some(());
        };
        let judged = |p: &&Rowed| matches!(p.name, "validation" | "test");
        let judged: Vec<&Rowed> = parts.iter().filter(judged).collect();
        let out = self.overlap(&parts[at], &judged, audit, found)?;
        if !out.is_empty() {
            let source = parts.remove(at);
            parts.insert(at, source.without(&out));
        }
        Some(())
    }

    /// Whether every test row is among those adapted on, by whatever name.
    pub(super) fn tests_adapted(&self, parts: &[Rowed]) -> bool {
        let of = |name: &str| parts.iter().find(|p| p.name == name);
        match (of("test"), of("unlabelled")) {
            (Some(test), Some(adapted)) if !test.rows.is_empty() => {
                also(test, &[adapted]).len() == test.rows.len()
            }
            _ => false,
        }
    }

    /// The rows of `main` to leave out, since they also stand in `others`.
    pub(super) fn overlap(
        &self,
        main: &Rowed,
        others: &[&Rowed],
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<Vec<u32>> {
        let shared = also(main, others);
        if shared.is_empty() {
            return Some(shared);
        }
        let names = called(main.name, others);
        // Vectors of few values are equal without anybody having copied a row: they stay.
        let policy = match (self.policy, self.form) {
            (Overlap::Drop, Form::Features) => Overlap::Keep,
            (policy, _) => policy,
        };
        let differ = otherwise(main, &shared, others);
        let said = self.with_side(main, |side| {
            audit::overlap(side, &shared, differ, &names, policy)
        });
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
                error = error.note(example.to_string());
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

    /// The rows to learn from less those that were split off a second time.
    pub(super) fn without_overlap(
        &self,
        main: Rowed,
        off: Vec<Rowed>,
        audit: &mut Audit,
        found: &mut Vec<Finding>,
    ) -> Option<(Rowed, Vec<Rowed>)> {
        if self.is_sealed(main.name) || off.is_empty() {
            return Some((main, off));
        }
        let judged: Vec<&Rowed> = off.iter().collect();
        let out = self.overlap(&main, &judged, audit, found)?;
        Some((main.without(&out), off))
    }
}

/// What other splits are called in a sentence about one: those of the other domain with their table.
pub(super) fn called(main: &str, others: &[&Rowed]) -> String {
    let of_source = |name: &str| name.starts_with("source");
    let of = |o: &&Rowed| match of_source(main) && !of_source(o.name) {
        true => format!("target.{}", o.name),
        false => o.name.to_string(),
    };
    let names: Vec<String> = others.iter().map(of).collect();
    names.join(" or ")
}

/// How many of these rows, which also stand in others, have another label there: of labels that are open.
pub(super) fn otherwise(main: &Rowed, rows: &[u32], others: &[&Rowed]) -> usize {
    let Some(labels) = main.labels.as_ref().filter(|_| !rows.is_empty()) else {
        return 0;
    };
    let mut theirs: Vec<(Key, u32)> = Vec::new();
    for other in others {
        if let Some(labels) = &other.labels {
            let keys = other.scanned.keys.iter().copied();
            theirs.extend(keys.zip(labels.classes.iter().copied()));
        }
    }
    theirs.sort_unstable();
    let differs = |row: &&u32| {
        let row = **row as usize;
        let (key, class) = (main.scanned.keys[row], labels.classes[row]);
        let from = theirs.partition_point(|(k, _)| *k < key);
        let mut same = theirs[from..].iter().take_while(|(k, _)| *k == key);
        same.any(|(_, c)| *c != class)
    };
    rows.iter().filter(differs).count()
}

/// The rows of one split that also stand in others.
pub(super) fn also(main: &Rowed, others: &[&Rowed]) -> Vec<u32> {
    let mut theirs: Vec<Key> = others
        .iter()
        .flat_map(|o| o.scanned.keys.iter().copied())
        .collect();
    theirs.sort_unstable();
    audit::shared(&main.scanned.keys, &main.scanned.fills, &theirs)
}
