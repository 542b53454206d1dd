//! Real files, where they are at hand: beside the checkout, not in it.

use std::path::{Path, PathBuf};

use tlkit_core::data::{Blob, Input, ReadOptions, Reader};
use tlkit_data::{SvmLight, Tsv};

fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !path.is_dir() {
        println!("skipped: no ../shared/data");
        return None;
    }
    Some(path)
}

#[test]
fn sst2_has_its_rows() {
    let Some(shared) = shared() else { return };
    let options = ReadOptions {
        header: false,
        ..ReadOptions::default()
    };
    for (file, rows) in [("train.tsv", 6920), ("dev.tsv", 872), ("test.tsv", 1821)] {
        let blob = Blob::Path(shared.join("text/sst2").join(file));
        let t = Tsv.open(file, &blob, &options).unwrap();
        assert_eq!((t.rows(), t.columns().len()), (rows, 2), "{file}");
    }
}

#[test]
fn svmlight_files_have_their_rows_width_and_base() {
    let Some(shared) = shared() else { return };
    let surf = [
        ("amazon", 958),
        ("caltech10", 1123),
        ("dslr", 157),
        ("webcam", 295),
    ];
    check(&shared.join("features/office-caltech-surf"), &surf, 800);
    let reviews = [
        ("books_train", 2000),
        ("books_test", 4465),
        ("dvd_test", 3586),
        ("electronics_test", 5681),
        ("kitchen_test", 5945),
    ];
    check(&shared.join("features/amazon-dann"), &reviews, 5000);
}

/// As core opens a recipe's files: the index base and the width over all of them, then each.
fn check(folder: &Path, files: &[(&str, usize)], width: usize) {
    let blob = |n: &str| Blob::Path(folder.join(format!("{n}.svmlight")));
    let ranges = files
        .iter()
        .filter_map(|(n, _)| SvmLight.index_range(n, &blob(n)).unwrap());
    let (low, high) = ranges
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .expect("features");
    assert_eq!((low, high as usize + 1), (0, width));
    let options = ReadOptions {
        index_base: Some(0),
        min_width: width,
        ..ReadOptions::default()
    };
    for (name, rows) in files {
        let t = SvmLight.open(name, &blob(name), &options).unwrap();
        assert_eq!(t.rows(), *rows, "{name}");
        match t.cell(rows - 1, 1).unwrap() {
            Input::Features(f) => assert_eq!(f.len(), width),
            other => panic!("{}", other.kind()),
        }
    }
}
