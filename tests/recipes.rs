//! Every recipe that ships runs, shortened; those that need a download are validated.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn recipes() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("recipes")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    all.sort();
    assert!(all.len() >= 4);
    all
}

#[test]
fn every_recipe_runs_for_three_steps() {
    let dir = tempfile::tempdir().expect("a folder");
    let passages = dir.path().join("passages.txt");
    let passage = |i: usize| {
        format!("passage number {i} says that the film was long and the seats were hard")
    };
    let lines = |end: &dyn Fn(usize) -> String| {
        (0..40)
            .map(|i| passage(i) + &end(i) + "\n")
            .collect::<String>()
    };
    std::fs::write(&passages, lines(&|_| String::new())).expect("written");
    let marks = dir.path().join("marks.tsv");
    let labelled = lines(&|i| format!("\t{}", if i % 2 == 0 { "negative" } else { "positive" }));
    std::fs::write(&marks, format!("text\tlabel\n{labelled}")).expect("written");
    for recipe in recipes() {
        let name = recipe
            .file_stem()
            .expect("a stem")
            .to_string_lossy()
            .into_owned();
        let out = dir.path().join(&name);
        let mut command = Command::cargo_bin("tlkit").expect("the binary is built");
        command
            .arg("run")
            .arg(&recipe)
            .arg("--out")
            .arg(&out)
            .args(["--set", "train.max_steps=3"])
            .env("TLKIT_CACHE", dir.path().join("cache"));
        if name == "pretrain-resnet-mini" {
            // A few of the pictures; drawing thousands takes longer than three steps.
            for (split, rows) in [("train", 80), ("validation", 40), ("test", 40)] {
                let few = format!("target.{split}=builtin:scenes/source/{split}#{rows}");
                command.args(["--set", &few]);
            }
        } else if name == "day-night" {
            for (key, of, rows) in [
                ("source.train", "day/train", 80),
                ("source.validation", "day/validation", 40),
                ("target.unlabelled", "night/train", 80),
                ("target.test", "night/test", 40),
            ] {
                let few = format!("{key}=builtin:scenes/{of}#{rows}");
                command.args(["--set", &few]);
            }
        } else if name.starts_with("pretrain") {
            let data = if name.ends_with("marks") {
                &marks
            } else {
                &passages
            };
            let train = format!("target.train={}", data.display());
            command.args(["--set", &train, "--set", "target.split.validation=0.2"]);
        }
        let output = command.output().expect("it runs");
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let result = std::fs::read_to_string(out.join("result.json")).expect("result.json");
        let result: serde_json::Value = serde_json::from_str(&result).expect("JSON");
        assert_eq!(result["status"], "done", "{name}");
        assert!(out.join("model/model.safetensors").is_file(), "{name}");
        // What a run explains of itself runs again.
        Command::cargo_bin("tlkit")
            .expect("the binary")
            .arg("validate")
            .arg(out.join("recipe.toml"))
            .assert()
            .success();
    }
}

/// Without a network and without a cache: all but the download is checked, and what is not is said.
#[test]
fn recipes_of_the_hub_are_validated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/hub");
    let cache = tempfile::tempdir().expect("a folder");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("recipes/hub") {
        let recipe = entry.expect("an entry").path();
        let validate = |sets: &[&str]| {
            Command::cargo_bin("tlkit")
                .expect("the binary is built")
                .env("HF_HUB_CACHE", cache.path())
                .env("HF_ENDPOINT", "http://127.0.0.1:9")
                .arg("validate")
                .arg(&recipe)
                .args(sets)
                .output()
                .expect("it runs")
        };
        let output = validate(&[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {said}",
            recipe.display()
        );
        // The checkpoint, and each split.
        let text = std::fs::read_to_string(&recipe).expect("a recipe");
        let names = text.matches("\"hf:").count();
        assert_eq!(
            said.matches("warning: not checked: `hf:").count(),
            names,
            "{said}"
        );
        assert!(said.contains("needs the download"), "{said}");
        assert!(!said.contains("error"), "{said}");
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(
            out.ends_with(": ok, as far as it can be checked before the download\n"),
            "{out}"
        );
        // What is wrong is wrong without the download, in every table.
        for slip in [
            "source.max_lenght=64",
            "target.lable=label",
            "train.epochs=0",
            "strategy.method=fine",
            "target.train=hf:datasets/stanfordnlp",
            "target.test=hf:datasets/a/b/c",
            "source.checkpoint=hf:a/b/c",
        ] {
            // `hf:datasets/stanfordnlp` alone is an old name without an owner.
            let code = if slip.ends_with("/stanfordnlp") { 0 } else { 2 };
            let output = validate(&["--set", slip]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{slip}: {said}");
        }
        seen += 1;
    }
    assert!(seen >= 3);
    assert!(
        std::fs::read_dir(cache.path())
            .expect("there")
            .next()
            .is_none(),
        "validate writes nothing"
    );
}

/// Carrying over pays: on the same reviews, the pre-trained BERT against the same network from fresh weights.
#[test]
fn the_small_bert_beats_fresh_weights_on_the_films() {
    let dir = tempfile::tempdir().expect("a folder");
    let accuracy = |name: &str| {
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("recipes")
            .join(format!("{name}.toml"));
        let out = dir.path().join(name);
        Command::cargo_bin("tlkit")
            .expect("the binary")
            .arg("run")
            .arg(recipe)
            .arg("--quiet")
            .arg("--out")
            .arg(&out)
            .env("TLKIT_CACHE", dir.path().join("cache"))
            .assert()
            .success();
        let result = std::fs::read_to_string(out.join("result.json")).expect("result.json");
        let result: serde_json::Value = serde_json::from_str(&result).expect("JSON");
        result["metrics"]["test"]["accuracy"]
            .as_f64()
            .expect("a number")
    };
    let (carried, fresh) = (accuracy("sentiment"), accuracy("sentiment-scratch"));
    println!("carried over {carried:.3}, fresh {fresh:.3}");
    assert!(carried > fresh, "carried over {carried}, fresh {fresh}");
}
