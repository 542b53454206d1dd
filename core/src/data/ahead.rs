//! Rows prepared on other threads before they are asked for, a few batches and no more: decoding goes on while the network computes.
//!
//! Who asks first prepares: a row that no other thread has begun is prepared by the one that wants it, and one that is being prepared is
//! waited for. What comes out is a function of the row and the stream, so nothing depends on who was faster.
//!
//! Preparing a row may itself split its work, and a thread that waits for its parts takes up whatever else is to be done: another row, say, that it wants from
//! a thread which wants this one. So nobody waits who has a row in the making: it makes the other one too.

use std::cell::Cell;
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

thread_local! {
    /// Rows that this thread has begun and not ended, one within the other.
    static MAKING: Cell<usize> = const { Cell::new(0) };
}

/// Makes a row, and knows meanwhile that it does.
fn making<T>(make: impl FnOnce() -> T) -> T {
    struct Made;
    impl Drop for Made {
        fn drop(&mut self) {
            MAKING.set(MAKING.get() - 1);
        }
    }
    MAKING.set(MAKING.get() + 1);
    let _made = Made;
    make()
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
        self.finish(key, making(make).ok());
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
                Some(State::Running) if MAKING.get() > 0 => {
                    drop(rows);
                    return make();
                }
                Some(State::Running) => {
                    rows = self
                        .changed
                        .wait(rows)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Some(state @ State::Wanted) => {
                    *state = State::Running;
                    drop(rows);
                    let made = making(make);
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

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};
    use std::time::Duration;

    use super::*;

    /// Two threads that each want the row which the other has begun, as a thread does that takes up work while it waits for parts of its own.
    #[test]
    fn who_has_a_row_in_the_making_waits_for_none() {
        let ahead = Arc::new(Ahead::default());
        let key = |row| (0, View::Plain, row);
        ahead.want(&[key(0), key(1)].into());
        let both = Arc::new(Barrier::new(2));
        let (done, ended) = mpsc::channel();
        for row in [0, 1] {
            let (ahead, both, done) = (ahead.clone(), both.clone(), done.clone());
            std::thread::spawn(move || {
                let example = || Ok(Arc::new(Example::default()));
                ahead.begin(key(row), || {
                    both.wait();
                    ahead.take(key(1 - row), example)
                });
                let _ = done.send(());
            });
        }
        for _ in 0..2 {
            let ended = ended.recv_timeout(Duration::from_secs(60));
            assert!(ended.is_ok(), "they wait for each other");
        }
    }
}
