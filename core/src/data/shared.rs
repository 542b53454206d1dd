//! Files that many recipes of one plan name, opened once.
//!
//! An experiment's cells are checked one after the other, and most of them name the same files. A [`Registry`](crate::registry::Registry) that shares
//! keeps what was opened, and what the pass over the rows left, until it is dropped; whoever runs a cell reads for itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::keys::Scanned;
use super::{Blob, ReadOptions, Reader, Table};
use crate::Result;

/// What was opened so far, by all that it depends on.
#[derive(Default)]
pub(crate) struct Shared {
    tables: Mutex<BTreeMap<String, Arc<dyn Table>>>,
    ranges: Mutex<BTreeMap<String, Option<(u32, u32)>>>,
    scans: Mutex<BTreeMap<String, Arc<Scanned>>>,
    alike: Mutex<BTreeMap<String, Arc<Vec<u32>>>>,
}

/// The value under a key; made where it is not there. An error is not kept.
fn kept<T: Clone>(
    all: &Mutex<BTreeMap<String, T>>,
    key: &str,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let map = || all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(there) = map().get(key) {
        return Ok(there.clone());
    }
    let made = make()?;
    map().insert(key.to_string(), made.clone());
    Ok(made)
}

/// A file, by who reads it, its name and where its bytes are.
fn file(reader: &Arc<dyn Reader>, name: &str, blob: &Blob) -> String {
    let reader = Arc::as_ptr(reader).cast::<()>();
    match blob {
        Blob::Path(path) => format!("{reader:p} {name:?} {path:?}"),
        Blob::Embedded(bytes) => {
            format!("{reader:p} {name:?} {:p} {}", bytes.as_ptr(), bytes.len())
        }
    }
}

impl Shared {
    /// The open file, and what it is called among what is shared.
    pub fn open(
        &self,
        reader: &Arc<dyn Reader>,
        name: &str,
        blob: &Blob,
        options: &ReadOptions,
    ) -> (Result<Arc<dyn Table>>, String) {
        let key = format!("{} {options:?}", file(reader, name, blob));
        let table = kept(&self.tables, &key, || reader.open(name, blob, options));
        (table, key)
    }

    /// The lowest and highest index of a file.
    pub fn index_range(
        &self,
        reader: &Arc<dyn Reader>,
        name: &str,
        blob: &Blob,
    ) -> Result<Option<(u32, u32)>> {
        let key = file(reader, name, blob);
        kept(&self.ranges, &key, || reader.index_range(name, blob))
    }

    /// What the pass over some rows left; `rows` says which of which files, and what of them was looked at.
    pub fn scan(&self, rows: &str, make: impl FnOnce() -> Result<Scanned>) -> Result<Arc<Scanned>> {
        kept(&self.scans, rows, || make().map(Arc::new))
    }

    /// The images of some rows that look like others; `rows` says which of which.
    pub fn alike(&self, rows: &str, make: impl FnOnce() -> Vec<u32>) -> Result<Vec<u32>> {
        kept(&self.alike, rows, || Ok(Arc::new(make()))).map(|rows| rows.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Error;
    use crate::data::Input;

    struct Nothing(Vec<String>);

    impl Table for Nothing {
        fn columns(&self) -> &[String] {
            &self.0
        }
        fn rows(&self) -> usize {
            0
        }
        fn cell(&self, _: usize, _: usize) -> Result<Input<'_>> {
            Err(Error::msg("no rows"))
        }
        fn place(&self, _: usize) -> String {
            String::new()
        }
    }

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Reader for Counting {
        fn extensions(&self) -> &[&str] {
            &[]
        }
        fn open(&self, name: &str, _: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match name {
                "broken" => Err(Error::msg("broken")),
                _ => Ok(Arc::new(Nothing(Vec::new()))),
            }
        }
    }

    #[test]
    fn what_looks_alike_is_kept_by_the_rows_that_were_looked_at() {
        let shared = Shared::default();
        assert_eq!(shared.alike("a", || vec![1, 2]).unwrap(), [1, 2]);
        assert_eq!(shared.alike("a", || unreachable!()).unwrap(), [1, 2]);
        assert_eq!(shared.alike("a b", || vec![3]).unwrap(), [3]);
    }

    #[test]
    fn a_file_is_opened_once_for_each_way_to_open_it_and_errors_are_not_kept() {
        let counting = Arc::new(Counting::default());
        let reader: Arc<dyn Reader> = counting.clone();
        let shared = Shared::default();
        let blob = |name: &str| Blob::Path(name.into());
        let plain = ReadOptions::default();
        let wide = ReadOptions {
            min_width: 7,
            ..ReadOptions::default()
        };
        let times = |name: &str, blob: &Blob, options: &ReadOptions| {
            let before = counting.0.load(Ordering::Relaxed);
            let (table, key) = shared.open(&reader, name, blob, options);
            (
                table.is_ok(),
                key,
                counting.0.load(Ordering::Relaxed) - before,
            )
        };
        let (_, first, opened) = times("a", &blob("a"), &plain);
        assert_eq!(opened, 1);
        assert_eq!(times("a", &blob("a"), &plain), (true, first.clone(), 0));
        for (other, options) in [("a", &wide), ("b", &plain)] {
            let (_, key, opened) = times("a", &blob(other), options);
            assert!(opened == 1 && key != first, "{key}");
        }
        // Two texts in the binary are two files, whatever they are called.
        assert_eq!(times("a", &Blob::Embedded(b"one"), &plain).2, 1);
        assert_eq!(times("a", &Blob::Embedded(b"another"), &plain).2, 1);
        for _ in 0..2 {
            let (well, _, opened) = times("broken", &blob("broken"), &plain);
            assert!(!well && opened == 1);
        }
    }
}
