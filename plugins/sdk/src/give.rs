//! Gradients handed over to the host in the memory that Candle computed them into.

use std::ffi::c_void;

use candle_core::{DType, Tensor};
use tlkit_abi as abi;
use tlkit_core::{Error, Result};

use crate::border::{Host, give_back};
use crate::borrow::Borrowed;

/// A tensor that belongs to the host until it calls the deleter.
struct Given {
    head: abi::Tensor,
    shape: Vec<i64>,
    /// What keeps the numbers where they are.
    _tensor: Tensor,
}

/// Gives the gradient of a stage's parameter by its number. Numbers that are a parameter's own are copied first: the host writes those
/// while it reads gradients.
pub(crate) fn give(
    host: &Host<'_>,
    index: usize,
    gradient: &Tensor,
    borrowed: &Borrowed,
) -> Result<()> {
    let mut tensor = gradient.detach().to_dtype(DType::F32)?.contiguous()?;
    if tlkit_ops::with_ref(&tensor, |v: &[f32]| borrowed.holds(v))? {
        tensor = tensor.copy()?;
    }
    let data = tlkit_ops::with_ref(&tensor, |v: &[f32]| v.as_ptr())?;
    let mut given = Box::new(Given {
        head: abi::Tensor {
            dlpack_major: 1,
            dlpack_minor: 0,
            manager: std::ptr::null_mut(),
            deleter: Some(delete),
            flags: abi::READ_ONLY,
            data: data.cast_mut().cast(),
            device_type: abi::CPU,
            device_id: 0,
            dimensions: tensor.rank() as i32,
            code: abi::FLOAT,
            bits: 32,
            lanes: 1,
            shape: std::ptr::null_mut(),
            strides: std::ptr::null_mut(),
            byte_offset: 0,
        },
        shape: tensor.dims().iter().map(|&d| d as i64).collect(),
        _tensor: tensor,
    });
    given.head.shape = given.shape.as_mut_ptr();
    let at = Box::into_raw(given);
    // SAFETY: `at` is the box that was made here; `manager` leads back to it for `delete`.
    let taken = unsafe {
        (*at).head.manager = at.cast();
        host.give(index, &raw mut (*at).head)
    };
    if taken {
        return Ok(());
    }
    // SAFETY: the host did not take it.
    unsafe { give_back::<Given>(at.cast::<c_void>()) };
    Err(Error::msg(format!(
        "the host did not take gradient {index}"
    )))
}

unsafe extern "C-unwind" fn delete(tensor: *mut abi::Tensor) {
    // SAFETY: tlkit.h: a tensor that was given, once; `manager` is the box that it lies in.
    unsafe {
        if let Some(t) = tensor.as_ref() {
            give_back::<Given>(t.manager);
        }
    }
}
