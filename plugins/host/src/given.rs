//! A gradient that a plugin hands over in its own memory.

use tlkit_abi as abi;
use tlkit_core::nn::Elsewhere;

/// The host's until it is dropped: then its deleter is called.
pub(crate) struct Given {
    tensor: *mut abi::Tensor,
    numbers: *const f32,
    count: usize,
    who: String,
}

// SAFETY: tlkit.h: what is given neither moves nor changes, and its deleter may be called from any thread.
unsafe impl Send for Given {}
// SAFETY: as above.
unsafe impl Sync for Given {}

impl Given {
    /// Takes it over where it is a tensor of this shape that can be read; says why not where it is none, and leaves it to the plugin.
    ///
    /// # Safety
    /// `tensor` is null or leads to a tensor as tlkit.h says of `give`.
    pub unsafe fn of(tensor: *mut abi::Tensor, shape: &[usize], who: &str) -> Result<Self, String> {
        if !tensor.is_aligned() {
            return Err(format!("a tensor at {tensor:p}, which is not aligned"));
        }
        // SAFETY: the caller's.
        let Some(t) = (unsafe { tensor.as_ref() }) else {
            return Err("null".into());
        };
        if t.deleter.is_none() {
            return Err("a tensor without a deleter".into());
        }
        // SAFETY: the caller's.
        let numbers = unsafe { numbers(t, shape)? };
        Ok(Given {
            tensor,
            numbers,
            count: shape.iter().product(),
            who: who.to_string(),
        })
    }
}

/// Where a tensor's numbers begin, if it has this shape and they can be read; otherwise what is wrong with it.
///
/// # Safety
/// Shape and strides, where they are not null, lead to as many numbers as the tensor says it has dimensions.
pub(crate) unsafe fn numbers(t: &abi::Tensor, shape: &[usize]) -> Result<*mut f32, String> {
    if t.dlpack_major != 1 {
        return Err(format!("a tensor of DLPack {}", t.dlpack_major));
    }
    if (t.device_type, t.code, t.bits, t.lanes) != (abi::CPU, abi::FLOAT, 32, 1) {
        return Err("a tensor that is not float32 on the CPU".into());
    }
    let dimensions = usize::try_from(t.dimensions).unwrap_or(usize::MAX);
    if dimensions != shape.len() {
        return Err(format!(
            "a tensor of {} dimensions, not {}",
            t.dimensions,
            shape.len()
        ));
    }
    if dimensions > 0 && t.shape.is_null() {
        return Err("a tensor without a shape".into());
    }
    // SAFETY: tlkit.h: as many numbers as dimensions, at each of the two pointers that is not null.
    let sides = |at: *const i64| (0..dimensions).map(move |i| unsafe { at.add(i).read() });
    if !sides(t.shape).eq(shape.iter().map(|&d| d as i64)) {
        let found: Vec<i64> = sides(t.shape).collect();
        return Err(format!("a tensor of the shape {found:?}, not {shape:?}"));
    }
    if !t.strides.is_null() {
        let strides: Vec<i64> = sides(t.strides).collect();
        let mut step = 1;
        for (&side, &stride) in shape.iter().zip(&strides).rev() {
            if side > 1 && stride != step {
                return Err(format!(
                    "a tensor with the strides {strides:?}, not rows without gaps"
                ));
            }
            step *= side.max(1) as i64;
        }
    }
    let numbers = t
        .data
        .cast::<u8>()
        .wrapping_add(t.byte_offset as usize)
        .cast::<f32>();
    if t.data.is_null() || !numbers.is_aligned() {
        return Err(format!("a tensor with its numbers at {:p}", t.data));
    }
    Ok(numbers)
}

impl Elsewhere for Given {
    fn numbers(&self) -> &[f32] {
        // SAFETY: tlkit.h: as many float32s as the shape says, that stay as they are until the deleter is called.
        unsafe { std::slice::from_raw_parts(self.numbers, self.count) }
    }

    fn whose(&self) -> &str {
        &self.who
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // SAFETY: it was looked at by `of`, and is given back once.
        unsafe {
            if let Some(delete) = (*self.tensor).deleter {
                delete(self.tensor);
            }
        }
    }
}
