//! JSON Lines: an object a line. The columns are the keys, in the order in which they are first seen; a key that a row does not
//! have is empty there, as `null` is. Numbers and `true` and `false` are read as they are written.

use std::borrow::Cow;
use std::result::Result;
use std::sync::Arc;

use serde_json::{Map, Value};
use tlkit_core::data::{Blob, ReadOptions, Reader, Table};

use crate::format::{Blank, Cell, Cells, Columns, Format, Wrong, first_line, text, up_to_wrong};

/// Reads `.jsonl`, `.ndjson`, and `.json` where that is JSON Lines.
#[derive(Clone, Copy, Debug)]
pub struct JsonLines;

/// More keys than this are no columns but data.
const MOST: usize = 4096;

const LIST: &str = "a list stands where an object should; JSON Lines has an object a line: {\"text\": \"...\", \"label\": \"...\"}";

impl Reader for JsonLines {
    fn extensions(&self) -> &[&str] {
        &[
            "jsonl",
            "jsonl.gz",
            "jsonl.xz",
            "ndjson",
            "ndjson.gz",
            "ndjson.xz",
            "json",
            "json.gz",
            "json.xz",
        ]
    }

    fn open(
        &self,
        name: &str,
        blob: &Blob,
        options: &ReadOptions,
    ) -> tlkit_core::Result<Arc<dyn Table>> {
        crate::open::text(*self, name, blob, options)
    }
}

fn object(row: &str) -> Result<Map<String, Value>, Wrong> {
    let error = |e: serde_json::Error| {
        // Columns are bytes from 1, of a row that is one line.
        let byte = e.column().saturating_sub(1).min(row.len());
        let words = e.to_string();
        let words = words.split(" at line ").next().unwrap_or(&words);
        Wrong::at(byte, format!("not JSON ({words}); each line is one object"))
    };
    match serde_json::from_str(row).map_err(error)? {
        Value::Object(map) => Ok(map),
        Value::Array(_) => Err(Wrong::row(LIST)),
        _ => Err(Wrong::row(
            "no object; JSON Lines has an object a line: {\"text\": \"...\", \"label\": \"...\"}",
        )),
    }
}

/// The keys of the object of a row, as they are written, and where each begins. The row is known to be one.
fn keys(row: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    let mut last = 0..0;
    row.bytes().enumerate().filter_map(move |(i, b)| {
        if quoted {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => (quoted, last.end) = (false, i),
                _ => {}
            }
            return None;
        }
        match b {
            b'"' => (quoted, last.start) = (true, i + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 => return Some((last.start, &row[last.clone()])),
            _ => {}
        }
        None
    })
}

/// The second of two keys that are written alike.
fn twice(row: &str) -> Option<(usize, &str)> {
    let mut seen = std::collections::BTreeSet::new();
    keys(row).find(|(_, key)| !seen.insert(*key))
}

impl JsonLines {
    /// The cell of a row that was parsed.
    fn value<'r>(
        &self,
        map: &Map<String, Value>,
        row: &[u8],
        column: usize,
        columns: &[String],
    ) -> Result<Cell<'r>, Wrong> {
        let value: Cow<'r, str> = match map.get(&columns[column]) {
            None | Some(Value::Null) => "".into(),
            Some(Value::String(s)) => s.clone().into(),
            Some(Value::Bool(b)) => b.to_string().into(),
            Some(Value::Number(n)) => n.to_string().into(),
            Some(other) => {
                let what = if other.is_array() {
                    "a list"
                } else {
                    "an object"
                };
                let name = &columns[column];
                let words = format!("`{name}` is {what}; a text or a number is wanted");
                let byte = self.offset(row, column, columns);
                return Err(byte.map_or_else(|| Wrong::row(&words), |b| Wrong::at(b, &words)));
            }
        };
        Ok(Cell::Text(value))
    }
}

impl Cells for JsonLines {
    fn key(&self) -> &'static str {
        "json lines 1"
    }

    fn cell<'r>(
        &self,
        row: &'r [u8],
        column: usize,
        columns: &[String],
    ) -> Result<Cell<'r>, Wrong> {
        let map = object(text(first_line(row))?)?;
        self.value(&map, row, column, columns)
    }

    fn cells<'r>(
        &self,
        row: &'r [u8],
        wanted: &[usize],
        columns: &[String],
    ) -> Vec<Result<Cell<'r>, Wrong>> {
        match text(first_line(row)).and_then(object) {
            Ok(map) => up_to_wrong(wanted, |c| self.value(&map, row, c, columns)),
            Err(wrong) => vec![Err(wrong)],
        }
    }

    /// Behind the key and its colon, wherever these first stand.
    fn offset(&self, row: &[u8], column: usize, columns: &[String]) -> Option<usize> {
        let row = text(first_line(row)).ok()?;
        let key = serde_json::to_string(&columns[column]).ok()?;
        row.match_indices(&key).find_map(|(at, _)| {
            let rest = &row[at + key.len()..];
            let value = rest.trim_start().strip_prefix(':')?.trim_start();
            Some(row.len() - value.len())
        })
    }
}

impl Format for JsonLines {
    fn blank(&self) -> Blank {
        Blank::Skip
    }

    fn names(&self, row: &str) -> Result<Vec<String>, Wrong> {
        self.unnamed(row)
    }

    fn unnamed(&self, row: &str) -> Result<Vec<String>, Wrong> {
        Ok(object(row)?.into_iter().map(|(name, _)| name).collect())
    }

    /// A file that is no JSON Lines but JSON.
    fn begins(&self, row: &str, more: &mut dyn FnMut() -> bool) -> Result<(), Wrong> {
        if row.trim_start().starts_with('[') {
            // A list that ends with its line, and has lines after it, is a row like them.
            if more() && serde_json::from_str::<Value>(row).is_ok() {
                return Err(Wrong::row(LIST));
            }
            return Err(Wrong::row(
                "the file is one JSON list; write an object a line, for example with `jq -c '.[]' in.json > out.jsonl`",
            ));
        }
        // A file that is one object laid out over lines.
        if row.trim() == "{" {
            return Err(Wrong::row(
                "an object goes on in the next line; write an object a line, for example with `jq -c . in.json > out.jsonl`",
            ));
        }
        Ok(())
    }

    fn check(&self, row: &str, columns: &mut Columns, _: u64) -> Result<(), Wrong> {
        let map = object(row)?;
        if let Some((byte, name)) = twice(row) {
            let words = format!("the key `{name}` stands twice in this object; leave one out");
            return Err(Wrong::at(byte, words));
        }
        map.into_iter().for_each(|(name, _)| columns.add(name));
        match columns.len() > MOST {
            true => Err(Wrong::row(format!(
                "more than {MOST} different keys; give each row the same keys"
            ))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_columns_in_the_order_in_which_they_are_first_seen() {
        let mut columns = Columns::of(vec!["b".to_string(), "a".to_string()]);
        for row in [r#"{"a": 1, "c": 2}"#, r#"{"d": 1, "c": 2, "b": 3}"#] {
            assert_eq!(JsonLines.check(row, &mut columns, 1), Ok(()));
        }
        assert_eq!(columns.into_names(), ["b", "a", "c", "d"]);
        let keys = (0..=MOST).map(|i| format!("\"{i}\": 0"));
        let row = format!("{{{}}}", keys.collect::<Vec<_>>().join(","));
        let wrong = JsonLines.check(&row, &mut Columns::default(), 1);
        let wrong = wrong.unwrap_err().words;
        assert!(
            wrong.starts_with("more than 4096 different keys"),
            "{wrong}"
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_no_row() {
        let check = |row: &str| JsonLines.check(row, &mut Columns::default(), 1);
        let plain = r#"{"a": "x: \"a\": 1", "b": {"a": 1, "b": 2}, "c": [{"a": 1}]}"#;
        assert_eq!(check(plain), Ok(()));
        let wrong = check(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap_err();
        assert_eq!(
            (wrong.byte, wrong.words.as_str()),
            (
                Some(18),
                "the key `a` stands twice in this object; leave one out"
            )
        );
    }
}
