//! What is found in the rows before anything is trained.

use super::overlap::{also, called, otherwise};
use super::*;
use crate::data::Input;

/// Rows of a column that are looked at to see whether it counts them.
const LOOKED_AT: usize = 1000;
/// Of fewer rows a column may count by chance.
const LEAST: usize = 20;
/// What columns are called that count rows; pandas writes one without a name.
const COUNTERS: [&str; 5] = ["", "id", "index", "unnamed: 0", "__index_level_0__"];

impl Gather<'_> {
    /// Leaves out images that cannot be read, where the recipe says so; else they stop it.
    pub(super) fn without_broken(
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
        let names = side.scanned.names.clone();
        let side = side.without(&rows);
        // The training rows say which classes there are.
        let gone = names.iter().find(|n| !side.scanned.names.contains(n));
        if let (Some(gone), "train") = (gone, side.name) {
            let title = format!("no image of the class `{gone}` can be read");
            let error = self.keys.error(self.at(side.name), title);
            error.help("mend one of them, or take the class away");
            return None;
        }
        Some(side)
    }

    /// Columns of numbers that say where a row stands: of a file that is sorted by class, the answer, and of any other nothing.
    pub(super) fn counting(&self, side: &Rowed) -> Result<Option<Finding>> {
        let features = &side.columns.features;
        let n = side.rows.len().min(LOOKED_AT);
        let main = side.name == self.written(side.name).main();
        if self.form != Form::Features || !main || features.len() < 2 || n < LEAST {
            return Ok(None);
        }
        let names = side.rows.columns();
        let number = |text: &str| text.trim().parse().unwrap_or(f64::NAN);
        // A cell by itself costs as much as its row, so rows are taken whole until few columns are left.
        let numbers = |row: usize| -> Result<Vec<f64>> {
            let cells = side.rows.cells(row, features).into_iter();
            let value = |cell: Result<Input<'_>>| match cell? {
                Input::Text(text) => Ok(number(&text)),
                _ => Ok(f64::NAN),
            };
            cells.map(value).collect()
        };
        // Whatever its order, where its name says what it is.
        let counts = |c: usize, first: f64, row: usize, v: f64| {
            let called = || COUNTERS.contains(&names[c].trim().to_lowercase().as_str());
            v == first + row as f64 || v.fract() == 0.0 && called()
        };
        let first = numbers(0)?;
        let mut counting = Vec::new();
        let columns = features.iter().zip(first.iter().zip(numbers(1)?));
        for (&c, (&first, second)) in columns {
            if !counts(c, first, 0, first) || !counts(c, first, 1, second) {
                continue;
            }
            let mut all = Vec::with_capacity(n);
            for row in 0..n {
                let v = number(&side.rows.text(row, c)?);
                if !counts(c, first, row, v) {
                    break;
                }
                all.push(v);
            }
            all.sort_by(f64::total_cmp);
            if all.len() == n && all.windows(2).all(|w| w[0] < w[1]) {
                counting.push(names[c].as_str());
            }
        }
        Ok((!counting.is_empty())
            .then(|| audit::counting(side.name, self.at(side.name), &counting, side.rows.len())))
    }

    /// What is to be said of one part as the run uses it.
    pub(super) fn findings(&self, part: &Rowed) -> Result<Vec<Finding>> {
        self.with_side(part, |side| {
            let mut found = Vec::new();
            found.extend(audit::duplicates(side)?);
            found.extend(audit::conflicts(side)?);
            found.extend(audit::empty(side)?);
            let main = part.name == self.written(part.name).main();
            if main {
                found.extend(audit::alike_labels(side)?);
            }
            found.extend(audit::balance(side)?);
            if main {
                found.extend(audit::alone(side)?);
            }
            if let Some(looks) = &part.scanned.looks {
                found.extend(audit::single(side)?);
                found.extend(audit::looks(side, looks, main)?);
            }
            Ok(found)
        })
    }

    /// Rows to choose by that are also judged on: the choice of the epoch has seen them. They stay, and it is said.
    pub(super) fn judged_twice(&self, parts: &[Rowed]) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        for (chosen_by, judged) in [
            ("validation", &["test"][..]),
            ("source-validation", &["validation", "test"]),
        ] {
            let Some(chosen_by) = parts.iter().find(|p| p.name == chosen_by) else {
                continue;
            };
            let judged = parts.iter().filter(|p| judged.contains(&p.name));
            let judged: Vec<&Rowed> = judged.collect();
            let shared = also(chosen_by, &judged);
            let differ = otherwise(chosen_by, &shared, &judged);
            let names = called(chosen_by.name, &judged);
            found.extend(self.with_side(chosen_by, |side| {
                audit::overlap(side, &shared, differ, &names, Overlap::Keep)
            })?);
        }
        Ok(found)
    }

    pub(super) fn with_side<T>(&self, part: &Rowed, look: impl FnOnce(&Side<'_>) -> T) -> T {
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
}
