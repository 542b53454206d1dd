//! The one pass over every row: what the digest, the audit and the split need of it, a few bytes a row.
//!
//! Sealed labels are not among it: whoever scans a sealed domain gives no label column.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::columns::Columns;
use super::{Form, samples};
use crate::Error;
use crate::audit::{Fill, Key};
use crate::data::columns::{Rows, class_names};
use crate::data::{Input, Labels, Look, Pictures};

/// Rows whose facts are held at a time.
const CHUNK: usize = 16_384;

/// What is kept of some rows, a value each.
#[derive(Clone)]
pub(crate) struct Scanned {
    /// Of the input, byte for byte.
    pub digests: Vec<[u8; 16]>,
    /// Of the input, its case and spaces evened out: equal for rows that say the same.
    pub keys: Vec<Key>,
    pub fills: Vec<Fill>,
    /// Class indices into `names`; `None` where labels were not read.
    pub labels: Option<Vec<u32>>,
    /// The labels' names as they stand in the data, in the order of their first rows.
    pub names: Vec<String>,
    /// The first row of each name.
    pub firsts: Vec<u32>,
    /// The group of each row; `None` where rows are not grouped.
    pub groups: Option<Vec<u32>>,
    /// What each image is, where rows are images.
    pub looks: Option<Vec<Look>>,
    /// Rows whose image cannot be read, and why, with its place. Nothing else of them is right.
    pub broken: Vec<(u32, String)>,
}

struct Facts {
    digest: [u8; 16],
    key: Key,
    fill: Fill,
    label: Option<String>,
    group: Option<String>,
    look: Option<Result<Look, String>>,
}

/// Reads every row once. `label` and `group` are columns; `pictures` opens images.
pub(super) fn scan(
    form: Form,
    rows: &Rows,
    columns: &Columns,
    label: Option<usize>,
    group: Option<usize>,
    pictures: Option<&dyn Pictures>,
) -> crate::Result<Scanned> {
    let n = rows.len();
    let mut out = Scanned {
        digests: Vec::with_capacity(n),
        keys: Vec::with_capacity(n),
        fills: Vec::with_capacity(n),
        labels: label.map(|_| Vec::with_capacity(n)),
        names: Vec::new(),
        firsts: Vec::new(),
        groups: group.map(|_| Vec::with_capacity(n)),
        looks: pictures.map(|_| Vec::with_capacity(n)),
        broken: Vec::new(),
    };
    let inputs = samples(form, rows, columns);
    let facts = |row: usize| -> crate::Result<Facts> {
        let (input, unread) = match (pictures, inputs.input(row)) {
            (_, Ok(input)) => (input, None),
            (None, Err(e)) => return Err(e),
            // A file that is not there, or may not be read.
            (Some(_), Err(e)) => (Input::Image(vec![].into()), Some(e.to_string())),
        };
        let sha256 = digest(&input);
        let look = pictures.map(|pictures| {
            let look = match (unread, &input) {
                (Some(why), _) => return Err(why),
                (None, Input::Image(bytes)) => pictures.look_named(bytes, &sha256),
                (None, other) => Err(format!("expected an image, found {}", other.kind())),
            };
            look.map_err(|why| format!("{}: {why}", inputs.place(row)))
        });
        let (key, fill) = key(&input, &sha256);
        Ok(Facts {
            look,
            digest: first(&sha256),
            key,
            fill,
            label: label.map(|c| rows.name(row, c)).transpose()?,
            group: group.map(|c| cell(rows, row, c)).transpose()?,
        })
    };
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    let mut groups: BTreeMap<String, u32> = BTreeMap::new();
    for from in (0..n).step_by(CHUNK) {
        // All of a chunk's results, so that of several errors the first row's is said whatever thread was faster.
        let chunk: Vec<crate::Result<Facts>> = (from..n.min(from + CHUNK))
            .into_par_iter()
            .map(facts)
            .collect();
        for (row, facts) in (from..).zip(chunk) {
            let facts = facts?;
            out.digests.push(facts.digest);
            out.keys.push(facts.key);
            out.fills.push(facts.fill);
            if let (Some(all), Some(look)) = (&mut out.looks, facts.look) {
                all.push(look.unwrap_or_else(|why| {
                    out.broken.push((row as u32, why));
                    Look::NOTHING
                }));
            }
            if let (Some(all), Some(name)) = (&mut out.labels, facts.label) {
                let new = names.len() as u32;
                let index = *names.entry(name).or_insert_with_key(|name| {
                    out.names.push(name.clone());
                    out.firsts.push(row as u32);
                    new
                });
                all.push(index);
            }
            if let (Some(all), Some(group)) = (&mut out.groups, facts.group) {
                let new = groups.len() as u32;
                all.push(*groups.entry(group).or_insert(new));
            }
        }
    }
    if let Some(pictures) = pictures {
        pictures.keep();
    }
    Ok(out)
}

impl Scanned {
    /// The classes in order.
    pub fn classes(&self) -> Arc<Vec<String>> {
        Arc::new(class_names(self.names.iter()))
    }

    /// The labels by class; the error is a name that is no class, and its first row.
    pub fn labels(&self, classes: &Arc<Vec<String>>) -> Result<Option<Labels>, (usize, String)> {
        let Some(labels) = &self.labels else {
            return Ok(None);
        };
        let places: BTreeMap<&String, u32> = classes.iter().zip(0u32..).collect();
        let mut map = Vec::with_capacity(self.names.len());
        for (name, &first) in self.names.iter().zip(&self.firsts) {
            let place = places.get(name).copied();
            map.push(place.ok_or((first as usize, name.clone()))?);
        }
        Ok(Some(Labels {
            classes: labels.iter().map(|&l| map[l as usize]).collect(),
            names: classes.clone(),
        }))
    }

    /// Only these rows, and only the names that they have.
    pub fn pick(&self, rows: &[u32]) -> Scanned {
        fn pick<T: Copy>(all: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&r| all[r as usize]).collect()
        }
        let mut labels = self.labels.as_ref().map(|l| pick(l, rows));
        let (mut names, mut firsts) = (Vec::new(), Vec::new());
        let mut known: Vec<Option<u32>> = vec![None; self.names.len()];
        for (row, label) in (0u32..).zip(labels.iter_mut().flatten()) {
            let old = *label as usize;
            *label = *known[old].get_or_insert_with(|| {
                names.push(self.names[old].clone());
                firsts.push(row);
                names.len() as u32 - 1
            });
        }
        Scanned {
            digests: pick(&self.digests, rows),
            keys: pick(&self.keys, rows),
            fills: pick(&self.fills, rows),
            labels,
            names,
            firsts,
            groups: self.groups.as_ref().map(|g| pick(g, rows)),
            looks: self.looks.as_ref().map(|l| pick(l, rows)),
            // They are left out before anything is picked.
            broken: Vec::new(),
        }
    }

    /// How many rows have an input that is blank.
    pub fn empty(&self) -> usize {
        self.fills.iter().filter(|&&f| f == Fill::Empty).count()
    }
}

/// A cell as text, of whatever kind it is: a group may be a number or a name.
fn cell(rows: &Rows, row: usize, column: usize) -> crate::Result<String> {
    match rows.cell(row, column)? {
        Input::Text(t) if t.trim().is_empty() => Err(rows.wrong(
            row,
            column,
            "the group is empty; write one, or take the row out",
        )),
        Input::Text(t) => Ok(t.trim().to_string()),
        other => Err(Error::msg(format!(
            "{}: a group is text, and this is {}",
            rows.place(row),
            other.kind()
        ))),
    }
}

/// Of the input as it is.
fn digest(input: &Input<'_>) -> [u8; 32] {
    let mut sha = Sha256::new();
    match input {
        Input::Text(t) => sha.update(t.as_bytes()),
        Input::Pair(a, b) => {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            sha.update((a.len() as u64).to_le_bytes());
            sha.update(a.as_bytes());
            sha.update(b.as_bytes());
        }
        Input::Image(b) => sha.update(b),
        Input::Features(f) => f.iter().for_each(|v| sha.update(v.to_le_bytes())),
    }
    sha.finalize().into()
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

/// Of what the input says, and how much that is; an image says what its bytes are, which have this digest.
fn key(input: &Input<'_>, sha256: &[u8; 32]) -> (Key, Fill) {
    let mut sha = Sha256::new();
    let fill = match input {
        Input::Text(t) => evened(t, &mut sha),
        Input::Pair(a, b) => {
            let one = evened(a, &mut sha);
            // No evened text holds a line break.
            sha.update(b"\n");
            one.max(evened(b, &mut sha))
        }
        Input::Image(_) => return (Key::from_le_bytes(first(sha256)), Fill::Full),
        Input::Features(f) => {
            // 0 and -0 are one number.
            f.iter().for_each(|v| sha.update((v + 0.0).to_le_bytes()));
            Fill::Full
        }
    };
    (Key::from_le_bytes(first(&sha.finalize())), fill)
}

/// Adds a text in small letters, its words one space apart.
fn evened(text: &str, sha: &mut Sha256) -> Fill {
    let mut even = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !even.is_empty() {
            even.push(' ');
        }
        even.extend(word.chars().flat_map(char::to_lowercase));
    }
    sha.update(even.as_bytes());
    let signs = even.chars().filter(|c| c.is_alphanumeric()).take(2).count();
    match (even.is_empty(), signs) {
        (true, _) => Fill::Empty,
        (_, 0..2) => Fill::Nearly,
        _ => Fill::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_say_the_same_have_one_key() {
        let key = |input: &Input<'_>| key(input, &digest(input));
        let of = |t: &'static str| key(&Input::Text(t.into()));
        assert_eq!(of("A  Fine\tfilm "), of("a fine film"));
        assert_ne!(of("a fine film").0, of("a finefilm").0);
        assert_eq!(
            (of(" \t").1, of("!? a").1, of("bad").1),
            (Fill::Empty, Fill::Nearly, Fill::Full)
        );
        let pair = |a: &'static str, b: &'static str| key(&Input::Pair(a.into(), b.into()));
        assert_ne!(pair("a b", "c").0, pair("a", "b c").0);
        assert_eq!(pair("", "full").1, Fill::Full);
        let features = |v: f32| key(&Input::Features(vec![v].into())).0;
        assert_eq!(features(0.0), features(-0.0));
    }

    /// The first row of a name is a row of what was picked, or a name that no picked row has is looked for among rows that are gone.
    #[test]
    fn picked_rows_bring_their_own_names() {
        let n = 5;
        let all = Scanned {
            digests: (0..n).map(|i| [i; 16]).collect(),
            keys: (0..n).map(Key::from).collect(),
            fills: vec![Fill::Full; n.into()],
            labels: Some(vec![0, 1, 2, 1, 0]),
            names: ["neg", "pos", "odd"].map(String::from).to_vec(),
            firsts: vec![0, 1, 2],
            groups: None,
            looks: None,
            broken: Vec::new(),
        };
        // Without the first row of each name, and without the only row of `odd`.
        let some = all.pick(&[3, 4]);
        assert_eq!(some.names, ["pos", "neg"]);
        assert_eq!(
            (some.labels.clone(), some.firsts.clone()),
            (Some(vec![0, 1]), vec![0, 1])
        );
        let labels = |scanned: &Scanned, classes: &[&str]| {
            let classes = Arc::new(classes.iter().map(|c| c.to_string()).collect());
            scanned.labels(&classes).map(|l| l.unwrap().classes)
        };
        assert_eq!(labels(&some, &["neg", "pos"]), Ok(vec![1, 0]));
        assert_eq!(labels(&some, &["pos"]), Err((1, "neg".to_string())));
        let last = all.pick(&[4, 2]);
        assert_eq!(labels(&last, &["neg", "pos"]), Err((1, "odd".to_string())));
    }

    #[test]
    fn the_digest_tells_bytes_apart() {
        let of = |t: &'static str| digest(&Input::Text(t.into()));
        assert_ne!(of("a"), of("A"));
        let pair = |a: &'static str, b: &'static str| digest(&Input::Pair(a.into(), b.into()));
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
    }
}
