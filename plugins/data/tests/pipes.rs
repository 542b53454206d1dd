//! A pipe where a file should be is an error, and not waited for.
#![cfg(unix)]

use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use tlkit_core::Result;
use tlkit_core::data::{Blob, ReadOptions, Reader};
use tlkit_data::{Csv, Folder, Idx, JsonLines, Lines, NumPy, Parquet, Picture, SvmLight, Tsv};

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
    let kind = std::fs::metadata(path).unwrap().file_type();
    assert!(kind.is_fifo(), "it would be no test");
}

/// What comes of it within ten seconds: a thread that waits for the pipe is left behind.
fn soon<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(what()));
    let came = receiver.recv_timeout(Duration::from_secs(10));
    came.expect("it waits for the pipe")
}

/// Opens it and reads the first cell.
fn first_cell(reader: &dyn Reader, path: PathBuf) -> Result<()> {
    let table = reader.open("data", &Blob::Path(path), &ReadOptions::default())?;
    table.cell(0, 0).map(|_| ())
}

#[test]
fn a_pipe_is_no_data_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    pipe(&path);
    let readers: [&'static dyn Reader; 8] = [
        &Csv, &Tsv, &JsonLines, &Lines, &Parquet, &NumPy, &SvmLight, &Idx,
    ];
    let words = "data: a pipe or device, not a file; write it into a file first";
    for reader in readers {
        let path = path.clone();
        let error = soon(move || first_cell(reader, path)).unwrap_err();
        assert_eq!(error.to_string(), words);
    }
    let ranged = path.clone();
    let range = soon(move || SvmLight.index_range("data", &Blob::Path(ranged)));
    assert_eq!(range.unwrap_err().to_string(), words);
    let error = soon(move || first_cell(&Picture, path)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "./pipe: a pipe or device, not a file; write it into a file first"
    );
}

#[test]
fn a_file_that_is_not_there_is_told_as_ever() {
    let path = PathBuf::from("not-there.csv");
    let error = first_cell(&Csv, path).unwrap_err().to_string();
    assert!(error.starts_with("not-there.csv: No such file"), "{error}");
}

/// A link that leads nowhere is told of when it is read, so that nobody trains without its image unawares.
#[test]
fn a_pipe_among_images_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("photos");
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        std::fs::write(folder.join(class).join("1.jpg"), b"x").unwrap();
    }
    pipe(&folder.join("cat/2.jpg"));
    symlink(folder.join("cat/2.jpg"), folder.join("dog/2.jpg")).unwrap();
    symlink(folder.join("gone.jpg"), folder.join("dog/3.jpg")).unwrap();
    symlink(folder.join("cat/1.jpg"), folder.join("dog/4.jpg")).unwrap();
    let read = soon(move || -> Result<Vec<String>> {
        let options = ReadOptions::default();
        let table = Folder.open("photos", &Blob::Path(folder), &options)?;
        let row = |r| match table.cell(r, 0) {
            Ok(_) => table.place(r),
            Err(e) => e.to_string(),
        };
        Ok((0..table.rows()).map(row).collect())
    });
    let read = read.unwrap();
    assert_eq!(read.len(), 4, "{read:?}");
    assert_eq!(read[0], "photos/cat/1.jpg");
    assert_eq!(read[1], "photos/dog/1.jpg");
    assert!(
        read[2].starts_with("photos/dog/3.jpg: No such file"),
        "{}",
        read[2]
    );
    assert_eq!(read[3], "photos/dog/4.jpg");
}
