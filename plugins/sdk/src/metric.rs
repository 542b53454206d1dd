//! A metric on its way to C.

use std::ffi::c_void;

use candle_core::DType;
use tlkit_abi::{self as abi, Head};
use tlkit_core::Error;
use tlkit_core::metrics::Metric;
use tlkit_core::recipe::Keys;

use crate::border::{give_back, guard, import};

/// A [`Metric`] that is made from keys.
pub trait Measures: Metric + Sized + 'static {
    /// From its own keys: reading is declaring, as for a built-in. `None` after an error was noted.
    fn make(keys: &Keys) -> Option<Self>;
}

/// The table of a metric.
pub(crate) const fn table<T: Measures>() -> abi::Metric {
    abi::Metric {
        head: Head::of::<abi::Metric>(),
        make: Some(make::<T>),
        drop: Some(drop_metric::<T>),
        score: Some(score::<T>),
    }
}

unsafe extern "C-unwind" fn make<T: Measures>(
    call: *const abi::Call,
    this: *mut *mut c_void,
) -> i32 {
    // SAFETY: tlkit.h: `this` is a place for one pointer.
    unsafe {
        guard(call, |host| {
            let made = host.make(T::make)?;
            this.write(Box::into_raw(Box::new(made)).cast());
            Ok(())
        })
    }
}

unsafe extern "C-unwind" fn drop_metric<T: Measures>(this: *mut c_void) {
    // SAFETY: what `make` left, given back once.
    unsafe { give_back::<T>(this) }
}

unsafe extern "C-unwind" fn score<T: Measures>(
    this: *mut c_void,
    call: *const abi::Call,
    probabilities: *const abi::Tensor,
    labels: *const u32,
    value: *mut f64,
) -> i32 {
    // SAFETY: tlkit.h: `self` is what `make` left, no two calls at once; a tensor and as many labels as it has rows, lent for the call; a
    // place for a number.
    unsafe {
        guard(call, |_| {
            let metric = this.cast::<T>().as_ref();
            let metric = metric.ok_or_else(|| Error::msg("called without its `self`"))?;
            let table = import(probabilities)?.to_dtype(DType::F32)?;
            let (rows, _) = table.dims2()?;
            let labels = match rows {
                0 => &[],
                _ if labels.is_null() => return Err(Error::msg("called without labels")),
                rows => std::slice::from_raw_parts(labels, rows),
            };
            value.write(metric.score(&table.to_vec2::<f32>()?, labels)?);
            Ok(())
        })
    }
}
