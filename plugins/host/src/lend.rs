//! Tensors across the border, lent for one call. Inputs are not copied; what a plugin writes is taken over as it is.

use candle_core::{DType, Tensor};
use tlkit_abi as abi;
use tlkit_core::{Error, Result};

/// Numbers behind a block that a plugin has no business with.
const GUARD: usize = 16;
/// What stands in a block before it is written: a NaN that arithmetic does not make.
const UNWRITTEN: u32 = 0x7fc0_a11d;

fn head(shape: &mut [i64], strides: &mut [i64], data: *mut f32, flags: u64) -> abi::Tensor {
    abi::Tensor {
        dlpack_major: 1,
        dlpack_minor: 0,
        manager: std::ptr::null_mut(),
        deleter: None,
        flags,
        data: data.cast(),
        device_type: abi::CPU,
        device_id: 0,
        dimensions: shape.len() as i32,
        code: abi::FLOAT,
        bits: 32,
        lanes: 1,
        shape: shape.as_mut_ptr(),
        strides: strides.as_mut_ptr(),
        byte_offset: 0,
    }
}

fn shape_of(dims: &[usize]) -> (Vec<i64>, Vec<i64>) {
    let shape: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    let mut strides = vec![1i64; dims.len()];
    for i in (0..dims.len().saturating_sub(1)).rev() {
        strides[i] = strides[i + 1] * shape[i + 1].max(1);
    }
    (shape, strides)
}

/// Tensors as float32 on the CPU, row by row.
pub(crate) fn plain(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    let one = |t: &Tensor| Ok(t.detach().to_dtype(DType::F32)?.contiguous()?);
    tensors.iter().map(one).collect()
}

/// Lends tensors made by [`plain`]: `f` sees them as a list of pointers. All are read-locked meanwhile.
pub(crate) fn lend<R>(
    tensors: &[Tensor],
    f: impl FnOnce(*const *const abi::Tensor) -> R,
) -> Result<R> {
    type Rest<'f, R> = Box<dyn FnOnce(*const *const abi::Tensor) -> R + 'f>;
    fn go<R>(rest: &[Tensor], data: &mut Vec<(*mut f32, Vec<usize>)>, f: Rest<'_, R>) -> Result<R> {
        let Some((first, rest)) = rest.split_first() else {
            let mut shapes: Vec<_> = data.iter().map(|(_, dims)| shape_of(dims)).collect();
            let heads: Vec<abi::Tensor> = data
                .iter()
                .zip(&mut shapes)
                .map(|((at, _), (shape, strides))| head(shape, strides, *at, abi::READ_ONLY))
                .collect();
            let pointers: Vec<*const abi::Tensor> = heads.iter().map(|h| &raw const *h).collect();
            return Ok(f(pointers.as_ptr()));
        };
        // What crosses is in the CPU's memory.
        let here = first.to_device(&candle_core::Device::Cpu)?;
        tlkit_ops::with_ref(&here, |values: &[f32]| {
            data.push((values.as_ptr().cast_mut(), first.dims().to_vec()));
            go(rest, data, f)
        })?
    }
    go(tensors, &mut Vec::new(), Box::new(f))
}

/// Whether a block of `n` numbers and its guard was written as it should be; the guard is cut off.
fn check(values: &mut Vec<f32>, n: usize, what: &str, who: &str) -> Result<()> {
    let unwritten = |v: &f32| v.to_bits() == UNWRITTEN;
    if !values[n..].iter().all(unwritten) {
        return Err(Error::msg(format!(
            "{who} wrote beyond the end of {what}, which has {n} numbers"
        )));
    }
    values.truncate(n);
    // What was not written is no number either: one pass finds both.
    let Some(at) = values.iter().position(|v| !v.is_finite()) else {
        return Ok(());
    };
    Err(Error::msg(match unwritten(&values[at]) {
        true => format!("{who} did not write number {at} of {what}"),
        false => format!("{who} gave {what} that holds {}", values[at]),
    }))
}

/// Lends one block of this shape to be written, and takes it over as it is. `what` and `who` are for errors.
pub(crate) fn filled(
    dims: &[usize],
    what: &str,
    who: &str,
    f: impl FnOnce(*mut abi::Tensor) -> Result<()>,
) -> Result<Vec<f32>> {
    let n: usize = dims.iter().product();
    let mut values = vec![f32::from_bits(UNWRITTEN); n + GUARD];
    let (mut shape, mut strides) = shape_of(dims);
    let mut head = head(&mut shape, &mut strides, values.as_mut_ptr(), 0);
    f(&raw mut head)?;
    check(&mut values, n, what, who)?;
    Ok(values)
}

/// Blocks to be written, one for each tensor that is wanted.
pub(crate) struct Blocks {
    values: Vec<Option<Vec<f32>>>,
    dims: Vec<Vec<usize>>,
}

impl Blocks {
    /// As large as these tensors.
    pub fn like(tensors: &[Tensor], wanted: &[bool]) -> Self {
        let block = |(t, w): (&Tensor, &bool)| {
            w.then(|| vec![f32::from_bits(UNWRITTEN); t.elem_count() + GUARD])
        };
        Blocks {
            values: tensors.iter().zip(wanted).map(block).collect(),
            dims: tensors.iter().map(|t| t.dims().to_vec()).collect(),
        }
    }

    /// Lends them to be written; null where none is wanted.
    pub fn lend<R>(&mut self, f: impl FnOnce(*const *mut abi::Tensor) -> R) -> R {
        let mut shapes: Vec<_> = self.dims.iter().map(|d| shape_of(d)).collect();
        let mut heads: Vec<Option<abi::Tensor>> = (self.values.iter_mut().zip(&mut shapes))
            .map(|(v, (shape, strides))| {
                v.as_mut().map(|v| head(shape, strides, v.as_mut_ptr(), 0))
            })
            .collect();
        let pointers: Vec<*mut abi::Tensor> = heads
            .iter_mut()
            .map(|h| h.as_mut().map_or(std::ptr::null_mut(), |h| &raw mut *h))
            .collect();
        f(pointers.as_ptr())
    }

    /// What was written, as tensors; zeros where none was wanted. `who` and `names` are for errors.
    pub fn take(self, like: &[Tensor], who: &str, names: &[String]) -> Result<Vec<Tensor>> {
        let taken = self.take_wanted(like, who, names)?.into_iter().zip(like);
        taken
            .map(|(t, like)| t.map_or_else(|| Ok(like.zeros_like()?), Ok))
            .collect()
    }

    /// What was written, as tensors; nothing where none was wanted.
    pub fn take_wanted(
        self,
        like: &[Tensor],
        who: &str,
        names: &[String],
    ) -> Result<Vec<Option<Tensor>>> {
        let mut out = Vec::new();
        for (i, (values, like)) in self.values.into_iter().zip(like).enumerate() {
            let Some(mut values) = values else {
                out.push(None);
                continue;
            };
            let name = names.get(i).map_or("?", String::as_str);
            let what = format!("the gradient of `{name}`");
            check(&mut values, like.elem_count(), &what, who)?;
            let made = Tensor::from_vec(values, like.dims(), &candle_core::Device::Cpu)?;
            out.push(Some(made.to_dtype(like.dtype())?.to_device(like.device())?));
        }
        Ok(out)
    }
}
