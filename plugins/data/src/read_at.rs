//! Reading at a place, from several threads: no position that they would share. (Not a memory map: what is mapped counts as the
//! process's memory, and a file that shrinks would end it.)

use std::fs::File;
use std::io;

/// Fills the buffer from this byte on.
#[cfg(unix)]
pub fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

/// Fills the buffer from this byte on.
#[cfg(windows)]
pub fn read_at(file: &File, mut into: &mut [u8], mut at: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !into.is_empty() {
        match file.seek_read(into, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                into = &mut into[n..];
                at += n as u64;
            }
        }
    }
    Ok(())
}
