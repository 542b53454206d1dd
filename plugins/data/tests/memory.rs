//! Memory stays flat for a file beyond what is to be held of it. (Alone in its program: it looks at the whole process.)

use std::io::Write;

use tlkit_core::data::{Blob, Cache, Input, ReadOptions, Reader};
use tlkit_data::Csv;

/// Resident memory in KiB, where the system says.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}

#[test]
fn rows_on_disk_stay_there() {
    let Some(before) = resident() else {
        println!("skipped: no /proc/self/status");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    writeln!(file, "text,label").unwrap();
    let rows = 400_000;
    for i in 0..rows {
        writeln!(
            file,
            "\"row {i}, {}\",{}",
            "which says a good deal more than it must ".repeat(3),
            i % 2
        )
        .unwrap();
    }
    file.into_inner().unwrap();
    let size = std::fs::metadata(&path).unwrap().len() >> 10;
    assert!(size > 40 << 10, "{size} KiB");
    let options = ReadOptions {
        cache: Cache::Folder(dir.path().join("cache")),
        in_memory: 1 << 20,
        ..ReadOptions::default()
    };
    let table = Csv.open("a.csv", &Blob::Path(path), &options).unwrap();
    assert_eq!(table.rows(), rows);
    let mut length = 0;
    for i in 0..rows {
        // In order, and all over the place.
        for row in [i, i * 7919 % rows] {
            match table.cell(row, 0).unwrap() {
                Input::Text(t) => length += t.len(),
                other => panic!("{}", other.kind()),
            }
        }
    }
    assert!(length > (2 * 40) << 20);
    let grown = resident().unwrap_or(before).saturating_sub(before);
    println!("{size} KiB of rows, {grown} KiB more memory");
    assert!(grown * 4 < size, "{grown} KiB more for {size} KiB of rows");
}
