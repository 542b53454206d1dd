//! The C side that the SDK writes, called as a host calls it: panics, errors and lies stop at the border, and are told.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use std::sync::Arc;

use tlkit_plugin::abi::{self, Head};
use tlkit_plugin::candle_core::{Device, Tensor};
use tlkit_plugin::core::data::{
    Blob, Example, Field, From, Input, Prepare, ReadOptions, Reader, Table, View,
};
use tlkit_plugin::core::metrics::Metric;
use tlkit_plugin::core::model::Model;
use tlkit_plugin::core::nn::{
    Batch, Flow, Gradients, Linear, Param, Pass, Pullback, Scope, Stage, Store,
};
use tlkit_plugin::core::recipe::Keys;
use tlkit_plugin::core::registry::Kind;
use tlkit_plugin::core::strategy::{Defaults, LossTerm, Valued};
use tlkit_plugin::core::task::{Encoder, Export, SourceTask};
use tlkit_plugin::core::{Error, Result};
use tlkit_plugin::{
    Measures, Phase, Plugin, Source, Strategist, Target, Targets, Term, differentiate,
};

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

/// One dense layer, `y = x w^T + b`, that panics where its key says.
struct Net {
    at: String,
}

impl Source for Net {
    fn make(keys: &Keys) -> Option<Self> {
        let at = keys.string("at").default("nowhere", "").read();
        panic_at("make", &at);
        Some(Net { at })
    }

    fn input(&self) -> Vec<usize> {
        panic_at("input", &self.at);
        vec![3]
    }
}

impl SourceTask for Net {
    fn defaults(&self) -> Defaults {
        panic_at("defaults", &self.at);
        Defaults::plain()
    }

    fn reads(&self) -> Option<&'static str> {
        Some("a feature vector")
    }

    fn prepare(&self) -> Result<Arc<dyn Prepare>> {
        Ok(Arc::new(Rows(self.at.clone())))
    }

    fn encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        self.fresh_encoder(scope)
    }

    fn fresh_encoder(&self, scope: &Scope<'_>) -> Result<Arc<dyn Encoder>> {
        let linear = Linear::new(&scope.sub("dense"), 3, 2, 0.5)?;
        let at = self.at.clone();
        Ok(Arc::new(One([Arc::new(Layer { linear, at })])))
    }

    fn pooling(&self, _: &Scope<'_>, _: Option<&str>, _: bool) -> Result<Vec<Arc<dyn Stage>>> {
        Ok(Vec::new())
    }

    fn export(&self, _: &Model, _: &Store, _: &[String], _: &std::path::Path) -> Result<Export> {
        Err(Error::msg("the host does that"))
    }

    fn digest(&self) -> String {
        String::new()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        panic_at("drop", &self.at);
    }
}

struct One([Arc<dyn Stage>; 1]);

impl Encoder for One {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.0
    }

    fn width(&self) -> usize {
        2
    }
}

struct Layer {
    linear: Linear,
    at: String,
}

impl Stage for Layer {
    fn name(&self) -> &str {
        "dense"
    }

    fn params(&self) -> Vec<Param> {
        self.linear.params()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        // `describe` runs it too, on one row.
        assert!(
            x.hidden.dim(0)? == 1 || self.at != "forward",
            "a panic in forward"
        );
        assert!(!pass.training || self.at != "train", "a panic in train");
        Ok(x.with(self.linear.forward(&x.hidden)?))
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        if self.at == "pull" {
            return Ok((self.forward(x, pass)?, Box::new(NoWayBack)));
        }
        tlkit_plugin::core::nn::segment(self, x, pass)
    }
}

struct NoWayBack;

impl Pullback for NoWayBack {
    fn pull(self: Box<Self>, _: &Tensor, _: &mut Gradients) -> Result<Option<Tensor>> {
        panic!("a panic in pull")
    }
}

struct Rows(String);

impl Prepare for Rows {
    fn digest(&self) -> String {
        String::new()
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        panic_at("example", &self.0);
        let Input::Features(values) = input else {
            return Err(Error::msg("no numbers"));
        };
        Ok(Example::new(1).with("input", Field::Floats(values.to_vec())))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let values: Vec<f32> = examples
            .iter()
            .flat_map(|e| e.floats("input"))
            .copied()
            .collect();
        let width = values.len() / examples.len();
        let input = Tensor::from_vec(values, (examples.len(), width), device)?;
        Ok(Batch::new(examples.len(), input))
    }
}

struct Share;

impl Measures for Share {
    fn make(_: &Keys) -> Option<Self> {
        Some(Share)
    }
}

impl Metric for Share {
    fn score(&self, probabilities: &[Vec<f32>], truth: &[u32]) -> Result<f64> {
        assert!(truth[0] != 7, "a panic in score");
        Ok(f64::from(probabilities[0][truth[0] as usize]))
    }
}

struct Task;

impl Targets for Task {
    fn make(_: &Keys) -> Option<Self> {
        Some(Task)
    }

    fn describe(&self) -> Target {
        panic!("a panic in describe")
    }
}

tlkit_plugin::export_plugin!(
    Plugin::new("panics", "1", "panics")
        .loss_term::<Panics>("panics", "a term")
        .strategy::<NoPhases>("no-phases", "a strategy")
        .reader::<Lines>("lines", "a reader")
        .source_task::<Net>("net", "a source task")
        .metric::<Share>("share", "a metric")
        .target_task::<Task>("task", "a target task")
);

fn table<T>(index: usize) -> &'static T {
    // SAFETY: the table of this very file, which stays.
    unsafe {
        let plugin = &*tlkit_plugin_v1(null());
        assert_eq!(plugin.entries, 6);
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

/// A tensor of these numbers and this shape, lent.
fn lent(data: &[f32], shape: &[i64]) -> Lent {
    let mut strides = vec![1; shape.len()];
    for i in (0..shape.len().saturating_sub(1)).rev() {
        strides[i] = strides[i + 1] * shape[i + 1];
    }
    Lent {
        data: data.to_vec(),
        shape: shape.to_vec(),
        strides,
    }
}

impl Lent {
    fn shaped(&mut self) -> abi::Tensor {
        let dimensions = self.shape.len() as i32;
        abi::Tensor {
            dimensions,
            ..self.tensor()
        }
    }
}

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
    let (mut x, mut y) = (lent(&X, &[2, 3]), lent(&[0.0; 4], &[2, 2]));
    let (w, b) = (w.shaped(), b.shaped());
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
    let (status, heard) = call("{}", |c| unsafe {
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
    });
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
    // The same number: the weights that are lent are not looked at again. Another one: they are.
    let kept = through(this, pass(1, 0), &[0.0; 6], |_| {});
    assert_eq!(kept.out, first.out);
    assert!(kept.handle.is_null());
    let second = through(this, pass(2, both), &[0.0; 6], |_| {});
    assert_eq!(second.out, [0.0; 4]);
    // Out of order: the first handle after the second pass.
    let (status, _, [dx, dw, db]) = back(this, second.handle, 2);
    assert_eq!(
        (status, dx, dw, db),
        (
            abi::OK,
            vec![0.0; 6],
            vec![0.0, 2.0, 4.0, 0.0, 2.0, 4.0],
            vec![2.0; 2]
        )
    );
    let (status, heard, _) = back(this, second.handle, 2);
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
