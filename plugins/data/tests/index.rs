//! The index on disk: the same rows as in memory, made once, never half, never stale.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use tlkit_core::Result;
use tlkit_core::data::{Blob, Cache, Input, ReadOptions, Reader, Table};
use tlkit_data::{Csv, JsonLines, Lines, Tsv};

fn on_disk(cache: &Path) -> ReadOptions {
    ReadOptions {
        cache: Cache::Folder(cache.to_path_buf()),
        in_memory: 0,
        ..ReadOptions::default()
    }
}

fn open(reader: &dyn Reader, path: &Path, options: &ReadOptions) -> Result<Arc<dyn Table>> {
    reader.open("data", &Blob::Path(path.to_path_buf()), options)
}

/// Every cell and place, alone and with the others of its row, read from the end, so that no row is read after the one before it; then in order.
fn everything(table: &dyn Table) -> Vec<(String, String)> {
    let row = |r: usize| -> Vec<(String, String)> {
        let columns: Vec<usize> = (0..table.columns().len()).rev().collect();
        for (&c, cell) in columns.iter().zip(table.cells(r, &columns)) {
            let words =
                |cell: Result<Input<'_>>| cell.map(|c| format!("{c:?}")).map_err(|e| e.to_string());
            assert_eq!(words(cell), words(table.cell(r, c)));
        }
        (0..table.columns().len())
            .map(|c| match table.cell(r, c) {
                Ok(Input::Text(t)) => (t.into_owned(), table.place_of(r, c)),
                Ok(other) => panic!("{}", other.kind()),
                Err(e) => (e.to_string(), String::new()),
            })
            .collect()
    };
    let back: Vec<Vec<_>> = (0..table.rows()).rev().map(row).collect();
    let forth: Vec<_> = (0..table.rows()).flat_map(row).collect();
    assert_eq!(back.into_iter().rev().flatten().collect::<Vec<_>>(), forth);
    forth
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("rows")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Bench { dir }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn cache(&self) -> std::path::PathBuf {
        self.dir.path().join("cache")
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text).unwrap();
    gz.finish().unwrap()
}

fn long_csv(rows: usize) -> String {
    let row = |i: usize| match i % 3 {
        0 => format!("\"row {i},\nof two lines\",{}\n", i % 2),
        1 => format!("row {i} is é plain,{}\n\n", i % 2),
        _ => format!("\"says \"\"{i}\"\"\",{}\r\n", i % 2),
    };
    String::from("text,label\n") + &(0..rows).map(row).collect::<String>()
}

#[test]
fn on_disk_as_in_memory() {
    let bench = Bench::new();
    let text = long_csv(2_000);
    let options = on_disk(&bench.cache());
    let wanted = {
        let path = bench.write("a.csv", text.as_bytes());
        let table = open(&Csv, &path, &ReadOptions::default()).unwrap();
        assert_eq!(files(&bench.cache()).len(), 0);
        everything(&*table)
    };
    assert_eq!(wanted.len(), 4_000);
    assert_eq!(wanted[2 * 1_999].0, "row 1999 is é plain");
    for (name, bytes) in [
        ("b.csv", text.clone().into_bytes()),
        ("b.csv.gz", gzip(text.as_bytes())),
    ] {
        let path = bench.write(name, &bytes);
        for _ in 0..2 {
            let table = open(&Csv, &path, &options).unwrap();
            assert_eq!(everything(&*table), wanted, "{name}");
        }
    }
    assert_eq!(files(&bench.cache()).len(), 2);
}

/// The folder holds what is said of it, whatever is kept there.
#[test]
fn what_is_unpacked_makes_room_for_itself() {
    use std::time::{Duration, SystemTime};
    let bench = Bench::new();
    let cache = bench.cache();
    let rows = cache.join("rows");
    std::fs::create_dir_all(&rows).unwrap();
    let old = std::fs::File::create(rows.join("old.rows")).unwrap();
    // A hole takes no room on the disk.
    if old.set_len(64 << 30).is_err() {
        println!("skipped: no file of 64 GiB can be made here");
        return;
    }
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
    old.set_modified(long_ago).unwrap();
    let path = bench.write("b.csv.gz", &gzip(long_csv(100).as_bytes()));
    let table = open(&Csv, &path, &on_disk(&cache)).unwrap();
    let kept = files(&cache);
    assert_eq!(kept.len(), 1);
    assert!(!rows.join("old.rows").exists());

    // What is opened again is used again.
    let kept = std::fs::File::options()
        .append(true)
        .open(rows.join(&kept[0]))
        .unwrap();
    kept.set_modified(long_ago).unwrap();
    open(&Csv, &path, &on_disk(&cache)).unwrap();
    assert!(kept.metadata().unwrap().modified().unwrap() > long_ago);
    assert!(!everything(&*table).is_empty());
}

#[test]
fn rows_are_read_by_many_threads_at_once() {
    let bench = Bench::new();
    let path = bench.write("a.csv", long_csv(3_000).as_bytes());
    let table = open(&Csv, &path, &on_disk(&bench.cache())).unwrap();
    let wanted = everything(&*table);
    std::thread::scope(|scope| {
        for from in 0..4 {
            let (table, wanted) = (&table, &wanted);
            scope.spawn(move || {
                for i in 0..3_000 {
                    let row = (i * 7 + from * 500) % 3_000;
                    let Input::Text(t) = table.cell(row, 0).unwrap() else {
                        panic!()
                    };
                    assert_eq!(t, wanted[2 * row].0);
                }
            });
        }
    });
}

#[test]
fn an_index_is_made_once_and_anew_when_the_file_changes() {
    let bench = Bench::new();
    let path = bench.write("a.tsv", b"text\tlabel\none\t1\ntwo\t2\n");
    let options = on_disk(&bench.cache());
    let read = || everything(&*open(&Tsv, &path, &options).unwrap());
    let first = read();
    let [made] = &files(&bench.cache())[..] else {
        panic!()
    };
    let made = bench.cache().join("rows").join(made);
    // The time it was used moves with the file that was made first, and another would have another.
    let first_made = std::fs::File::open(&made).unwrap();
    let used = |meta: std::fs::Metadata| meta.modified().unwrap();
    assert_eq!(read(), first);
    let now = used(std::fs::metadata(&made).unwrap());
    assert_eq!(now, used(first_made.metadata().unwrap()));
    // Of the same length, another time.
    std::fs::write(&path, b"text\tlabel\nuno\t1\ndue\t2\n").unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert_eq!(read()[0].0, "uno");
    // Written over: nothing piles up.
    assert_eq!(files(&bench.cache()).len(), 1);
    // Read another way it is another index.
    let other = ReadOptions {
        header: false,
        ..options.clone()
    };
    assert_eq!(open(&Tsv, &path, &other).unwrap().rows(), 3);
    assert_eq!(files(&bench.cache()).len(), 2);
}

#[test]
fn a_broken_index_is_made_anew() {
    let bench = Bench::new();
    let path = bench.write("a.tsv.gz", &gzip(b"text\tlabel\none\t1\ntwo\t2\n"));
    let options = on_disk(&bench.cache());
    let read = || everything(&*open(&Tsv, &path, &options).unwrap());
    let wanted = read();
    let made = bench.cache().join("rows").join(&files(&bench.cache())[0]);
    let whole = std::fs::read(&made).unwrap();
    for broken in [&whole[..whole.len() - 1], &whole[20..], b"", b"tlkitix1"] {
        std::fs::write(&made, broken).unwrap();
        assert_eq!(read(), wanted);
        assert_eq!(std::fs::read(&made).unwrap(), whole);
    }
}

#[test]
fn a_wrong_file_leaves_nothing() {
    let bench = Bench::new();
    let path = bench.write("a.tsv.gz", &gzip(b"text\tlabel\none\t1\ntwo\n"));
    let error = open(&Tsv, &path, &on_disk(&bench.cache())).err().unwrap();
    assert!(error.to_string().starts_with("data:3: 1 field"), "{error}");
    assert_eq!(files(&bench.cache()).len(), 0);
}

#[test]
fn where_the_folder_cannot_be_written_memory_serves() {
    let bench = Bench::new();
    // A file stands where the folder should.
    let cache = bench.write("cache-file", b"");
    let text = long_csv(50);
    for (name, bytes) in [
        ("a.csv", text.clone().into_bytes()),
        ("a.csv.gz", gzip(text.as_bytes())),
    ] {
        let path = bench.write(name, &bytes);
        let table = open(&Csv, &path, &on_disk(&cache)).unwrap();
        assert_eq!(everything(&*table).len(), 100);
        let off = ReadOptions {
            cache: Cache::Off,
            in_memory: 0,
            ..ReadOptions::default()
        };
        assert_eq!(
            everything(&*open(&Csv, &path, &off).unwrap()),
            everything(&*table)
        );
    }
}

#[test]
fn a_file_that_is_cut_short_under_a_reader_is_an_error() {
    let bench = Bench::new();
    let path = bench.write("a.csv", long_csv(5_000).as_bytes());
    let table = open(&Csv, &path, &on_disk(&bench.cache())).unwrap();
    std::fs::write(&path, b"text,label\n").unwrap();
    let error = table.cell(4_000, 0).unwrap_err().to_string();
    assert!(
        error.starts_with("data: ") && error.ends_with("so run again"),
        "{error}"
    );
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ,\"\n]{0,12}",
        "[\\PC\n\t]{0,8}",
        Just(String::new()),
        Just("\"".to_string()),
    ]
}

fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    (1usize..4).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(field(), n), 1..30))
}

fn as_csv(rows: &[Vec<String>], quote_all: bool, end: &str) -> String {
    let quoted = |f: &String| {
        // A row that is one empty field would be a blank line; what separates fields elsewhere is refused in a lone one without quotes.
        let needs = quote_all || f.is_empty() || f.contains([',', '"', '\n', '\r', '\t', ';']);
        if needs {
            format!("\"{}\"", f.replace('"', "\"\""))
        } else {
            f.clone()
        }
    };
    rows.iter()
        .map(|r| r.iter().map(quoted).collect::<Vec<_>>().join(",") + end)
        .collect()
}

/// The plainest reader of lines and tabs.
fn naive_tsv(text: &str) -> Vec<Vec<String>> {
    text.trim_end_matches('\n')
        .split('\n')
        .map(|l| l.split('\t').map(str::to_string).collect())
        .collect()
}

fn no_header(cache: &Path, in_memory: u64) -> ReadOptions {
    ReadOptions {
        header: false,
        in_memory,
        ..on_disk(cache)
    }
}

fn cells(table: &dyn Table) -> Vec<Vec<String>> {
    let n = table.columns().len();
    everything(table)
        .chunks(n)
        .map(|r| r.iter().map(|(t, _)| t.clone()).collect())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn what_was_written_as_csv_is_read(rows in table(), all: bool, windows: bool) {
        let bench = Bench::new();
        let text = as_csv(&rows, all, if windows { "\r\n" } else { "\n" });
        let path = bench.write("a.csv", text.as_bytes());
        for in_memory in [0, 1 << 20] {
            let table = open(&Csv, &path, &no_header(&bench.cache(), in_memory)).unwrap();
            prop_assert_eq!(cells(&*table), rows.clone());
        }
    }

    #[test]
    fn tsv_is_what_a_naive_reader_says(rows in table()) {
        let bench = Bench::new();
        let clean = |f: &String| f.replace(['\t', '\n', '\r'], " ");
        let text: String = rows
            .iter()
            .map(|r| r.iter().map(clean).collect::<Vec<_>>().join("\t") + "\n")
            .collect();
        prop_assume!(!text.trim().is_empty());
        let path = bench.write("a.tsv", text.as_bytes());
        for in_memory in [0, 1 << 20] {
            let table = open(&Tsv, &path, &no_header(&bench.cache(), in_memory)).unwrap();
            prop_assert_eq!(cells(&*table), naive_tsv(&text));
        }
    }

    #[test]
    fn what_was_written_as_json_is_read(rows in prop::collection::vec((field(), field()), 1..30)) {
        let bench = Bench::new();
        let line = |(a, b): &(String, String)| format!("{}\n", serde_json::json!({ "a": a, "b": b }));
        let path = bench.write("a.jsonl", rows.iter().map(line).collect::<String>().as_bytes());
        for in_memory in [0, 1 << 20] {
            let table = open(&JsonLines, &path, &no_header(&bench.cache(), in_memory)).unwrap();
            let wanted: Vec<Vec<String>> = rows.iter().map(|(a, b)| vec![a.clone(), b.clone()]).collect();
            prop_assert_eq!(cells(&*table), wanted);
        }
    }

    /// Any text at all: the same cells and places on disk as in memory, or the same error.
    #[test]
    fn any_text_is_read_alike(text in "[ab,\"\r\n\té{}:\\[\\]]{0,60}") {
        let bench = Bench::new();
        let path = bench.write("a", text.as_bytes());
        for reader in [&Csv as &dyn Reader, &Tsv, &Lines, &JsonLines] {
            let read = |in_memory| {
                let table = open(reader, &path, &no_header(&bench.cache(), in_memory));
                table.map(|t| (t.columns().to_vec(), everything(&*t))).map_err(|e| e.to_string())
            };
            prop_assert_eq!(read(0), read(1 << 20));
        }
    }
}
