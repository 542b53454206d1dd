//! Parameters that are passed to a stage, computed with where they lie.

use std::mem::ManuallyDrop;
use std::ops::Range;

use candle_core::Tensor;
use tlkit_abi as abi;
use tlkit_core::nn::Param;
use tlkit_core::{Error, Result};

use crate::border::lent;

/// While this lives, parameters of a stage read what was passed. That is their own memory where the host has been lent it, and there is
/// nothing to do; from a host that has not, it is the host's, which takes the place of numbers of their own. So nothing is copied.
pub(crate) struct Borrowed {
    /// Those that read the host's, each with the numbers that are its own.
    all: Vec<(Tensor, ManuallyDrop<Vec<f32>>)>,
    /// Where all that were passed lie.
    passed: Vec<Range<*const f32>>,
}

impl Borrowed {
    /// Exchanges the numbers of each parameter for those that were passed for it, if they are others.
    ///
    /// # Safety
    /// `from` are as many tensors as parameters, for the call that this is made and dropped in.
    pub unsafe fn of(params: &[Param], from: *const *const abi::Tensor) -> Result<Self> {
        let mut borrowed = Borrowed {
            all: Vec::new(),
            passed: Vec::with_capacity(params.len()),
        };
        for (i, p) in params.iter().enumerate() {
            // SAFETY: the caller's.
            let (dims, numbers) = unsafe { lent(*from.add(i))? };
            if dims != p.dims() {
                return Err(Error::msg(format!(
                    "a parameter of the shape {dims:?}, and it has {:?}",
                    p.dims()
                )));
            }
            borrowed.passed.push(numbers.as_ptr_range());
            let tensor = p.detached();
            let own = tlkit_ops::with_ref(&tensor, |own: &[f32]| own.as_ptr())?;
            if own == numbers.as_ptr() {
                continue;
            }
            // SAFETY: `numbers` are as many as the vector has, initialised, aligned, and they stay for the call. The vector is never
            // grown and never freed: it lies in a `ManuallyDrop` here, and in the tensor's storage only until `drop` below has taken it out
            // again. The host lends for reading; a stage that writes its own parameters breaks the rule of `Stage`.
            let theirs = unsafe {
                Vec::from_raw_parts(numbers.as_ptr().cast_mut(), numbers.len(), numbers.len())
            };
            let mut place = ManuallyDrop::new(theirs);
            exchange(&tensor, &mut place)?;
            borrowed.all.push((tensor, place));
        }
        Ok(borrowed)
    }

    /// Whether these numbers are among those of the parameters.
    pub fn holds(&self, numbers: &[f32]) -> bool {
        let mut all = self.passed.iter();
        all.any(|passed| passed.contains(&numbers.as_ptr()))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        for (tensor, own) in &mut self.all {
            // What comes back is the host's, and is not dropped. It went the other way before, so it cannot fail; if it did all the same,
            // the host's memory would be freed here one day: better to end now.
            if exchange(tensor, own).is_err() {
                std::process::abort();
            }
        }
    }
}

/// Puts other numbers into a parameter's storage, and those that were there into their place. Neither is dropped, whatever happens.
fn exchange(tensor: &Tensor, other: &mut ManuallyDrop<Vec<f32>>) -> Result<()> {
    tlkit_ops::with_vec(tensor, &mut |own| std::mem::swap(own, &mut **other))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use tlkit_core::nn::{Init, Role, Store};

    use super::*;

    fn head(data: &[f32], shape: &mut [i64]) -> abi::Tensor {
        abi::Tensor {
            dlpack_major: 1,
            dlpack_minor: 0,
            manager: std::ptr::null_mut(),
            deleter: None,
            flags: abi::READ_ONLY,
            data: data.as_ptr().cast_mut().cast(),
            device_type: abi::CPU,
            device_id: 0,
            dimensions: shape.len() as i32,
            code: abi::FLOAT,
            bits: 32,
            lanes: 1,
            shape: shape.as_mut_ptr(),
            strides: std::ptr::null_mut(),
            byte_offset: 0,
        }
    }

    #[test]
    fn what_is_lent_is_read_in_place_and_given_back_whatever_happens() -> Result<()> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let scope = store.scope("m");
        let params = [
            scope.param("a", &[2], Role::Weight, Init::Ones)?,
            scope.param("b", &[3], Role::Weight, Init::Ones)?,
        ];
        let (a, b) = ([5f32, 6.0], [7f32, 8.0, 9.0]);
        let (mut two, mut three, mut four) = ([2], [3], [4]);
        let (a_head, b_head) = (head(&a, &mut two), head(&b, &mut three));
        let view = params[1].tensor().narrow(0, 1, 2)?;
        let kept = params[0].detached();
        let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // SAFETY: two tensors that are lent.
            let borrowed =
                unsafe { Borrowed::of(&params, [&raw const a_head, &raw const b_head].as_ptr()) };
            let borrowed = borrowed.expect("borrowed");
            assert_eq!(view.to_vec1::<f32>().expect("numbers"), [8.0, 9.0]);
            assert_eq!(kept.to_vec1::<f32>().expect("numbers"), a);
            let there = tlkit_ops::with_ref(&kept, |v: &[f32]| v.as_ptr());
            assert_eq!(there.expect("numbers"), a.as_ptr());
            assert!(borrowed.holds(&b[1..]) && !borrowed.holds(&[1.0]));
            panic!("on purpose");
        }));
        assert!(held.is_err());
        assert_eq!(view.to_vec1::<f32>()?, [1.0, 1.0]);
        assert_eq!(kept.to_vec1::<f32>()?, [1.0, 1.0]);
        // The second does not fit: the first is as it was.
        let wrong = head(&b, &mut four);
        // SAFETY: as above.
        let refused =
            unsafe { Borrowed::of(&params, [&raw const a_head, &raw const wrong].as_ptr()) };
        assert!(refused.is_err());
        assert_eq!(kept.to_vec1::<f32>()?, [1.0, 1.0]);
        Ok(())
    }

    #[test]
    fn memory_that_is_its_own_stays_where_it_is() -> Result<()> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let param = (store.scope("m")).param("a", &[2], Role::Weight, Init::Ones)?;
        let mut at = std::ptr::null();
        tlkit_ops::with_vec(&param.detached(), &mut |own| at = own.as_ptr())?;
        // SAFETY: two numbers that stay for as long as the store does.
        let numbers = unsafe { std::slice::from_raw_parts(at, 2) };
        let mut shape = [2];
        let own = head(numbers, &mut shape);
        // SAFETY: one tensor.
        let borrowed = unsafe { Borrowed::of(&[param], [&raw const own].as_ptr())? };
        assert!(borrowed.all.is_empty() && borrowed.holds(&numbers[1..]));
        Ok(())
    }
}
