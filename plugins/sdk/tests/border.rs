//! The C side that the SDK writes, called as a host calls it: panics, errors and lies stop at the border, and are told.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use tlkit_plugin::abi::{self, Head};
use tlkit_plugin::candle_core::Tensor;
use tlkit_plugin::core::data::{Blob, From, Input, ReadOptions, Reader, Table};
use tlkit_plugin::core::recipe::Keys;
use tlkit_plugin::core::registry::Kind;
use tlkit_plugin::core::strategy::{LossTerm, Valued};
use tlkit_plugin::core::{Error, Result};
use tlkit_plugin::{Phase, Plugin, Strategist, Term, differentiate};

/// What the host heard.
#[derive(Default)]
struct Heard {
    failures: Vec<String>,
    answers: Vec<Vec<u8>>,
    keys: String,
}

unsafe extern "C" fn fail(host: *mut c_void, message: abi::Text) {
    // SAFETY: `host` is the `Heard` of `call`; the message is lent.
    let (heard, bytes) = unsafe {
        let bytes = std::slice::from_raw_parts(message.data, message.size as usize);
        (&mut *host.cast::<Heard>(), bytes)
    };
    heard
        .failures
        .push(String::from_utf8_lossy(bytes).into_owned());
}

unsafe extern "C" fn answer(host: *mut c_void, _: u32, data: *const c_void, size: u64) {
    // SAFETY: as above.
    unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), size as usize);
        (*host.cast::<Heard>()).answers.push(bytes.to_vec());
    }
}

unsafe extern "C" fn text(host: *mut c_void, _: abi::Text, value: *mut abi::Text) -> i32 {
    // SAFETY: as above; `value` is a place for a text.
    unsafe { value.write(abi::Text::of(&(*host.cast::<Heard>()).keys)) };
    abi::OK
}

/// Makes a call with these keys; the status, and what was heard.
fn call(keys: &str, f: impl FnOnce(*const abi::Call) -> i32) -> (i32, Heard) {
    let mut heard = Heard {
        keys: keys.into(),
        ..Heard::default()
    };
    let call = abi::Call {
        head: Head::of::<abi::Call>(),
        host: (&raw mut heard).cast(),
        fail: Some(fail),
        answer: Some(answer),
        number: None,
        text: Some(text),
    };
    (f(&raw const call), heard)
}

fn moment() -> abi::Moment {
    abi::Moment {
        head: Head::of::<abi::Moment>(),
        seed: 1,
        step: 2,
        progress: 0.5,
        training: 1,
        reserved: 0,
    }
}

/// Panics where its key says.
struct Panics {
    taps: Vec<String>,
    at: String,
}

fn panic_at(here: &str, at: &str) {
    assert!(here != at, "a panic in {here}");
}

impl Term for Panics {
    fn make(keys: &Keys) -> Option<Self> {
        let at = keys.string("at").default("nowhere", "").read();
        panic_at("make", &at);
        Some(Panics {
            taps: vec!["features:0".into()],
            at,
        })
    }
}

impl LossTerm for Panics {
    fn taps(&self) -> &[String] {
        panic_at("taps", &self.at);
        &self.taps
    }

    fn value_and_gradients(&self, taps: &[Tensor], params: &[Tensor]) -> Result<Valued> {
        panic_at("value", &self.at);
        match self.at.as_str() {
            "error" => Err(Error::msg("not today")),
            "shape" => Ok(Valued {
                value: 1.0,
                taps: vec![taps[0].narrow(0, 0, 1)?],
                params: Vec::new(),
            }),
            "count" => Ok(Valued {
                value: 1.0,
                taps: Vec::new(),
                params: Vec::new(),
            }),
            _ => differentiate(taps, params, |taps, _| taps[0].sqr()?.sum_all()),
        }
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic_at("drop", &self.at);
    }
}

struct NoPhases;

impl Strategist for NoPhases {
    const KIND: Kind = Kind::Inductive;

    fn make(_: &Keys) -> Option<Self> {
        Some(NoPhases)
    }

    fn phases(&self) -> Vec<Phase> {
        panic!("a panic in phases")
    }
}

#[derive(Default)]
struct Lines;

struct Two(Vec<String>);

impl Reader for Lines {
    fn extensions(&self) -> &[&str] {
        &["lines"]
    }

    fn open(&self, name: &str, _: &Blob, _: &ReadOptions) -> Result<std::sync::Arc<dyn Table>> {
        assert!(name != "panic", "a panic in open");
        Ok(std::sync::Arc::new(Two(vec!["text".into()])))
    }
}

impl Table for Two {
    fn columns(&self) -> &[String] {
        &self.0
    }
    fn rows(&self) -> usize {
        2
    }
    fn cell(&self, row: usize, _: usize) -> Result<Input<'_>> {
        match row {
            0 => Ok(Input::Text("first".into())),
            _ => panic!("a panic in cell"),
        }
    }
    fn place(&self, _: usize) -> String {
        panic!("a panic in place")
    }
}

tlkit_plugin::export_plugin!(
    Plugin::new("panics", "1", "panics")
        .loss_term::<Panics>("panics", "a term")
        .strategy::<NoPhases>("no-phases", "a strategy")
        .reader::<Lines>("lines", "a reader")
);

fn table<T>(index: usize) -> &'static T {
    // SAFETY: the table of this very file, which stays.
    unsafe {
        let plugin = &*tlkit_plugin_v1(null());
        assert_eq!(plugin.entries, 3);
        &*(**plugin.entry.add(index)).table.cast::<T>()
    }
}

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

/// A matrix of 2 x 3, lent.
struct Lent {
    data: Vec<f32>,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

impl Lent {
    fn new() -> Self {
        Lent {
            data: (0..6).map(|i| i as f32).collect(),
            shape: vec![2, 3],
            strides: vec![3, 1],
        }
    }

    fn tensor(&mut self) -> abi::Tensor {
        abi::Tensor {
            dlpack_major: 1,
            dlpack_minor: 0,
            manager: null_mut(),
            deleter: None,
            flags: 0,
            data: self.data.as_mut_ptr().cast(),
            device_type: abi::CPU,
            device_id: 0,
            dimensions: 2,
            code: abi::FLOAT,
            bits: 32,
            lanes: 1,
            shape: self.shape.as_mut_ptr(),
            strides: self.strides.as_mut_ptr(),
            byte_offset: 0,
        }
    }
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
    let _ = From::Target;
}
