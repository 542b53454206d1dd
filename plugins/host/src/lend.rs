//! Tensors across the border, lent for one call. Inputs are not copied; what a plugin writes is taken over as it is.

use candle_core::{DType, Tensor};
use tlkit_abi as abi;
use tlkit_core::{Error, Result};

/// Numbers behind a block that a plugin has no business with.
const GUARD: usize = 16;
/// What stands in a block before it is written: a NaN that arithmetic does not make.
const UNWRITTEN: u32 = 0x7fc0_a11d;

/// A tensor of this shape, float32 on the CPU, row by row.
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

/// A tensor of this shape without numbers, for the plugin to fill in where they are.
pub(crate) fn blank<R>(dims: &[usize], f: impl FnOnce(*mut abi::Tensor) -> R) -> R {
    let (mut shape, mut strides) = shape_of(dims);
    let mut blank = head(&mut shape, &mut strides, std::ptr::null_mut(), 0);
    f(&raw mut blank)
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

/// How closely a block that was written is looked at. One of a few thousand numbers always is, at every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Every number: written, and finite.
    All,
    /// Every number: finite. Written: one in a page of memory.
    Finite,
    /// One in a page. (Of a parameter's gradient: the optimizer sees at every step whether all of them are finite.)
    Samples,
}

/// Numbers in a page of memory, as most machines have it.
const PAGE: usize = 1024;
/// A block as small as this is always looked at whole.
const SMALL: usize = 4 * PAGE;

/// A block to be written, with its guard behind it.
struct Block {
    values: Vec<f32>,
    n: usize,
    care: Care,
}

impl Block {
    fn new(n: usize, care: Care) -> Self {
        let care = if n <= SMALL { Care::All } else { care };
        if care == Care::All {
            let values = vec![f32::from_bits(UNWRITTEN); n + GUARD];
            return Block { values, n, care };
        }
        let mut values = Vec::with_capacity(n + GUARD);
        let place = &mut values.spare_capacity_mut()[..n + GUARD];
        for at in (0..n).step_by(PAGE).chain(n - 1..n + GUARD) {
            place[at].write(f32::from_bits(UNWRITTEN));
        }
        // SAFETY: the capacity is there. tlkit.h: every element is written before the block is read. To fill gigabytes first would cost
        // more than the border does; whether a plugin keeps to it is seen at its first calls (`Care::All`) and by the samples.
        #[allow(clippy::uninit_vec)]
        unsafe {
            values.set_len(n + GUARD);
        }
        Block { values, n, care }
    }

    /// Whether it was written as it should be; the guard is cut off.
    fn take(mut self, what: &dyn Fn() -> String, who: &str) -> Result<Vec<f32>> {
        let (values, n) = (&mut self.values, self.n);
        let unwritten = |v: &f32| v.to_bits() == UNWRITTEN;
        if !values[n..].iter().all(unwritten) {
            return Err(Error::msg(format!(
                "{who} wrote beyond the end of {}, which has {n} numbers",
                what()
            )));
        }
        values.truncate(n);
        let wrong = match self.care {
            // What was not written is no number either: one pass finds both.
            Care::All | Care::Finite => tlkit_ops::first_not_finite(values),
            Care::Samples => None,
        };
        let sampled = || {
            let mut places = (0..n).step_by(PAGE).chain(n.checked_sub(1));
            places.find(|&at| unwritten(&values[at]))
        };
        let Some(at) = wrong.or_else(sampled) else {
            return Ok(self.values);
        };
        Err(Error::msg(match unwritten(&values[at]) {
            true => format!("{who} did not write number {at} of {}", what()),
            false => format!("{who} gave {} that holds {}", what(), values[at]),
        }))
    }
}

/// Lends one block of this shape to be written, and takes it over as it is. `what` and `who` are for errors.
pub(crate) fn filled(
    dims: &[usize],
    care: Care,
    what: &dyn Fn() -> String,
    who: &str,
    f: impl FnOnce(*mut abi::Tensor) -> Result<()>,
) -> Result<Vec<f32>> {
    let mut block = Block::new(dims.iter().product(), care);
    let (mut shape, mut strides) = shape_of(dims);
    let mut head = head(&mut shape, &mut strides, block.values.as_mut_ptr(), 0);
    f(&raw mut head)?;
    block.take(what, who)
}

/// Places for gradients, one for each tensor that is wanted.
pub(crate) struct Blocks {
    places: Vec<Place>,
    dims: Vec<Vec<usize>>,
}

enum Place {
    Unwanted,
    Block(Block),
    /// The plugin brings memory of its own.
    Given,
}

impl Blocks {
    /// As large as these tensors.
    pub fn like(tensors: &[Tensor], wanted: &[bool], care: Care) -> Self {
        let block = |(t, w): (&Tensor, &bool)| match w {
            true => Place::Block(Block::new(t.elem_count(), care)),
            false => Place::Unwanted,
        };
        Blocks {
            places: tensors.iter().zip(wanted).map(block).collect(),
            dims: tensors.iter().map(|t| t.dims().to_vec()).collect(),
        }
    }

    /// One for each of these shapes that is wanted; for what is given, no memory.
    pub fn of(
        dims: Vec<Vec<usize>>,
        wanted: &[bool],
        care: impl Fn(usize) -> Option<Care>,
    ) -> Self {
        let places = wanted.iter().enumerate().map(|(i, w)| match (w, care(i)) {
            (false, _) => Place::Unwanted,
            (true, None) => Place::Given,
            (true, Some(care)) => Place::Block(Block::new(dims[i].iter().product(), care)),
        });
        Blocks {
            places: places.collect(),
            dims,
        }
    }

    /// Lends them to be written; null where none is wanted.
    pub fn lend<R>(&mut self, f: impl FnOnce(*const *mut abi::Tensor) -> R) -> R {
        let mut shapes: Vec<_> = self.dims.iter().map(|d| shape_of(d)).collect();
        let mut heads: Vec<Option<abi::Tensor>> = (self.places.iter_mut().zip(&mut shapes))
            .map(|(place, (shape, strides))| match place {
                Place::Unwanted => None,
                Place::Block(block) => Some(head(shape, strides, block.values.as_mut_ptr(), 0)),
                Place::Given => Some(head(shape, strides, std::ptr::null_mut(), 0)),
            })
            .collect();
        let pointers: Vec<*mut abi::Tensor> = heads
            .iter_mut()
            .map(|h| h.as_mut().map_or(std::ptr::null_mut(), |h| &raw mut *h))
            .collect();
        f(pointers.as_ptr())
    }

    /// What was written, as tensors like these; zeros where none was wanted. `who` and `names` are for errors.
    pub fn take(self, like: &[Tensor], who: &str, names: &[String]) -> Result<Vec<Tensor>> {
        let name = |i: usize| names.get(i).map_or("?", String::as_str).to_string();
        let taken = self.numbers(who, &name)?.into_iter().zip(like);
        taken
            .map(|(values, like)| {
                let Some(values) = values else {
                    return Ok(like.zeros_like()?);
                };
                let made = Tensor::from_vec(values, like.dims(), &candle_core::Device::Cpu)?;
                Ok(made.to_dtype(like.dtype())?.to_device(like.device())?)
            })
            .collect()
    }

    /// What was written into blocks.
    pub fn numbers(
        self,
        who: &str,
        name: &dyn Fn(usize) -> String,
    ) -> Result<Vec<Option<Vec<f32>>>> {
        let places = self.places.into_iter().enumerate();
        let one = |(i, place)| match place {
            Place::Block(block) => {
                let what = || format!("the gradient of `{}`", name(i));
                block.take(&what, who).map(Some)
            }
            Place::Unwanted | Place::Given => Ok(None),
        };
        places.map(one).collect()
    }
}
