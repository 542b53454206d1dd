//! Data sets by card, by names, by the hub's own copy.

use super::bench::*;

#[test]
fn a_data_set_by_its_card() {
    let bench = Bench::new();
    let card = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: rows/part-*\n  - split: test\n    path: held.csv\n---\n";
    let files: &[(&str, &[u8])] = &[
        ("README.md", card),
        ("rows/part-a.csv", b"a"),
        ("rows/part-b.csv", b"b"),
        ("held.csv", b"h"),
        ("other.csv", b"o"),
    ];
    bench.server.add("datasets/o/d", COMMIT, files);
    assert_eq!(
        bench.rows("hf:datasets/o/d#train"),
        ["o/d/rows/part-a.csv a", "o/d/rows/part-b.csv b"]
    );
    assert!(
        !bench
            .there()
            .iter()
            .any(|f| f.ends_with("held.csv") || f.ends_with("other.csv"))
    );
    let hub = bench.hub();
    hub.resolve("hf:datasets/o/d#test", Path::new(""))
        .expect("found");
    assert_eq!(
        hub.pinned("hf:datasets/o/d#test"),
        Some(format!("hf:datasets/o/d@{COMMIT}#test"))
    );
    let error = bench.get("hf:datasets/o/d").expect_err("which");
    assert!(
        error.contains("which split? there are `train`, `test`; write `hf:datasets/o/d#train`"),
        "{error}"
    );
    let error = bench.get("hf:datasets/o/d#tset").expect_err("which");
    assert!(
        error.contains("no split `tset`; did you mean `hf:datasets/o/d#test`?"),
        "{error}"
    );
    // Again, without the network.
    bench.server.always("/", Fault::Status(500, vec![]));
    assert_eq!(
        bench.rows(&format!("hf:datasets/o/d@{COMMIT}#test")),
        ["o/d/held.csv h"]
    );
}

#[test]
fn a_data_set_by_its_names_and_configurations() {
    let bench = Bench::new();
    let files: &[(&str, &[u8])] = &[
        ("train.jsonl", b"t"),
        ("dev.jsonl", b"d"),
        ("LICENSE", b"l"),
    ];
    bench.server.add("datasets/o/plain", COMMIT, files);
    assert_eq!(
        bench.rows("hf:datasets/o/plain#validation"),
        ["o/plain/dev.jsonl d"]
    );
    let one: &[(&str, &[u8])] = &[("all rows.csv", b"r")];
    bench.server.add("datasets/o/one", COMMIT, one);
    assert_eq!(bench.rows("hf:datasets/o/one"), ["o/one/all rows.csv r"]);
    let card = b"---\nconfigs:\n- config_name: cola\n  data_files: [{split: train, path: cola/train*}]\n- config_name: sst2\n  data_files: [{split: train, path: sst2/train*}]\n---\n";
    let files: &[(&str, &[u8])] = &[
        ("README.md", card),
        ("cola/train.csv", b"c"),
        ("sst2/train.csv", b"s"),
    ];
    bench.server.add("datasets/o/glue", COMMIT, files);
    assert_eq!(
        bench.rows("hf:datasets/o/glue#sst2/train"),
        ["o/glue/sst2/train.csv s"]
    );
    let error = bench.get("hf:datasets/o/glue#train").expect_err("which");
    assert!(
        error.contains(
            "which configuration? there are `cola`, `sst2`; write `hf:datasets/o/glue#cola/train`"
        ),
        "{error}"
    );
    let error = bench
        .get("hf:datasets/o/glue#sst/train")
        .expect_err("which");
    assert!(
        error.contains("no configuration `sst`; did you mean `sst2`?"),
        "{error}"
    );
}

#[test]
fn a_data_set_made_by_a_script_has_the_hubs_own_copy() {
    let bench = Bench::new();
    let script: &[(&str, &[u8])] = &[("rows.py", b"import datasets")];
    bench.server.add("datasets/o/s", COMMIT, script);
    let copy: &[(&str, &[u8])] = &[
        ("default/test/0000.parquet", b"T"),
        ("default/train/0000.parquet", b"P"),
    ];
    bench
        .server
        .add_at("datasets/o/s", LATER, "refs/convert/parquet", copy);
    let hub = bench.hub();
    let found = hub
        .resolve("hf:datasets/o/s#train", Path::new(""))
        .expect("found");
    assert!(
        matches!(&found, Found::Files(f) if f[0].0 == "o/s/default/train/0000.parquet"),
        "{found:?}"
    );
    assert!(bench.notes().contains("the hub's Parquet copy is taken"));
    // The run is of the copy's commit, and that name finds the same.
    let pinned = hub.pinned("hf:datasets/o/s#train").expect("pinned");
    assert_eq!(pinned, format!("hf:datasets/o/s@{LATER}#train"));
    assert_eq!(
        bench.hub().resolve(&pinned, Path::new("")).expect("found"),
        found
    );
    // A commit of the script is not known to be the one that was copied.
    let error = bench
        .get(&format!("hf:datasets/o/s@{COMMIT}#train"))
        .expect_err("no files");
    assert!(
        error.contains("no files of rows")
            && error.contains("hf:datasets/o/s@refs/convert/parquet#train"),
        "{error}"
    );
}
