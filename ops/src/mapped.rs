//! A file of f32 as a slice, without reading it: what is looked at is paged in, and given back when memory is short.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};

use memmap2::Mmap;

/// The numbers of a file from an offset on, in this machine's own byte order.
pub struct Floats {
    map: Mmap,
    offset: usize,
    len: usize,
}

impl Floats {
    /// `len` numbers from byte `offset` on, which is a multiple of four.
    ///
    /// The file must not be written to or cut while it is mapped. Whoever hands files to this writes them beside, renames them whole, and from
    /// then on only ever unlinks them.
    pub fn open(file: &File, offset: usize, len: usize) -> Result<Self> {
        if !offset.is_multiple_of(size_of::<f32>()) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the offset is not a multiple of four",
            ));
        }
        // SAFETY: the mapping is read-only and private to this struct. That nobody changes the file under it is asked of the caller above; if
        // somebody does all the same, numbers change or the process is stopped by the system, as with any file that is mapped.
        let map = unsafe { Mmap::map(file)? };
        let end = len
            .checked_mul(size_of::<f32>())
            .and_then(|n| n.checked_add(offset));
        if end.is_none_or(|end| end > map.len()) {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "the file is shorter than it says",
            ));
        }
        Ok(Floats { map, offset, len })
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        let bytes = &self.map[self.offset..];
        // SAFETY: `open` saw that `len` numbers fit behind `offset`; a mapping begins at a page and `offset` is a multiple of four, so they are
        // aligned; every pattern of 32 bits is an f32; the slice lives no longer than the mapping.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<f32>(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_with_their_bits_and_a_short_file_is_refused() -> Result<()> {
        let path = std::env::temp_dir().join(format!("tlkit-mapped-{}", std::process::id()));
        let values = [1.5f32, -0.0, f32::NAN, 1e-42];
        let mut bytes = b"four".to_vec();
        values.iter().for_each(|v| bytes.extend(v.to_ne_bytes()));
        std::fs::write(&path, &bytes)?;
        let file = File::open(&path)?;
        let read = Floats::open(&file, 4, 4)?;
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(read.as_slice()), bits(&values));
        assert!(Floats::open(&file, 4, 5).is_err());
        assert!(Floats::open(&file, 3, 1).is_err());
        assert!(Floats::open(&file, 4, usize::MAX).is_err());
        std::fs::remove_file(path)
    }
}
