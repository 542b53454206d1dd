//! NumPy's arrays: `.npy`, one array, and `.npz`, several by name in a zip archive.
//!
//! The format is NumPy's own (NEP 1): the bytes `\x93NUMPY`, a version, the length of a header, the header as a Python dictionary of `descr`,
//! `fortran_order` and `shape`, and the numbers. An array of two dimensions is a column of vectors, a row each; one of one dimension is a column
//! of single values: numbers, or the texts that NumPy writes as `<U8`. All arrays of an archive have as many rows. An `.npy` is one column,
//! `features`, so it holds rows without labels; labelled rows come as `np.savez("rows.npz", features=x, label=y)`.
//!
//! Arrays are held in memory as they stand in the file.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::sync::Arc;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use tlkit_core::data::{Blob, Input, ReadOptions, Reader, Table};
use tlkit_core::{Error, Result};

/// Reads `.npy` and `.npz`.
pub struct NumPy;

const MAGIC: &[u8] = b"\x93NUMPY";
const ZIP: &[u8] = b"PK\x03\x04";

/// What one value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
    Bool,
    /// UCS-4 characters.
    Text,
}

struct Array {
    kind: Kind,
    /// Bytes a value.
    size: usize,
    big_endian: bool,
    fortran: bool,
    rows: usize,
    /// Values a row; `None` in one dimension.
    width: Option<usize>,
    values: Vec<u8>,
}

struct Arrays {
    name: String,
    columns: Vec<String>,
    arrays: Vec<Array>,
    rows: usize,
}

impl Reader for NumPy {
    fn extensions(&self) -> &[&str] {
        &["npy", "npz"]
    }

    fn open(&self, name: &str, blob: &Blob, _: &ReadOptions) -> Result<Arc<dyn Table>> {
        let bytes: Cow<'static, [u8]> = match blob {
            Blob::Embedded(bytes) => Cow::Borrowed(bytes),
            Blob::Path(path) => {
                crate::pipe::refuse(name, path)?;
                Cow::Owned(std::fs::read(path).map_err(Error::io(path))?)
            }
        };
        let named = match () {
            () if bytes.starts_with(MAGIC) => {
                vec![("features".to_string(), Array::parse(name, &bytes)?)]
            }
            () if bytes.starts_with(ZIP) => archive(name, &bytes)?,
            () => {
                return Err(Error::msg(format!(
                    "{name}: it begins neither as a .npy nor as a .npz file; write it with `np.save` or `np.savez`"
                )));
            }
        };
        let rows = named.first().map_or(0, |(_, a)| a.rows);
        if rows == 0 {
            return Err(Error::msg(format!("{name}: no rows")));
        }
        if let Some((other, a)) = named.iter().find(|(_, a)| a.rows != rows) {
            return Err(Error::msg(format!(
                "{name}: `{}` has {rows} rows and `{other}` has {}; all arrays of an archive must have as many",
                named[0].0, a.rows
            )));
        }
        for (column, array) in &named {
            array.finite(name, column)?;
        }
        let (columns, arrays) = named.into_iter().unzip();
        Ok(Arc::new(Arrays {
            name: name.to_string(),
            columns,
            arrays,
            rows,
        }))
    }
}

/// The arrays of an archive in order of their names.
fn archive(name: &str, bytes: &[u8]) -> Result<Vec<(String, Array)>> {
    let broken =
        |e: &dyn std::fmt::Display| Error::msg(format!("{name}: not a whole .npz file: {e}"));
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    let mut found = Vec::new();
    for i in 0..zip.len() {
        let mut entry = zip.by_index_raw(i).map_err(|e| broken(&e))?;
        let called = entry.name().map_err(|e| broken(&e))?.into_owned();
        let Some(column) = called.strip_suffix(".npy").map(str::to_string) else {
            continue;
        };
        let (packed, size, crc) = (
            entry.compression() != zip::CompressionMethod::Stored,
            entry.size(),
            entry.crc32(),
        );
        let mut raw = Vec::new();
        entry.read_to_end(&mut raw).map_err(|e| broken(&e))?;
        if packed {
            let mut whole = Vec::new();
            // One byte more than is said, so that a longer one is noticed.
            DeflateDecoder::new(&raw[..])
                .take(size.saturating_add(1))
                .read_to_end(&mut whole)
                .map_err(|e| broken(&e))?;
            raw = whole;
        }
        if raw.len() as u64 != size {
            return Err(broken(&format!("`{column}` is not as long as it says")));
        }
        let mut sum = Crc::new();
        sum.update(&raw);
        if sum.sum() != crc {
            return Err(broken(&format!(
                "`{column}` is not what was written: its checksum is another"
            )));
        }
        let array = Array::parse(&format!("{name}: {column}"), &raw)?;
        found.push((column, array));
    }
    if found.is_empty() {
        return Err(Error::msg(format!(
            "{name}: no arrays in it; write it with `np.savez(\"rows.npz\", features=x, label=y)`"
        )));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

impl Array {
    fn parse(name: &str, bytes: &[u8]) -> Result<Array> {
        let wrong = |what: String| Error::msg(format!("{name}: {what}"));
        let cut = || wrong("the file ends within its header".into());
        if !bytes.starts_with(MAGIC) {
            return Err(wrong("it does not begin as a NumPy array".into()));
        }
        let major = *bytes.get(6).ok_or_else(cut)?;
        let (length, start) = match major {
            1 => {
                let b = bytes.get(8..10).ok_or_else(cut)?;
                (usize::from(u16::from_le_bytes([b[0], b[1]])), 10)
            }
            2 | 3 => {
                let b = bytes.get(8..12).ok_or_else(cut)?;
                (u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize, 12)
            }
            other => return Err(wrong(format!("version {other} of the format is not read"))),
        };
        let end = start + length;
        let header = bytes.get(start..end).ok_or_else(cut)?;
        let header = String::from_utf8_lossy(header);
        let entry = |key: &str| -> Result<&str> {
            let quoted = [format!("'{key}':"), format!("\"{key}\":")];
            let at = quoted.iter().find_map(|q| Some(header.find(q)? + q.len()));
            let at = at.ok_or_else(|| wrong(format!("its header has no `{key}`")))?;
            Ok(header[at..].trim_start())
        };
        let descr = entry("descr")?;
        let descr: String = descr
            .trim_start_matches(['\'', '"'])
            .chars()
            .take_while(|c| !matches!(c, '\'' | '"' | ','))
            .collect();
        let fortran = entry("fortran_order")?.starts_with("True");
        let shape = entry("shape")?;
        let shape = shape
            .strip_prefix('(')
            .and_then(|s| s.split_once(')'))
            .ok_or_else(|| wrong("its header has no shape".into()))?
            .0;
        let dims: Vec<usize> = shape
            .split(',')
            .map(str::trim)
            .filter(|d| !d.is_empty())
            .map(|d| d.parse())
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| wrong(format!("its shape `({shape})` is not of numbers")))?;
        let (rows, width) = match dims[..] {
            [rows] => (rows, None),
            [rows, width] => (rows, Some(width)),
            _ => {
                return Err(wrong(format!(
                    "its shape is ({shape}); rows of vectors have two dimensions: `x.reshape(len(x), -1)`"
                )));
            }
        };
        let not_read = || {
            wrong(format!(
                "its type `{descr}` is not read; save `x.astype(\"float32\")`, labels as numbers or texts"
            ))
        };
        let mut letters = descr.chars();
        let order = letters.next().ok_or_else(not_read)?;
        let kind = match letters.next() {
            Some('f') => Kind::Float,
            Some('i') => Kind::Signed,
            Some('u') => Kind::Unsigned,
            Some('b') => Kind::Bool,
            Some('U') => Kind::Text,
            _ => return Err(not_read()),
        };
        let count: usize = letters.as_str().parse().map_err(|_| not_read())?;
        let size = match (kind, count) {
            (Kind::Float, 2 | 4 | 8)
            | (Kind::Signed | Kind::Unsigned, 1 | 2 | 4 | 8)
            | (Kind::Bool, 1) => count,
            (Kind::Text, _) if width.is_none() => count * 4,
            _ => return Err(not_read()),
        };
        let wanted = rows
            .checked_mul(width.unwrap_or(1))
            .and_then(|n| n.checked_mul(size));
        let values = &bytes[end..];
        if wanted != Some(values.len()) {
            return Err(wrong(format!(
                "its header says ({shape}) of `{descr}`, and {} bytes of values follow; the file was cut, or is not one array",
                values.len()
            )));
        }
        Ok(Array {
            kind,
            size,
            big_endian: order == '>',
            fortran,
            rows,
            width,
            values: values.to_vec(),
        })
    }

    /// The bytes of a value, the lowest first.
    fn bytes(&self, row: usize, column: usize) -> [u8; 8] {
        let width = self.width.unwrap_or(1);
        let i = match self.fortran {
            true => column * self.rows + row,
            false => row * width + column,
        };
        let mut out = [0u8; 8];
        out[..self.size].copy_from_slice(&self.values[i * self.size..(i + 1) * self.size]);
        if self.big_endian {
            out[..self.size].reverse();
        }
        out
    }

    fn number(&self, row: usize, column: usize) -> f64 {
        let b = self.bytes(row, column);
        let whole = u64::from_le_bytes(b);
        match (self.kind, self.size) {
            (Kind::Float, 2) => half(u16::from_le_bytes([b[0], b[1]])),
            (Kind::Float, 4) => f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            (Kind::Float, _) => f64::from_bits(whole),
            (Kind::Signed, size) => self.signed(whole, size) as f64,
            _ => whole as f64,
        }
    }

    /// With the sign carried up.
    fn signed(&self, whole: u64, size: usize) -> i64 {
        let empty = 64 - 8 * size as u32;
        ((whole << empty) as i64) >> empty
    }

    /// A single value as text; whole numbers without a point.
    fn text(&self, row: usize) -> String {
        match self.kind {
            Kind::Text => {
                let at = &self.values[row * self.size..(row + 1) * self.size];
                let code = |b: &[u8]| match self.big_endian {
                    true => u32::from_be_bytes([b[0], b[1], b[2], b[3]]),
                    false => u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
                };
                let codes = at.chunks_exact(4).map(code).take_while(|&c| c != 0);
                codes
                    .map(|c| char::from_u32(c).unwrap_or('\u{fffd}'))
                    .collect()
            }
            Kind::Signed => self
                .signed(u64::from_le_bytes(self.bytes(row, 0)), self.size)
                .to_string(),
            Kind::Unsigned | Kind::Bool => u64::from_le_bytes(self.bytes(row, 0)).to_string(),
            Kind::Float => self.number(row, 0).to_string(),
        }
    }

    fn finite(&self, name: &str, column: &str) -> Result<()> {
        if self.kind != Kind::Float {
            return Ok(());
        }
        for row in 0..self.rows {
            for k in 0..self.width.unwrap_or(1) {
                let v = self.number(row, k);
                // What a feature is held as.
                if !(v as f32).is_finite() {
                    return Err(Error::msg(format!(
                        "{name}: `{column}` has {v} in row {row}, column {k} (from 0); only finite numbers can be learned from"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// IEEE half precision.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    }
}

impl Table for Arrays {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        let array = &self.arrays[column];
        Ok(match array.width {
            None => Input::Text(Cow::Owned(array.text(row))),
            Some(width) => Input::Features(
                (0..width)
                    .map(|k| array.number(row, k) as f32)
                    .collect::<Vec<_>>()
                    .into(),
            ),
        })
    }

    fn place(&self, row: usize) -> String {
        format!("{}: row {row}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An array as `np.save` writes it.
    fn npy(descr: &str, fortran: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), values].concat()
    }

    fn parsed(descr: &str, fortran: &str, shape: &str, values: &[u8]) -> Array {
        Array::parse("x.npy", &npy(descr, fortran, shape, values)).expect("an array")
    }

    #[test]
    fn every_type_and_order_gives_the_same_numbers() {
        let of = |a: &Array| -> Vec<f64> {
            (0..2)
                .flat_map(|r| (0..3).map(move |c| (r, c)))
                .map(|(r, c)| a.number(r, c))
                .collect()
        };
        let wanted: Vec<f64> = vec![0.0, 1.0, -2.0, 3.0, 4.0, 0.5];
        let f4: Vec<u8> = wanted
            .iter()
            .flat_map(|v| (*v as f32).to_le_bytes())
            .collect();
        let f8: Vec<u8> = wanted.iter().flat_map(|v| v.to_be_bytes()).collect();
        let turned = [0.0, 3.0, 1.0, 4.0, -2.0, 0.5];
        let columns: Vec<u8> = turned.iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
        // 0, 1, -2, 3, 4, 0.5 in half precision.
        let f2: Vec<u8> = [0u16, 0x3c00, 0xc000, 0x4200, 0x4400, 0x3800]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(of(&parsed("<f4", "False", "(2, 3)", &f4)), wanted);
        assert_eq!(of(&parsed(">f8", "False", "(2, 3)", &f8)), wanted);
        assert_eq!(of(&parsed("<f8", "True", "(2, 3)", &columns)), wanted);
        assert_eq!(of(&parsed("<f2", "False", "(2, 3)", &f2)), wanted);
        let whole = parsed("|i1", "False", "(2, 3)", &[0, 1, 254, 3, 4, 255]);
        assert_eq!(of(&whole), [0.0, 1.0, -2.0, 3.0, 4.0, -1.0]);
    }

    #[test]
    fn labels_are_texts() {
        let text: Vec<u8> = ["ä", "bc"]
            .iter()
            .flat_map(|t| {
                let mut codes: Vec<u32> = t.chars().map(|c| c as u32).collect();
                codes.resize(2, 0);
                codes.into_iter().flat_map(u32::to_le_bytes)
            })
            .collect();
        let a = parsed("<U2", "False", "(2,)", &text);
        assert_eq!([a.text(0), a.text(1)], ["ä", "bc"]);
        let a = parsed("<i8", "False", "(1,)", &(-7i64).to_le_bytes());
        assert_eq!(a.text(0), "-7");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |descr: &str, shape: &str, values: &[u8]| {
            let found = Array::parse("x.npy", &npy(descr, "False", shape, values));
            found.err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert!(said("<f4", "(2, 3)", &[0; 20]).contains("20 bytes of values follow"));
        assert!(said("<c8", "(1, 1)", &[0; 8]).contains("`<c8` is not read"));
        assert!(said("<f4", "(1, 1, 1)", &[0; 4]).contains("reshape"));
        let nan = parsed("<f4", "False", "(1, 2)", &[0, 0, 0, 0, 0, 0, 192, 127]);
        let error = nan
            .finite("x.npy", "features")
            .expect_err("refused")
            .to_string();
        assert!(error.contains("row 0, column 1"), "{error}");
        // A header that ends nowhere, and lengths that overflow.
        assert!(Array::parse("x", b"\x93NUMPY\x01\x00\xff\xff").is_err());
        assert!(
            said("<f8", "(18446744073709551615, 2)", &[0; 8]).contains("bytes of values follow")
        );
    }
}
