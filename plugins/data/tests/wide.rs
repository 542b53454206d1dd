//! Rows of many columns: several cells at once are what each of them is alone, and a row is gone through once for all of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tlkit_core::Result;
use tlkit_core::data::{Blob, Cache, Features, Input, ReadOptions, Reader, Rows, Samples, Table};
use tlkit_data::{Csv, JsonLines, NumPy, SvmLight, Tsv};

fn embedded(reader: &dyn Reader, name: &str, text: &'static str) -> Arc<dyn Table> {
    let blob = Blob::Embedded(text.as_bytes());
    reader.open(name, &blob, &ReadOptions::default()).unwrap()
}

/// Of each cell what it is, or its error, up to the first.
type Said = Vec<std::result::Result<String, String>>;

fn said(cell: Result<Input<'_>>) -> std::result::Result<String, String> {
    cell.map(|c| format!("{c:?}")).map_err(|e| e.to_string())
}

fn one_by_one(table: &dyn Table, row: usize, columns: &[usize]) -> Said {
    let mut all = Vec::new();
    for &c in columns {
        all.push(said(table.cell(row, c)));
        if all.last().is_some_and(|c| c.is_err()) {
            break;
        }
    }
    all
}

fn at_once(table: &dyn Table, row: usize, columns: &[usize]) -> Said {
    table.cells(row, columns).into_iter().map(said).collect()
}

/// On disk and in memory: each row's cells in the order asked for, some of them twice.
fn alike(
    reader: &dyn Reader,
    text: &str,
    order: &[usize],
) -> std::result::Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::write(&path, text).unwrap();
    for in_memory in [0, 1 << 20] {
        let options = ReadOptions {
            header: false,
            in_memory,
            cache: Cache::Folder(dir.path().join("cache")),
            ..ReadOptions::default()
        };
        let table = reader.open("data", &Blob::Path(path.clone()), &options);
        let table = table.map_err(|e| TestCaseError::fail(format!("{text:?}: {e}")))?;
        let width = table.columns().len();
        let columns: Vec<usize> = order.iter().map(|c| c % width).collect();
        for row in (0..table.rows()).rev() {
            let wanted = one_by_one(&*table, row, &columns);
            prop_assert_eq!(
                at_once(&*table, row, &columns),
                wanted,
                "{:?} {:?}",
                text,
                columns
            );
        }
    }
    Ok(())
}

fn csv_field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z é.]{0,6}",
        Just(String::new()),
        Just("\"\"".to_string()),
        Just("\"\"\"\"".to_string()),
        "\"([a-z,é\n]|\r\n|\"\"){0,6}\"",
    ]
}

fn json_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "\"[a-z é:,]{0,5}\"",
        Just(r#""\"a\": \u00e9\\""#.to_string()),
        Just("null".to_string()),
        Just("true".to_string()),
        Just("-1.50e3".to_string()),
        Just("12345678901234567890123".to_string()),
        Just("[1, {\"a\": 2}]".to_string()),
        Just("{}".to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn cells_of_csv(
        rows in (1usize..9).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(csv_field(), n), 1..8)),
        order in prop::collection::vec(0usize..9, 0..20),
        windows: bool,
    ) {
        let end = if windows { "\r\n" } else { "\n" };
        // A first row that is not blank, nor one field with what separates fields elsewhere.
        let first = vec!["x"; rows[0].len()].join(",") + end;
        let text: String = rows.iter().map(|r| r.join(",") + end).collect();
        alike(&Csv, &(first + &text), &order)?;
    }

    #[test]
    fn cells_of_tsv(
        rows in (1usize..9).prop_flat_map(|n| prop::collection::vec(prop::collection::vec("[a-z\"é,]{0,4}", n), 1..8)),
        order in prop::collection::vec(0usize..9, 0..20),
        windows: bool,
    ) {
        let end = if windows { "\r\n" } else { "\n" };
        let first = vec!["x"; rows[0].len()].join("\t") + end;
        let text: String = rows.iter().map(|r| r.join("\t") + end).collect();
        alike(&Tsv, &(first + &text), &order)?;
    }

    /// Keys are left out here and there, and turned about; lists and objects are errors at their places.
    #[test]
    fn cells_of_json(
        rows in prop::collection::vec(prop::collection::btree_map("[a-e]|é|\"|x y", json_value(), 1..6), 1..8),
        order in prop::collection::vec(0usize..9, 0..20),
        turned: bool,
    ) {
        let line = |row: &std::collections::BTreeMap<String, String>| {
            let pair = |(k, v): (&String, &String)| format!("{}: {v}", serde_json::json!(k));
            let pairs: Vec<String> = match turned {
                true => row.iter().rev().map(pair).collect(),
                false => row.iter().map(pair).collect(),
            };
            format!("{{{}}}\n", pairs.join(", "))
        };
        alike(&JsonLines, &rows.iter().map(line).collect::<String>(), &order)?;
    }
}

#[test]
fn cells_of_readers_that_have_no_way_of_their_own() {
    let table = embedded(&SvmLight, "r.svm", "1 1:2 3:4\n-1 2:5\n");
    for row in 0..2 {
        let wanted = one_by_one(&*table, row, &[1, 0, 1]);
        assert_eq!(at_once(&*table, row, &[1, 0, 1]), wanted);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/numpy");
    let table = NumPy
        .open(
            "rows.npz",
            &Blob::Path(folder.join("rows.npz")),
            &ReadOptions::default(),
        )
        .unwrap();
    let all: Vec<usize> = (0..table.columns().len()).chain([0]).collect();
    assert_eq!(at_once(&*table, 1, &all), one_by_one(&*table, 1, &all));
}

/// A table that counts how often it is asked.
struct Counting {
    table: Arc<dyn Table>,
    asked: AtomicUsize,
}

impl Table for Counting {
    fn columns(&self) -> &[String] {
        self.table.columns()
    }
    fn rows(&self) -> usize {
        self.table.rows()
    }
    fn cell(&self, row: usize, column: usize) -> Result<Input<'_>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.table.cell(row, column)
    }
    fn cells(&self, row: usize, columns: &[usize]) -> Vec<Result<Input<'_>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.table.cells(row, columns)
    }
    fn place(&self, row: usize) -> String {
        self.table.place(row)
    }
    fn place_of(&self, row: usize, column: usize) -> String {
        self.table.place_of(row, column)
    }
}

fn features(table: Arc<dyn Table>, columns: &[usize]) -> Features {
    Features {
        rows: Rows::new(vec![table]).unwrap(),
        columns: columns.to_vec(),
    }
}

#[test]
fn a_vector_is_read_in_one_pass_over_its_row() {
    let text = "a,b,\"c\",d\n1,2,\"3\",x\n4,5,6,y\n";
    let table = Arc::new(Counting {
        table: embedded(&Csv, "r.csv", text),
        asked: AtomicUsize::new(0),
    });
    let features = features(table.clone(), &[2, 0, 1]);
    let Input::Features(vector) = features.input(0).unwrap() else {
        panic!()
    };
    assert_eq!(*vector, [3.0, 1.0, 2.0]);
    assert_eq!(table.asked.load(Ordering::Relaxed), 1);
}

/// The first wrong column in the order asked for, at its place.
#[test]
fn what_is_no_number_is_told_with_its_place() {
    let wrong = |table: Arc<dyn Table>, columns: &[usize]| {
        features(table, columns).input(0).unwrap_err().to_string()
    };
    let csv = |text| wrong(embedded(&Csv, "r.csv", text), &[0, 1]);
    assert_eq!(csv("a,b\n1,x\n"), "r.csv:2:3: `x` is not a number");
    assert_eq!(csv("a,b\n1,n/a\n"), "r.csv:2:3: `n/a` is not a number");
    for word in ["1e308", "-1e39", "1e400", "3.5e38"] {
        let text: &'static str = format!("a,b\n1, {word}\n").leak();
        assert_eq!(
            csv(text),
            format!(
                "r.csv:2:3: `{word}` is too large: a feature is a number of 32 bits, up to 3.4e38; scale the column"
            )
        );
    }
    for word in ["NaN", "nan", "inf", "-inf", "+Infinity"] {
        let text: &'static str = format!("a,b\n1,{word}\n").leak();
        assert_eq!(
            csv(text),
            format!(
                "r.csv:2:3: `{word}` is no number to learn from; write a finite one, or take the row out"
            )
        );
    }
    for text in ["a,b\n1,\n", "a,b\n1, \n", "a,b\n1,\"\"\n"] {
        assert_eq!(
            csv(text),
            "r.csv:2:3: the value of `b` is missing; write a number, or take the row out"
        );
    }
    let json = |text, columns: &[usize]| wrong(embedded(&JsonLines, "r.jsonl", text), columns);
    let two = "{\"a\": 1, \"b\": [], \"c\": \"x\"}\n";
    assert_eq!(json(two, &[0, 2, 1]), "r.jsonl:1:24: `x` is not a number");
    assert_eq!(
        json(two, &[0, 1, 2]),
        "r.jsonl:1:15: `b` is a list; a text or a number is wanted"
    );
    assert_eq!(
        json("{\"a\": null}\n{\"b\": 1}\n", &[1, 0]),
        "r.jsonl:1: the value of `b` is missing; write a number, or take the row out"
    );
}
