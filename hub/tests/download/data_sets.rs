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

/// Half of a split is another data set.
#[test]
fn a_file_of_the_split_that_is_not_there_is_an_error() {
    let card = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: [a.tsv, b.tsv]\n  - split: test\n    path: t*.tsv\n---\n";
    let files: &[(&str, &[u8])] = &[
        ("README.md", card),
        ("a.tsv", b"a"),
        ("b.tsv", b"b"),
        ("t1.tsv", b"t"),
    ];
    let bench = Bench::new();
    bench.server.add("datasets/o/d", COMMIT, files);
    bench.rows("hf:datasets/o/d#train");
    bench.rows("hf:datasets/o/d#test");
    // As another library leaves a cache: without a list of files.
    let repository = bench.cache().join("datasets--o--d");
    fs::remove_dir_all(repository.join("trees")).expect("removed");
    fs::remove_file(repository.join(format!("snapshots/{COMMIT}/b.tsv"))).expect("removed");
    let mut settings = bench.settings();
    settings.offline = Some("HF_HUB_OFFLINE");
    let offline = |split: &str| {
        let name = format!("hf:datasets/o/d#{split}");
        bench
            .hub_with(settings.clone())
            .resolve(&name, Path::new(""))
    };
    let error = offline("train").expect_err("half").to_string();
    assert!(error.contains("`b.tsv` is not in the cache"), "{error}");
    bench.notes();
    offline("test").expect("there");
    let said = bench.notes();
    assert!(
        said.contains("does not say whether the split `test` has more files than `t1.tsv`"),
        "{said}"
    );
    // The hub has no such file either.
    bench.server.add("datasets/o/half", COMMIT, &files[..2]);
    let error = bench.get("hf:datasets/o/half#train").expect_err("half");
    assert!(
        error.contains("the card has `b.tsv` in the split `train`, and there is no such file"),
        "{error}"
    );
}

#[test]
fn the_hubs_own_copy_has_a_folder_for_each_configuration_and_may_be_cut() {
    let bench = Bench::new();
    let script: &[(&str, &[u8])] = &[("rows.py", b"import datasets")];
    let copy: &[(&str, &[u8])] = &[
        ("de/train/0000.parquet", b"D"),
        ("en/partial-train/0000.parquet", b"E"),
        ("en/test/0000.parquet", b"T"),
    ];
    bench.server.add("datasets/o/s", COMMIT, script);
    bench
        .server
        .add_at("datasets/o/s", LATER, "refs/convert/parquet", copy);
    let error = bench.get("hf:datasets/o/s#train").expect_err("which");
    assert!(
        error.contains("which configuration? there are `de`, `en`; write `hf:datasets/o/s@refs/convert/parquet#de/train`"),
        "{error}"
    );
    let hub = bench.hub();
    let name = "hf:datasets/o/s#en/train";
    let found = hub.resolve(name, Path::new("")).expect("found");
    assert!(
        matches!(&found, Found::Files(f) if f.len() == 1 && f[0].0 == "o/s/en/partial-train/0000.parquet"),
        "{found:?}"
    );
    let said = bench.notes();
    assert!(
        said.contains("has the first rows alone (`partial-train`)"),
        "{said}"
    );
    let pinned = hub.pinned(name).expect("pinned");
    assert_eq!(pinned, format!("hf:datasets/o/s@{LATER}#en/train"));
    let again = bench.hub().resolve(&pinned, Path::new("")).expect("found");
    assert_eq!(again, found);
}
