//! PyTorch's `.pth` and `.pt` files: a zip archive with a pickle that says which tensors there are, and their bytes beside it.
//!
//! A pickle is a program, and Python's own reader runs it: whoever sends a checkpoint may run anything. Here nothing is run. The
//! few instructions that a dictionary of tensors is made of are read as data; a call of anything but the three functions that
//! rebuild tensors is an error that names what was to be called. (Candle's reader runs nothing either, but copies on every
//! reference, so that a small file can fill the memory, and panics on short arguments.)

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use tlkit_core::{Error, Result};

mod machine;

use machine::Machine;

/// Largest pickle that is read. That of a ResNet-152 has 100 KB.
const PICKLE: u64 = 64 << 20;

/// Every tensor of a file, by name. Where the file holds more than a dictionary of tensors, the one under `state_dict`,
/// `model_state_dict` or `model`.
pub(crate) fn read(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let broken =
        |e: &dyn std::fmt::Display| Error::msg(format!("{file}: not a whole PyTorch file ({e})"));
    if bytes.starts_with(&[0x80]) {
        return Err(Error::msg(format!(
            "{file}: written by PyTorch before 1.6, which this tool does not read; load it there and save it again, best as safetensors"
        )));
    }
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    let mut names = Vec::with_capacity(zip.len());
    for i in 0..zip.len() {
        let entry = zip.by_index_raw(i).map_err(|e| broken(&e))?;
        names.push(String::from_utf8_lossy(entry.name_raw()).into_owned());
    }
    let Some(pickle) = names.iter().position(|n| n.ends_with("data.pkl")) else {
        return Err(broken(&"no data.pkl in it"));
    };
    let folder = names[pickle].trim_end_matches("data.pkl").to_string();
    let mut program = Vec::new();
    zip.by_index(pickle)
        .map_err(|e| broken(&e))?
        .take(PICKLE + 1)
        .read_to_end(&mut program)
        .map_err(|e| broken(&e))?;
    if program.len() as u64 > PICKLE {
        return Err(broken(&"its data.pkl is over 64 MiB"));
    }
    let mut machine = Machine::new(&program);
    let root = machine
        .run()
        .map_err(|why| Error::msg(format!("{file}: {why}")))?;
    let mut tensors = BTreeMap::new();
    let mut storages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, info) in machine
        .state(&root)
        .ok_or_else(|| broken(&"no dictionary of tensors in it"))?
    {
        let storage = &info.storage;
        if !storages.contains_key(&storage.key) {
            let wanted = format!("{folder}data/{}", storage.key);
            let at = names.iter().position(|n| *n == wanted);
            let at = at.ok_or_else(|| broken(&format!("no {wanted} in it")))?;
            let size = storage.count as u64 * storage.dtype.size_in_bytes() as u64;
            let mut data = Vec::new();
            zip.by_index(at)
                .map_err(|e| broken(&e))?
                .take(size)
                .read_to_end(&mut data)
                .map_err(|e| broken(&e))?;
            if data.len() as u64 != size {
                let why = format!("{wanted} has {} of {size} bytes", data.len());
                return Err(broken(&why));
            }
            storages.insert(storage.key.clone(), data);
        }
        let tensor = info
            .tensor(&storages[&storage.key])
            .map_err(|why| Error::msg(format!("{file}: {name}: {why}")))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// A run of numbers beside the pickle.
#[derive(Debug)]
struct Storage {
    key: String,
    dtype: DType,
    count: usize,
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
