//! A loss term on its way to C.

use std::ffi::c_void;

use candle_core::Tensor;
use serde_json::json;
use tlkit_abi::{self as abi, Head};
use tlkit_core::recipe::Keys;
use tlkit_core::strategy::{Asked, LossTerm, ParamSpec};
use tlkit_core::{Error, Result};

use crate::border::{give_back, guard, import, write};
use crate::source::{role, start};

/// A [`LossTerm`] that is made from keys.
pub trait Term: LossTerm + Sized + 'static {
    /// From its own keys: reading is declaring, as for a built-in. `None` after an error was noted.
    fn make(keys: &Keys) -> Option<Self>;
    /// Taps whose gradient is not the derivative but a multiple of it, as in gradient reversal: for `tlkit plugins check`.
    fn turned(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What `forward` keeps for `vjp`.
struct Kept(Vec<Tensor>);

/// The table of a term.
pub(crate) const fn table<T: Term>() -> abi::LossTerm {
    abi::LossTerm {
        head: Head::of::<abi::LossTerm>(),
        make: Some(make::<T>),
        drop: Some(drop_term::<T>),
        describe: Some(describe::<T>),
        forward: Some(forward::<T>),
        vjp: Some(vjp),
        release: Some(release),
    }
}

unsafe extern "C-unwind" fn make<T: Term>(call: *const abi::Call, this: *mut *mut c_void) -> i32 {
    // SAFETY: tlkit.h: `this` is a place for one pointer.
    unsafe {
        guard(call, |host| {
            let made = host.make(T::make)?;
            this.write(Box::into_raw(Box::new(made)).cast());
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn drop_term<T: Term>(this: *mut c_void) {
    // SAFETY: what `make` left, given back once.
    unsafe { give_back::<T>(this) }
}

/// # Safety
/// `this` is what `make` left.
unsafe fn term<'t, T: Term>(this: *mut c_void) -> Result<&'t T> {
    // SAFETY: the caller's; no call at the same time, and none of them writes.
    unsafe { this.cast::<T>().as_ref() }.ok_or_else(|| Error::msg("called without its `self`"))
}

unsafe extern "C-unwind" fn describe<T: Term>(this: *mut c_void, call: *const abi::Call) -> i32 {
    // SAFETY: tlkit.h.
    unsafe {
        guard(call, |host| {
            let term = term::<T>(this)?;
            let params: Result<Vec<_>> = term.params().iter().map(param).collect();
            let mut said = json!({ "taps": term.taps(), "params": params? });
            let turned = term.turned();
            if !turned.is_empty() {
                said["turned"] = json!(turned);
            }
            host.say(&said.to_string());
            Ok(())
        })
    }
}

fn param(p: &ParamSpec) -> Result<serde_json::Value> {
    let (role, init) = (role(p.role, &p.name)?, start(p.init));
    Ok(json!({ "name": p.name, "shape": p.shape, "role": role, "init": init }))
}

fn wanted(term: &impl Term, inputs: usize) -> Vec<bool> {
    let taps = term.taps().iter().map(|t| !t.starts_with("labels:"));
    taps.chain(std::iter::repeat(true)).take(inputs).collect()
}

unsafe extern "C-unwind" fn forward<T: Term>(
    this: *mut c_void,
    call: *const abi::Call,
    moment: *const abi::Moment,
    inputs: *const *const abi::Tensor,
    count: u64,
    value: *mut f64,
    handle: *mut *mut c_void,
) -> i32 {
    // SAFETY: tlkit.h: `count` tensors and a moment lent for the call, places for a value and a handle.
    unsafe {
        guard(call, |_| {
            let term = term::<T>(this)?;
            let moment = moment
                .as_ref()
                .ok_or_else(|| Error::msg("called without a moment"))?;
            let all = std::slice::from_raw_parts(inputs, count as usize);
            let all: Result<Vec<Tensor>> = all.iter().map(|&t| import(t)).collect();
            let all = all?;
            let taps = term.taps().len();
            if all.len() < taps {
                return Err(Error::msg(format!(
                    "called with {count} inputs, and it takes {taps}"
                )));
            }
            let asked = Asked {
                seed: moment.seed,
                step: moment.step,
                progress: moment.progress,
                // Of labels nobody wants a gradient.
                wanted: wanted(term, all.len()),
            };
            let valued = term.value_and_gradients_at(&all[..taps], &all[taps..], &asked)?;
            let gradients = [valued.taps, valued.params].concat();
            if gradients.len() != all.len() {
                return Err(Error::msg(format!(
                    "{} gradients for {count} inputs",
                    gradients.len()
                )));
            }
            value.write(valued.value);
            handle.write(Box::into_raw(Box::new(Kept(gradients))).cast());
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn vjp(
    _: *mut c_void,
    call: *const abi::Call,
    _: *const abi::Moment,
    handle: *mut c_void,
    gradient: f64,
    _: *const *const abi::Tensor,
    count: u64,
    gradients: *const *mut abi::Tensor,
) -> i32 {
    // SAFETY: tlkit.h: the handle is what `forward` left; `count` blocks, or null where none is wanted.
    unsafe {
        guard(call, |_| {
            let kept = handle.cast::<Kept>().as_ref();
            let kept = kept.ok_or_else(|| Error::msg("the way back without the way there"))?;
            let blocks = std::slice::from_raw_parts(gradients, count as usize);
            for (tensor, &block) in kept.0.iter().zip(blocks) {
                write(tensor, gradient, block)?;
            }
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn release(_: *mut c_void, handle: *mut c_void) {
    // SAFETY: what `forward` left, given back once.
    unsafe { give_back::<Kept>(handle) }
}
