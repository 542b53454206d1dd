//! Loss terms.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use tlkit_plugin::abi::{self, Head};

use super::host::*;
use super::plugin::*;

fn term() -> &'static abi::LossTerm {
    table(0)
}

/// A term whose key `at` is this.
fn made(at: &str) -> *mut c_void {
    let mut this = null_mut();
    // SAFETY: as tlkit.h says.
    let (status, heard) = call(&format!("{{\"at\": \"{at}\"}}"), |c| unsafe {
        term().make.unwrap()(c, &raw mut this)
    });
    assert_eq!(status, abi::OK, "{:?}", heard.failures);
    this
}

fn forward(this: *mut c_void, tensor: &abi::Tensor) -> (i32, Heard, f64, *mut c_void) {
    let (mut value, mut handle, moment) = (f64::NAN, null_mut(), moment());
    let inputs = [&raw const *tensor];
    // SAFETY: as tlkit.h says.
    let (status, heard) = call("{}", |c| unsafe {
        term().forward.unwrap()(
            this,
            c,
            &raw const moment,
            inputs.as_ptr(),
            1,
            &raw mut value,
            &raw mut handle,
        )
    });
    (status, heard, value, handle)
}

#[test]
fn value_and_gradient_cross() {
    let this = made("nowhere");
    let (mut x, mut g) = (Lent::new(), Lent::new());
    let (x, block) = (x.tensor(), g.tensor());
    let (status, _, value, handle) = forward(this, &x);
    assert_eq!((status, value), (abi::OK, 55.0));
    let (moment, inputs) = (moment(), [&raw const x]);
    let back = |handle: *mut c_void, to: *mut abi::Tensor| {
        let blocks = [to];
        // SAFETY: as tlkit.h says.
        call("{}", |c| unsafe {
            term().vjp.unwrap()(
                this,
                c,
                &raw const moment,
                handle,
                -2.0,
                inputs.as_ptr(),
                1,
                blocks.as_ptr(),
            )
        })
    };
    assert_eq!(back(handle, (&raw const block).cast_mut()).0, abi::OK);
    assert_eq!(g.data, [0.0, -4.0, -8.0, -12.0, -16.0, -20.0]);
    // Nobody wants it; twice; out of order.
    assert_eq!(back(handle, null_mut()).0, abi::OK);
    let (status, heard) = back(null_mut(), null_mut());
    assert_eq!(status, abi::FAILED);
    assert_eq!(heard.failures, ["the way back without the way there"]);
    // SAFETY: as tlkit.h says.
    unsafe {
        term().release.unwrap()(this, handle);
        term().drop.unwrap()(this);
    }
}

#[test]
fn a_panic_in_any_function_is_an_error_with_its_words() {
    // SAFETY (of all calls here): as tlkit.h says.
    let mut nobody = null_mut();
    let (status, heard) = call("{\"at\": \"make\"}", |c| unsafe {
        term().make.unwrap()(c, &raw mut nobody)
    });
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["it panicked: a panic in make".to_string()]
        )
    );

    let this = made("taps");
    let (status, heard) = call("{}", |c| unsafe { term().describe.unwrap()(this, c) });
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["it panicked: a panic in taps".to_string()]
        )
    );

    let mut x = Lent::new();
    let (status, heard, ..) = forward(made("value"), &x.tensor());
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["it panicked: a panic in value".to_string()]
        )
    );
    let this = made("drop");
    unsafe { term().drop.unwrap()(this) };

    let (status, heard) = call("{}", |c| unsafe {
        table::<abi::Strategy>(1).phases.unwrap()(c)
    });
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["it panicked: a panic in phases".to_string()]
        )
    );

    let reader = table::<abi::Reader>(2);
    let open = |name: &str| {
        let file = abi::File {
            head: Head::of::<abi::File>(),
            name: abi::Text::of(name),
            path: abi::Text::of(name),
            bytes: abi::Text::EMPTY,
            header: 1,
            reserved: 0,
        };
        let mut this = null_mut();
        let (status, heard) = call("{}", |c| unsafe {
            reader.open.unwrap()(c, &raw const file, &raw mut this)
        });
        (status, heard, this)
    };
    let (status, heard, _) = open("panic");
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["it panicked: a panic in open".to_string()]
        )
    );
    let (_, _, this) = open("file");
    let (status, heard) = call("{}", |c| unsafe { reader.cell.unwrap()(this, c, 0, 0) });
    assert_eq!((status, heard.answers), (abi::OK, vec![b"first".to_vec()]));
    let (status, heard) = call("{}", |c| unsafe { reader.cell.unwrap()(this, c, 1, 0) });
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["it panicked: a panic in cell".to_string()]
        )
    );
    let (status, heard) = call("{}", |c| unsafe { reader.place.unwrap()(this, c, 1) });
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["it panicked: a panic in place".to_string()]
        )
    );
    unsafe { reader.close.unwrap()(this) };
}

#[test]
fn what_an_author_gets_wrong_is_an_error() {
    let mut x = Lent::new();
    for (at, words) in [
        ("error", "not today"),
        ("count", "0 gradients for 1 inputs"),
    ] {
        let (status, heard, ..) = forward(made(at), &x.tensor());
        assert_eq!(
            (status, heard.failures),
            (abi::FAILED, vec![words.to_string()])
        );
    }
    let this = made("shape");
    let x = x.tensor();
    let (status, _, _, handle) = forward(this, &x);
    assert_eq!(status, abi::OK);
    let mut g = Lent::new();
    let block = g.tensor();
    let (moment, inputs, blocks) = (moment(), [&raw const x], [(&raw const block).cast_mut()]);
    // SAFETY: as tlkit.h says.
    let (status, heard) = call("{}", |c| unsafe {
        term().vjp.unwrap()(
            this,
            c,
            &raw const moment,
            handle,
            1.0,
            inputs.as_ptr(),
            1,
            blocks.as_ptr(),
        )
    });
    assert_eq!(status, abi::FAILED);
    assert_eq!(
        heard.failures,
        ["a gradient of the shape [1, 3] for an input of the shape [2, 3]"]
    );
}

#[test]
fn what_a_host_gets_wrong_is_an_error() {
    let this = made("nowhere");
    let mut x = Lent::new();
    let mut double = x.tensor();
    double.bits = 64;
    let (status, heard, ..) = forward(this, &double);
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["this plugin takes float32 on the CPU".to_string()]
        )
    );
    let (status, heard, ..) = forward(null_mut(), &x.tensor());
    assert_eq!(
        (status, heard.failures),
        (abi::FAILED, vec!["called without its `self`".to_string()])
    );
    // SAFETY: a call that is not there.
    assert_eq!(
        unsafe { term().describe.unwrap()(this, null()) },
        abi::FAILED
    );
    let mut nobody = null_mut();
    // SAFETY: as tlkit.h says.
    let (status, heard) = call("{\"at\": 7}", |c| unsafe {
        term().make.unwrap()(c, &raw mut nobody)
    });
    assert_eq!(
        (status, heard.failures),
        (abi::FAILED, vec!["`at` must be a string".to_string()])
    );
}

#[test]
fn keys_are_declared_by_reading_them() {
    // SAFETY: the table of this very file, which stays.
    let keys = unsafe {
        let plugin = &*tlkit_plugin_v1(null());
        let keys = (**plugin.entry).keys;
        std::str::from_utf8(std::slice::from_raw_parts(keys.data, keys.size as usize)).unwrap()
    };
    assert!(keys.contains("\"at\""), "{keys}");
    assert!(keys.contains("\"default\":\"nowhere\""), "{keys}");
}
