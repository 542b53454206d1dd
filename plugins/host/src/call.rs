//! One call into a plugin: what it answers, what it says went wrong, which keys it may ask for.

use std::ffi::c_void;

use serde_json::{Map, Value};
use tlkit_abi::{self as abi, Head};
use tlkit_core::{Error, Result};

pub(crate) use crate::given::Given;

/// Bytes of an error's text that are kept.
const WORDS: usize = 4096;
/// Bytes of one answer that are taken.
const LONGEST: u64 = 4 << 30;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Text(String),
    Image(Vec<u8>),
    Features(Vec<f32>),
}

#[derive(Default)]
struct Ctx<'k> {
    /// Begins every error.
    who: &'k str,
    keys: Option<&'k Map<String, Value>>,
    failure: Option<String>,
    answers: Vec<Answer>,
    /// An answer that was none.
    refused: Option<String>,
    /// Texts lent to the plugin until the call ends.
    lent: Vec<Box<str>>,
    /// The shapes of gradients that may be given, and what was.
    wanted: Option<&'k Wanted<'k>>,
    given: Vec<Option<Given>>,
}

/// The shapes of gradients, where they are wanted.
pub(crate) type Wanted<'w> = [Option<&'w [usize]>];

/// Makes a call: `f` is to pass the [`abi::Call`] on. `who` begins every error: `plugin x: the reader y`.
pub(crate) fn call(
    who: &str,
    keys: Option<&Map<String, Value>>,
    f: impl FnOnce(*const abi::Call) -> i32,
) -> Result<Vec<Answer>> {
    let mut ctx = Ctx {
        keys,
        who,
        ..Ctx::default()
    };
    run(&mut ctx, f)?;
    Ok(ctx.answers)
}

/// Makes a call in which gradients may be given: those that were, one place for each that may be wanted.
pub(crate) fn call_taking(
    who: &str,
    keys: Option<&Map<String, Value>>,
    wanted: &Wanted<'_>,
    f: impl FnOnce(*const abi::Call) -> i32,
) -> Result<Vec<Option<Given>>> {
    let mut ctx = Ctx {
        who,
        keys,
        wanted: Some(wanted),
        given: wanted.iter().map(|_| None).collect(),
        ..Ctx::default()
    };
    run(&mut ctx, f)?;
    Ok(ctx.given)
}

/// Ends the process where a call is left by what is no return: an exception of C++. Nothing of the plugin could be trusted after it, and what it left locked would
/// be waited for without end.
pub(crate) struct Guard<'w>(pub &'w str);

impl Guard<'_> {
    /// The call returned.
    pub fn passed(self) {
        std::mem::forget(self);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // A panic of our own is told as one.
        if !std::thread::panicking() {
            eprintln!(
                "error: an exception left {}: a function of tlkit.h returns, whatever happens within it\n  the plugin has to catch it, call `fail` and return TLKIT_FAILED",
                self.0
            );
            std::process::abort();
        }
    }
}

fn run(ctx: &mut Ctx<'_>, f: impl FnOnce(*const abi::Call) -> i32) -> Result<()> {
    let who = ctx.who;
    let table = abi::Call {
        head: Head::of::<abi::Call>(),
        host: (&raw mut *ctx).cast::<c_void>(),
        fail: Some(fail),
        answer: Some(answer),
        number: Some(number),
        text: Some(text),
        give: Some(give),
    };
    let guard = Guard(who);
    let status = f(&raw const table);
    guard.passed();
    match (status, ctx.failure.take(), ctx.refused.take()) {
        (abi::OK, _, None) => Ok(()),
        // Whatever it says of it afterwards.
        (abi::OK | abi::FAILED, _, Some(refused)) => Err(Error::msg(format!("{who} {refused}"))),
        (abi::FAILED, Some(words), _) => Err(Error::msg(format!("{who}: {words}"))),
        (abi::FAILED, None, _) => Err(Error::msg(format!("{who} failed, and did not say why"))),
        (status, ..) => Err(Error::msg(format!(
            "{who} returned the status {status}, which tlkit.h does not have"
        ))),
    }
}

/// The one answer of text.
pub(crate) fn one_text(who: &str, answers: Vec<Answer>) -> Result<String> {
    let n = answers.len();
    match answers.into_iter().next() {
        Some(Answer::Text(text)) if n == 1 => Ok(text),
        Some(Answer::Text(_)) => Err(Error::msg(format!("{who} gave {n} answers, not one"))),
        Some(_) => Err(Error::msg(format!(
            "{who} answered with something else than text"
        ))),
        None => Err(Error::msg(format!("{who} gave no answer"))),
    }
}

/// Bytes that a plugin points at.
///
/// # Safety
/// `data` is null, or leads to `size` bytes that stay for the duration of the borrow.
unsafe fn bytes<'b>(data: *const u8, size: u64) -> Option<&'b [u8]> {
    match size {
        0 => Some(&[]),
        _ if data.is_null() || size > LONGEST => None,
        // SAFETY: the caller's.
        _ => Some(unsafe { std::slice::from_raw_parts(data, size as usize) }),
    }
}

/// # Safety
/// As `tlkit_call.fail` says; `host` is what came with the call.
unsafe extern "C-unwind" fn fail(host: *mut c_void, message: abi::Text) {
    // SAFETY: `host` is the `Ctx` of a call that has not returned, on its thread.
    let Some(ctx) = (unsafe { host.cast::<Ctx<'_>>().as_mut() }) else {
        return;
    };
    // SAFETY: tlkit.h: `size` bytes, lent for this call.
    let words = match unsafe { bytes(message.data, message.size) } {
        Some(all) => {
            let cut = &all[..all.len().min(WORDS)];
            let mut words = printable(&String::from_utf8_lossy(cut));
            if cut.len() < all.len() {
                words.push_str(&format!(" ... ({} bytes in all)", all.len()));
            }
            words
        }
        None => "an error whose text is not there".into(),
    };
    // Without words it has not said why.
    ctx.failure = Some(words).filter(|w| !w.is_empty());
}

/// What a terminal can show.
fn printable(text: &str) -> String {
    let show = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.trim_end().chars().map(show).collect()
}

/// # Safety
/// As `tlkit_call.answer` says; `host` is what came with the call.
unsafe extern "C-unwind" fn answer(host: *mut c_void, kind: u32, data: *const c_void, size: u64) {
    // SAFETY: `host` is the `Ctx` of a call that has not returned, on its thread.
    let Some(ctx) = (unsafe { host.cast::<Ctx<'_>>().as_mut() }) else {
        return;
    };
    // SAFETY: tlkit.h: `size` bytes, lent for this call.
    let Some(all) = (unsafe { bytes(data.cast::<u8>(), size) }) else {
        ctx.refused = Some(format!("answered with {size} bytes at {data:p}"));
        return;
    };
    let answer = match kind {
        abi::ANSWER_TEXT => match std::str::from_utf8(all) {
            Ok(text) => Answer::Text(text.to_string()),
            Err(e) => {
                ctx.refused = Some(format!(
                    "answered with text that is not UTF-8 at byte {}",
                    e.valid_up_to()
                ));
                return;
            }
        },
        abi::ANSWER_IMAGE => Answer::Image(all.to_vec()),
        abi::ANSWER_FEATURES if all.len() % 4 == 0 => Answer::Features(
            all.chunks_exact(4)
                .map(|four| f32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
                .collect(),
        ),
        abi::ANSWER_FEATURES => {
            ctx.refused = Some(format!("answered with {size} bytes as float32s"));
            return;
        }
        other => {
            ctx.refused = Some(format!(
                "gave an answer of the kind {other}, which tlkit.h does not have"
            ));
            return;
        }
    };
    ctx.answers.push(answer);
}

impl Ctx<'_> {
    /// # Safety
    /// As [`bytes`].
    unsafe fn key(&self, name: abi::Text) -> Option<&Value> {
        // SAFETY: the caller's.
        let name = unsafe { bytes(name.data, name.size) }?;
        let value = self.keys?.get(std::str::from_utf8(name).ok()?)?;
        (!value.is_null()).then_some(value)
    }
}

/// # Safety
/// As `tlkit_call.number` says; `host` is what came with the call.
unsafe extern "C-unwind" fn number(host: *mut c_void, name: abi::Text, value: *mut f64) -> i32 {
    // SAFETY: `host` is the `Ctx` of a call that has not returned, on its thread.
    let Some(ctx) = (unsafe { host.cast::<Ctx<'_>>().as_ref() }) else {
        return abi::FAILED;
    };
    // SAFETY: tlkit.h: a text that is lent for this call.
    let found = match unsafe { ctx.key(name) } {
        Some(Value::Bool(yes)) => f64::from(u8::from(*yes)),
        Some(value) => match value.as_f64() {
            Some(number) => number,
            None => return abi::FAILED,
        },
        None => return abi::ABSENT,
    };
    if value.is_null() {
        return abi::FAILED;
    }
    // SAFETY: tlkit.h: a place for one number; not null.
    unsafe { value.write(found) };
    abi::OK
}

/// # Safety
/// As `tlkit_call.text` says; `host` is what came with the call.
unsafe extern "C-unwind" fn text(host: *mut c_void, name: abi::Text, value: *mut abi::Text) -> i32 {
    // SAFETY: `host` is the `Ctx` of a call that has not returned, on its thread.
    let Some(ctx) = (unsafe { host.cast::<Ctx<'_>>().as_mut() }) else {
        return abi::FAILED;
    };
    let found = if name.size == 0 {
        let all = ctx.keys.cloned().unwrap_or_default();
        Value::Object(all).to_string()
    } else {
        // SAFETY: tlkit.h: a text that is lent for this call.
        match unsafe { ctx.key(name) } {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => return abi::ABSENT,
        }
    };
    if value.is_null() {
        return abi::FAILED;
    }
    let lent: Box<str> = found.into_boxed_str();
    let out = abi::Text::of(&lent);
    // The box's content does not move when the list grows.
    ctx.lent.push(lent);
    // SAFETY: tlkit.h: a place for one text; not null.
    unsafe { value.write(out) };
    abi::OK
}

/// # Safety
/// As `tlkit_call.give` says; `host` is what came with the call.
unsafe extern "C-unwind" fn give(host: *mut c_void, index: u64, gradient: *mut abi::Tensor) -> i32 {
    // SAFETY: `host` is the `Ctx` of a call that has not returned, on its thread.
    let Some(ctx) = (unsafe { host.cast::<Ctx<'_>>().as_mut() }) else {
        return abi::FAILED;
    };
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    let shape = ctx.wanted.and_then(|all| all.get(at).copied().flatten());
    let taken = match (shape, ctx.given.get(at)) {
        (Some(_), Some(Some(_))) => Err("a second time".to_string()),
        // SAFETY: tlkit.h: a tensor that is given.
        (Some(shape), _) => unsafe { Given::of(gradient, shape, ctx.who) },
        (None, _) => Err("where none is wanted".to_string()),
    };
    match taken {
        Ok(taken) => {
            ctx.given[at] = Some(taken);
            abi::OK
        }
        Err(words) => {
            ctx.refused = Some(format!("gave gradient {index}: {words}"));
            abi::FAILED
        }
    }
}
