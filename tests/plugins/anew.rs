//! Libraries that are others, or gone, when a finished run is used again.

use std::fs;

use sha2::Digest;

use crate::bench::Bench;
use crate::compile::{compiler, hostile, tlkit};
use crate::tasks::{RECIPE, TARGET, tasks};

const OURS: [&str; 2] = ["--set", "source.task=features"];

fn run(bench: &Bench, out: &str, more: &[&str]) {
    let run = ["run", "tasks.toml", "-q", "--out", out];
    tlkit(bench, &[&run[..], more].concat()).code(0);
}

fn identity(bench: &Bench, run: &str) -> String {
    bench.json(&format!("{run}/result.json"))["identity"].to_string()
}

#[test]
fn a_metric_that_is_built_anew_is_another_run() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", RECIPE);
    for (rule, out) in [("NONE", "a"), ("NONE", "b"), ("SOURCE_OF_1_2", "c")] {
        tasks(&bench, &compiler, rule);
        run(&bench, out, &OURS);
    }
    assert_eq!(identity(&bench, "a"), identity(&bench, "b"));
    assert_ne!(identity(&bench, "a"), identity(&bench, "c"));
    // A resume says what it is that changed.
    let resume = ["run", "tasks.toml", "--out", "a", "--resume"];
    let said = tlkit(&bench, &[&resume[..], &OURS].concat()).code(2).err;
    assert!(said.contains("plugin tasks was built anew"), "{said}");
    assert!(!said.contains("the data:"), "{said}");
    // So does that of a run whose encoder it is.
    tasks(&bench, &compiler, "NONE");
    run(&bench, "net", &[]);
    tasks(&bench, &compiler, "SOURCE_OF_1_2");
    let said = tlkit(&bench, &["run", "tasks.toml", "--out", "net", "--resume"]);
    let said = said.code(2).err;
    assert!(said.contains("plugin tasks was built anew"), "{said}");
    assert!(!said.contains("the weights"), "{said}");
}

/// The card says which library it was; what else is called so is not taken for it.
#[test]
fn a_model_is_made_again_with_its_own_library_or_a_note() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", RECIPE);
    let file = tasks(&bench, &compiler, "NONE");
    run(&bench, "one", &[]);
    let sum = sha2::Sha256::digest(fs::read(&file).expect("the library"));
    let sum: String = sum.iter().map(|b| format!("{b:02x}")).collect();
    let card = bench.json("one/model/tlkit.json");
    assert_eq!(card["plugins"][0]["sha256"], sum.as_str(), "{card}");
    let first = tlkit(&bench, &["predict", "one", "rows.csv"]).code(0);
    assert!(!first.err.contains("built anew"), "{}", first.err);

    // One of the same names in the user's own folder.
    let own = bench.path("data/tlkit/plugins");
    fs::create_dir_all(&own).expect("a folder");
    tasks(&bench, &compiler, "FORWARD_FAILS");
    fs::rename(&file, own.join("libelse.so")).expect("moved");
    tasks(&bench, &compiler, "NONE");
    let again = tlkit(&bench, &["predict", "one", "rows.csv"]).code(0);
    assert_eq!(first.out, again.out);
    fs::remove_dir_all(&own).expect("gone");

    tasks(&bench, &compiler, "SOURCE_OF_1_2");
    for verb in ["predict", "evaluate"] {
        let ended = tlkit(&bench, &[verb, "one", "rows.csv"]).code(0);
        let words = "note: plugin tasks (";
        assert!(ended.err.contains(words), "{verb}: {}", ended.err);
        let words = "was built anew since the run";
        assert!(ended.err.contains(words), "{verb}: {}", ended.err);
    }

    // Without it the model is not made again, and the error says which task is missed, and no line of a file that has none.
    fs::remove_file(&file).expect("gone");
    let said = tlkit(&bench, &["predict", "one", "rows.csv"]).code(2).err;
    assert!(said.contains("the source task `net`"), "{said}");
    assert!(said.contains("there is no plugin"), "{said}");
    assert!(!said.contains("tlkit.json:6"), "{said}");
}

/// A metric is measured where it is there, and stops no prediction where it is not.
#[test]
fn a_model_is_evaluated_by_the_metrics_of_its_recipe() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", RECIPE);
    let file = tasks(&bench, &compiler, "NONE");
    run(&bench, "one", &OURS);
    let evaluate = ["evaluate", "one", "rows.csv", "--json"];
    let scores = |out: &str| -> serde_json::Value { serde_json::from_str(out).expect("JSON") };
    let ended = tlkit(&bench, &evaluate).code(0);
    let metrics = &scores(&ended.out)["metrics"];
    assert_eq!(metrics["share"], metrics["accuracy"], "{metrics}");
    assert!(metrics["share"].is_number(), "{metrics}");
    let table = tlkit(&bench, &evaluate[..3]).code(0).out;
    assert!(table.contains("share"), "{table}");
    let table = tlkit(&bench, &[&["run", "tasks.toml"][..], &OURS].concat());
    assert!(table.out.contains("share"), "{}", table.out);

    fs::remove_file(&file).expect("gone");
    let ended = tlkit(&bench, &evaluate).code(0);
    let words = "note: not measured: there is no metric `share`";
    assert!(ended.err.contains(words), "{}", ended.err);
    assert!(scores(&ended.out)["metrics"]["share"].is_null());
    tlkit(&bench, &["predict", "one", "rows.csv"]).code(0);
}

#[test]
fn a_metric_of_task_and_recipe_is_measured_once() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    let recipe = TARGET.replace("[train]", "[evaluate]\nmetrics = [\"share\"]\n\n[train]");
    bench.write("tasks.toml", &recipe);
    tasks(&bench, &compiler, "NONE");
    let said = tlkit(&bench, &["validate", "tasks.toml"]).code(2).err;
    let words = "the target task has a metric `share` already";
    assert!(said.contains(words), "{said}");
}

/// A reader of a plugin opened the rows of training: those of later are of its kind too.
#[test]
fn a_model_of_tlkits_own_parts_is_given_files_of_a_plugins_reader() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    let recipe = RECIPE.replace("rows.csv", "rows.sixty");
    let recipe = recipe.replace("[evaluate]\nmetrics = [\"share\"]\n", "");
    bench.write("rows.sixty", "");
    bench.write("tasks.toml", &recipe);
    let file = tasks(&bench, &compiler, "NONE");
    run(&bench, "one", &OURS);
    let ended = tlkit(&bench, &["predict", "one", "rows.sixty"]).code(0);
    assert_eq!(ended.out.lines().count(), 60, "{}", ended.out);
    // Without it other files are read all the same, and the error of this one says why.
    fs::remove_file(&file).expect("gone");
    bench.write("new.csv", "a,b,c\n0.1,0.2,0.3\n");
    tlkit(&bench, &["predict", "one", "new.csv"]).code(0);
    let said = tlkit(&bench, &["predict", "one", "rows.sixty"]).code(2).err;
    let words = "a plugin of the run is not loaded: there is no plugin";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_readers_number_that_is_none_is_an_error_at_its_row() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("rows.sixty", "");
    bench.write("tasks.toml", &RECIPE.replace("rows.csv", "rows.sixty"));
    tasks(&bench, &compiler, "READER_NAN");
    let ended = tlkit(&bench, &["run", "tasks.toml", "-q"]);
    let words = "the reader `sixty` gave a vector that holds NaN";
    assert!(ended.err.contains(words), "{}", ended.err);
    assert!(ended.err.contains("somewhere: "), "{}", ended.err);
    let check = ["plugins", "check", "libtasks.so", "--file", "rows.sixty"];
    let ended = tlkit(&bench, &check).code(1);
    let failed = |l: &str| l.starts_with("FAILED") && l.contains(words);
    assert!(ended.out.lines().any(failed), "{}", ended.out);
}

/// What programs read is tlkit's alone.
#[test]
fn what_a_plugin_prints_does_not_come_between() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", RECIPE);
    tasks(&bench, &compiler, "PRINTS");
    let run = ["run", "tasks.toml", "--json", "--out", "one"];
    for arguments in [
        &run[..],
        &["evaluate", "one", "rows.csv", "--json"],
        &["predict", "one", "rows.csv"],
    ] {
        let ended = tlkit(&bench, arguments).code(0);
        let all = serde_json::Deserializer::from_str(&ended.out).into_iter();
        let whole: Result<Vec<serde_json::Value>, _> = all.collect();
        assert!(whole.is_ok_and(|w| !w.is_empty()), "{}", ended.out);
        let said = &ended.err;
        assert!(said.contains("hello from its initialiser"), "{said}");
    }
}

/// One that only trained is not looked for again.
#[test]
fn a_strategy_may_be_gone_when_its_model_predicts() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", crate::compile::RECIPE);
    hostile(&bench, &compiler, "NONE");
    run(&bench, "one", &[]);
    let card = bench.json("one/model/tlkit.json");
    assert_eq!(card["plugins"][0]["brings"][0], "strategy `hostile`");
    // Nothing waits for it.
    hostile(&bench, &compiler, "HANG");
    let ended = tlkit(&bench, &["predict", "one", "rows.csv"]).code(0);
    assert!(!ended.err.contains("built anew"), "{}", ended.err);
}
