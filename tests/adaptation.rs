//! Domain adaptation by the whole program: every method on a BERT, and an experiment over pairs of domains.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

fn tlkit(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::cargo_bin("tlkit").expect("the binary is built");
    let output = command.args(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn result(run: &Path) -> Value {
    let text = fs::read_to_string(run.join("result.json")).expect("result.json");
    serde_json::from_str(&text).expect("JSON")
}

/// A few steps of each on the built-in reviews, past the point where a term without a gradient or a tensor that stands still fails the run.
#[test]
fn every_method_runs_on_a_bert() {
    let dir = tempfile::tempdir().expect("a folder");
    let few = |split: &str, n: usize| {
        let path = format!("assets/reviews/{split}.tsv");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = fs::read_to_string(path).expect("reviews");
        let name = split.replace('/', "-") + ".tsv";
        let rows: String = text.split_inclusive('\n').take(n + 1).collect();
        fs::write(dir.path().join(&name), rows).expect("written");
        name
    };
    let text = format!(
        "[source]\ncheckpoint = \"builtin:bert-mini\"\ntrain = \"{}\"\nvalidation = \"{}\"\nmax_length = 32\n\
         [target]\ntask = \"text-classification\"\nunlabelled = \"{}\"\ntest = \"{}\"\n\
         [strategy]\nkind = \"transductive\"\nmethod = \"source-only\"\n\
         [train]\nbatch_size = 4\nepochs = 1\nsource_epochs = 1\nmax_steps = 14\nlearning_rate = 1e-3\n",
        few("films/train", 64),
        few("films/validation", 20),
        few("kitchen/train", 64),
        few("kitchen/test", 20),
    );
    let recipe = dir.path().join("recipe.toml");
    fs::write(&recipe, text).expect("written");
    let recipe = recipe.display().to_string();
    let methods = [
        "source-only",
        "target-supervised",
        "dan",
        "deep-coral",
        "dann",
        "cdan",
        "mcd",
        "mdd",
        "deep-jdot",
        "mcc",
        "discriminator-weights",
        "shot",
        "tapt",
        "bbse",
        "em-prior",
    ];
    for method in methods {
        let out = dir.path().join(method);
        let set = format!("strategy.method=\"{method}\"");
        let to = out.display().to_string();
        let (code, _, said) = tlkit(&["run", &recipe, "--quiet", "--set", &set, "--out", &to]);
        assert_eq!(code, Some(0), "{method}: {said}");
        let result = result(&out);
        assert_eq!(result["strategy"]["method"], method);
        assert_eq!(
            result["selection"]["oracle"],
            method == "target-supervised",
            "{method}"
        );
        assert_eq!(
            result["model"]["reloads"], true,
            "{method}: {}",
            result["model"]
        );
    }
    // The network has no batch norm, and that is said before anything is loaded.
    let (code, _, said) = tlkit(&["validate", &recipe, "--set", "strategy.method=\"tent\""]);
    assert_eq!(code, Some(2));
    assert!(said.contains("this network has none"), "{said}");

    // A finished run in the place of checkpoint and source rows.
    let text = "[source]\nrun = \"source-only\"\n[target]\ntask = \"text-classification\"\nunlabelled = \"kitchen-train.tsv\"\n\
         test = \"kitchen-test.tsv\"\n[strategy]\nkind = \"transductive\"\nmethod = \"shot\"\n\
         [train]\nbatch_size = 4\nepochs = 1\nmax_steps = 14\n";
    let recipe = dir.path().join("free.toml");
    fs::write(&recipe, text).expect("written");
    let out = dir.path().join("free");
    let (recipe, to) = (recipe.display().to_string(), out.display().to_string());
    let (code, _, said) = tlkit(&["run", &recipe, "--quiet", "--out", &to]);
    assert_eq!(code, Some(0), "{said}");
    let result = result(&out);
    assert_eq!(
        result["labels"],
        serde_json::json!(["negative", "positive"])
    );
    assert!(result["baseline"]["source_only"]["test"]["accuracy"].is_number());
}

/// Two domains and a recipe between them: `base.toml`, and the part of an experiment that names them.
fn domains(dir: &Path) -> &'static str {
    for (d, domain) in ["north", "south"].iter().enumerate() {
        for (p, (part, rows)) in ["labelled", "test"].iter().zip([120usize, 80]).enumerate() {
            let row = |i: usize| {
                let x = ((i * 37 + d * 11 + p * 7) % 100) as f64 / 100.0 + 0.003 * p as f64;
                let side = [-1.0, 1.0][i % 2];
                let label = ["no", "yes"][i % 2];
                format!(
                    "{},{},{label}\n",
                    side + 0.8 * x + d as f64,
                    x + 2.0 * d as f64
                )
            };
            let rows: String = (0..rows).map(row).collect();
            fs::write(
                dir.join(format!("{domain}-{part}.csv")),
                format!("a,b,label\n{rows}"),
            )
            .expect("written");
        }
    }
    let base = "[source]\ntask = \"features\"\ntrain = \"north-labelled.csv\"\nhidden = [8]\n\
         [target]\ntask = \"classification\"\nunlabelled = \"south-labelled.csv\"\ntest = \"south-test.csv\"\n\
         [strategy]\nkind = \"transductive\"\nmethod = \"mcc\"\n[train]\nepochs = 3\nsource_epochs = 3\n";
    fs::write(dir.join("base.toml"), base).expect("written");
    "pairs = [[\"north\", \"south\"], [\"south\", \"north\"]]\n\
     [domains.north]\nlabelled = \"north-labelled.csv\"\ntest = \"north-test.csv\"\n\
     [domains.south]\nlabelled = \"south-labelled.csv\"\ntest = \"south-test.csv\"\n"
}

/// The probe that a source phase begins with is made once too, though it leaves no line in the record.
#[test]
fn a_probe_is_made_once_and_its_cells_run_alone_all_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let pairs = domains(dir.path());
    let base = dir.path().join("base.toml");
    let text = fs::read_to_string(&base).expect("the base") + "linear_probe = true\n";
    fs::write(&base, text).expect("written");
    let experiment =
        format!("[experiment]\nbase = \"base.toml\"\nseeds = 1\nmethods = [\"mcc\"]\n{pairs}");
    let path = dir.path().join("experiment.toml");
    fs::write(&path, experiment).expect("written");
    let out = dir.path().join("out");
    let shown = |p: &Path| p.display().to_string();
    let (code, _, said) = tlkit(&["compare", &shown(&path), "--out", &shown(&out)]);
    assert_eq!(code, Some(0), "{said}");
    let cell = result(&out.join("mcc-north-south-s0"));
    assert!(cell["seconds_taken_up"].as_f64() > Some(0.0), "{cell}");
    let recipe = out.join("recipes/mcc-north-south-s0.toml");
    let alone = dir.path().join("alone");
    let (code, _, said) = tlkit(&["run", &shown(&recipe), "--out", &shown(&alone)]);
    assert_eq!(code, Some(0), "{said}");
    let alone = result(&alone);
    for key in ["weights_sha256", "metrics", "selection", "fits"] {
        assert_eq!(cell[key], alone[key], "{key}");
    }
    assert!(cell["fits"]["probe_strength"].is_number(), "{cell}");
}

/// What differs in the method alone learns the source once, and ends with the bits of a run that learned it alone.
#[test]
fn the_source_is_learned_once_and_its_cells_run_alone_all_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let pairs = domains(dir.path());
    let methods = ["mcc", "dann", "mcd", "shot"];
    let experiment =
        format!("[experiment]\nbase = \"base.toml\"\nseeds = 2\nmethods = {methods:?}\n{pairs}");
    let path = dir.path().join("experiment.toml");
    fs::write(&path, experiment).expect("written");
    let out = dir.path().join("out");
    let shown = |p: &Path| p.display().to_string();
    let (code, _, said) = tlkit(&["compare", &shown(&path), "--out", &shown(&out)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!out.join("beginnings").exists());
    // Seed by seed, the five of a pair in a row.
    let ran: Vec<(&str, &str)> = said
        .lines()
        .filter_map(|l| {
            let (_, pair) = l.strip_prefix('[')?.split_once(", ")?;
            let (pair, rest) = pair.split_once(", seed ")?;
            Some((&rest[..1], pair))
        })
        .collect();
    assert_eq!(ran.len(), 20, "{said}");
    for (i, five) in ran.chunks(5).enumerate() {
        assert!(five.iter().all(|r| *r == five[0]), "{said}");
        assert_eq!(five[0].0, ["0", "1"][i / 2], "{said}");
    }
    let read = |path: &Path| fs::read_to_string(path).expect("a file");
    let taken_up = |cell: &str| read(&out.join(cell).join("log.txt")).contains("taken up");
    // The first of a group learns it, `source-only`; the twin, which it has not, MCC. MCD learns two classifiers on the source.
    for (method, expected) in [
        ("source-only", false),
        ("mcc", true),
        ("dann", true),
        ("mcd", false),
        ("shot", true),
    ] {
        assert_eq!(
            taken_up(&format!("{method}-south-north-s1")),
            expected,
            "{method}"
        );
        let cell = result(&out.join(format!("{method}-south-north-s1")));
        let seconds = |key: &str| cell[key].as_f64().unwrap_or(0.0);
        assert_eq!(seconds("seconds_taken_up") > 0.0, expected, "{method}");
        assert!(seconds("seconds_taken_up") < seconds("seconds"), "{method}");
    }
    for method in methods {
        let cell = format!("{method}-south-north-s1");
        let alone = dir.path().join(method);
        let recipe = out.join("recipes").join(format!("{cell}.toml"));
        let (code, _, said) = tlkit(&["run", &shown(&recipe), "--out", &shown(&alone)]);
        assert_eq!(code, Some(0), "{said}");
        let (one, other) = (result(&alone), result(&out.join(&cell)));
        for key in [
            "identity",
            "weights_sha256",
            "metrics",
            "selection",
            "baseline",
            "steps",
        ] {
            assert_eq!(one[key], other[key], "{method}: {key}");
        }
        for file in ["metrics.jsonl", "predictions.jsonl"] {
            // All but how long it took.
            let of = |run: &Path| -> Vec<Value> {
                let text = read(&run.join(file));
                let lines = text.lines().map(|line| {
                    let mut line: Value = serde_json::from_str(line).expect("JSON");
                    line["seconds"] = Value::Null;
                    line
                });
                lines.collect()
            };
            assert!(of(&alone) == of(&out.join(&cell)), "{method}: {file}");
        }
        let moved = |run: &Path| read(&run.join("liveness.json"));
        assert_eq!(moved(&alone), moved(&out.join(&cell)), "{method}");
    }
}

/// The twin is added by itself, the ceiling is marked, and a verdict follows.
#[test]
fn an_experiment_over_pairs_of_domains() {
    let dir = tempfile::tempdir().expect("a folder");
    let pairs = domains(dir.path());
    let experiment = format!(
        "[experiment]\nbase = \"base.toml\"\nseeds = 3\nmethods = [\"mcc\", \"target-supervised\"]\n{pairs}"
    );
    let path = dir.path().join("experiment.toml");
    fs::write(&path, experiment).expect("written");
    let (path, out) = (
        path.display().to_string(),
        dir.path().join("out").display().to_string(),
    );
    let (code, table, said) = tlkit(&["compare", &path, "--out", &out]);
    assert_eq!(code, Some(0), "{said}");
    for words in ["source-only", "mcc", "target-supervised", "auto", "Oracle"] {
        assert!(table.contains(words), "no {words} in {table}");
    }
    // Nothing runs again.
    let (code, again, _) = tlkit(&["compare", &path, "--out", &out]);
    assert_eq!((code, again), (Some(0), table));
}
