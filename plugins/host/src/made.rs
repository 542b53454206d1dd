//! What a plugin made for us (`self` in tlkit.h), and the handles that it leaves between a call and the next.

use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tlkit_abi as abi;
use tlkit_core::Result;

use crate::call::{Answer, Given, Guard, Wanted, call, call_taking};

type MakeFn = unsafe extern "C-unwind" fn(*const abi::Call, *mut *mut c_void) -> i32;
type DropFn = unsafe extern "C-unwind" fn(*mut c_void);
type ReleaseFn = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void);

/// One that was made. No two calls are made at once.
pub(crate) struct Made {
    this: Mutex<This>,
    who: String,
    /// What it was made with, for every call of it to ask for.
    keys: Option<Map<String, Value>>,
    drop: Option<DropFn>,
    release: Option<ReleaseFn>,
}

/// The plugin's own pointer.
struct This(*mut c_void);

// SAFETY: tlkit.h: calls may come from any thread, one at a time for one `self`; the mutex around it sees to that.
unsafe impl Send for This {}

/// A function of a table, which the probe saw there.
macro_rules! function {
    ($table:expr, $name:ident, $of:literal) => {
        $table.$name.ok_or_else(|| {
            tlkit_core::Error::msg(concat!(
                "the ",
                $of,
                " has no function `",
                stringify!($name),
                "`"
            ))
        })?
    };
}
pub(crate) use function;

impl Made {
    /// Makes one with `make`. `who` begins its errors.
    pub fn with_keys(
        who: &str,
        keys: &Map<String, Value>,
        make: MakeFn,
        drop: Option<DropFn>,
    ) -> Result<Self> {
        // SAFETY: as tlkit.h says: what is lent lives for the call.
        Made::by(who, Some(keys), drop, |c, this| unsafe { make(c, this) })
    }

    /// Makes one with whatever leaves a pointer.
    pub fn by(
        who: &str,
        keys: Option<&Map<String, Value>>,
        drop: Option<DropFn>,
        make: impl FnOnce(*const abi::Call, *mut *mut c_void) -> i32,
    ) -> Result<Self> {
        let mut this = std::ptr::null_mut();
        call(who, keys, |c| make(c, &raw mut this))?;
        Ok(Made {
            this: Mutex::new(This(this)),
            who: who.to_string(),
            keys: keys.cloned(),
            drop,
            release: None,
        })
    }

    /// The same, with what takes handles back.
    pub fn releasing(mut self, release: Option<ReleaseFn>) -> Self {
        self.release = release;
        self
    }

    /// What its errors begin with.
    pub fn who(&self) -> &str {
        &self.who
    }

    fn lock(&self) -> MutexGuard<'_, This> {
        // A panic in between leaves the pointer as it was.
        self.this.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: what it answers.
    pub fn ask(&self, f: impl FnOnce(*mut c_void, *const abi::Call) -> i32) -> Result<Vec<Answer>> {
        let this = self.lock();
        call(&self.who, self.keys.as_ref(), |c| f(this.0, c))
    }

    /// One call in which gradients may be given: those that were, by their index.
    pub fn take(
        &self,
        wanted: &Wanted<'_>,
        f: impl FnOnce(*mut c_void, *const abi::Call) -> i32,
    ) -> Result<Vec<Option<Given>>> {
        let this = self.lock();
        call_taking(&self.who, self.keys.as_ref(), wanted, |c| f(this.0, c))
    }

    /// A place for a handle.
    pub fn handle(&self) -> Handle<'_> {
        Handle {
            made: self,
            at: std::ptr::null_mut(),
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: tlkit.h: what `make` or `open` left, given back once.
            let guard = Guard(&self.who);
            unsafe { drop(self.this.lock().unwrap_or_else(PoisonError::into_inner).0) };
            guard.passed();
        }
    }
}

/// What `forward` left for `vjp`.
pub(crate) struct Handle<'m> {
    made: &'m Made,
    pub at: *mut c_void,
}

impl Handle<'_> {
    /// The pointer, to be wrapped again by [`Handle::of`].
    pub fn leave(self) -> Left {
        let at = self.at;
        std::mem::forget(self);
        Left(at)
    }

    /// Wraps it again.
    pub fn of(made: &Made, left: Left) -> Handle<'_> {
        Handle { made, at: left.0 }
    }
}

/// A handle without what made it.
pub(crate) struct Left(*mut c_void);

// SAFETY: tlkit.h: calls may come from any thread; the host does nothing with the pointer but hand it back.
unsafe impl Send for Left {}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        if self.at.is_null() {
            return;
        }
        let this = self.made.lock();
        if let Some(release) = self.made.release {
            // SAFETY: tlkit.h: what `forward` left, given back once.
            let guard = Guard(&self.made.who);
            unsafe { release(this.0, self.at) };
            guard.passed();
        }
    }
}
