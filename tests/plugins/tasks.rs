//! Source tasks, target tasks and metrics of a plugin: one that keeps to the rules, and what each broken rule is answered with.

use std::path::{Path, PathBuf};

use crate::bench::{Bench, wait_for};
use crate::compile::{ROOT, compiler, library, start, tlkit};

/// `tasks.c` with one rule broken, as `libtasks.so` in the folder of a bench.
fn tasks(bench: &Bench, compiler: &str, broken: &str) -> PathBuf {
    let to = bench.path("libtasks.so");
    let source = Path::new(ROOT).join("tests/plugins/tasks.c");
    library(compiler, &source, &[broken], &to);
    to
}

const RECIPE: &str = "\
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

const TARGET: &str = "\
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

/// When the plugin is probed.
const PROBED: &[(&str, &str)] = &[
    ("VJP_NULL", "`net` has no function `vjp`: it is null"),
    (
        "PREPARE_NULL",
        "`net` has no function `prepare`: it is null",
    ),
    ("SCORE_NULL", "`share` has no function `score`: it is null"),
    (
        "DESCRIBE_TASK_NULL",
        "`task` has no function `describe`: it is null",
    ),
    (
        "SOURCE_FROM_THE_PAST",
        "the table of `net` is 64 bytes long, and in tlkit.h 1.0 it has 72",
    ),
    (
        "SOURCE_OF_MAJOR_2",
        "the table of `net` was built for tlkit.h 2.0, and this tlkit speaks 1.3",
    ),
    (
        "SOURCE_TAKEN",
        "brings a source task `features`, and tlkit brings one itself",
    ),
    (
        "KEYS_OF_EVERY_SOURCE",
        "`checkpoint` is a key of every source task",
    ),
];

/// When the recipe is checked: the source task describes itself.
const CHECKED: &[(&str, &str)] = &[
    ("MAKE_FAILS", "the source task `net`: it will not be made"),
    (
        "DESCRIBES_GARBAGE",
        "the source task `net` describes itself wrongly",
    ),
    (
        "DESCRIBES_NO_JSON",
        "the source task `net` describes itself wrongly",
    ),
    ("READS_NO_KIND", "unknown variant `smells`"),
    ("READS_TEXT", "text"),
    ("NO_STAGE", "it has no stage"),
    ("WORD_OF_NO_VERSION", "unknown field `weather` in it"),
    (
        "WIDTH_THAT_LIES",
        "`net` takes vectors of 5 numbers, and the data has 3",
    ),
    ("STAGE_TWICE", "two stages are called `first`"),
    (
        "STAGE_WITH_A_PATH",
        "the stage `../first`: letters, digits and `_`",
    ),
    (
        "STAGE_WITHOUT_A_NAME",
        "the stage `a..b`: letters, digits and `_`",
    ),
    ("PARAM_TWICE", "the stage `a` has two parameters `w`"),
    ("PARAM_OF_NO_ROLE", "unknown variant `statistic`"),
    (
        "INIT_NEGATIVE",
        "the parameter `w` begins with a spread of -1",
    ),
    ("SHAPE_EMPTY", "the stage `a` puts out the shape [0]"),
    ("SHAPE_NEGATIVE", "invalid value: integer `-3`"),
    (
        "SHAPE_THAT_OVERFLOWS",
        "`input` is the shape [4294967296, 4294967296, 4]",
    ),
    (
        "FEATURES_NOT_FLAT",
        "the last stage puts out the features, `[width]`, and `a` puts out [2, 2]",
    ),
    ("SCHEDULE_OF_NO_KIND", "there is no schedule `moon`"),
    ("OPTIMIZER_OF_NO_KIND", "there is no optimizer `adam9`"),
    ("RATE_NEGATIVE", "`learning_rate` is -1"),
    ("DROPOUT_OF_ALL", "`head_dropout` is 1"),
];

/// The same of a target task.
const CHECKED_TARGET: &[(&str, &str)] = &[
    (
        "TASK_NO_JSON",
        "the target task `task` describes itself in no JSON",
    ),
    ("TASK_OF_NO_FORM", "smells"),
    ("TASK_OF_ANOTHER_KEY", "did you mean `head`"),
    (
        "LOSS_OF_NOBODY",
        "names the loss term `another`, which its library does not bring; it brings brier, of-features",
    ),
    (
        "METRIC_OF_NOBODY",
        "names the metric `another`, which its library does not bring; it brings share",
    ),
    (
        "READER_OF_NOBODY",
        "names the reader `another`, which its library does not bring; it brings sixty",
    ),
    ("HEAD_WITHOUT_END", "a head ends in exactly one"),
    ("HEAD_OF_NO_LAYER", "not a layer"),
    (
        "LOSS_OF_FEATURES",
        "the loss of a task takes logits:0 and labels:0 and no parameters, and `of-features` takes features:0",
    ),
];

/// While it trains, and is judged.
const TRAINED: &[(&str, &str)] = &[
    ("PREPARE_FAILS", "the source task `net`: not this one"),
    ("PREPARE_NAN", "gave the example that holds NaN"),
    ("PREPARE_SHORT", "did not write number 2 of the example"),
    (
        "PREPARE_TOO_LONG",
        "wrote beyond the end of the example, which has 3 numbers",
    ),
    ("FORWARD_FAILS", "the source task `net`: no further"),
    (
        "FORWARD_OF_NO_STATUS",
        "returned the status -3, which tlkit.h does not have",
    ),
    (
        "FORWARD_LEFT_OUT",
        "did not write number 0 of the output of the stage `first`",
    ),
    (
        "FORWARD_NAN",
        "gave the output of the stage `first` that holds NaN",
    ),
    (
        "FORWARD_TOO_LONG",
        "wrote beyond the end of the output of the stage `first`",
    ),
    ("VJP_FAILS", "the source task `net`: there is no way back"),
    (
        "GRADIENT_NAN",
        "gave the gradient of `second.v` that holds inf",
    ),
    (
        "GRADIENT_LEFT_OUT",
        "did not write number 0 of the gradient of `second.v`",
    ),
    (
        "INPUT_GRADIENT_TOO_LONG",
        "wrote beyond the end of the gradient of `second.the input`",
    ),
    ("GIVES_NULL", "gave gradient 0: null"),
    ("GIVES_TWICE", "gave gradient 0: a second time"),
    ("GIVES_ANOTHERS", "gave gradient 7: where none is wanted"),
    ("GIVES_IN_FORWARD", "gave gradient 0: where none is wanted"),
    (
        "GIVES_ANOTHER_SHAPE",
        "a tensor of the shape [2, 1152921504606846976], not [2, 4]",
    ),
    ("GIVES_ANOTHER_RANK", "a tensor of -3 dimensions, not 2"),
    ("GIVES_DOUBLES", "a tensor that is not float32 on the CPU"),
    (
        "GIVES_FROM_A_GPU",
        "a tensor that is not float32 on the CPU",
    ),
    (
        "GIVES_NEGATIVE_STRIDES",
        "a tensor with the strides [-4, 1], not rows without gaps",
    ),
    ("GIVES_NO_NUMBERS", "a tensor with its numbers at"),
    ("GIVES_WITHOUT_DELETER", "a tensor without a deleter"),
    ("GIVES_NOTHING", "did not give the gradient of `second.v`"),
    (
        "GIVES_NAN",
        "gave the gradient of `second.v` that holds inf",
    ),
    ("GIVES_AND_FAILS", "it was given all the same"),
    (
        "LENDS_NOTHING",
        "the source task `net` lent for `first.w` a tensor with its numbers at 0x0",
    ),
    (
        "LENDS_READ_ONLY",
        "`first.w` a tensor that may not be written",
    ),
    (
        "LENDS_ANOTHER_SHAPE",
        "`first.w` a tensor of the shape [4, 1152921504606846976], not [4, 3]",
    ),
    (
        "LENDS_ANOTHER_RANK",
        "`first.w` a tensor of 1 dimensions, not 2",
    ),
    (
        "LENDS_DOUBLES",
        "`first.w` a tensor that is not float32 on the CPU",
    ),
    (
        "LENDS_FROM_A_GPU",
        "`first.w` a tensor that is not float32 on the CPU",
    ),
    (
        "LENDS_NEGATIVE_STRIDES",
        "`first.w` a tensor with the strides [-3, 1], not rows without gaps",
    ),
    ("LENDS_UNALIGNED", "`first.w` a tensor with its numbers at"),
    ("LENDS_WITHOUT_END", "that has no end"),
    (
        "LENDS_ONE_FOR_TWO",
        "lent for `first.b` memory in which `first.w` lives",
    ),
    (
        "LENDS_ANEW",
        "lent for `first.w` other memory when it was asked again",
    ),
    ("LEND_FAILS", "the source task `net`: no memory today"),
    (
        "LEND_OF_NO_STATUS",
        "returned the status -9, which tlkit.h does not have",
    ),
    ("SCORE_FAILS", "the metric `share`: it cannot be said"),
    ("SCORE_LEFT_OUT", "the metric `share` gave the value NaN"),
    ("SCORE_INFINITE", "the metric `share` gave the value inf"),
];

fn each(recipe: &str, cases: &[(&str, &str)], verb: &str, code: i32) {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", recipe);
    for (broken, words) in cases {
        tasks(&bench, &compiler, broken);
        let ended = tlkit(&bench, &[verb, "tasks.toml"]);
        assert!(
            ended.err.contains(words),
            "{broken}: {:?}\n{}\n{}",
            ended.code,
            ended.out,
            ended.err
        );
        assert_eq!(ended.code, Some(code), "{broken}: {}", ended.err);
        assert!(
            !ended.err.contains("bug in tlkit"),
            "{broken}: {}",
            ended.err
        );
    }
}

#[test]
fn what_is_wrong_with_the_tables_of_tasks_is_an_error_at_the_recipe() {
    each(RECIPE, PROBED, "validate", 2);
}

#[test]
fn what_is_wrong_with_what_a_source_task_says_is_an_error_at_the_recipe() {
    each(RECIPE, CHECKED, "validate", 2);
}

#[test]
fn what_is_wrong_with_what_a_target_task_says_is_an_error_at_the_recipe() {
    each(TARGET, CHECKED_TARGET, "validate", 2);
}

#[test]
fn what_goes_wrong_while_a_strangers_encoder_trains_is_a_failed_run() {
    each(RECIPE, TRAINED, "run", 1);
}

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
