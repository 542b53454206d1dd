//! Which rows a run learned from, as hashes: so that somebody who evaluates the model later learns that a row was among them.
//!
//! `trained-on.bin` holds the first 8 bytes of the SHA-256 of each row's input, little-endian, sorted, each once. The label is not
//! part of it. Of a million rows, two that differ have the same 8 bytes with a chance of 3 in 100 million.

use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::directory::write_whole;
use crate::data::{Input, Samples};
use crate::{Error, Result};

/// Writes the hashes of these rows.
pub(super) fn write(path: &Path, domains: &[&dyn Samples]) -> Result<()> {
    let mut all = Vec::new();
    for rows in domains {
        all.extend(hashes(*rows)?);
    }
    all.sort_unstable();
    all.dedup();
    let bytes: Vec<u8> = all.iter().flat_map(|h| h.to_le_bytes()).collect();
    write_whole(path, &bytes)
}

/// How many of these rows a run learned from; `None` where its run directory does not say.
pub fn trained_on(run: &Path, rows: &dyn Samples) -> Result<Option<usize>> {
    let path = run.join(super::directory::TRAINED_ON);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(&path)(e)),
    };
    let (known, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Error::msg(format!("{}: not whole", path.display())));
    }
    let known: Vec<u64> = known.iter().map(|b| u64::from_le_bytes(*b)).collect();
    let found = hashes(rows)?;
    let among = found.iter().filter(|h| known.binary_search(h).is_ok());
    Ok(Some(among.count()))
}

fn hashes(rows: &dyn Samples) -> Result<Vec<u64>> {
    (0..rows.len())
        .into_par_iter()
        .map(|row| Ok(hash(&rows.input(row)?)))
        .collect()
}

fn hash(input: &Input<'_>) -> u64 {
    let mut sha = Sha256::new();
    match input {
        Input::Text(t) => sha.update(t.as_bytes()),
        Input::Pair(a, b) => {
            sha.update(a.as_bytes());
            sha.update([1]);
            sha.update(b.as_bytes());
        }
        Input::Image(b) => sha.update(b),
        Input::Features(f) => f.iter().for_each(|v| sha.update(v.to_le_bytes())),
    }
    let all = sha.finalize();
    let mut first = [0u8; 8];
    first.copy_from_slice(&all[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Texts(Vec<&'static str>);

    impl Samples for Texts {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn id(&self, row: usize) -> String {
            row.to_string()
        }
        fn input(&self, row: usize) -> Result<Input<'_>> {
            Ok(Input::Text(self.0[row].into()))
        }
    }

    #[test]
    fn a_row_is_known_by_what_it_says() -> Result<()> {
        let dir = std::env::temp_dir().join(format!("tlkit-trained-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let rows = Texts(vec!["good", "bad", "good"]);
        assert_eq!(trained_on(&dir, &rows)?, None);
        write(&dir.join(super::super::directory::TRAINED_ON), &[&rows])?;
        assert_eq!(
            trained_on(&dir, &Texts(vec!["fair", "good", "goo"]))?,
            Some(1)
        );
        std::fs::remove_dir_all(&dir).map_err(Error::io(&dir))
    }
}
