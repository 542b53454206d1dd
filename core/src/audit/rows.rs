//! Findings from what the pass over the rows left: a key and a fill a row, and a label where labels are open.

use std::collections::BTreeMap;

use super::{Example, Fill, Finding, Key, Level, Overlap, percent, rows_in_words};
use crate::Result;
use crate::data::{Input, Labels, Samples};
use crate::recipe::At;

/// Examples a finding has.
const EXAMPLES: usize = 3;

/// One split, as the audit sees it: there is no way from here to a label that was not read.
pub(crate) struct Side<'a> {
    pub name: &'static str,
    pub at: At,
    pub keys: &'a [Key],
    pub fills: &'a [Fill],
    /// Where they are open.
    pub labels: Option<&'a Labels>,
    pub inputs: &'a dyn Samples,
    /// What makes two rows alike: `text`, `features`, `image`.
    pub noun: &'static str,
}

impl Side<'_> {
    pub(super) fn find(
        &self,
        kind: &'static str,
        level: Level,
        rows: &[u32],
        words: String,
    ) -> Result<Finding> {
        let example = |&row: &u32| -> Result<Example> {
            let text = match self.noun {
                // Its place says which; there is nothing of it to be read.
                "image" => String::new(),
                _ => preview(&self.inputs.input(row as usize)?),
            };
            Ok(Example {
                row: self.inputs.place(row as usize),
                text,
            })
        };
        Ok(Finding {
            kind,
            split: self.name,
            level,
            count: rows.len(),
            of: self.keys.len(),
            words,
            examples: rows
                .iter()
                .take(EXAMPLES)
                .map(example)
                .collect::<Result<_>>()?,
            at: Some(self.at.clone()),
        })
    }

    /// Rows of equal keys, groups of two and more, in the order of their first rows. Blank rows are no duplicates.
    fn alike(&self) -> Vec<Vec<u32>> {
        let full = (0..self.keys.len() as u32).filter(|&r| self.fills[r as usize] != Fill::Empty);
        let mut order: Vec<u32> = full.collect();
        order.sort_by_key(|&r| (self.keys[r as usize], r));
        let same = |a: &u32, b: &u32| self.keys[*a as usize] == self.keys[*b as usize];
        let mut groups: Vec<Vec<u32>> = order
            .chunk_by(same)
            .filter(|group| group.len() > 1)
            .map(<[u32]>::to_vec)
            .collect();
        groups.sort_by_key(|group| group[0]);
        groups
    }
}

/// Rows that repeat an earlier one of the same split.
pub(crate) fn duplicates(side: &Side<'_>) -> Result<Option<Finding>> {
    let mut again: Vec<u32> = side
        .alike()
        .into_iter()
        .flat_map(|g| g.into_iter().skip(1))
        .collect();
    again.sort_unstable();
    if again.is_empty() {
        return Ok(None);
    }
    // Vectors of few values repeat without anybody having copied a row.
    let many = again.len() * 20 > side.keys.len() && side.noun != "features";
    let level = if many { Level::Warning } else { Level::Note };
    let words = format!(
        "{} of {} in {} {} an earlier one",
        again.len(),
        rows_in_words(side.keys.len()),
        side.name,
        verb(again.len(), "repeats", "repeat")
    );
    side.find("duplicates", level, &again, words).map(Some)
}

/// Rows that say the same as another one and have another label.
pub(crate) fn conflicts(side: &Side<'_>) -> Result<Option<Finding>> {
    let Some(labels) = side.labels else {
        return Ok(None);
    };
    let differ = |group: &Vec<u32>| {
        let first = labels.classes[group[0] as usize];
        group.iter().any(|&r| labels.classes[r as usize] != first)
    };
    let rows: Vec<u32> = side.alike().into_iter().filter(differ).flatten().collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let words = format!(
        "{} of {} have the {} of another one and a different label",
        rows_in_words(rows.len()),
        side.name,
        side.noun
    );
    side.find("conflicts", Level::Warning, &rows, words)
        .map(Some)
}

/// Rows without text, and rows with next to none.
pub(crate) fn empty(side: &Side<'_>) -> Result<Vec<Finding>> {
    let of = |fill: Fill| -> Vec<u32> {
        (0..side.fills.len() as u32)
            .filter(|&r| side.fills[r as usize] == fill)
            .collect()
    };
    let mut found = Vec::new();
    let (blank, nearly) = (of(Fill::Empty), of(Fill::Nearly));
    if !blank.is_empty() {
        let words = format!(
            "{} of {} {} no text",
            rows_in_words(blank.len()),
            side.name,
            verb(blank.len(), "has", "have")
        );
        found.push(side.find("empty", Level::Warning, &blank, words)?);
    }
    if !nearly.is_empty() {
        let words = format!(
            "{} of {} {} one letter or none",
            rows_in_words(nearly.len()),
            side.name,
            verb(nearly.len(), "holds", "hold")
        );
        found.push(side.find("near-empty", Level::Note, &nearly, words)?);
    }
    Ok(found)
}

/// Training rows without text, which were dropped: `rows` of `side`, as it was before.
pub(crate) fn dropped_empty(side: &Side<'_>, rows: &[u32]) -> Result<Option<Finding>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let words = format!(
        "{} of {} {} no text and {} left out",
        rows_in_words(rows.len()),
        side.name,
        verb(rows.len(), "has", "have"),
        verb(rows.len(), "is", "are")
    );
    side.find("empty", Level::Warning, rows, words).map(Some)
}

/// Rows of `side` (as it was before any were dropped) that also stand in the splits called `others`, `differ` of them under another label.
pub(crate) fn overlap(
    side: &Side<'_>,
    rows: &[u32],
    differ: usize,
    others: &str,
    policy: Overlap,
) -> Result<Option<Finding>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let otherwise = match differ {
        0 => String::new(),
        n if n == rows.len() => " under another label".to_string(),
        n => format!(" ({n} of them under another label)"),
    };
    let words = format!(
        "{} of {} also {} in {others}{otherwise} and {} {}",
        rows_in_words(rows.len()),
        side.name,
        verb(rows.len(), "stands", "stand"),
        verb(rows.len(), "is", "are"),
        match policy {
            Overlap::Drop => format!("left out of {}", side.name),
            Overlap::Keep | Overlap::Stop => "kept".to_string(),
        }
    );
    side.find("overlap", Level::Warning, rows, words).map(Some)
}

/// The rows of `keys` that are among `others`, which is sorted.
pub(crate) fn shared(keys: &[Key], fills: &[Fill], others: &[Key]) -> Vec<u32> {
    (0..keys.len() as u32)
        .filter(|&r| {
            let r = r as usize;
            fills[r] != Fill::Empty && others.binary_search(&keys[r]).is_ok()
        })
        .collect()
}

/// What a label says to a reader.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    /// A number, whatever way it is written: its bits.
    Number(u64),
    /// Words, their case and spaces evened out.
    Words(String),
}

impl Said {
    fn of(name: &str) -> Said {
        match name.trim().parse::<f64>() {
            // 0 and -0 are one number.
            Ok(v) if v.is_finite() => Said::Number((v + 0.0).to_bits()),
            _ => {
                let words: Vec<&str> = name.split_whitespace().collect();
                Said::Words(words.join(" ").to_lowercase())
            }
        }
    }
}

/// Labels that are one class to a reader and two to a program.
pub(crate) fn alike_labels(side: &Side<'_>) -> Result<Vec<Finding>> {
    let Some(labels) = side.labels else {
        return Ok(Vec::new());
    };
    let mut like: BTreeMap<Said, Vec<usize>> = BTreeMap::new();
    for (i, name) in labels.names.iter().enumerate() {
        like.entry(Said::of(name)).or_default().push(i);
    }
    let mut found = Vec::new();
    for (said, classes) in like.into_iter().filter(|(_, c)| c.len() > 1) {
        let rows: Vec<u32> = (0..labels.classes.len() as u32)
            .filter(|&r| classes[1..].contains(&(labels.classes[r as usize] as usize)))
            .collect();
        let names: Vec<String> = classes
            .iter()
            .map(|&c| format!("`{}`", labels.names[c]))
            .collect();
        let words = format!(
            "the labels {} {} and are {} classes",
            names.join(" and "),
            match said {
                Said::Number(_) => "are the same number",
                Said::Words(_) => "differ only in case or spaces",
            },
            classes.len()
        );
        found.push(side.find("labels", Level::Warning, &rows, words)?);
    }
    Ok(found)
}

/// Classes with far fewer rows than others, or none.
pub(crate) fn balance(side: &Side<'_>) -> Result<Option<Finding>> {
    let Some(labels) = side.labels else {
        return Ok(None);
    };
    let counts = labels.counts();
    let rare = counts.iter().enumerate().min_by_key(|&(i, &n)| (n, i));
    let common = counts
        .iter()
        .enumerate()
        .max_by_key(|&(i, &n)| (n, std::cmp::Reverse(i)));
    let (Some((rare, &few)), Some((common, &many))) = (rare, common) else {
        return Ok(None);
    };
    if few * 10 >= many {
        return Ok(None);
    }
    let rows: Vec<u32> = (0..labels.classes.len() as u32)
        .filter(|&r| labels.classes[r as usize] as usize == rare)
        .collect();
    let words = format!(
        "{} has {} of `{}` and {many} of `{}`",
        side.name,
        if few == 0 {
            "no row".to_string()
        } else {
            rows_in_words(few)
        },
        labels.names[rare],
        labels.names[common]
    );
    side.find("balance", Level::Warning, &rows, words).map(Some)
}

/// A share of the rows that came to none: a class with fewer than three rows gives none, so that it is learned from at all. `groups`: how many there are, where
/// groups of rows stay together.
pub(crate) fn none_set_aside(
    of: &'static str,
    at: At,
    wanted: &str,
    share: f64,
    rows: usize,
    groups: Option<usize>,
) -> Finding {
    let why = match groups {
        None => "a class with fewer than three rows gives none".to_string(),
        Some(1) => "all rows are of one group, which stays together".to_string(),
        Some(n) => format!("there are {n} groups, fewer than parts, and each stays together"),
    };
    Finding {
        kind: "split",
        split: of,
        level: Level::Warning,
        count: 0,
        of: rows,
        words: format!(
            "{} of {of} was to be set aside for {wanted}, and no row is: {why}",
            percent(share)
        ),
        examples: Vec::new(),
        at: Some(at),
    }
}

/// Classes of a single row, where most are.
pub(crate) fn alone(side: &Side<'_>) -> Result<Option<Finding>> {
    let Some(labels) = side.labels else {
        return Ok(None);
    };
    let counts = labels.counts();
    let one = counts.iter().filter(|&&n| n == 1).count();
    if one * 2 <= counts.len() {
        return Ok(None);
    }
    let is_alone = |r: &u32| counts[labels.classes[*r as usize] as usize] == 1;
    let all = 0..labels.classes.len() as u32;
    let rows: Vec<u32> = all.filter(is_alone).collect();
    let words = format!(
        "{one} of {} classes have a single row in {}; is `label` the right column?",
        counts.len(),
        side.name
    );
    side.find("alone", Level::Warning, &rows, words).map(Some)
}

/// Columns that count the rows.
pub(crate) fn counting(split: &'static str, at: At, columns: &[&str], rows: usize) -> Finding {
    let names: Vec<String> = columns.iter().map(|c| format!("`{c}`")).collect();
    let (one, them) = match columns.len() {
        1 => ("the column", "it"),
        _ => ("the columns", "them"),
    };
    let does = if columns.len() == 1 {
        "counts"
    } else {
        "count"
    };
    Finding {
        kind: "counter",
        split,
        level: Level::Warning,
        count: rows,
        of: rows,
        words: format!(
            "{one} {} {does} the rows and {} a feature: where a row stands may give its class away, and says nothing of new ones; `without = [{}]` leaves {them} out",
            names.join(", "),
            if columns.len() == 1 { "is" } else { "are each" },
            columns
                .iter()
                .map(|c| format!("{c:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        examples: Vec::new(),
        at: Some(at),
    }
}

/// The word for one, or for several.
pub(super) fn verb(n: usize, one: &'static str, several: &'static str) -> &'static str {
    if n == 1 { one } else { several }
}

/// The first 100 characters, on one line.
pub(super) fn preview(input: &Input<'_>) -> String {
    input.preview(100).unwrap_or_else(|| input.kind().into())
}
