//! A host that keeps what it hears, and tensors to lend.

use std::ffi::c_void;
use std::ptr::null_mut;

use tlkit_plugin::abi::{self, Head};

/// What the host heard.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) failures: Vec<String>,
    pub(crate) answers: Vec<Vec<u8>>,
    pub(crate) keys: String,
    /// Where gradients are taken: what was given, copied, and the tensors, which are this host's now.
    pub(crate) given: Vec<(u64, Vec<i64>, Vec<f32>, *mut abi::Tensor)>,
    /// Whether they are taken.
    pub(crate) takes: bool,
}

pub(crate) unsafe extern "C-unwind" fn fail(host: *mut c_void, message: abi::Text) {
    // SAFETY: `host` is the `Heard` of `call`; the message is lent.
    let (heard, bytes) = unsafe {
        let bytes = std::slice::from_raw_parts(message.data, message.size as usize);
        (&mut *host.cast::<Heard>(), bytes)
    };
    heard
        .failures
        .push(String::from_utf8_lossy(bytes).into_owned());
}

pub(crate) unsafe extern "C-unwind" fn answer(
    host: *mut c_void,
    _: u32,
    data: *const c_void,
    size: u64,
) {
    // SAFETY: as above.
    unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), size as usize);
        (*host.cast::<Heard>()).answers.push(bytes.to_vec());
    }
}

pub(crate) unsafe extern "C-unwind" fn text(
    host: *mut c_void,
    _: abi::Text,
    value: *mut abi::Text,
) -> i32 {
    // SAFETY: as above; `value` is a place for a text.
    unsafe { value.write(abi::Text::of(&(*host.cast::<Heard>()).keys)) };
    abi::OK
}

pub(crate) unsafe extern "C-unwind" fn give(
    host: *mut c_void,
    index: u64,
    gradient: *mut abi::Tensor,
) -> i32 {
    // SAFETY: as above; a tensor that is given.
    unsafe {
        let heard = &mut *host.cast::<Heard>();
        if !heard.takes {
            return abi::FAILED;
        }
        let t = &*gradient;
        let shape = std::slice::from_raw_parts(t.shape, t.dimensions as usize);
        let count: i64 = shape.iter().product();
        let numbers = std::slice::from_raw_parts(t.data.cast::<f32>(), count as usize);
        let all = (index, shape.to_vec(), numbers.to_vec(), gradient);
        heard.given.push(all);
        abi::OK
    }
}

/// Makes a call with these keys; the status, and what was heard. The host is one of version 1.1, which takes no gradients.
pub(crate) fn call(keys: &str, f: impl FnOnce(*const abi::Call) -> i32) -> (i32, Heard) {
    call_of(keys, None, f)
}

/// The same of a host that takes them, or says that it does and will not.
pub(crate) fn call_taking(takes: bool, f: impl FnOnce(*const abi::Call) -> i32) -> (i32, Heard) {
    call_of("{}", Some(takes), f)
}

fn call_of(
    keys: &str,
    takes: Option<bool>,
    f: impl FnOnce(*const abi::Call) -> i32,
) -> (i32, Heard) {
    let mut heard = Heard {
        keys: keys.into(),
        takes: takes == Some(true),
        ..Heard::default()
    };
    let mut head = Head::of::<abi::Call>();
    if takes.is_none() {
        head.size = std::mem::offset_of!(abi::Call, give) as u64;
    }
    let call = abi::Call {
        head,
        host: (&raw mut heard).cast(),
        fail: Some(fail),
        answer: Some(answer),
        number: None,
        text: Some(text),
        give: Some(give),
    };
    (f(&raw const call), heard)
}

pub(crate) fn moment() -> abi::Moment {
    abi::Moment {
        head: Head::of::<abi::Moment>(),
        seed: 1,
        step: 2,
        progress: 0.5,
        training: 1,
        reserved: 0,
    }
}

/// A matrix of 2 x 3, lent.
pub(crate) struct Lent {
    pub(crate) data: Vec<f32>,
    pub(crate) shape: Vec<i64>,
    pub(crate) strides: Vec<i64>,
}

impl Lent {
    pub(crate) fn new() -> Self {
        Lent {
            data: (0..6).map(|i| i as f32).collect(),
            shape: vec![2, 3],
            strides: vec![3, 1],
        }
    }

    pub(crate) fn tensor(&mut self) -> abi::Tensor {
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

/// A tensor of these numbers and this shape, lent.
pub(crate) fn lent(data: &[f32], shape: &[i64]) -> Lent {
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
    pub(crate) fn shaped(&mut self) -> abi::Tensor {
        let dimensions = self.shape.len() as i32;
        abi::Tensor {
            dimensions,
            ..self.tensor()
        }
    }
}
