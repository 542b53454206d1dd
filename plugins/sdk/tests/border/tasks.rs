//! Source tasks, target tasks, metrics and readers.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use tlkit_plugin::abi::{self, Head};

use super::host::*;
use super::plugin::*;

fn net() -> &'static abi::SourceTask {
    table(3)
}

fn made_net(at: &str) -> (i32, Heard, *mut c_void) {
    let mut this = null_mut();
    // SAFETY: as tlkit.h says.
    let (status, heard) = call(&format!("{{\"at\": \"{at}\"}}"), |c| unsafe {
        net().make.unwrap()(c, &raw mut this)
    });
    (status, heard, this)
}

/// One pass through the dense layer, with weights `w` `(2, 3)` and biases 0.
struct Passed {
    status: i32,
    heard: Heard,
    out: Vec<f32>,
    handle: *mut c_void,
}

fn pass(weights: u64, record: u32) -> abi::Pass {
    abi::Pass {
        head: Head::of::<abi::Pass>(),
        seed: 1,
        step: 2,
        weights,
        training: 1,
        record,
    }
}

const W: [f32; 6] = [1.0, 0.0, -1.0, 0.5, 2.0, 0.0];
const X: [f32; 6] = [1.0, 2.0, 3.0, -1.0, 0.0, 1.0];

fn through(
    this: *mut c_void,
    pass: abi::Pass,
    w: &[f32],
    change: impl Fn(&mut abi::Tensor),
) -> Passed {
    let (mut w, mut b) = (lent(w, &[2, 3]), lent(&[0.0; 2], &[2]));
    through_at(this, pass, [w.shaped(), b.shaped()], change)
}

/// The same with weights and biases wherever they lie.
fn through_at(
    this: *mut c_void,
    pass: abi::Pass,
    [w, b]: [abi::Tensor; 2],
    change: impl Fn(&mut abi::Tensor),
) -> Passed {
    let (mut x, mut y) = (lent(&X, &[2, 3]), lent(&[0.0; 4], &[2, 2]));
    let params = [&raw const w, &raw const b];
    let mut input = x.shaped();
    change(&mut input);
    let output = y.shaped();
    let mut handle = null_mut();
    // SAFETY: as tlkit.h says.
    let (status, heard) = call("{}", |c| unsafe {
        net().forward.unwrap()(
            this,
            c,
            &raw const pass,
            0,
            params.as_ptr(),
            2,
            &raw const input,
            (&raw const output).cast_mut(),
            &raw mut handle,
        )
    });
    Passed {
        status,
        heard,
        out: y.data,
        handle,
    }
}

/// The way back with ones: status, what was heard, the gradients of input, weight and bias.
fn back(this: *mut c_void, handle: *mut c_void, count: u64) -> (i32, Heard, [Vec<f32>; 3]) {
    back_to(this, handle, count, None)
}

/// The same to a host that takes gradients, or says that it does.
fn back_to(
    this: *mut c_void,
    handle: *mut c_void,
    count: u64,
    takes: Option<bool>,
) -> (i32, Heard, [Vec<f32>; 3]) {
    let (mut w, mut b, mut x) = (lent(&W, &[2, 3]), lent(&[0.0; 2], &[2]), lent(&X, &[2, 3]));
    let mut g = lent(&[1.0; 4], &[2, 2]);
    let (mut dx, mut dw, mut db) = (
        lent(&[9.0; 6], &[2, 3]),
        lent(&[9.0; 6], &[2, 3]),
        lent(&[9.0; 2], &[2]),
    );
    let (w, b, x, g) = (w.shaped(), b.shaped(), x.shaped(), g.shaped());
    let params = [&raw const w, &raw const b];
    let (tx, tw, tb) = (dx.shaped(), dw.shaped(), db.shaped());
    let blocks = [(&raw const tw).cast_mut(), (&raw const tb).cast_mut()];
    let pass = pass(1, abi::RECORD_VJP | abi::RECORD_INPUT);
    // SAFETY: as tlkit.h says.
    let vjp = |c| unsafe {
        net().vjp.unwrap()(
            this,
            c,
            &raw const pass,
            0,
            handle,
            params.as_ptr(),
            count,
            &raw const x,
            &raw const g,
            (&raw const tx).cast_mut(),
            blocks.as_ptr(),
        )
    };
    let (status, heard) = match takes {
        None => call("{}", vjp),
        Some(takes) => call_taking(takes, vjp),
    };
    (status, heard, [dx.data, dw.data, db.data])
}

#[test]
fn a_stage_and_its_gradients_cross() {
    let (status, _, this) = made_net("nowhere");
    assert_eq!(status, abi::OK);
    // SAFETY: as tlkit.h says.
    let (status, heard) = call("{}", |c| unsafe { net().describe.unwrap()(this, c) });
    assert_eq!(status, abi::OK, "{:?}", heard.failures);
    let said: serde_json::Value = serde_json::from_slice(&heard.answers[0]).unwrap();
    assert_eq!(said["stages"][0]["output"], serde_json::json!([2]));
    assert_eq!(said["stages"][0]["params"][0]["name"], "weight");
    assert_eq!(said["stages"][0]["params"][0]["init"]["normal"], 0.5);

    let both = abi::RECORD_VJP | abi::RECORD_INPUT;
    let first = through(this, pass(1, both), &W, |_| {});
    assert_eq!(
        (first.status, &first.out),
        (abi::OK, &vec![-2.0, 4.5, -2.0, -0.5])
    );
    // What is lent is what is computed with, at every call: the plugin has no weights of its own.
    let other = through(this, pass(1, 0), &[0.0; 6], |_| {});
    assert_eq!(other.out, [0.0; 4]);
    assert!(other.handle.is_null());
    let second = through(this, pass(2, both), &W, |_| {});
    assert_eq!(second.out, first.out);
    // Out of order: the first handle after two more passes, the last of which leaves no way back.
    let other = through(this, pass(3, 0), &W, |_| {});
    assert_eq!(other.out, first.out);
    let (status, _, [dx, dw, db]) = back(this, first.handle, 2);
    assert_eq!(
        (status, dx, dw, db),
        (
            abi::OK,
            vec![1.5, 2.0, -1.0, 1.5, 2.0, -1.0],
            vec![0.0, 2.0, 4.0, 0.0, 2.0, 4.0],
            vec![2.0; 2]
        )
    );
    let (status, heard, _) = back(this, first.handle, 2);
    assert_eq!(
        (status, heard.failures),
        (abi::FAILED, vec!["the way back is gone once".to_string()])
    );
    let (status, heard, _) = back(this, null_mut(), 2);
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["the way back without the way there".to_string()]
        )
    );
    // SAFETY: as tlkit.h says.
    unsafe {
        net().release.unwrap()(this, first.handle);
        net().release.unwrap()(this, second.handle);
        net().drop.unwrap()(this);
    }
}

/// Gradients of parameters are handed over in the memory that they were computed into, and stay there until they are given back.
#[test]
fn gradients_are_given_to_a_host_that_takes_them() {
    assert_eq!(net().gives, 1);
    let (_, _, this) = made_net("nowhere");
    let both = abi::RECORD_VJP | abi::RECORD_INPUT;
    let passed = through(this, pass(1, both), &W, |_| {});
    let (status, heard, [dx, dw, db]) = back_to(this, passed.handle, 2, Some(true));
    assert_eq!(status, abi::OK, "{:?}", heard.failures);
    assert_eq!(dx, [1.5, 2.0, -1.0, 1.5, 2.0, -1.0]);
    // Its blocks are left alone.
    assert_eq!((dw, db), (vec![9.0; 6], vec![9.0; 2]));
    let expected = [
        (0, vec![2, 3], vec![0.0, 2.0, 4.0, 0.0, 2.0, 4.0]),
        (1, vec![2], vec![2.0; 2]),
    ];
    assert_eq!(heard.given.len(), 2);
    for ((index, shape, numbers, tensor), expected) in heard.given.iter().zip(expected) {
        assert_eq!((*index, shape.clone(), numbers.clone()), expected);
        // SAFETY: it was given, and is given back once, after the handle is gone.
        unsafe { (**tensor).deleter.unwrap()(*tensor) };
    }
    // One that the host will not have is freed by the plugin, and is an error.
    let passed = through(this, pass(1, both), &W, |_| {});
    let (status, heard, _) = back_to(this, passed.handle, 2, Some(false));
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["the host did not take gradient 0".to_string()]
        )
    );
    // SAFETY: as tlkit.h says.
    unsafe { net().drop.unwrap()(this) };
}

/// Where the plugin says that a parameter lives.
fn asked(this: *mut c_void, stage: u64, param: u64) -> (i32, Heard, *mut f32) {
    let shape: &[i64] = if param == 0 { &[2, 3] } else { &[2] };
    let mut blank = lent(&[0.0; 6], shape);
    let mut memory = abi::Tensor {
        data: null_mut(),
        byte_offset: 4,
        ..blank.shaped()
    };
    // SAFETY: as tlkit.h says.
    let (status, heard) = call("{}", |c| unsafe {
        net().lend.unwrap()(this, c, stage, param, &raw mut memory)
    });
    assert!(status == abi::FAILED || memory.byte_offset == 0);
    (status, heard, memory.data.cast())
}

#[test]
fn parameters_live_in_the_plugin_and_a_host_writes_them_where_they_are() {
    let (_, _, this) = made_net("train");
    let place = |param| {
        let (status, heard, at) = asked(this, 0, param);
        assert_eq!(status, abi::OK, "{:?}", heard.failures);
        at
    };
    let places = [place(0), place(1)];
    let at_home = || {
        let (mut w, mut b) = (lent(&[], &[2, 3]), lent(&[], &[2]));
        let mut both = [w.shaped(), b.shaped()];
        for (tensor, at) in both.iter_mut().zip(places) {
            tensor.data = at.cast();
        }
        let evaluation = abi::Pass {
            training: 0,
            ..pass(1, 0)
        };
        let passed = through_at(this, evaluation, both, |_| {});
        assert_eq!(passed.status, abi::OK, "{:?}", passed.heard.failures);
        passed.out
    };
    let write = |numbers: &[f32]| {
        // SAFETY: tlkit.h: six numbers and two, the host's to write between calls.
        unsafe {
            std::slice::from_raw_parts_mut(places[0], 6).copy_from_slice(numbers);
            std::slice::from_raw_parts_mut(places[1], 2).fill(0.0);
        }
    };
    write(&W);
    assert_eq!(at_home(), [-2.0, 4.5, -2.0, -0.5]);
    write(&W.map(|w| 2.0 * w));
    assert_eq!(at_home(), [-4.0, 9.0, -4.0, -1.0]);
    // A host that lends weights of its own has those computed with, and the plugin's stay as they were; also after a panic.
    let passed = through(this, pass(2, abi::RECORD_VJP), &W, |_| {});
    assert_eq!(passed.heard.failures, ["it panicked: a panic in train"]);
    assert_eq!(at_home(), [-4.0, 9.0, -4.0, -1.0]);
    assert_eq!([place(0), place(1)], places);
    // Another copy has memory of its own.
    let (_, _, other) = made_net("nowhere");
    assert!(!places.contains(&asked(other, 0, 0).2));

    for (status, stage, param, words) in [
        (asked(this, 1, 0), 1, 0, "there is no stage 1"),
        (asked(this, 0, 2), 0, 2, "there is no parameter 2"),
        (asked(null_mut(), 0, 0), 0, 0, "called without its `self`"),
    ] {
        assert_eq!(status.0, abi::FAILED, "{stage} {param}");
        assert_eq!(status.1.failures, [words]);
    }
    // SAFETY: as tlkit.h says, but for the tensor.
    let (status, heard) = call("{}", |c| unsafe {
        net().lend.unwrap()(this, c, 0, 0, null_mut())
    });
    assert_eq!(
        (status, heard.failures),
        (
            abi::FAILED,
            vec!["called without a tensor to fill in".to_string()]
        )
    );
    // SAFETY: as tlkit.h says.
    unsafe {
        net().drop.unwrap()(this);
        net().drop.unwrap()(other);
    }
}

#[test]
fn a_panic_in_any_function_of_a_task_is_an_error_with_its_words() {
    let said = |words: &str| vec![format!("it panicked: a panic in {words}")];
    let (status, heard, _) = made_net("make");
    assert_eq!((status, heard.failures), (abi::FAILED, said("make")));
    for at in ["input", "defaults"] {
        let (_, _, this) = made_net(at);
        // SAFETY: as tlkit.h says.
        let (status, heard) = call("{}", |c| unsafe { net().describe.unwrap()(this, c) });
        assert_eq!((status, heard.failures), (abi::FAILED, said(at)));
    }
    let (_, _, this) = made_net("forward");
    let passed = through(this, pass(1, 0), &W, |_| {});
    assert_eq!(
        (passed.status, passed.heard.failures),
        (abi::FAILED, said("forward"))
    );
    let (_, _, this) = made_net("train");
    let passed = through(this, pass(1, abi::RECORD_VJP), &W, |_| {});
    assert_eq!(
        (passed.status, passed.heard.failures),
        (abi::FAILED, said("train"))
    );
    let (_, _, this) = made_net("pull");
    let passed = through(this, pass(1, abi::RECORD_VJP), &W, |_| {});
    let (status, heard, _) = back(this, passed.handle, 2);
    assert_eq!((status, heard.failures), (abi::FAILED, said("pull")));
    let (_, _, this) = made_net("drop");
    // SAFETY: as tlkit.h says.
    unsafe { net().drop.unwrap()(this) };
    let (_, _, this) = made_net("example");
    let (status, heard) = prepared(this, abi::ANSWER_FEATURES, &[1.0, 2.0, 3.0]);
    assert_eq!((status, heard.failures), (abi::FAILED, said("example")));

    // SAFETY: as tlkit.h says.
    let (status, heard) = call("{}", |c| unsafe {
        table::<abi::TargetTask>(5).describe.unwrap()(c)
    });
    assert_eq!((status, heard.failures), (abi::FAILED, said("describe")));
    let (status, heard, _) = scored(&[7]);
    assert_eq!((status, heard.failures), (abi::FAILED, said("score")));
}

fn prepared(this: *mut c_void, kind: u32, values: &[f32]) -> (i32, Heard) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let input = abi::Input {
        head: Head::of::<abi::Input>(),
        kind,
        reserved: 0,
        data: abi::Text::bytes(&bytes),
        second: abi::Text::EMPTY,
    };
    let mut to = lent(&[9.0; 3], &[3]);
    let block = to.shaped();
    // SAFETY: as tlkit.h says.
    let (status, heard) = call("{}", |c| unsafe {
        net().prepare.unwrap()(this, c, &raw const input, (&raw const block).cast_mut())
    });
    if status == abi::OK {
        assert_eq!(to.data, values);
    }
    (status, heard)
}

fn scored(labels: &[u32]) -> (i32, Heard, f64) {
    let metric = table::<abi::Metric>(4);
    let (mut this, mut value) = (null_mut(), f64::NAN);
    let mut p = lent(&[0.25, 0.75], &[1, 2]);
    let p = p.shaped();
    // SAFETY: as tlkit.h says.
    unsafe {
        call("{}", |c| metric.make.unwrap()(c, &raw mut this));
        let (status, heard) = call("{}", |c| {
            let labels = if labels.is_empty() {
                null()
            } else {
                labels.as_ptr()
            };
            metric.score.unwrap()(this, c, &raw const p, labels, &raw mut value)
        });
        metric.drop.unwrap()(this);
        (status, heard, value)
    }
}

#[test]
fn what_a_host_gets_wrong_of_a_task_is_an_error() {
    let (_, _, this) = made_net("nowhere");
    for (words, change) in [
        (
            "this plugin takes float32 on the CPU",
            &(|t: &mut abi::Tensor| t.bits = 64) as &dyn Fn(&mut abi::Tensor),
        ),
        ("this plugin takes float32 on the CPU", &|t| t.code = 0),
        ("this plugin takes float32 on the CPU", &|t| {
            t.device_type = 2
        }),
        ("a tensor of -1 dimensions", &|t| t.dimensions = -1),
        ("a tensor of 2 dimensions", &|t| t.shape = null_mut()),
        ("a tensor without numbers", &|t| t.data = null_mut()),
        ("have the strides [-3, 1]", &|t| {
            // SAFETY: the strides of a `Lent`.
            unsafe { t.strides.write(-3) }
        }),
        ("a tensor with a side of -2", &|t| {
            // SAFETY: the shape of a `Lent`.
            unsafe { t.shape.write(-2) }
        }),
        ("a tensor of the shape", &|t| {
            // SAFETY: the shape of a `Lent`, whose strides are not looked at.
            unsafe {
                t.shape.write(i64::MAX);
                t.strides = null_mut();
            }
        }),
    ] {
        let passed = through(this, pass(1, 0), &W, change);
        assert_eq!(passed.status, abi::FAILED, "{words}");
        assert!(
            passed.heard.failures[0].contains(words),
            "{words}: {:?}",
            passed.heard.failures
        );
    }
    let passed = through(null_mut(), pass(1, 0), &W, |_| {});
    assert_eq!(passed.heard.failures, ["called without its `self`"]);
    let (status, heard) = prepared(this, 99, &[1.0, 2.0, 3.0]);
    assert_eq!(
        (status, heard.failures),
        (abi::FAILED, vec!["an input of the kind 99".to_string()])
    );
    let (status, heard) = prepared(this, abi::ANSWER_FEATURES, &[1.0]);
    assert_eq!(status, abi::FAILED, "{:?}", heard.failures);
    assert_eq!(
        prepared(this, abi::ANSWER_FEATURES, &[1.0, 2.0, 3.0]).0,
        abi::OK
    );
    let (status, heard, _) = scored(&[]);
    assert_eq!(
        (status, heard.failures),
        (abi::FAILED, vec!["called without labels".to_string()])
    );
    let (status, _, value) = scored(&[1]);
    assert_eq!((status, value), (abi::OK, 0.75));
    // SAFETY: as tlkit.h says.
    unsafe { net().drop.unwrap()(this) };
}
