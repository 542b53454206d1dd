//! PyTorch's `.pth`, `.pt` and `.bin` files: a pickle that says which tensors there are, and their bytes beside it, in a zip archive (since 1.6) or behind it (before).
//!
//! A pickle is a program, and Python's own reader runs it: whoever sends a checkpoint may run anything. Here nothing is run. The
//! few instructions that a dictionary of tensors is made of are read as data; a call of anything but the three functions that
//! rebuild tensors is an error that names what was to be called. (Candle's reader runs nothing either, but copies on every
//! reference, so that a small file can fill the memory, and panics on short arguments.)

use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};

mod archive;
mod legacy;
mod machine;

use machine::{Machine, Value};

/// A zip archive, or a pickle.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK") || bytes.starts_with(&[0x80])
}

/// Every tensor of a file, by name. Where the file holds more than a dictionary of tensors, the one under `state_dict`,
/// `model_state_dict` or `model`. Those that share memory are copies.
///
/// # Errors
/// The file is none of PyTorch's, is cut off, or asks for more than tensors: in words that begin with `file`.
pub fn read(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    match bytes.starts_with(&[0x80]) {
        true => legacy::read(file, bytes),
        false => archive::read(file, bytes),
    }
}

fn broken(file: &str, why: &dyn std::fmt::Display) -> String {
    format!("{file}: not a whole PyTorch file ({why})")
}

/// What a pickle describes, each tensor with its name.
fn described(
    file: &str,
    machine: &Machine<'_>,
    root: &Value,
) -> Result<BTreeMap<String, Rc<Info>>, String> {
    let state = machine.state(root);
    state.ok_or_else(|| {
        format!(
            "{file}: no dictionary of tensors in it, neither at the top nor under `state_dict`, `model_state_dict` or `model`; \
             load it in PyTorch and save its state_dict alone"
        )
    })
}

/// A run of numbers beside the pickle.
#[derive(Debug)]
struct Storage {
    key: String,
    dtype: DType,
    count: usize,
}

impl Storage {
    fn bytes(&self) -> u64 {
        (self.count as u64).saturating_mul(self.dtype.size_in_bytes() as u64)
    }
}

/// A view of a storage.
#[derive(Debug)]
struct Info {
    storage: Rc<Storage>,
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl Info {
    fn tensor(&self, data: &[u8]) -> std::result::Result<Tensor, String> {
        let (shape, size) = (&self.shape, self.storage.dtype.size_in_bytes());
        let outside = || format!("a tensor of shape {shape:?} that lies outside its storage");
        let count = shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .ok_or_else(outside)?;
        if count == 0 {
            return Tensor::zeros(&shape[..], self.storage.dtype, &Device::Cpu)
                .map_err(|e| e.to_string());
        }
        let last = shape
            .iter()
            .zip(&self.stride)
            .try_fold(self.offset, |at, (&d, &s)| {
                at.checked_add((d - 1).checked_mul(s)?)
            })
            .filter(|&last| last < self.storage.count)
            .ok_or_else(outside)?;
        let mut expected = 1;
        let contiguous = shape.iter().zip(&self.stride).rev().all(|(&d, &s)| {
            let fits = d == 1 || s == expected;
            expected *= d;
            fits
        });
        let raw = |bytes: &[u8]| {
            Tensor::from_raw_buffer(bytes, self.storage.dtype, shape, &Device::Cpu)
                .map_err(|e| e.to_string())
        };
        if contiguous {
            return raw(&data[self.offset * size..(last + 1) * size]);
        }
        // No more numbers than the storage has: an expanded view would be a bomb.
        if count > self.storage.count {
            return Err(outside());
        }
        let mut bytes = Vec::with_capacity(count * size);
        let mut at = vec![0usize; shape.len()];
        for _ in 0..count {
            let place: usize = at.iter().zip(&self.stride).map(|(i, s)| i * s).sum();
            let from = (self.offset + place) * size;
            bytes.extend_from_slice(&data[from..from + size]);
            for (i, &d) in at.iter_mut().zip(shape).rev() {
                *i += 1;
                if *i < d {
                    break;
                }
                *i = 0;
            }
        }
        raw(&bytes)
    }
}
