//! Each format as it should be read.

use std::io::Write;

use tlkit_core::data::{Blob, Input, ReadOptions, Reader, Table};
use tlkit_data::{Csv, JsonLines, Lines, NumPy, SvmLight, Tsv};

fn open(
    reader: &dyn Reader,
    bytes: &'static [u8],
    options: &ReadOptions,
) -> std::sync::Arc<dyn Table> {
    reader
        .open("data", &Blob::Embedded(bytes), options)
        .unwrap_or_else(|e| panic!("{e}"))
}

/// Every cell as text, vectors as `Debug` prints them.
fn rows(table: &dyn Table) -> Vec<Vec<String>> {
    let cell = |r, c| match table.cell(r, c).unwrap() {
        Input::Text(t) => t.into_owned(),
        Input::Features(f) => format!("{f:?}"),
        other => panic!("{}", other.kind()),
    };
    (0..table.rows())
        .map(|r| (0..table.columns().len()).map(|c| cell(r, c)).collect())
        .collect()
}

fn no_header() -> ReadOptions {
    ReadOptions {
        header: false,
        ..ReadOptions::default()
    }
}

#[test]
fn tsv_has_no_quoting() {
    let t = open(
        &Tsv,
        b"text\tlabel\nhe said \"no\tneg\n\"\"\tpos\n",
        &ReadOptions::default(),
    );
    assert_eq!(t.columns(), ["text", "label"]);
    assert_eq!(rows(&*t), [["he said \"no", "neg"], ["\"\"", "pos"]]);
    assert_eq!(t.place(1), "data:3");
}

#[test]
fn columns_without_a_header_are_numbers() {
    for (reader, bytes) in [
        (&Tsv as &dyn Reader, b"a\t0\nb\t1".as_slice()),
        (&Csv, b"a,0\nb,1"),
    ] {
        let t = open(reader, bytes, &no_header());
        assert_eq!(t.columns(), ["1", "2"]);
        assert_eq!(rows(&*t), [["a", "0"], ["b", "1"]]);
        assert_eq!(t.place(0), "data:1");
    }
}

#[test]
fn byte_order_marks_and_windows_line_ends() {
    for (reader, bytes) in [
        (
            &Tsv as &dyn Reader,
            b"\xef\xbb\xbfx\ty\r\n1\t2\r\n3\t4\r\n\r\n".as_slice(),
        ),
        (&Csv, b"\xef\xbb\xbfx,y\r\n1,2\r\n3,4\r\n\r\n"),
    ] {
        let t = open(reader, bytes, &ReadOptions::default());
        assert_eq!(t.columns(), ["x", "y"]);
        assert_eq!(rows(&*t), [["1", "2"], ["3", "4"]]);
        assert_eq!((t.place(0), t.place(1)), ("data:2".into(), "data:3".into()));
    }
}

#[test]
fn csv_quotes_commas_line_breaks_and_quotes() {
    let bytes = b"text,label\n\"a, b\",1\n\n\"two\nlines\",2\n\"say \"\"x\"\"\",3\n,4\n";
    let t = open(&Csv, bytes, &ReadOptions::default());
    assert_eq!(
        rows(&*t),
        [
            ["a, b", "1"],
            ["two\nlines", "2"],
            ["say \"x\"", "3"],
            ["", "4"]
        ]
    );
    let places: Vec<String> = (0..4).map(|r| t.place(r)).collect();
    assert_eq!(places, ["data:2", "data:4", "data:6", "data:7"]);
}

#[test]
fn text_is_a_row_a_line_whatever_the_header_says() {
    for options in [ReadOptions::default(), no_header()] {
        let t = open(&Lines, b"one\n\n  \ntwo\tand \"more\"\n", &options);
        assert_eq!(t.columns(), ["text"]);
        assert_eq!(rows(&*t), [["one"], ["two\tand \"more\""]]);
        assert_eq!(t.place(1), "data:4");
    }
}

#[test]
fn svmlight_from_one() {
    let bytes = b"# made by hand\n+1 1:0.5 3:2 # a comment\n-1 2:-1e-1\n\n";
    let t = open(&SvmLight, bytes, &ReadOptions::default());
    assert_eq!(t.columns(), ["label", "features"]);
    assert_eq!(
        rows(&*t),
        [["1", "[0.5, 0.0, 2.0]"], ["-1", "[0.0, -0.1, 0.0]"]]
    );
    assert_eq!(t.place(0), "data:2");
}

#[test]
fn svmlight_index_base_and_width_can_come_from_other_files() {
    let blob = Blob::Embedded(b"a 1:5\nb\n");
    assert_eq!(SvmLight.index_range("data", &blob).unwrap(), Some((1, 1)));
    let options = ReadOptions {
        index_base: Some(0),
        min_width: 4,
        ..ReadOptions::default()
    };
    let t = open(&SvmLight, b"a 1:5\nb\n", &options);
    assert_eq!(
        rows(&*t),
        [["a", "[0.0, 5.0, 0.0, 0.0]"], ["b", "[0.0, 0.0, 0.0, 0.0]"]]
    );
    let zero = open(&SvmLight, b"a 0:5 1:6\n", &ReadOptions::default());
    assert_eq!(rows(&*zero), [["a", "[5.0, 6.0]"]]);
}

#[test]
fn json_lines_have_their_keys_as_columns() {
    let bytes = b"{\"text\": \"one\\ntwo\", \"label\": 1}\n\n{\"label\": true, \"stars\": 2.50}\r\n{\"text\": null, \"label\": \"\xc3\xa9\"}";
    let t = open(&JsonLines, bytes, &no_header());
    assert_eq!(t.columns(), ["text", "label", "stars"]);
    assert_eq!(
        rows(&*t),
        [
            ["one\ntwo", "1", ""],
            ["", "true", "2.5"],
            ["", "\u{e9}", ""]
        ]
    );
    assert_eq!(
        (t.place(1), t.place_of(0, 1)),
        ("data:3".into(), "data:1:31".into())
    );
}

#[test]
fn cells_have_places() {
    let t = open(
        &Csv,
        "text,label\n\"é\nb, c\",pos\n".as_bytes(),
        &ReadOptions::default(),
    );
    assert_eq!(
        (t.place_of(0, 0), t.place_of(0, 1)),
        ("data:2:1".into(), "data:3:7".into())
    );
    let t = open(
        &Tsv,
        "text\tlabel\né a\tpos\n".as_bytes(),
        &ReadOptions::default(),
    );
    assert_eq!(
        (t.place_of(0, 0), t.place_of(0, 1)),
        ("data:2:1".into(), "data:2:5".into())
    );
}

#[test]
fn a_quote_inside_a_plain_field_is_a_quote() {
    let t = open(
        &Csv,
        b"text,label\n5\" disk,\"a \"\"b\"\"\"\n",
        &ReadOptions::default(),
    );
    assert_eq!(rows(&*t), [["5\" disk", "a \"b\""]]);
}

#[test]
fn blank_lines_of_a_single_column() {
    let t = open(&Tsv, b"text\na\n\nb\n\n\n", &ReadOptions::default());
    assert_eq!(rows(&*t), [["a"], [""], ["b"]]);
}

#[test]
fn xz_is_unpacked() {
    let mut xz =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(b"text,label\none,1\ntwo,2\n").unwrap();
    let bytes = xz.finish().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv.xz");
    std::fs::write(&path, &bytes).unwrap();
    let read = || {
        Csv.open(
            "a.csv.xz",
            &Blob::Path(path.clone()),
            &ReadOptions::default(),
        )
    };
    assert_eq!(rows(&*read().unwrap()), [["one", "1"], ["two", "2"]]);
    std::fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
    let cut = read().err().unwrap().to_string();
    assert!(cut.starts_with("a.csv.xz: not a whole xz file ("), "{cut}");
}

#[test]
fn gzip_in_several_members() {
    let member = |text: &[u8]| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text).unwrap();
        gz.finish().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv.gz");
    let bytes = [member(b"text,label\none,1\n"), member(b"two,2\n")].concat();
    std::fs::write(&path, &bytes).unwrap();
    let t = Csv
        .open(
            "a.csv.gz",
            &Blob::Path(path.clone()),
            &ReadOptions::default(),
        )
        .unwrap();
    assert_eq!(rows(&*t), [["one", "1"], ["two", "2"]]);
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let cut = Csv
        .open("a.csv.gz", &Blob::Path(path), &ReadOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        cut.starts_with("a.csv.gz: not a whole gzip file ("),
        "{cut}"
    );
}

#[test]
fn every_ending_has_one_reader() {
    let mut registry = tlkit_core::registry::Registry::new();
    tlkit_data::register(&mut registry).unwrap();
    let endings: Vec<&str> = registry
        .readers()
        .iter()
        .flat_map(|r| r.extensions().iter().copied())
        .collect();
    assert!(endings.contains(&"parquet"));
    for ending in [
        "tsv", "csv", "jsonl", "ndjson", "json", "svmlight", "libsvm", "svm", "txt",
    ] {
        assert!(endings.contains(&ending));
        assert!(endings.contains(&format!("{ending}.gz").as_str()));
        assert!(endings.contains(&format!("{ending}.xz").as_str()));
    }
    let unique: std::collections::BTreeSet<_> = endings.iter().collect();
    assert_eq!(unique.len(), endings.len());
}

/// What NumPy itself wrote: `numpy/make.py`.
#[test]
fn numpy_arrays_are_vectors_and_labels() {
    let options = ReadOptions::default();
    let vectors = ["[0.5, -1.0, 2.0]", "[3.25, 0.0, -0.125]"];
    for bytes in [
        include_bytes!("numpy/x.npy").as_slice(),
        include_bytes!("numpy/x-fortran.npy"),
    ] {
        let t = open(&NumPy, bytes, &options);
        assert_eq!(t.columns(), ["features"]);
        assert_eq!(rows(&*t).concat(), vectors);
    }
    for (bytes, labels) in [
        (include_bytes!("numpy/rows.npz").as_slice(), ["good", "bad"]),
        (include_bytes!("numpy/packed.npz"), ["1", "-1"]),
    ] {
        let t = open(&NumPy, bytes, &options);
        assert_eq!(t.columns(), ["features", "label"]);
        assert_eq!(
            rows(&*t),
            [[vectors[0], labels[0]], [vectors[1], labels[1]]]
        );
        assert_eq!(t.place(1), "data: row 1");
    }
    let refused = |bytes: &'static [u8]| {
        let found = NumPy.open("rows.npz", &Blob::Embedded(bytes), &options);
        found.err().expect("refused").to_string()
    };
    let said = refused(include_bytes!("numpy/uneven.npz"));
    assert!(
        said.contains("`features` has 2 rows and `label` has 3"),
        "{said}"
    );
    let whole = include_bytes!("numpy/rows.npz");
    assert!(refused(&whole[..whole.len() / 2]).contains("not a whole .npz file"));
    // One bit that flipped on the way is noticed by the archive's checksum.
    // 3.25 as a number of two bytes.
    let at = whole.windows(2).position(|w| w == [0x80, 0x42]);
    let at = at.expect("a number as it is");
    let mut odd = whole.to_vec();
    odd[at] ^= 1;
    assert!(refused(odd.leak()).contains("its checksum is another"));
    assert!(refused(b"label,text").contains("neither as a .npy nor as a .npz"));
}
