//! The border as seen from the plugin: panics stop here, errors become words, tensors become Candle's.

use std::any::Any;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{Device, Tensor};
use serde_json::Value;
use tlkit_abi as abi;
use tlkit_core::recipe::{Keys, Schema, Written};
use tlkit_core::{Error, Result};

/// What the host lends for a call: its table, as far as it reaches in the host's version.
pub(crate) struct Host<'c>(abi::Call, PhantomData<&'c abi::Call>);

impl Host<'_> {
    /// # Safety
    /// `call` is what came with the call.
    unsafe fn of(call: *const abi::Call) -> Option<Self> {
        if call.is_null() {
            return None;
        }
        let mut whole = MaybeUninit::<abi::Call>::zeroed();
        // SAFETY: the caller's: a table that begins with its size. Functions that an older host does not have stay null.
        unsafe {
            let size = (*call.cast::<abi::Head>()).size as usize;
            let to = whole.as_mut_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(call.cast::<u8>(), to, size.min(size_of::<abi::Call>()));
            Some(Host(whole.assume_init(), PhantomData))
        }
    }

    /// Whether gradients can be given.
    pub fn takes(&self) -> bool {
        self.0.give.is_some()
    }

    /// Gives one; whether it was taken.
    ///
    /// # Safety
    /// `gradient` is a tensor as tlkit.h says of `give`.
    pub unsafe fn give(&self, index: usize, gradient: *mut abi::Tensor) -> bool {
        // SAFETY: the caller's, on the call's thread.
        let given = (self.0.give).map(|give| unsafe { give(self.0.host, index as u64, gradient) });
        given == Some(abi::OK)
    }

    /// Gives one answer.
    pub fn answer(&self, kind: u32, bytes: &[u8]) {
        if let Some(answer) = self.0.answer {
            // SAFETY: tlkit.h: bytes that stay for the call, on the call's thread.
            unsafe { answer(self.0.host, kind, bytes.as_ptr().cast(), bytes.len() as u64) };
        }
    }

    /// Gives one answer of text.
    pub fn say(&self, text: &str) {
        self.answer(abi::ANSWER_TEXT, text.as_bytes());
    }

    fn fail(&self, words: &str) {
        if let Some(fail) = self.0.fail {
            // SAFETY: as above.
            unsafe { fail(self.0.host, abi::Text::of(words)) };
        }
    }

    /// The values of all keys, as JSON.
    fn values(&self) -> Result<Value> {
        let Some(text) = self.0.text else {
            return Err(Error::msg("this host gives no keys"));
        };
        let mut out = abi::Text::EMPTY;
        // SAFETY: tlkit.h: an empty name, and a place for the text.
        let status = unsafe { text(self.0.host, abi::Text::EMPTY, &raw mut out) };
        if status != abi::OK {
            return Err(Error::msg("the host gave no keys"));
        }
        // SAFETY: tlkit.h: a text that is lent for the call.
        let said = unsafe { self::text(out) };
        serde_json::from_str(said).map_err(|e| Error::msg(format!("the host's keys: {e}")))
    }

    /// Makes something from the keys of the call, as it is made from those of a recipe.
    pub fn make<T>(&self, make: impl FnOnce(&Keys) -> Option<T>) -> Result<T> {
        let Value::Object(mut values) = self.values()? else {
            return Err(Error::msg("the host's keys are no object"));
        };
        // A key that is not set is absent, here as there.
        values.retain(|_, v| !v.is_null());
        let written = Written::of_values("keys", &serde_json::json!({ "keys": values }));
        let said = |report: tlkit_core::recipe::Report| {
            let first = report.diagnostics().first();
            Error::msg(first.map_or("wrong keys", |d| d.title()).to_string())
        };
        let written = written.map_err(said)?;
        let made = make(&written.keys().table("keys"));
        let report = written.finish();
        match made {
            Some(made) if report.errors() == 0 => Ok(made),
            None if report.errors() == 0 => Err(Error::msg(
                "it was not made from its keys, and did not say why",
            )),
            _ => Err(said(report)),
        }
    }
}

/// Runs one function of a table. Errors and panics become words and a status.
///
/// # Safety
/// `call` is what came with the call.
pub(crate) unsafe fn guard(call: *const abi::Call, f: impl FnOnce(&Host<'_>) -> Result<()>) -> i32 {
    // SAFETY: the caller's; a null call is answered with a failure.
    let Some(host) = (unsafe { Host::of(call) }) else {
        return abi::FAILED;
    };
    // What a panic leaves half done is the plugin's own: nothing of the host is touched by `f`.
    // An error may hold what the author wrote, whose words, and whose end, may panic too.
    let said = || f(&host).map_err(|e| e.to_string());
    match catch_unwind(AssertUnwindSafe(said)) {
        Ok(Ok(())) => abi::OK,
        Ok(Err(words)) => {
            host.fail(&words);
            abi::FAILED
        }
        Err(panic) => {
            host.fail(&format!("it panicked: {}", words(panic.as_ref())));
            // What it holds may panic again when it is dropped.
            std::mem::forget(panic);
            abi::FAILED
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}

/// Drops what was handed out as a pointer; a panic in its `Drop` ends here.
///
/// # Safety
/// `this` is null, or came from `Box::into_raw` of a `T` and is given back once.
pub(crate) unsafe fn give_back<T>(this: *mut c_void) {
    if this.is_null() {
        return;
    }
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller's.
        drop(unsafe { Box::from_raw(this.cast::<T>()) });
    }));
    // What the panic holds may panic again when it is dropped, and nothing would stop that one.
    if let Err(panic) = dropped {
        std::mem::forget(panic);
    }
}

/// # Safety
/// `text` is empty, or leads to bytes that stay for the borrow. (The host's is UTF-8; what is not reads as empty.)
pub(crate) unsafe fn text<'t>(text: abi::Text) -> &'t str {
    if text.size == 0 || text.data.is_null() {
        return "";
    }
    // SAFETY: the caller's.
    let bytes = unsafe { self::bytes(text) };
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// A lent tensor as one of Candle's: one copy.
///
/// # Safety
/// `tensor` is one that the host lent for this call.
pub(crate) unsafe fn import(tensor: *const abi::Tensor) -> Result<Tensor> {
    // SAFETY: the caller's.
    let (dims, values) = unsafe { lent(tensor)? };
    Ok(Tensor::from_vec(
        tlkit_ops::copied(values),
        dims,
        &Device::Cpu,
    )?)
}

/// Shape and numbers of a lent tensor, where they lie.
///
/// # Safety
/// `tensor` is one that the host lent for this call, and the numbers are not looked at after it.
pub(crate) unsafe fn lent<'t>(tensor: *const abi::Tensor) -> Result<(Vec<usize>, &'t [f32])> {
    // SAFETY: the caller's.
    let Some(t) = (unsafe { tensor.as_ref() }) else {
        return Err(Error::msg("the host lent no tensor"));
    };
    let dims = dims(t)?;
    let count: usize = dims.iter().product();
    if count == 0 {
        return Ok((dims, &[]));
    }
    if !first(t).is_aligned() {
        return Err(Error::msg("a tensor whose numbers are not aligned"));
    }
    // SAFETY: tlkit.h: float32 on the CPU, row by row without gaps (as `dims` saw).
    let values = unsafe { std::slice::from_raw_parts(first(t), count) };
    Ok((dims, values))
}

fn dims(t: &abi::Tensor) -> Result<Vec<usize>> {
    if (t.device_type, t.code, t.bits, t.lanes) != (abi::CPU, abi::FLOAT, 32, 1) {
        return Err(Error::msg("this plugin takes float32 on the CPU"));
    }
    if t.dimensions == 0 {
        return match t.data.is_null() {
            true => Err(Error::msg("a tensor without numbers")),
            false => Ok(Vec::new()),
        };
    }
    if t.shape.is_null() || t.dimensions < 0 || t.dimensions > 16 {
        return Err(Error::msg(format!(
            "a tensor of {} dimensions",
            t.dimensions
        )));
    }
    let dimensions = t.dimensions as usize;
    // SAFETY: tlkit.h: `dimensions` numbers, lent for the call.
    let shape = unsafe { std::slice::from_raw_parts(t.shape, dimensions) };
    if let Some(d) = shape.iter().find(|d| **d < 0) {
        return Err(Error::msg(format!("a tensor with a side of {d}")));
    }
    if !t.strides.is_null() {
        // SAFETY: tlkit.h: as many again.
        let strides = unsafe { std::slice::from_raw_parts(t.strides, dimensions) };
        let mut step = 1i64;
        for (d, s) in shape.iter().zip(strides).rev() {
            if *d > 1 && *s != step {
                return Err(Error::msg(format!(
                    "this plugin takes rows without gaps, and these have the strides {strides:?}"
                )));
            }
            step = step.saturating_mul((*d).max(1));
        }
    }
    let shape: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
    if shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .is_none()
    {
        return Err(Error::msg(format!("a tensor of the shape {shape:?}")));
    }
    if t.data.is_null() && !shape.contains(&0) {
        return Err(Error::msg("a tensor without numbers"));
    }
    Ok(shape)
}

/// Writes a tensor times a factor into a block of the host; nothing where the block is null.
///
/// # Safety
/// `to` is null or a block that the host lent for this call.
pub(crate) unsafe fn write(tensor: &Tensor, factor: f64, to: *mut abi::Tensor) -> Result<()> {
    // SAFETY: the caller's.
    let Some(t) = (unsafe { to.as_ref() }) else {
        return Ok(());
    };
    let shape = dims(t)?;
    if shape != tensor.dims() {
        return Err(Error::msg(format!(
            "a gradient of the shape {:?} for an input of the shape {shape:?}",
            tensor.dims()
        )));
    }
    if tensor.elem_count() == 0 {
        return Ok(());
    }
    let plain = tensor.detach().to_dtype(candle_core::DType::F32)?;
    tlkit_ops::with_ref(&plain.contiguous()?, |values: &[f32]| {
        // SAFETY: tlkit.h: a block of this shape, to be written.
        let block = unsafe { std::slice::from_raw_parts_mut(first(t).cast_mut(), values.len()) };
        match factor == 1.0 {
            true => tlkit_ops::copy(block, values),
            false => {
                for (to, v) in block.iter_mut().zip(values) {
                    *to = (f64::from(*v) * factor) as f32;
                }
            }
        }
    })?;
    Ok(())
}

/// Where the first number lies.
fn first(t: &abi::Tensor) -> *const f32 {
    t.data
        .cast::<u8>()
        .wrapping_add(t.byte_offset as usize)
        .cast::<f32>()
        .cast_const()
}

/// Bytes that the host lends.
///
/// # Safety
/// `lent` is empty, or leads to bytes that stay for the borrow.
pub(crate) unsafe fn bytes<'t>(lent: abi::Text) -> &'t [u8] {
    match lent.size == 0 || lent.data.is_null() {
        true => &[],
        // SAFETY: the caller's.
        false => unsafe { std::slice::from_raw_parts(lent.data, lent.size as usize) },
    }
}

/// Numbers that the host lends.
///
/// # Safety
/// As of [`bytes`].
pub(crate) unsafe fn floats(lent: abi::Text) -> Vec<f32> {
    // SAFETY: the caller's.
    let bytes = unsafe { bytes(lent) };
    let four = |b: &[u8]| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]);
    bytes.chunks_exact(4).map(four).collect()
}

/// The words of a JSON Schema that tlkit.h knows.
const WORDS: [&str; 10] = [
    "type",
    "description",
    "default",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "items",
    "x-origin",
];

/// The keys that `make` asks for, as a JSON Schema: it is run on an empty recipe. Empty where it asks for none.
pub(crate) fn schema<T>(make: impl FnOnce(&Keys) -> Option<T>) -> String {
    let blank = Written::blank();
    let keys = blank.keys().table("keys");
    drop(make(&keys));
    let all = Schema::new("keys").with(&blank.record()).to_json();
    let table = &all["properties"]["keys"];
    let mut properties = table["properties"].clone();
    for (_, p) in properties.as_object_mut().into_iter().flatten() {
        if let Some(p) = p.as_object_mut() {
            p.retain(|word, _| WORDS.contains(&word.as_str()));
        }
    }
    match properties.as_object().is_none_or(serde_json::Map::is_empty) {
        true => String::new(),
        false => serde_json::json!({ "properties": properties, "required": table.get("required").cloned().unwrap_or_else(|| serde_json::json!([])) }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bad;

    impl Drop for Bad {
        fn drop(&mut self) {
            std::panic::panic_any(Worse);
        }
    }

    struct Worse;

    impl Drop for Worse {
        fn drop(&mut self) {
            panic!("once more");
        }
    }

    #[test]
    fn a_panic_that_holds_another_ends_at_the_border() {
        let this = Box::into_raw(Box::new(Bad)).cast::<c_void>();
        // SAFETY: from `Box::into_raw`, given back once.
        unsafe { give_back::<Bad>(this) };
    }

    #[test]
    fn a_default_says_where_it_comes_from() {
        let schema = schema(|keys| {
            keys.f64("delta").default(1.5, "Huber 1964").read();
            Some(())
        });
        let schema: Value = serde_json::from_str(&schema).unwrap();
        assert_eq!(schema["properties"]["delta"]["x-origin"], "Huber 1964");
    }
}
