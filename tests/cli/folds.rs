//! Cross-validation: `[evaluate] folds`.

use std::collections::BTreeSet;

use crate::bench::{Bench, ended, timeless, wait_for};

const FOLDS: &[&str] = &["--set", "evaluate.folds=4"];

fn run<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "small.toml", "--out", out], FOLDS, more].concat()
}

#[test]
fn each_row_is_tested_once_and_the_result_says_how_sure_the_mean_is() {
    let bench = Bench::new();
    bench.write(
        "small.toml",
        &crate::bench::RECIPE.replace(", test = 0.3", ""),
    );
    let done = bench.tlkit(&run("r", &[])).code(0);
    assert!(done.err.contains("fold 2 of 4"), "{}", done.err);
    assert!(done.out.contains("worth it?"), "{}", done.out);
    let result = bench.json("r/result.json");
    assert_eq!(result["status"], "done");
    assert_eq!(result["folds"]["k"], 4);
    let test = &result["metrics"]["test"];
    // 200 rows, none set aside as test; a tenth of those learned from decides within each fold.
    assert_eq!(test["n"], 200);
    let number = |v: &serde_json::Value| v.as_f64().expect("a number");
    let values = result["folds"]["metrics"]["accuracy"]["values"]
        .as_array()
        .unwrap();
    let mean = values.iter().map(number).sum::<f64>() / 4.0;
    assert!((number(&test["accuracy"]) - mean).abs() < 1e-12);
    assert!(
        number(&test["accuracy_interval"][0]) < mean
            && mean < number(&test["accuracy_interval"][1])
    );
    assert!(
        result["worth"]["words"]
            .as_str()
            .is_some_and(|w| w.contains("folds")),
        "{}",
        result["worth"]
    );
    let mut ids = BTreeSet::new();
    for line in bench.read("r/predictions.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(
            ids.insert(row["id"].as_str().unwrap().to_string()),
            "twice: {line}"
        );
    }
    assert_eq!(ids.len(), 200);
    // A fold's own recipe runs alone, with the same bits.
    bench
        .tlkit(&["run", "r/folds/3/recipe.toml", "--out", "alone"])
        .code(0);
    assert_eq!(
        bench.json("r/folds/3/result.json")["weights_sha256"],
        bench.json("alone/result.json")["weights_sha256"]
    );
}

#[test]
fn a_test_that_is_set_aside_stays_unseen() {
    let bench = Bench::new();
    let said = bench.tlkit(&run("r", &[])).code(0).err;
    let words = "60 rows are neither learned from nor tested on";
    assert_eq!(said.matches(words).count(), 1, "{said}");
    // Of 200 rows three tenths are set aside; the folds share the rest.
    assert_eq!(bench.json("r/result.json")["metrics"]["test"]["n"], 140);
    bench.write("other.csv", &crate::bench::rows(50));
    let said = bench
        .tlkit(&[
            "validate",
            "small.toml",
            "--set",
            "evaluate.folds=4",
            "--set",
            "target.test=other.csv",
        ])
        .code(0);
    assert!(
        said.err.contains("neither learned from nor tested on"),
        "{}",
        said.err
    );
}

#[test]
fn killed_in_the_third_fold_it_goes_on_there_and_ends_alike() {
    let bench = Bench::new();
    let long = &[
        "--set",
        "train.epochs=60",
        "--set",
        "train.checkpoint_every=1",
    ];
    bench.tlkit(&run("whole", long)).code(0);
    for (out, signal) in [("killed", "-KILL"), ("stopped", "-INT")] {
        let child = bench.start(&run(out, long));
        wait_for(&bench.path(&format!("{out}/folds/3")), 20);
        let kill = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(kill.expect("`kill` is there").success());
        let end = ended(child);
        if signal == "-INT" {
            let end = end.code(130);
            assert!(
                end.err.contains("--set evaluate.folds=4")
                    && end.err.contains("--out stopped --resume"),
                "{}",
                end.err
            );
        }
        assert!(!bench.path(&format!("{out}/result.json")).exists());
        let first = bench.path(&format!("{out}/folds/1/result.json"));
        let written = || {
            std::fs::metadata(&first)
                .and_then(|m| m.modified())
                .unwrap()
        };
        let before = written();
        let again = bench
            .tlkit(&[run(out, long), vec!["--resume"]].concat())
            .code(0);
        assert!(
            again.err.contains("fold 1 of 4: finished before"),
            "{}",
            again.err
        );
        assert_eq!(before, written(), "a finished fold was run again");
        let predictions = |r: &str| bench.read(&format!("{r}/predictions.jsonl"));
        assert_eq!(predictions("whole"), predictions(out));
        let curves = |r: &str| timeless(&bench.read(&format!("{r}/folds/3/metrics.jsonl")));
        assert_eq!(curves("whole"), curves(out));
        let accuracy = |r: &str| bench.json(&format!("{r}/result.json"))["metrics"].clone();
        assert_eq!(accuracy("whole"), accuracy(out));
    }
}

/// The models of a cross-validation are its folds'.
#[test]
fn a_cross_validation_says_where_its_models_are() {
    let bench = Bench::new();
    bench.write(
        "small.toml",
        &crate::bench::RECIPE.replace(", test = 0.3", ""),
    );
    bench.tlkit(&run("r", &[])).code(0);
    let said = bench.tlkit(&["predict", "r", "rows.csv"]).code(2).err;
    assert!(
        said.contains("is a cross-validation") && said.contains("/folds/1"),
        "{said}"
    );
    bench.tlkit(&["predict", "r/folds/1", "rows.csv"]).code(0);
}

/// A split that no fold has is not spoken of; what was found in the rows is, once.
#[test]
fn the_audit_is_of_the_rows_that_are_dealt() {
    let bench = Bench::new();
    bench.write(
        "small.toml",
        &crate::bench::RECIPE.replace(", test = 0.3", ""),
    );
    let mut text = crate::bench::rows(200);
    let again = text.lines().nth(1).expect("a row").to_string();
    text.push_str(&format!("{again}\n{again}\n"));
    bench.write("rows.csv", &text);
    let done = bench.tlkit(&run("r", &[])).code(0);
    assert!(done.err.contains("202, each tested once"), "{}", done.err);
    assert!(!done.err.contains(" validation\n"), "{}", done.err);
    let audit = &bench.json("r/result.json")["audit"];
    assert_eq!(audit["rows"], serde_json::json!({ "train": 202 }));
    let repeats = audit["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .find(|f| f["kind"] == "duplicates")
        .expect("rows repeat");
    assert_eq!(
        (&repeats["count"], &repeats["of"]),
        (&2.into(), &202.into())
    );
}

#[test]
fn folds_of_groups_need_a_group_each() {
    let bench = Bench::new();
    let text: String = crate::bench::rows(40)
        .lines()
        .enumerate()
        .map(|(i, line)| match i {
            0 => format!("{line},who\n"),
            i => format!("{line},{}\n", i % 3),
        })
        .collect();
    bench.write("rows.csv", &text);
    let recipe = crate::bench::RECIPE.replace(", test = 0.3", ", group = \"who\"");
    bench.write("small.toml", &recipe);
    let said = bench.tlkit(&run("r", &[])).code(2);
    let wanted = "3 groups of `who` are too few for 4 folds";
    assert!(said.err.contains(wanted), "{}", said.err);
    bench
        .tlkit(&run("r", &["--set", "evaluate.folds=3"]))
        .code(0);
}

/// What was worked out of all rows holds in each fold, so that the run's own recipe makes it again.
#[test]
fn a_fold_has_the_defaults_of_all_rows_and_the_runs_recipe_makes_it_again() {
    let bench = Bench::new();
    let recipe = crate::bench::RECIPE
        .replace(", test = 0.3", "")
        .replace("epochs = 4\n", "");
    bench.write("small.toml", &recipe);
    let said = bench.tlkit(&run("r", &[])).code(0).err;
    let result = |name: &str| bench.json(&format!("{name}/result.json"));
    let epochs = |name: &str| {
        let text = bench.read(&format!("{name}/recipe.toml"));
        let line = text
            .lines()
            .find(|l| l.starts_with("epochs = "))
            .map(str::to_string);
        line.unwrap_or_else(|| panic!("{name}: {text}"))
    };
    let whole = epochs("r");
    for k in 1..=4 {
        let fold = epochs(&format!("r/folds/{k}"));
        assert_eq!(
            fold.split('#').next().map(str::trim),
            whole.split('#').next().map(str::trim),
            "{said}"
        );
    }
    bench
        .tlkit(&["run", "r/recipe.toml", "--out", "again"])
        .code(0);
    let values = |name: &str| result(name)["folds"]["metrics"]["accuracy"]["values"].clone();
    assert_eq!(values("r"), values("again"));
}
