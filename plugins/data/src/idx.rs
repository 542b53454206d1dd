//! IDX, the format of MNIST: a file of images, and one of labels beside it.

use std::path::Path;
use std::sync::Arc;

use tlkit_core::data::{Blob, Input, ReadOptions, Reader, Table};
use tlkit_core::{Error, Result};
use tlkit_image::{Pixels, bmp};

use crate::open::{whole, whole_of};

/// Reads files whose names end in `idx3-ubyte`, packed by gzip or not. The labels are in the file that is named as the images' is,
/// with `labels-idx1` for `images-idx3`; without it rows have none.
#[derive(Clone, Copy, Debug)]
pub struct Idx;

const ENDINGS: [&str; 2] = ["idx3-ubyte", "idx3-ubyte.gz"];

impl Reader for Idx {
    fn extensions(&self) -> &[&str] {
        &ENDINGS
    }

    fn reads(&self, path: &str) -> bool {
        // `train-images-idx3-ubyte`: there is no dot before it.
        let lower = path.to_lowercase();
        ENDINGS.iter().any(|e| lower.ends_with(e))
    }

    fn open(&self, name: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let Images {
            pixels,
            n,
            height,
            width,
        } = images(name, whole_of(name, blob)?)?;
        let file = match blob {
            Blob::Path(path) => beside(path),
            Blob::Embedded(_) => None,
        };
        let labels = file
            .map(|path| {
                let name = path.display().to_string();
                let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
                let labels = labels(&name, whole(&name, &bytes[..])?)?;
                match labels.len() == n {
                    true => Ok(labels),
                    false => Err(Error::msg(format!(
                        "{name} has {} labels, and there are {n} images; are the two of one set?",
                        labels.len()
                    ))),
                }
            })
            .transpose()?;
        let mut columns = vec!["image".to_string()];
        if labels.is_some() {
            columns.push("label".to_string());
        }
        Ok(Arc::new(Grey {
            name: name.to_string(),
            columns,
            pixels,
            width,
            height,
            labels,
        }))
    }
}

struct Images {
    pixels: Vec<u8>,
    n: usize,
    height: usize,
    width: usize,
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]) as usize)
}

/// The dimensions after the magic number; an error where the file is of another kind.
fn header<const D: usize>(name: &str, bytes: &[u8]) -> Result<[usize; D]> {
    let what = if D == 3 { "images" } else { "labels" };
    if bytes.len() < 4 + 4 * D || bytes[..2] != [0, 0] {
        return Err(Error::msg(format!("{name}: not an IDX file")));
    }
    if bytes[2] != 8 || bytes[3] as usize != D {
        return Err(Error::msg(format!(
            "{name}: an IDX file of bytes with {D} dimension{} is wanted for {what}; this has the type {} and {} dimensions",
            if D == 1 { "" } else { "s" },
            bytes[2],
            bytes[3]
        )));
    }
    let mut sizes = [0; D];
    for (i, size) in sizes.iter_mut().enumerate() {
        *size = number(bytes, 4 + 4 * i).unwrap_or(0);
    }
    let values = sizes.iter().try_fold(1usize, |a, &s| a.checked_mul(s));
    let wanted = values.and_then(|v| v.checked_add(4 + 4 * D));
    if wanted != Some(bytes.len()) {
        return Err(Error::msg(format!(
            "{name}: its header says {} values, and {} follow; copy or unpack it again",
            values.map_or("too many".to_string(), |v| v.to_string()),
            bytes.len() - 4 - 4 * D
        )));
    }
    Ok(sizes)
}

fn images(name: &str, mut bytes: Vec<u8>) -> Result<Images> {
    let [n, height, width] = header::<3>(name, &bytes)?;
    if n == 0 || height == 0 || width == 0 {
        return Err(Error::msg(format!("{name}: no images in it")));
    }
    bytes.drain(..16);
    Ok(Images {
        pixels: bytes,
        n,
        height,
        width,
    })
}

fn labels(name: &str, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    header::<1>(name, &bytes)?;
    bytes.drain(..8);
    Ok(bytes)
}

/// The file of labels beside one of images, packed or not.
fn beside(images: &Path) -> Option<std::path::PathBuf> {
    let name = images.file_name()?.to_str()?;
    let other = name
        .replace("images-idx3", "labels-idx1")
        .replace("images.idx3", "labels.idx1");
    if other == name {
        return None;
    }
    let plain = other.strip_suffix(".gz").unwrap_or(&other).to_string();
    let both = [other, plain.clone(), format!("{plain}.gz")];
    let mut paths = both.iter().map(|n| images.with_file_name(n));
    paths.find(|p| p.is_file())
}

/// Grey images in memory; a cell is an uncompressed file of one.
struct Grey {
    name: String,
    columns: Vec<String>,
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    labels: Option<Vec<u8>>,
}

impl Table for Grey {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.pixels.len() / (self.width * self.height)
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        if let (1, Some(labels)) = (column, &self.labels) {
            return Ok(Input::Text(labels[row].to_string().into()));
        }
        let size = self.width * self.height;
        let grey = &self.pixels[row * size..(row + 1) * size];
        let rgb = grey.iter().flat_map(|&g| [g; 3]).collect();
        let pixels = Pixels {
            width: self.width,
            height: self.height,
            rgb,
        };
        Ok(Input::Image(bmp(&pixels).into()))
    }

    fn place(&self, row: usize) -> String {
        format!("{}:{}", self.name, row + 1)
    }
}
