//! Source tasks, target tasks and metrics of a plugin that keeps to the rules.

use std::path::{Path, PathBuf};

use crate::bench::{Bench, wait_for};
use crate::compile::{ROOT, compiler, library, start, tlkit};

/// `tasks.c` with one rule broken, as `libtasks.so` in the folder of a bench.
pub fn tasks(bench: &Bench, compiler: &str, broken: &str) -> PathBuf {
    let to = bench.path("libtasks.so");
    let source = Path::new(ROOT).join("tests/plugins/tasks.c");
    library(compiler, &source, &[broken], &to);
    to
}

pub const RECIPE: &str = "\
[source]
task = \"net\"

[target]
task = \"classification\"
train = \"rows.csv\"
split = { validation = 0.1, test = 0.3 }

[strategy]
kind = \"inductive\"
method = \"from-scratch\"

[evaluate]
metrics = [\"share\"]

[train]
epochs = 12
batch_size = 16
learning_rate = 5e-2

[[plugins]]
path = \"libtasks.so\"
";

pub const TARGET: &str = "\
[source]
task = \"net\"

[target]
task = \"task\"
train = \"rows.csv\"
split = { validation = 0.1, test = 0.3 }

[strategy]
kind = \"inductive\"
method = \"from-scratch\"

[train]
epochs = 12
batch_size = 16
learning_rate = 3e-2

[[plugins]]
path = \"libtasks.so\"
";

/// The encoder trains, is saved, resumes and predicts as one of tlkit's own.
#[test]
fn a_strangers_encoder_trains_is_saved_and_predicts() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", RECIPE);
    tasks(&bench, &compiler, "NONE");
    tlkit(&bench, &["run", "tasks.toml", "-q", "--out", "one"]).code(0);
    let one = bench.json("one/result.json");
    let test = &one["metrics"]["test"];
    assert_eq!(test["share"], test["accuracy"], "{test}");
    assert!(test["accuracy"].as_f64().expect("a number") > 0.6, "{test}");
    assert_eq!(one["model"]["reloads"], true, "{}", one["model"]);
    let curves = bench.read("one/metrics.jsonl");
    assert!(curves.contains("\"validation_share\""), "{curves}");

    // The same again has the same bits.
    tlkit(&bench, &["run", "tasks.toml", "-q", "--out", "two"]).code(0);
    let two = bench.json("two/result.json");
    assert_eq!(one["weights_sha256"], two["weights_sha256"]);

    // Gradients that are handed over in the plugin's memory are the same as those written into the host's, and so are parameters that live
    // there, whose memory is gone when the encoder is.
    for way in ["GIVES", "LENDS", "SOURCE_OF_1_2"] {
        tasks(&bench, &compiler, way);
        tlkit(&bench, &["run", "tasks.toml", "-q", "--out", way]).code(0);
        let result = bench.json(&format!("{way}/result.json"));
        assert_eq!(one["weights_sha256"], result["weights_sha256"], "{way}");
        assert_eq!(result["model"]["reloads"], true, "{way}");
    }
    tasks(&bench, &compiler, "LENDS");
    let lends = tlkit(&bench, &["predict", "LENDS", "rows.csv"]).code(0);
    tasks(&bench, &compiler, "NONE");

    // What was saved is made again with the plugin, and says the same.
    let ended = tlkit(&bench, &["predict", "one", "rows.csv"]).code(0);
    assert!(ended.out.lines().count() >= 200, "{}", ended.out);
    assert_eq!(ended.out, lends.out);

    // Keys are checked as ours are.
    let ended = tlkit(
        &bench,
        &["validate", "tasks.toml", "--set", "source.depth=0"],
    )
    .code(2);
    assert!(
        ended.err.contains("`depth` is out of range"),
        "{}",
        ended.err
    );
    let ended = tlkit(&bench, &["explain", "tasks.toml"]).code(0);
    assert!(
        ended.out.contains("depth = 2  # default: plugin tasks"),
        "{}",
        ended.out
    );
    // What is in no registry is not found by its name either.
    let ended = tlkit(
        &bench,
        &[
            "validate",
            "tasks.toml",
            "--set",
            "evaluate.metrics=[\"shares\"]",
        ],
    )
    .code(2);
    assert!(ended.err.contains("did you mean `share`"), "{}", ended.err);
}

/// The optimizer is the host's, and so is what is saved: a checkpoint is whole, whichever side the numbers were computed on.
#[test]
fn killed_and_resumed_a_strangers_encoder_ends_with_the_same_bits() {
    killed_and_resumed("SLOW");
}

#[test]
fn killed_and_resumed_parameters_that_live_in_a_plugin_end_with_the_same_bits() {
    killed_and_resumed("SLOW_AND_LENDS");
}

fn killed_and_resumed(memory: &str) {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    let recipe = RECIPE.replace("[train]\n", "[train]\ncheckpoint_every = 2\n");
    bench.write("tasks.toml", &recipe);
    tasks(&bench, &compiler, memory);
    tlkit(&bench, &["run", "tasks.toml", "-q", "--out", "whole"]).code(0);
    for (step, resume) in [(11, None), (30, Some("--resume"))] {
        let run = ["run", "tasks.toml", "--out", "killed"];
        let run: Vec<&str> = run.into_iter().chain(resume).collect();
        let mut child = start(&bench, &run);
        wait_for(&bench.path("killed"), step);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        assert!(
            !bench.path("killed/result.json").exists(),
            "killed too late"
        );
    }
    let ended = tlkit(
        &bench,
        &["run", "tasks.toml", "--out", "killed", "--resume"],
    )
    .code(0);
    assert!(ended.err.contains("going on after step"), "{}", ended.err);
    let weights = |run: &str| bench.json(&format!("{run}/result.json"))["weights_sha256"].clone();
    assert_eq!(weights("whole"), weights("killed"));
}

/// Frozen, its features are cached; in two phases, a part of it trains.
#[test]
fn strategies_work_on_a_strangers_encoder() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", RECIPE);
    tasks(&bench, &compiler, "NONE");
    tlkit(&bench, &["run", "tasks.toml", "-q", "--out", "before"]).code(0);
    // Whether its parameters live in the host or in the plugin: also with a copy of its weights, and from a checkpoint.
    let sums = ["NONE", "LENDS"].map(|memory| {
        tasks(&bench, &compiler, memory);
        let all = [
            ("feature-extraction", ""),
            ("gradual-unfreeze", ""),
            ("fine-tune", "source.checkpoint=\"before/model\""),
            ("l2-sp", ""),
        ];
        all.map(|(method, more)| {
            let (set, out) = (
                format!("strategy.method={method}"),
                format!("{method}-{memory}"),
            );
            let run = ["run", "tasks.toml", "-q", "--out", &out, "--set", &set];
            let more = ["--set", more];
            let more = if more[1].is_empty() { &[] } else { &more[..] };
            tlkit(&bench, &[&run[..], more].concat()).code(0);
            let result = bench.json(&format!("{out}/result.json"));
            (method, result["weights_sha256"].to_string())
        })
    });
    assert_eq!(sums[0], sums[1]);
}

/// A target task whose loss, head and metric are its own, on a stranger's encoder and on one of ours.
#[test]
fn a_strangers_target_task_has_its_own_loss_head_and_metric() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", TARGET);
    tasks(&bench, &compiler, "NONE");
    for source in ["net", "features"] {
        let set = format!("source.task={source}");
        let out = format!("of-{source}");
        let run = ["run", "tasks.toml", "-q", "--out", &out, "--set", &set];
        tlkit(&bench, &run).code(0);
        let result = bench.json(&format!("{out}/result.json"));
        let test = &result["metrics"]["test"];
        assert_eq!(test["share"], test["accuracy"], "{test}");
        let layers = result["layers"].to_string();
        assert!(layers.contains("head.dense.0"), "{layers}");
        // The loss is Brier's, which ends far below what a cross-entropy of these rows can be (about a half).
        let curves = bench.read(&format!("{out}/metrics.jsonl"));
        let lines = curves
            .lines()
            .map(|l| serde_json::from_str(l).expect("JSON"));
        let epochs: Vec<serde_json::Value> = lines
            .filter(|l: &serde_json::Value| l["epoch"].is_u64())
            .collect();
        let last = epochs.last().expect("an epoch");
        assert!(last["loss"].as_f64().expect("a loss") < 0.35, "{last}");
        tlkit(&bench, &["predict", &out, "rows.csv"]).code(0);
    }
    let ended = tlkit(
        &bench,
        &[
            "validate",
            "tasks.toml",
            "--set",
            "target.label_smoothing=0.1",
        ],
    )
    .code(2);
    assert!(
        ended.err.contains("this task has a loss of its own"),
        "{}",
        ended.err
    );
}

#[test]
fn tables_of_another_minor_version_are_taken_for_what_they_have() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", RECIPE);
    for version in ["SOURCE_FROM_THE_FUTURE", "SOURCE_OF_1_1", "SOURCE_OF_1_2"] {
        tasks(&bench, &compiler, version);
        tlkit(&bench, &["run", "tasks.toml", "-q"]).code(0);
    }
    // A reader as it was in 1.0 opens files, and no folders: what lies behind its table is not read.
    bench.write("rows.sixty", "");
    let recipe = RECIPE.replace("rows.csv", "rows.sixty");
    bench.write("tasks.toml", &recipe);
    for broken in ["READER_OF_1_0", "NONE"] {
        tasks(&bench, &compiler, broken);
        tlkit(&bench, &["run", "tasks.toml", "-q"]).code(0);
    }
    std::fs::create_dir_all(bench.path("folder")).expect("a folder");
    bench.write("tasks.toml", &RECIPE.replace("rows.csv", "folder"));
    tlkit(&bench, &["validate", "tasks.toml"]).code(0);
    tasks(&bench, &compiler, "READER_OF_1_0");
    let ended = tlkit(&bench, &["validate", "tasks.toml"]).code(2);
    assert!(ended.err.contains("is a folder"), "{}", ended.err);
}

/// What a task reads its rows with in training opens them later too, whatever the file is called.
#[test]
fn the_reader_of_a_task_opens_what_its_model_is_given() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("rows.strange", "");
    bench.write("tasks.toml", &TARGET.replace("rows.csv", "rows.strange"));
    tasks(&bench, &compiler, "READS_WHATEVER");
    tlkit(&bench, &["run", "tasks.toml", "-q", "--out", "run"]).code(0);
    let said = tlkit(&bench, &["predict", "run", "rows.strange"]).code(0);
    assert_eq!(said.out.lines().count(), 60, "{}", said.out);
    let scores = tlkit(&bench, &["evaluate", "run", "rows.strange"]).code(0);
    assert!(scores.out.contains("n = 60"), "{}", scores.out);
}

#[test]
fn the_conformance_suite_finds_what_it_looks_for_in_tasks() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    for (broken, words) in [
        ("GRADIENT_WRONG", "the output moves by"),
        ("NOT_THE_SAME_TWICE", "the bits differ"),
        ("STALE_WEIGHTS", "`model.first.w`: the output moves by"),
        ("ROWS_SEE_EACH_OTHER", "a row alone differs by"),
        ("FORWARD_NAN", "that holds NaN"),
        ("DESCRIBES_GARBAGE", "describes itself wrongly"),
        ("LEAKS", "calls kept"),
        ("LENDS_AND_STALE", "`model.first.w`: the output moves by"),
        ("LENDS_AND_WRITES", "a pass has changed them"),
        (
            "LENDS_ONE_TO_ALL",
            "lent for `first.w` memory in which `first.w` lives",
        ),
        (
            "LENDS_ELSEWHERE_LATER",
            "lends other memory for parameter 0 of `first` than before",
        ),
        ("SCORE_OF_THE_ORDER", "of the same rows in another order"),
        ("TASK_NO_JSON", "describes itself in no JSON"),
    ] {
        // Memory is known there alone.
        if broken == "LEAKS" && !cfg!(target_os = "linux") {
            continue;
        }
        tasks(&bench, &compiler, broken);
        let ended = tlkit(&bench, &["plugins", "check", "libtasks.so"]).code(1);
        let line = ended.out.lines().find(|l| l.contains(words));
        let line = line.unwrap_or_else(|| panic!("{broken}: {}\n{}", ended.out, ended.err));
        assert!(line.starts_with("FAILED"), "{broken}: {line}");
    }
    for (rule, lives) in [
        ("NONE", "it lends none, and they lie in the host's"),
        ("GIVES", "it lends none, and they lie in the host's"),
        ("LENDS", "3 parameters"),
    ] {
        tasks(&bench, &compiler, rule);
        let ended = tlkit(&bench, &["plugins", "check", "libtasks.so"]).code(0);
        assert!(!ended.out.contains("FAILED"), "{rule}: {}", ended.out);
        assert!(
            ended.out.contains(
                "source task net: the gradients of every stage are those of finite differences"
            ),
            "{rule}: {}",
            ended.out
        );
        let line = "source task net: parameters live in the plugin's memory, and stay there: ";
        let line = format!("{line}{lives}\n");
        assert!(ended.out.contains(&line), "{rule}: {}", ended.out);
    }
}
