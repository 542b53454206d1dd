//! A data reader on its way to C.

use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::Arc;

use tlkit_abi::{self as abi, Head};
use tlkit_core::data::{Blob, Input, ReadOptions, Reader, Table};
use tlkit_core::{Error, Result};

use crate::border::{Host, give_back, guard, text};

/// A [`Reader`] that is made of nothing.
pub trait Reads: Reader + Default + 'static {}

impl<T: Reader + Default + 'static> Reads for T {}

type Open = Arc<dyn Table>;

/// The table of a reader. `extensions` stay as long as the process.
pub(crate) fn table<T: Reads>(extensions: &'static str, folders: bool) -> abi::Reader {
    abi::Reader {
        head: Head::of::<abi::Reader>(),
        extensions: abi::Text::of(extensions),
        open: Some(open::<T>),
        close: Some(close),
        rows: Some(rows),
        columns: Some(columns),
        cell: Some(cell),
        place: Some(place),
        folders: u32::from(folders),
        reserved: 0,
    }
}

unsafe extern "C-unwind" fn open<T: Reads>(
    call: *const abi::Call,
    file: *const abi::File,
    this: *mut *mut c_void,
) -> i32 {
    // SAFETY: tlkit.h: a file lent for the call, and a place for one pointer.
    unsafe {
        guard(call, |_| {
            let file = file
                .as_ref()
                .ok_or_else(|| Error::msg("called without a file"))?;
            let blob = match file.path.size {
                // Kept by the table for as long as it likes: a table does not say when it is done with its bytes.
                0 => {
                    let bytes = std::slice::from_raw_parts(
                        if file.bytes.size == 0 {
                            std::ptr::NonNull::dangling().as_ptr()
                        } else {
                            file.bytes.data
                        },
                        file.bytes.size as usize,
                    );
                    Blob::Embedded(Box::leak(bytes.to_vec().into_boxed_slice()))
                }
                _ => Blob::Path(PathBuf::from(text(file.path))),
            };
            let options = ReadOptions {
                header: file.header == 1,
                ..ReadOptions::default()
            };
            let opened: Open = T::default().open(text(file.name), &blob, &options)?;
            this.write(Box::into_raw(Box::new(opened)).cast());
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn close(this: *mut c_void) {
    // SAFETY: what `open` left, given back once.
    unsafe { give_back::<Open>(this) }
}

/// # Safety
/// As tlkit.h says of a function with `self` and a call.
unsafe fn with(
    this: *mut c_void,
    call: *const abi::Call,
    f: impl FnOnce(&dyn Table, &Host<'_>) -> Result<()>,
) -> i32 {
    // SAFETY: the caller's; `this` is what `open` left.
    unsafe {
        guard(call, |host| {
            let table = this.cast::<Open>().as_ref();
            let table = table.ok_or_else(|| Error::msg("called without its `self`"))?;
            f(table.as_ref(), host)
        })
    }
}

unsafe extern "C-unwind" fn rows(this: *mut c_void, call: *const abi::Call, out: *mut u64) -> i32 {
    // SAFETY: tlkit.h: a place for one number.
    unsafe {
        with(this, call, |table, _| {
            out.write(table.rows() as u64);
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn columns(this: *mut c_void, call: *const abi::Call) -> i32 {
    // SAFETY: tlkit.h.
    unsafe {
        with(this, call, |table, host| {
            table.columns().iter().for_each(|c| host.say(c));
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn cell(
    this: *mut c_void,
    call: *const abi::Call,
    row: u64,
    column: u64,
) -> i32 {
    // SAFETY: tlkit.h.
    unsafe {
        with(this, call, |table, host| {
            match table.cell(row as usize, column as usize)? {
                Input::Text(text) => host.say(&text),
                Input::Pair(a, b) => {
                    host.say(&a);
                    host.say(&b);
                }
                Input::Image(bytes) => host.answer(abi::ANSWER_IMAGE, &bytes),
                Input::Features(values) => {
                    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
                    host.answer(abi::ANSWER_FEATURES, &bytes);
                }
            }
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn place(this: *mut c_void, call: *const abi::Call, row: u64) -> i32 {
    // SAFETY: tlkit.h.
    unsafe {
        with(this, call, |table, host| {
            host.say(&table.place(row as usize));
            Ok(())
        })
    }
}
