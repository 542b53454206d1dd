//! What images are, kept by the hash of their bytes: decoding takes a hundred times as long as hashing, and the runs of an afternoon and the cells of an
//! experiment look at the same images over and over.
//!
//! In memory, and in one file: `tlkitlk1`, records of 122 bytes (SHA-256, width, height, grey, whether it has a likeness, its hash, its greys; numbers
//! little-endian), and the first 16 bytes of the SHA-256 of all that. A file that is otherwise is as good as none.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tlkit_core::data::{Likeness, Look};

/// Most images that are remembered, a hundred and some bytes each.
const MOST: usize = 100_000;
/// At the beginning of the file. Another number where looks come out otherwise.
const MAGIC: &[u8; 8] = b"tlkitlk1";
/// Bytes of a record.
const RECORD: usize = 32 + 4 + 4 + 1 + 1 + 8 + 72;
/// Bytes of the sum at the end.
const SUM: usize = 16;

/// The SHA-256 of an image file.
type Name = [u8; 32];

/// What was looked at.
#[derive(Debug, Default)]
pub struct Looks {
    /// Where it is kept; none: in memory alone.
    file: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// What could not be read is remembered too, but not written: the next version may read it.
    all: BTreeMap<Name, Result<Look, String>>,
    /// Whether the file has been read.
    read: bool,
    /// Looks that the file has not.
    new: Vec<Name>,
}

impl Looks {
    /// Kept in a folder, which need not be there.
    pub fn within(folder: Option<PathBuf>) -> Self {
        Looks {
            file: folder.map(|f| f.join("images.looks")),
            seen: Mutex::default(),
        }
    }

    // Nothing that could panic is done while it is held.
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an image, or what `look` finds.
    pub fn look(
        &self,
        name: &Name,
        look: impl FnOnce() -> Result<Look, String>,
    ) -> Result<Look, String> {
        {
            let mut seen = self.seen();
            if !seen.read {
                seen.read = true;
                let kept = self.file.as_deref().map(read).unwrap_or_default();
                seen.all
                    .extend(kept.into_iter().map(|(name, look)| (name, Ok(look))));
            }
            if let Some(found) = seen.all.get(name) {
                return found.clone();
            }
        }
        let found = look();
        let mut seen = self.seen();
        // Room for as many new ones beside a full file, or a full file would stay what it is for good.
        let room = seen.all.len() < 2 * MOST && seen.new.len() < MOST;
        if room && seen.all.insert(*name, found.clone()).is_none() && found.is_ok() {
            seen.new.push(*name);
        }
        found
    }

    /// Writes what is new beside what other processes have written meanwhile. A folder that cannot be written to is no error: the next run looks again.
    pub fn keep(&self) {
        let mut seen = self.seen();
        let (Some(file), false) = (&self.file, seen.new.is_empty()) else {
            return;
        };
        let mut all = read(file);
        // Full of images that nobody may ever look at again.
        if all.len() + seen.new.len() > MOST {
            all.clear();
        }
        for name in std::mem::take(&mut seen.new) {
            if let Some(Ok(look)) = seen.all.get(&name) {
                all.insert(name, *look);
            }
        }
        let _ = write(file, &all);
    }
}

/// The looks of a file; none where it is not there or not whole.
fn read(file: &Path) -> BTreeMap<Name, Look> {
    let Ok(bytes) = std::fs::read(file) else {
        return BTreeMap::new();
    };
    records(&bytes).unwrap_or_default()
}

fn records(bytes: &[u8]) -> Option<BTreeMap<Name, Look>> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    if Sha256::digest(body)[..SUM] != *sum {
        return None;
    }
    let records = body.strip_prefix(MAGIC)?.chunks_exact(RECORD);
    if !records.remainder().is_empty() {
        return None;
    }
    records.map(record).collect()
}

fn record(mut bytes: &[u8]) -> Option<(Name, Look)> {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (first, rest) = bytes.split_first_chunk::<N>()?;
        *bytes = rest;
        Some(*first)
    }
    let name = take(&mut bytes)?;
    let (width, height) = (take(&mut bytes)?, take(&mut bytes)?);
    let [grey, like] = take(&mut bytes)?;
    let (hash, greys) = (take(&mut bytes)?, take(&mut bytes)?);
    let likeness = Likeness {
        hash: u64::from_le_bytes(hash),
        greys,
    };
    let look = Look {
        width: u32::from_le_bytes(width),
        height: u32::from_le_bytes(height),
        grey: grey == 1,
        likeness: (like == 1).then_some(likeness),
    };
    Some((name, look))
}

fn write(file: &Path, all: &BTreeMap<Name, Look>) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + all.len() * RECORD + SUM);
    bytes.extend(MAGIC);
    for (name, look) in all {
        bytes.extend(name);
        bytes.extend(look.width.to_le_bytes());
        bytes.extend(look.height.to_le_bytes());
        bytes.extend([u8::from(look.grey), u8::from(look.likeness.is_some())]);
        let (hash, greys) = look.likeness.map_or((0, [0; 72]), |l| (l.hash, l.greys));
        bytes.extend(hash.to_le_bytes());
        bytes.extend(greys);
    }
    let sum = Sha256::digest(&bytes);
    bytes.extend(&sum[..SUM]);
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut out = NamedTempFile::new_in(folder)?;
    out.write_all(&bytes)?;
    out.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n: u8) -> Look {
        Look {
            width: u32::from(n),
            height: 7,
            grey: n % 2 == 1,
            likeness: (n != 3).then_some(Likeness {
                hash: u64::from(n) << 40,
                greys: [n; 72],
            }),
        }
    }

    fn never() -> Result<Look, String> {
        panic!("it is known")
    }

    #[test]
    fn what_was_looked_at_is_known_to_the_next_process_and_errors_are_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("made/when/needed");
        let looks = |folder: &Path| Looks::within(Some(folder.to_path_buf()));
        let first = looks(&folder);
        for n in 1..=3 {
            assert_eq!(first.look(&[n; 32], || Ok(of(n))), Ok(of(n)));
        }
        assert_eq!(
            first.look(&[9; 32], || Err("torn".into())),
            Err("torn".into())
        );
        assert_eq!(first.look(&[9; 32], never), Err("torn".into()));
        // Another process looks at another image and writes first.
        let other = looks(&folder);
        assert_eq!(other.look(&[4; 32], || Ok(of(4))), Ok(of(4)));
        other.keep();
        first.keep();
        let next = looks(&folder);
        for n in 1..=4 {
            assert_eq!(next.look(&[n; 32], never), Ok(of(n)), "{n}");
        }
        assert_eq!(next.look(&[9; 32], || Ok(of(9))), Ok(of(9)));
    }

    #[test]
    fn a_full_file_makes_room_for_what_is_new() {
        let dir = tempfile::tempdir().expect("a folder");
        let looks = || Looks::within(Some(dir.path().to_path_buf()));
        let name = |n: usize| -> Name { Sha256::digest(n.to_le_bytes()).into() };
        let full = looks();
        for n in 0..MOST + 5 {
            assert_eq!(full.look(&name(n), || Ok(of(1))), Ok(of(1)));
        }
        full.keep();
        let next = looks();
        assert_eq!(next.look(&name(7), never), Ok(of(1)));
        assert_eq!(next.look(&name(MOST + 9), || Ok(of(2))), Ok(of(2)));
        next.keep();
        assert_eq!(looks().look(&name(MOST + 9), never), Ok(of(2)));
    }

    #[test]
    fn a_file_that_is_not_whole_is_as_good_as_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let looks = || Looks::within(Some(dir.path().to_path_buf()));
        let file = dir.path().join("images.looks");
        let first = looks();
        assert_eq!(first.look(&[1; 32], || Ok(of(1))), Ok(of(1)));
        first.keep();
        let whole = std::fs::read(&file).expect("a file");
        assert_eq!(whole.len(), MAGIC.len() + RECORD + SUM);
        let mut turned = whole.clone();
        turned[50] ^= 1;
        for bytes in [&whole[..whole.len() - 1], &turned, &[]] {
            std::fs::write(&file, bytes).expect("written");
            let again = looks();
            assert_eq!(again.look(&[1; 32], || Ok(of(2))), Ok(of(2)));
            again.keep();
            assert_eq!(looks().look(&[1; 32], never), Ok(of(2)), "written anew");
        }
    }
}
