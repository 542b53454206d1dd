//! Findings about images: what cannot be read, copies that are not the same bytes, sizes, classes of one.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::rows::{Side, verb};
use super::{Example, Finding, Key, Level, percent};
use crate::Result;
use crate::data::{Likeness, Look};
use crate::recipe::At;

/// Images with a side under this are small for any network.
const SMALL: u32 = 16;

/// Of images with a side under this, such as single digits, others look alike in 9 x 8 grey pixels: that they do is no sign that they are copies.
const TELLING: u32 = 64;

/// Images that were left out are named one by one, up to so many.
const LISTED: usize = 1000;

/// Images that could not be read and were left out.
pub(crate) fn broken(split: &'static str, at: At, rows: &[(u32, String)], of: usize) -> Finding {
    let example = |(_, why): &(u32, String)| {
        let (row, text) = why.split_once(": ").unwrap_or((why, ""));
        Example {
            row: row.to_string(),
            text: text.to_string(),
        }
    };
    Finding {
        kind: "broken",
        split,
        level: Level::Warning,
        count: rows.len(),
        of,
        words: format!(
            "{} of {split} cannot be read and {} left out",
            images(rows.len()),
            verb(rows.len(), "is", "are")
        ),
        examples: rows.iter().take(LISTED).map(example).collect(),
        at: Some(at),
    }
}

/// Another split, whose images one's own are compared with.
pub(crate) struct Others<'a> {
    pub name: &'static str,
    /// Of the bytes.
    pub digests: &'a [[u8; 16]],
    pub keys: &'a [Key],
    pub looks: &'a [Look],
}

/// The rows that look like one of another split (`None`: like an earlier one of their own), made or taken from where they were kept.
pub(crate) type Kept<'k> =
    dyn Fn(Option<&Others<'_>>, &dyn Fn() -> Vec<u32>) -> Result<Vec<u32>> + 'k;

/// Images that look like one of another split without being the same bytes (which `overlap` counts), and like an earlier one of their own. They
/// stay: whether they are copies is for a person to say.
pub(crate) fn near_copies(
    side: &Side<'_>,
    looks: &[Look],
    others: &[Others<'_>],
    near: &Near<'_>,
    kept: &Kept<'_>,
) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    // Of small pictures each has thousands to be held against.
    let all = || (0..looks.len() as u32).into_par_iter();
    for other in others {
        let rows = kept(Some(other), &|| {
            let there = Likenesses::of(other.looks, other.keys, near);
            let like = |&row: &u32| {
                let key = side.keys[row as usize];
                let twin = |r: u32| other.keys[r as usize] != key;
                there.first(&looks[row as usize], twin).is_some()
            };
            all().filter(like).collect()
        })?;
        if rows.is_empty() {
            continue;
        }
        let mut words = format!(
            "{} of {} {} like one of {} without being the same file and {}",
            images(rows.len()),
            side.name,
            verb(rows.len(), "looks", "look"),
            other.name,
            verb(rows.len(), "stays", "stay"),
        );
        let telling = |&row: &u32| short(&looks[row as usize]) >= TELLING;
        let level = match rows.iter().any(telling) {
            true => Level::Warning,
            false => {
                words.push_str(&format!(
                    ", which of images under {TELLING} pixels on a side says little: other ones may look alike"
                ));
                Level::Note
            }
        };
        found.push(side.find("copies", level, &rows, words)?);
    }
    let rows = kept(None, &|| {
        let own = Likenesses::of(looks, side.keys, near);
        let like = |&row: &u32| {
            let key = side.keys[row as usize];
            let twin = |r: u32| r < row && side.keys[r as usize] != key;
            own.first(&looks[row as usize], twin).is_some()
        };
        all().filter(like).collect()
    })?;
    if !rows.is_empty() {
        let words = format!(
            "{} of {} {} like an earlier one without being the same file",
            images(rows.len()),
            side.name,
            verb(rows.len(), "looks", "look"),
        );
        found.push(side.find("copies", Level::Note, &rows, words)?);
    }
    Ok(found)
}

/// The shorter side.
fn short(look: &Look) -> u32 {
    look.width.min(look.height)
}

/// Whether two images are copies of one.
type Near<'n> = dyn Fn(&Likeness, &Likeness) -> bool + Sync + 'n;

/// Bits in which the hashes of copies may differ.
const APART: u32 = 3;

/// Hashes that can be searched for near ones: two that differ in at most three bits agree in one of four parts.
struct Likenesses<'a> {
    near: &'a Near<'a>,
    looks: &'a [Look],
    /// By a part's value: hashes and their rows, in order.
    parts: [Vec<(u64, u32)>; 4],
}

impl<'a> Likenesses<'a> {
    /// Of the first row of each key alone: the same file again is no further image, and thousands of it would all be asked about each other.
    fn of(looks: &'a [Look], keys: &[Key], near: &'a Near<'a>) -> Self {
        let mut seen = BTreeSet::new();
        let rows = (0u32..).zip(looks.iter().zip(keys));
        let all: Vec<(u64, u32)> = rows
            .filter(|(_, (_, key))| seen.insert(**key))
            .filter_map(|(row, (look, _))| Some((look.likeness?.hash, row)))
            .collect();
        let parts = std::array::from_fn(|part| {
            let mut list = all.clone();
            list.sort_unstable_by_key(|&(hash, row)| (bits(hash, part), row));
            list
        });
        Likenesses { near, looks, parts }
    }

    /// A row with a near hash, for which `is` holds.
    fn first(&self, look: &Look, is: impl Fn(u32) -> bool) -> Option<u32> {
        let own = look.likeness?;
        for (part, list) in self.parts.iter().enumerate() {
            let value = bits(own.hash, part);
            let from = list.partition_point(|e| bits(e.0, part) < value);
            let equal = list[from..].iter().take_while(|e| bits(e.0, part) == value);
            // Of small pictures on one ground a part's value may be that of thousands.
            let near = equal.filter(|e| (e.0 ^ own.hash).count_ones() <= APART);
            for &(_, row) in near {
                let other = self.looks[row as usize].likeness;
                if other.is_some_and(|other| (self.near)(&own, &other)) && is(row) {
                    return Some(row);
                }
            }
        }
        None
    }
}

fn bits(hash: u64, part: usize) -> u16 {
    (hash >> (16 * part)) as u16
}

/// Classes with a single image: it can be learned from, or looked at to judge, but not both.
pub(crate) fn single(side: &Side<'_>) -> Result<Option<Finding>> {
    let Some(labels) = side.labels else {
        return Ok(None);
    };
    let counts = labels.counts();
    let rows: Vec<u32> = (0..labels.classes.len() as u32)
        .filter(|&r| counts[labels.classes[r as usize] as usize] == 1)
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let mut names: Vec<String> = rows
        .iter()
        .take(5)
        .map(|&r| format!("`{}`", labels.names[labels.classes[r as usize] as usize]))
        .collect();
    if rows.len() > 5 {
        names.push(format!("{} more", rows.len() - 5));
    }
    let words = format!("{} has a single image of {}", side.name, names.join(", "));
    side.find("single", Level::Warning, &rows, words).map(Some)
}

/// How large the images are, and how many of them are grey, of the rows to learn from (`main`); a warning where some are too small to show anything.
pub(crate) fn looks(side: &Side<'_>, looks: &[Look], main: bool) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let small: Vec<u32> = (0u32..)
        .zip(looks)
        .filter(|(_, l)| short(l) < SMALL)
        .map(|(row, _)| row)
        .collect();
    let mut sizes: Vec<(u32, u32)> = looks.iter().map(|l| (l.width, l.height)).collect();
    sizes.sort_by_key(|&(w, h)| (u64::from(w) * u64::from(h), w));
    let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else {
        return Ok(found);
    };
    let shown = |(w, h): &(u32, u32)| format!("{w} x {h}");
    let middle = sizes[sizes.len() / 2];
    let mut words = match least == most {
        true => format!("the images of {} have {} pixels", side.name, shown(least)),
        false => format!(
            "the images of {} have from {} to {} pixels, the middle one {}",
            side.name,
            shown(least),
            shown(most),
            shown(&middle)
        ),
    };
    let grey = looks.iter().filter(|l| l.grey).count();
    if grey > 0 {
        let share = grey as f64 / looks.len() as f64;
        let share = match grey == looks.len() {
            true => "all are grey".to_string(),
            false => format!(
                "{} of them {} grey",
                percent(share),
                verb(grey, "is", "are")
            ),
        };
        words.push_str(&format!("; {share}"));
    }
    if main {
        let mut size = side.find("size", Level::Note, &[], words)?;
        size.count = looks.len();
        found.push(size);
    }
    if !small.is_empty() {
        let words = format!(
            "{} of {} {} fewer than {SMALL} pixels on a side",
            images(small.len()),
            side.name,
            verb(small.len(), "has", "have")
        );
        found.push(side.find("size", Level::Warning, &small, words)?);
    }
    Ok(found)
}

/// `1 image`, `12 images`.
fn images(n: usize) -> String {
    match n {
        1 => "1 image".into(),
        n => format!("{n} images"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn look(hash: u64) -> Look {
        Look {
            width: 10,
            height: 10,
            grey: false,
            likeness: Some(Likeness {
                hash,
                greys: [0; 72],
            }),
        }
    }

    #[test]
    fn near_hashes_are_found_wherever_their_bits_differ() {
        let near = |a: &Likeness, b: &Likeness| (a.hash ^ b.hash).count_ones() <= 3;
        let base = 0x0123_4567_89ab_cdefu64;
        let rows = [look(!base), look(base)];
        let all = Likenesses::of(&rows, &[0, 1], &near);
        for bits in [
            vec![],
            vec![0],
            vec![63],
            vec![1, 17, 33],
            vec![0, 1, 2],
            vec![15, 16, 48],
        ] {
            let hash = bits.iter().fold(base, |h, b| h ^ (1 << b));
            assert_eq!(all.first(&look(hash), |_| true), Some(1), "{bits:?}");
            assert_eq!(all.first(&look(hash), |_| false), None);
        }
        assert_eq!(all.first(&look(base ^ 0b1111), |_| true), None);
        let blank = Look {
            likeness: None,
            ..look(0)
        };
        let rows = [blank];
        let none = Likenesses::of(&rows, &[0], &near);
        assert_eq!(none.first(&blank, |_| true), None);
    }

    /// Copies of one file are asked about once: thousands of them took the square of that.
    #[test]
    fn the_same_file_again_is_no_further_image() {
        let near = |a: &Likeness, b: &Likeness| a.hash == b.hash;
        let rows = [look(5), look(5), look(5), look(7)];
        let all = Likenesses::of(&rows, &[8, 8, 8, 9], &near);
        let asked = Cell::new(0);
        let is = |_| {
            asked.set(asked.get() + 1);
            false
        };
        assert_eq!(all.first(&look(5), is), None);
        // Once in each of the four parts of the hash.
        assert_eq!(asked.get(), 4);
        assert_eq!(all.first(&look(5), |_| true), Some(0));
    }
}
