//! A plugin that ends the process (`exit`) would end it as if all were done.

#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether it is tlkit that ends.
#[cfg(unix)]
static OURS: AtomicBool = AtomicBool::new(false);

/// From here on, whoever ends the process before [`ours`] ends it as a failure, with a word.
#[cfg(unix)]
pub fn watch() {
    // SAFETY: a function that stays, and does not unwind.
    unsafe { atexit(left) };
}

#[cfg(not(unix))]
pub fn watch() {}

/// tlkit itself ends.
pub fn ours() {
    #[cfg(unix)]
    OURS.store(true, Ordering::Release);
}

#[cfg(unix)]
extern "C" fn left() {
    if OURS.load(Ordering::Acquire) {
        return;
    }
    let words = "error: a plugin ended the process; what was checkpointed is safe, and `tlkit plugins check` may find out which\n";
    // SAFETY: bytes that stay; nothing of Rust's own, which is on its way out here.
    unsafe {
        write(2, words.as_ptr(), words.len());
        _exit(super::super::exit::FAILED.into())
    }
}

#[cfg(unix)]
unsafe extern "C" {
    fn atexit(f: extern "C" fn()) -> std::ffi::c_int;
    fn write(to: std::ffi::c_int, bytes: *const u8, count: usize) -> isize;
    fn _exit(code: std::ffi::c_int) -> !;
}
