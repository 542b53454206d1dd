//! Rows of numbers that cost a pass of a network and are worth keeping: the features of a frozen encoder, the outputs of a teacher.
//!
//! What is kept is found by its content ([`Key`]): a hash of everything that the numbers depend on. So runs share it, a changed weight, text,
//! tokenizer or version of tlkit simply asks for something else, and nothing has to be declared stale. A run gives the same bits with the
//! cache, without it, and with it half filled: what is stored is f32, as it was computed, and whoever may use the cache
//! computes in the same order without it.
//!
//! On disk ([`Cache`]) an entry is one file that appears whole or not at all; it is written as it is computed and mapped when it is read, so
//! that memory stays flat. A sum over its numbers tells when a disk gives back others. Two processes that want the same compute it once: the second waits for the first.
//!
//! ```
//! use tlkit_core::cache::{Key, kept};
//! use tlkit_core::train::Silent;
//!
//! let key = Key::new("squares").with("up to", "3");
//! let rows = kept(None, &key, 3, &Silent, &mut |sink| {
//!     (0..3u32).try_for_each(|r| sink.put(&[r], &[(r * r) as f32]))
//! })?;
//! assert_eq!(rows.row(2), [4.0]);
//! # Ok::<(), tlkit_core::Error>(())
//! ```

mod disk;
mod key;
mod rows;

pub use disk::Cache;
pub use key::Key;
pub(crate) use key::arithmetic;
pub use rows::{Rows, Sink};

use rows::Closed;

use crate::train::{Event, Observer};
use crate::{Error, Result};

/// The rows of a key: from the cache, or made, and kept there for the next one. `make` puts every one of `rows` rows into the sink, in any order.
///
/// A cache that cannot be written to is no failure of a run: the rows are then held in memory, and a note says so.
pub fn kept(
    cache: Option<&Cache>,
    key: &Key,
    rows: usize,
    observer: &dyn Observer,
    make: &mut dyn FnMut(&mut Sink) -> Result<()>,
) -> Result<Rows> {
    if let Some(cache) = cache {
        if let Some(found) = cache.find(key, rows, observer) {
            return Ok(found);
        }
        if let Some(lock) = cache.lock(key, observer)? {
            // Whoever held the lock has filled it, perhaps.
            if let Some(found) = cache.find(key, rows, observer) {
                return Ok(found);
            }
            let mut sink = Sink::file(cache.part(key), rows);
            make(&mut sink)?;
            let closed = sink.close()?;
            let not_cached = |why: Option<Error>| {
                let why = why.map_or_else(String::new, |e| format!(": {e}"));
                observer.event(&Event::Note(&format!("features are not cached{why}")));
            };
            let kept = match closed {
                Closed::File(part, width) => {
                    let (kept, why) = cache.adopt(key, &part, (rows, width))?;
                    if why.is_some() {
                        not_cached(why);
                    }
                    kept
                }
                Closed::Memory(rows, why) => {
                    not_cached(why);
                    rows
                }
            };
            drop(lock);
            return Ok(kept);
        }
    }
    let mut sink = Sink::memory(rows);
    make(&mut sink)?;
    match sink.close()? {
        Closed::Memory(rows, _) => Ok(rows),
        Closed::File(..) => Err(Error::msg("these rows are in memory")),
    }
}
