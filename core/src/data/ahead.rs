//! Rows prepared on other threads before they are asked for, a few batches and no more: decoding goes on while the network computes.
//!
//! Who asks first prepares: a row that no other thread has begun is prepared by the one that wants it, and one that is being prepared is
//! waited for. What comes out is a function of the row and the stream, so nothing depends on who was faster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::example::{Example, View};
use crate::Result;

/// The stream of the epoch, the view and the row.
pub(super) type Key = (u64, View, u32);

enum State {
    /// Nobody has begun.
    Wanted,
    /// Somebody is at it.
    Running,
    Done(Arc<Example>),
}

/// What will be wanted soon, and what of it is there.
#[derive(Default)]
pub(super) struct Ahead {
    rows: Mutex<BTreeMap<Key, State>>,
    changed: Condvar,
}

impl Ahead {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<Key, State>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These will be wanted, and nothing else: returns what is not begun yet.
    pub fn want(&self, keys: &BTreeSet<Key>) -> Vec<Key> {
        let mut rows = self.rows();
        rows.retain(|key, state| matches!(state, State::Running) || keys.contains(key));
        let mut new = Vec::new();
        for &key in keys {
            rows.entry(key).or_insert_with(|| {
                new.push(key);
                State::Wanted
            });
        }
        new
    }

    /// Prepares a row, unless somebody has begun or nobody wants it any more.
    pub fn begin(&self, key: Key, make: impl FnOnce() -> Result<Arc<Example>>) {
        {
            let mut rows = self.rows();
            match rows.get_mut(&key) {
                Some(state @ State::Wanted) => *state = State::Running,
                _ => return,
            }
        }
        self.finish(key, make().ok());
    }

    /// The row, prepared here where nobody else has. An error is not kept: who asks makes it anew and gets it.
    pub fn take(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Arc<Example>>,
    ) -> Result<Arc<Example>> {
        let mut rows = self.rows();
        loop {
            match rows.get_mut(&key) {
                Some(State::Done(example)) => return Ok(example.clone()),
                Some(State::Running) => {
                    rows = self
                        .changed
                        .wait(rows)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Some(state @ State::Wanted) => {
                    *state = State::Running;
                    drop(rows);
                    let made = make();
                    self.finish(key, made.as_ref().ok().cloned());
                    return made;
                }
                None => {
                    drop(rows);
                    return make();
                }
            }
        }
    }

    fn finish(&self, key: Key, made: Option<Arc<Example>>) {
        let mut rows = self.rows();
        match made {
            Some(example) => rows.insert(key, State::Done(example)),
            None => rows.remove(&key),
        };
        drop(rows);
        self.changed.notify_all();
    }

    /// How many are held.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.rows().len()
    }
}
