//! `tlkit rank`: sources in the order of their features.

use serde_json::Value;

use crate::bench::Bench;

#[test]
fn sources_are_scored_on_the_training_rows_and_on_halves_of_them() {
    let bench = Bench::new();
    bench.tlkit(&["recipes", "copy", "scenes"]).code(0);
    let rank = ["rank", "scenes.toml", "--sources", "builtin:resnet-mini"];
    let said = bench.tlkit(&[&rank[..], &["--json"]].concat()).code(0).out;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["rows"], &said["of"]), (&200.into(), &200.into()));
    let source = &said["sources"][0];
    assert_eq!(source["source"], "builtin:resnet-mini");
    assert_eq!(source["width"], 64);
    let halves = source["halves"].as_array().expect("a list");
    assert_eq!(halves.len(), 20);
    // Of half the rows the evidence a row is less, and each half is another.
    let number = |v: &Value| v.as_f64().expect("a number");
    let whole = number(&source["log_me"]);
    assert!(halves.iter().all(|h| number(h) < whole), "{source}");
    assert!(halves.iter().any(|h| h != &halves[0]), "{source}");
    assert!(number(&source["h_score"]) > 0.0, "{source}");
    assert_eq!(said["words"], "one source alone has no order");
    let table = bench.tlkit(&rank).code(0).out;
    assert!(table.contains("20 of 20"), "{table}");
    assert!(table.contains("(200 training rows; nothing was trained)"));
    assert!(!bench.path("runs").exists());

    let few = [&rank[..], &["--set", "target.limit=1"]].concat();
    let said = bench.tlkit(&few).code(2).err;
    assert!(said.contains("every row has the label"), "{said}");
}

/// A path of the command line is seen from where the command is given, wherever the recipe stands.
#[test]
fn sources_on_the_command_line_are_seen_from_here() {
    let bench = Bench::new();
    bench.tlkit(&["recipes", "copy", "scenes"]).code(0);
    bench
        .tlkit(&[
            "run",
            "scenes.toml",
            "--set",
            "train.max_steps=1",
            "--out",
            "r",
            "--quiet",
        ])
        .code(0);
    std::fs::create_dir(bench.path("deep")).expect("a folder");
    std::fs::rename(bench.path("scenes.toml"), bench.path("deep/scenes.toml")).expect("moved");
    let rank = ["rank", "deep/scenes.toml", "--sources", "r/model", "--json"];
    let said = bench.tlkit(&rank).code(0).out;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["sources"][0]["source"], "r/model");
}
