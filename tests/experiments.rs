//! Broken experiments and the exact words that `tlkit validate` says of each (`tests/broken_experiments/*.toml`, one snapshot an
//! experiment), and the experiments that ship, shortened.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

const BASE: &str = "\
[source]
task = \"features\"

[target]
task = \"classification\"
train = \"rows.csv\"
split = { validation = 0.2, test = 0.3 }

[strategy]
kind = \"inductive\"
method = \"from-scratch\"
";

fn tlkit() -> Command {
    Command::cargo_bin("tlkit").expect("the binary is built")
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut all: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    all.sort();
    all
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .expect("a stem")
        .to_string_lossy()
        .into_owned()
}

#[test]
fn every_broken_experiment_is_refused_in_these_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    let rows: String = (0..40)
        .map(|i| format!("0.{i:02},0.5,{}\n", if i % 2 == 0 { "no" } else { "yes" }))
        .collect();
    write("rows.csv", &format!("a,b,label\n{rows}"));
    write("base.toml", BASE);
    write(
        "broken-base.toml",
        &BASE.replace("task = \"features\"", "task = features"),
    );
    write("wrong-base.toml", &BASE.replace("rows.csv", "row.csv"));
    write(
        "tuned-base.toml",
        &format!("{BASE}[tune]\n\"train.learning_rate\" = [1e-2, 1e-3]\n"),
    );
    write(
        "transductive.toml",
        &BASE.replace("inductive", "transductive"),
    );
    write(
        "others.csv",
        &format!("a,b,label\n{rows}").replace("0.5", "0.7"),
    );
    write(
        "adapting.toml",
        "[source]\ntask = \"features\"\ntrain = \"rows.csv\"\n[target]\ntask = \"classification\"\nunlabelled = \"others.csv\"\nsplit = { test = 0.5 }\n[strategy]\nkind = \"transductive\"\nmethod = \"mcc\"\n",
    );
    let words: String = (0..60)
        .map(|i| format!("a line with the number {i}\n"))
        .collect();
    write("words.txt", &words);
    write(
        "hidden-words.toml",
        "[source]\ncheckpoint = \"builtin:bert-mini\"\n[target]\ntask = \"masked-language-modelling\"\ntrain = \"words.txt\"\nsplit = { test = 0.2 }\n[strategy]\nkind = \"inductive\"\nmethod = \"fine-tune\"\n",
    );
    let broken = files("tests/broken_experiments");
    assert!(broken.len() >= 25);
    for experiment in broken {
        fs::copy(&experiment, dir.path().join("experiment.toml")).expect("copied");
        let output = tlkit()
            .args(["validate", "experiment.toml"])
            .current_dir(dir.path())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let name = stem(&experiment);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        let said = said.replace(&dir.path().display().to_string(), "FOLDER");
        insta::assert_snapshot!(name, said);
    }
}

/// The target's statistics in place of the source's cost seconds: what adapts more has to be better than that.
#[test]
fn adabn_stands_beside_adaptations_of_a_network_with_batch_norm() {
    let dir = tempfile::tempdir().expect("a folder");
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/day-night.toml");
    let file = dir.path().join("few.toml");
    let set = "\
[experiment.set]
\"source.train\" = \"builtin:scenes/day/train#80\"
\"source.validation\" = \"builtin:scenes/day/validation#40\"
\"target.unlabelled\" = \"builtin:scenes/night/train#80\"
\"target.test\" = \"builtin:scenes/night/test#40\"
\"train.max_steps\" = 2
";
    let methods = |more: &str| -> Vec<String> {
        let text = format!("[experiment]\nbase = {base:?}\nseeds = 1\n{more}\n{set}");
        fs::write(&file, text).expect("written");
        let output = tlkit()
            .args(["compare", "--dry-run"])
            .arg(&file)
            .output()
            .expect("it runs");
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{out}");
        out.lines()
            .filter_map(|l| Some(l.split_once("-s0 ")?.0.to_string()))
            .collect()
    };
    assert_eq!(
        methods("methods = [\"mcc\"]"),
        ["source-only", "adabn", "mcc"]
    );
    assert_eq!(
        methods("methods = [\"mcc\"]\nbaselines = false"),
        ["source-only", "mcc"]
    );
    assert_eq!(
        methods("methods = [\"mcc\", \"adabn\"]"),
        ["source-only", "mcc", "adabn"]
    );
}

#[test]
fn every_experiment_that_ships_runs_shortened() {
    let dir = tempfile::tempdir().expect("a folder");
    let shipped = files("recipes/experiments");
    assert!(shipped.len() >= 2);
    for experiment in shipped {
        let name = stem(&experiment);
        // A few of the pictures; drawing thousands takes longer than two steps.
        let pictures = match name.as_str() {
            "day-night" => vec![
                ("source.train", "day/train#80"),
                ("source.validation", "day/validation#40"),
                ("target.unlabelled", "night/train#80"),
                ("target.test", "night/test#40"),
            ],
            _ => Vec::new(),
        };
        let few = |(key, of): &(&str, &str)| {
            let value = format!("experiment.set.'{key}'=builtin:scenes/{of}");
            ["--set".to_string(), value]
        };
        let output = tlkit()
            .arg("compare")
            .arg(&experiment)
            .args(pictures.iter().flat_map(few))
            .args([
                "--set",
                "experiment.seeds=1",
                "--set",
                "experiment.set.'train.max_steps'=2",
            ])
            .args(["--set", "experiment.set.'train.epochs'=1", "--jobs", "2"])
            .arg("--out")
            .arg(dir.path().join(&name))
            .output()
            .expect("it runs");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{name}: {err}");
        assert!(out.contains(" test rows, 1 seed"), "{name}: {out}");
        assert!(
            out.contains("One run each says which of these models to keep"),
            "{name}: {out}"
        );
        assert!(
            dir.path().join(&name).join("report.html").is_file(),
            "{name}"
        );
    }
}
