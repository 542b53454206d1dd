//! Trials of data readers.

use std::path::{Path, PathBuf};

use tlkit_core::data::{Blob, Cache, ReadOptions, Reader, Table};
use tlkit_core::{Error, Result};

use super::{Tell, first_line, noise};

/// Tries a reader: with files that are none of its own, and with `file`, where there is one.
pub fn reader(reader: &dyn Reader, file: Option<&Path>, tell: Tell<'_>) {
    // Nothing of a trial is kept.
    let options = ReadOptions {
        cache: Cache::Off,
        ..ReadOptions::default()
    };
    let extension = reader.extensions().first().copied().unwrap_or("x");
    let open =
        |path: PathBuf| reader.open(&path.display().to_string(), &Blob::Path(path), &options);
    // Some open a file when a row of it is asked for.
    let missing = open(PathBuf::from(format!("/there/is/no/such/file.{extension}")))
        .and_then(|table| every_cell(table.as_ref()));
    tell(
        "a file that is not there is an error",
        match missing {
            Ok(_) => Err(Error::msg("it was read all the same")),
            Err(e) => Ok(e.to_string()),
        },
    );
    for (what, bytes) in [
        ("an empty file", Vec::new()),
        ("a file of zeros", vec![0u8; 4096]),
        ("a file of noise", noise(4096)),
    ] {
        let tried = (|| {
            let file = tempfile::Builder::new()
                .suffix(&format!(".{extension}"))
                .tempfile();
            let file = file.map_err(|e| Error::msg(e.to_string()))?;
            std::fs::write(file.path(), &bytes).map_err(Error::io(file.path()))?;
            match open(file.path().to_path_buf()).and_then(|t| every_cell(t.as_ref())) {
                Ok((rows, _)) => Ok(format!("a table of {rows} rows")),
                Err(e) => Ok(format!("an error: {}", first_line(&e.to_string()))),
            }
        })();
        tell(&format!("{what} is an error or a table"), tried);
    }
    let Some(file) = file.map(Path::to_path_buf) else {
        return;
    };
    let twice = (|| {
        let (a, b) = (open(file.clone())?, open(file.clone())?);
        let (one, other) = (every_cell(a.as_ref())?, every_cell(b.as_ref())?);
        let again = every_cell(a.as_ref())?;
        match one == other && one == again {
            true => Ok(format!("{} rows, {} columns", one.0, a.columns().len())),
            false => Err(Error::msg("two readings of the same cells differ")),
        }
    })();
    tell("the file reads the same twice", twice);
    let backwards = (|| {
        let table = open(file.clone())?;
        let cell =
            |row: usize| Ok::<_, Error>(format!("{:?} {}", table.cell(row, 0)?, table.place(row)));
        let mut last = (0..table.rows())
            .rev()
            .map(cell)
            .collect::<Result<Vec<_>>>()?;
        last.reverse();
        let first = (0..table.rows()).map(cell).collect::<Result<Vec<_>>>()?;
        match first == last {
            true => Ok(String::new()),
            false => Err(Error::msg("rows read from the last to the first differ")),
        }
    })();
    tell("rows may be asked for in any order", backwards);
}

/// How many rows, and all that was read.
fn every_cell(table: &dyn Table) -> Result<(usize, Vec<String>)> {
    let mut all = Vec::new();
    for row in 0..table.rows() {
        for column in 0..table.columns().len() {
            all.push(format!("{:?}", table.cell(row, column)?));
        }
    }
    Ok((table.rows(), all))
}
