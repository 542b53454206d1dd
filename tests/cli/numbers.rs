//! What a run learns, and whether, from numbers that are too large, too small, none, or all the same.

use crate::bench::Bench;

#[test]
fn a_loss_that_is_no_number_fails_and_names_step_and_tensor() {
    let bench = Bench::new();
    let rate = ["--set", "train.learning_rate=1e30"];
    let ended = bench
        .tlkit(&[&["run", "small.toml", "--out", "r"], &rate[..]].concat())
        .code(1);
    assert!(ended.err.contains("at step 2"), "{}", ended.err);
    assert!(ended.err.contains("first tensor"), "{}", ended.err);
    let result = bench.json("r/result.json");
    assert_eq!(result["status"], "failed");
    assert!(bench.read("r/log.txt").contains("at step 2"));
    let shown = bench.tlkit(&["runs", "show", "r"]).code(0);
    assert!(shown.out.contains("failed"), "{}", shown.out);
}

/// A maximum over what is no number would be the first class, and the run would look like one that has ended well.
#[test]
fn a_run_whose_outputs_are_not_finite_fails() {
    let bench = Bench::new();
    let huge = [
        "--set",
        "train.max_steps=1",
        "--set",
        "train.learning_rate=1e30",
    ];
    let end = bench
        .tlkit(&[&["run", "small.toml", "--out", "r"], &huge[..]].concat())
        .code(1);
    assert!(end.err.contains("not finite at step 1"), "{}", end.err);
    let result = bench.json("r/result.json");
    assert_eq!(result["status"], "failed");
    assert_eq!(result["failure"]["kind"], "non-finite");
    assert_eq!(result["failure"]["step"], 1);
}

/// A tenth of one step, rounded up, is that step: its rate would be 0.
#[test]
fn a_single_step_learns() {
    let bench = Bench::new();
    let one = ["--set", "train.max_steps=1"];
    bench
        .tlkit(&[&["run", "small.toml", "--out", "r"], &one[..]].concat())
        .code(0);
    let moved = bench.json("r/liveness.json");
    let moved = moved["tensors"].as_array().expect("tensors");
    assert!(moved.iter().any(|t| t["change"].as_f64() > Some(0.0)));
}

/// With a rate far below the spacing of its weights a layer stays what it was, and learns nothing wrong: this is said, not a failure.
#[test]
fn a_layer_that_learns_by_too_little_to_move_is_said() {
    let bench = Bench::new();
    let deep = [
        "--set",
        "source.hidden=[8, 8, 8, 8, 8, 8, 8, 8, 8, 8]",
        "--set",
        "train.layer_decay=0.1",
        "--set",
        "train.max_steps=40",
    ];
    let ran = bench
        .tlkit(&[&["run", "small.toml", "--out", "r"], &deep[..]].concat())
        .code(0);
    assert!(
        ran.err.contains("as if they were frozen"),
        "what was said: {}",
        ran.err
    );
}

/// A column of one large value: what is left of its mean by rounding is no deviation.
#[test]
fn a_constant_column_changes_nothing() {
    let bench = Bench::new();
    let text = bench.read("rows.csv");
    let with = |constant: &str| {
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        let rows: String = lines.map(|l| format!("{constant},{l}\n")).collect();
        format!("k,{header}\n{rows}")
    };
    let accuracy = |constant: &str, name: &str, sets: &[&str]| {
        bench.write("rows.csv", &with(constant));
        let mut arguments = vec!["run", "small.toml", "--out", name];
        sets.iter().for_each(|s| arguments.extend(["--set", s]));
        bench.tlkit(&arguments).code(0);
        let result = bench.json(&format!("{name}/result.json"));
        let baselines = result["baselines"].as_array().expect("baselines").clone();
        let logistic = baselines
            .iter()
            .find(|b| b["name"] == "logistic-regression");
        let of = |v: &serde_json::Value| v["accuracy"].as_f64().expect("a score");
        (
            of(&result["metrics"]["test"]),
            of(&logistic.expect("the baseline")["test"]),
        )
    };
    let fitted = ["strategy.method=feature-extraction", "train.epochs=1"];
    let (zero, large) = (
        accuracy("0", "zero", &fitted),
        accuracy("20240101", "large", &fitted),
    );
    assert!(zero.0 > 0.7, "{zero:?}");
    assert!(
        (zero.0 - large.0).abs() < 0.02 && (zero.1 - large.1).abs() < 0.02,
        "{zero:?} {large:?}"
    );
    // Nor does a saved model take another constant for something new.
    accuracy("100003", "scaled", &["source.scale=zscore"]);
    let card = bench.read("scaled/model/tlkit.json");
    assert!(!card.contains("e-1"), "a deviation of rounding: {card}");
    // Numbers of orders far from 0 and close together do not blind the baseline.
    let mut i = 0;
    let rows: String = text
        .lines()
        .skip(1)
        .map(|l| {
            i += 1;
            format!("{},{l}\n", 40_000_000 + i * 7 % 200)
        })
        .collect();
    bench.write("rows.csv", &format!("k,a,b,c,label\n{rows}"));
    bench
        .tlkit(&[
            "run",
            "small.toml",
            "--out",
            "orders",
            "--set",
            "source.scale=zscore",
        ])
        .code(0);
    let result = bench.json("orders/result.json");
    let of = |b: &serde_json::Value| {
        (b["name"] == "logistic-regression").then(|| b["test"]["accuracy"].as_f64())
    };
    let logistic = result["baselines"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(of)
        .flatten();
    assert!(logistic > Some(0.7), "{logistic:?}");
}

/// The batch itself is what normalises: a row alone has no variance, and joins the others.
#[test]
fn a_row_alone_is_normalised_with_others() {
    let bench = Bench::new();
    let text = bench.read("rows.csv");
    let rows: String = text.lines().take(34).map(|l| format!("{l}\n")).collect();
    bench.write("test.csv", &rows);
    bench.write(
        "train.csv",
        &text
            .lines()
            .take(1)
            .chain(text.lines().skip(34).take(130))
            .map(|l| format!("{l}\n"))
            .collect::<String>(),
    );
    let recipe = "[source]\ntask = \"features\"\nbatch_norm = true\nhidden = [8]\n[target]\ntask = \"classification\"\ntrain = \"train.csv\"\ntest = \"test.csv\"\n\
                  [strategy]\nkind = \"inductive\"\nmethod = \"from-scratch\"\nbatch_norm = \"adapt\"\n[train]\nepochs = 1\n";
    bench.write("adapt.toml", recipe);
    bench.tlkit(&["run", "adapt.toml", "--out", "r"]).code(0);
    assert_eq!(bench.json("r/result.json")["metrics"]["test"]["n"], 33);
}

/// Keys of layers where there is none.
#[test]
fn keys_of_layers_that_are_not_there_are_a_warning() {
    let bench = Bench::new();
    let none = ["validate", "small.toml", "--set", "source.hidden=[]"];
    assert!(!bench.tlkit(&none).code(0).err.contains("does nothing"));
    for key in ["activation=\"tanh\"", "dropout=0.5", "batch_norm=true"] {
        let set = format!("source.{key}");
        let said = bench.tlkit(&[&none[..], &["--set", &set]].concat()).code(0);
        let (name, _) = key.split_once('=').expect("a key");
        let words = format!("`{name}` does nothing where there is no hidden layer");
        assert!(said.err.contains(&words), "{}", said.err);
    }
}

/// The rate in the curves is one that something trains at: not the first group's, of which this phase may train nothing.
#[test]
fn the_recorded_learning_rate_is_that_of_what_trains() {
    let bench = Bench::new();
    bench.write("rows.csv", &crate::bench::rows(60));
    bench.write(
        "gradual.toml",
        "[source]\ntask = \"features\"\nhidden = [8, 8]\n\
         [target]\ntask = \"classification\"\ntrain = \"rows.csv\"\nsplit = { validation = 0.2, test = 0.2 }\n\
         [strategy]\nkind = \"inductive\"\nmethod = \"gradual-unfreeze\"\n[train]\nepochs = 1\nlearning_rate = 0.01\nschedule = \"constant\"\n",
    );
    bench.tlkit(&["run", "gradual.toml", "--out", "r"]).code(0);
    let lines = std::fs::read_to_string(bench.path("r/metrics.jsonl")).expect("the record");
    let rates: Vec<f64> = lines
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON"))
        .filter(|l| l["phase"] == "head")
        .filter_map(|l| l["learning_rate"].as_f64())
        .collect();
    assert!(!rates.is_empty(), "{lines}");
    assert!(rates.iter().all(|r| (r - 0.01).abs() < 1e-12), "{rates:?}");
}
