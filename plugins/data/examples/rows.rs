//! Opens a file as a run does, reads every row twice (in order, then all over the place), and prints what that cost.
//!
//! ```text
//! cargo run --release -p tlkit-data --example rows -- FILE [--no-header]
//! cargo run --release -p tlkit-data --example rows -- --make MEGABYTES FILE.csv
//! ```
//!
//! The first time a large file is opened its index is made; run it again to see what it costs to find it.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use tlkit_core::data::{Blob, Input, ReadOptions};
use tlkit_core::registry::Registry;
use tlkit_core::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--make", megabytes, file] => make(megabytes.parse().unwrap_or(100), Path::new(file)),
        [file] => read(file, true),
        [file, "--no-header"] => read(file, false),
        _ => Err(Error::msg(
            "rows FILE [--no-header], or rows --make MEGABYTES FILE.csv",
        )),
    }
}

fn make(megabytes: usize, path: &Path) -> Result<()> {
    let file = std::fs::File::create(path).map_err(Error::io(path))?;
    let mut file = BufWriter::new(file);
    let mut written = 0;
    file.write_all(b"text,label\n").map_err(Error::io(path))?;
    for i in 0u64.. {
        if written > megabytes << 20 {
            break;
        }
        let more = " and goes on to say so".repeat((i % 11) as usize);
        let row = format!("\"review {i}, which is a good one{more}\",{}\n", i % 2);
        written += row.len();
        file.write_all(row.as_bytes()).map_err(Error::io(path))?;
    }
    file.flush().map_err(Error::io(path))
}

fn read(file: &str, header: bool) -> Result<()> {
    let mut registry = Registry::new();
    tlkit_data::register(&mut registry)?;
    let ends = |e: &str| file.ends_with(&format!(".{e}"));
    let reader = registry
        .readers()
        .iter()
        .find(|r| r.extensions().iter().any(|e| ends(e)));
    let reader = reader.ok_or_else(|| Error::msg(format!("{file}: no reader for this ending")))?;
    let options = ReadOptions {
        header,
        ..ReadOptions::default()
    };
    let clock = Instant::now();
    let table = reader.open(file, &Blob::Path(file.into()), &options)?;
    let opened = clock.elapsed().as_secs_f64();
    println!("{} rows, columns {:?}", table.rows(), table.columns());
    let n = table.rows();
    let pass = |row: &dyn Fn(usize) -> usize| -> Result<(usize, f64)> {
        let clock = Instant::now();
        let mut bytes = 0;
        for i in 0..n {
            for column in 0..table.columns().len() {
                if let Input::Text(t) = table.cell(row(i), column)? {
                    bytes += t.len();
                }
            }
        }
        Ok((bytes, clock.elapsed().as_secs_f64()))
    };
    let (bytes, in_order) = pass(&|i| i)?;
    // A prime: each row once, unless it divides their number.
    let (_, at_random) = pass(&|i| i * 1_000_003 % n)?;
    println!("{} MiB of text", bytes >> 20);
    println!("seconds: open {opened:.2}, in order {in_order:.2}, at random {at_random:.2}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for key in ["VmRSS", "VmHWM"] {
        if let Some(line) = status.lines().find(|l| l.starts_with(key)) {
            println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(())
}
