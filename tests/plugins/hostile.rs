//! What a plugin can do wrong, each with the words that the person gets. None takes tlkit with it.

use crate::bench::Bench;
use crate::compile::{RECIPE, compiler, hostile, refused, tlkit, tlkit_probing};

/// What is broken, and what is said of it: when the plugin is probed.
const PROBED: &[(&str, &str)] = &[
    ("ABORT", "crashed (SIGABRT) while it was probed"),
    ("SEGFAULT", "crashed (SIGSEGV) while it was probed"),
    (
        "EXIT",
        "ended the process with exit code 0 while it was probed",
    ),
    ("HANG", "did not answer within 3 s while it was probed"),
    (
        "HANG_IN_ENTRY",
        "did not answer within 3 s while it was probed",
    ),
    (
        "SYMBOL_IS_NO_FUNCTION",
        "crashed (SIGSEGV) while it was probed",
    ),
    (
        "NO_SYMBOL",
        "is a library, but no plugin: it has no `tlkit_plugin_v1`",
    ),
    (
        "SYMBOL_OF_MAJOR_2",
        "was built for tlkit.h 2, and this tlkit speaks 1.3",
    ),
    (
        "MAJOR_2",
        "was built for tlkit.h 2.3, and this tlkit speaks 1.3",
    ),
    (
        "TABLE_OF_MAJOR_2",
        "the table of `t` was built for tlkit.h 2.0, and this tlkit speaks 1.3",
    ),
    (
        "SIZE_SMALL",
        "the plugin's table is 24 bytes long, and in tlkit.h 1.0 it has 80",
    ),
    (
        "FROM_THE_PAST",
        "the table of `t` is 48 bytes long, and in tlkit.h 1.0 it has 64",
    ),
    (
        "TABLE_WITHOUT_HEAD",
        "the table of `t` has no head: its size is 0",
    ),
    ("TABLE_REFUSED", "it handed over no table"),
    ("TABLE_NULL", "the table of `t` is null"),
    (
        "TABLE_UNALIGNED",
        "the table of `t` is a pointer to no table",
    ),
    ("FUNCTION_NULL", "`t` has no function `vjp`: it is null"),
    ("ENTRY_NULL", "entry 1 is null"),
    ("ENTRIES_NULL", "the plugin says it has 3 entries at 0x0"),
    (
        "ENTRIES_ENDLESS",
        "the plugin says it has 18446744073709551615 entries",
    ),
    (
        "NAME_NOT_UTF8",
        "the name of entry 2 is not UTF-8 at byte 0",
    ),
    (
        "NAME_WITH_COLOURS",
        "the name of entry 2 is `\\u{1b}[31mred`: lower case, digits and `-`",
    ),
    ("NAME_NULL", "the name of entry 2 is 9 bytes of text at 0x0"),
    (
        "NAME_ENDLESS",
        "the name of entry 2 is 18446744073709551615 bytes of text",
    ),
    (
        "NAME_TAKEN",
        "brings a strategy `fine-tune`, and tlkit brings one itself",
    ),
    ("KEYS_NO_JSON", "the keys of `hostile` are no JSON"),
    (
        "KEYS_OF_NO_TYPE",
        "`a` is of a type that tlkit does not read",
    ),
    (
        "TRANSFER_OF_NO_KIND",
        "`hostile` is of the kind of transfer 5, which there is not",
    ),
];

/// When the recipe is checked: the strategy is asked for its phases.
const CHECKED: &[(&str, &str)] = &[
    ("MAKE_FAILS", "the loss term `t`: it will not be made"),
    ("DESCRIBES_NOTHING", "the loss term `t` gave no answer"),
    (
        "DESCRIBES_TWICE",
        "the loss term `t` gave 2 answers, not one",
    ),
    (
        "DESCRIBES_GARBAGE",
        "describes itself wrongly: invalid type: integer `7`",
    ),
    (
        "DESCRIBES_NO_TAPS",
        "it takes no tap, so that nothing would learn from it",
    ),
    ("TAP_WITHOUT_FEED", "`features` is not a tap and a feed"),
    (
        "TAP_OF_ANOTHER_FEED",
        "the term `t` takes features:9, and the phase `a` has 1 feeds",
    ),
    (
        "TAP_OF_NO_STAGE",
        "the term `t` of the phase `a` takes attic:0, and there is no stage `attic`",
    ),
    (
        "TAP_OF_LABELS",
        "takes labels:0, and labels are for the loss of a target task",
    ),
    (
        "TERM_CALLED_LOSS",
        "names the loss term `loss`: a run has something of that name already",
    ),
    (
        "SHAPE_THAT_OVERFLOWS",
        "the parameter `w` has the shape [4294967296, 4294967296]",
    ),
    (
        "SHAPE_NEGATIVE",
        "describes itself wrongly: invalid value: integer `-3`",
    ),
    (
        "PARAM_WITH_A_PATH",
        "the parameter `../../model.first.weight`: letters, digits and `_`",
    ),
    ("PHASES_FAIL", "the strategy `hostile`: no phases today"),
    (
        "PHASES_NOT_UTF8",
        "answered with text that is not UTF-8 at byte 0",
    ),
    ("PHASES_NO_JSON", "gave phases that are no JSON"),
    ("PHASES_NULL", "answered with 12 bytes at 0x0"),
    ("PHASES_AS_IMAGE", "answered with something else than text"),
    (
        "PHASES_OF_NO_KIND",
        "gave an answer of the kind 99, which tlkit.h does not have",
    ),
    (
        "PHASES_WITH_NEGATIVE_WEIGHT_OF_NO_TERM",
        "names the loss term `another`, which its library does not bring; it brings t",
    ),
    ("PHASES_WITHOUT_END", "`epochs` is out of range"),
    ("PHASES_OF_ANOTHER_KEY", "unknown key `x`"),
];

/// While it trains.
const TRAINED: &[(&str, &str)] = &[
    (
        "FAILS_WITHOUT_A_WORD",
        "the loss term `t` failed, and did not say why",
    ),
    ("FAILS_AT_LENGTH", "a long story: \u{fffd}\u{fffd}"),
    ("FAILS_AT_LENGTH", "(10485760 bytes in all)"),
    ("FAILS_WITH_NULL", "an error whose text is not there"),
    (
        "STATUS_UNKNOWN",
        "returned the status 77, which tlkit.h does not have",
    ),
    ("VALUE_NAN", "the loss term `t` gave the value NaN"),
    ("VALUE_LEFT_OUT", "the loss term `t` gave the value NaN"),
    ("VJP_FAILS", "the loss term `t`: there is no way back"),
    (
        "GRADIENT_NAN",
        "gave the gradient of `features:0` that holds NaN",
    ),
    (
        "GRADIENT_LEFT_OUT",
        "did not write number 0 of the gradient of `w`",
    ),
    (
        "GRADIENT_TOO_LONG",
        "wrote beyond the end of the gradient of `features:0`",
    ),
    (
        "PHASES_TRAIN_NOTHING",
        "the strategy `hostile`: the phase `a` trains `attic.*`, and none of the",
    ),
    (
        "FAILS_EMPTY",
        "the loss term `t` failed, and did not say why",
    ),
    ("LEAVES", "a plugin ended the process"),
    ("LEAVES_WITH_1", "a plugin ended the process"),
];

fn each(cases: &[(&str, &str)], verb: &[&str], code: i32) {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("hostile.toml", RECIPE);
    for (broken, words) in cases {
        hostile(&bench, &compiler, broken);
        // Whoever hangs is waited for.
        let seconds = if broken.starts_with("HANG") { 3 } else { 30 };
        let ended = tlkit_probing(&bench, verb, seconds);
        refused(&ended, broken, words, code);
        assert!(
            ended.err.len() < 20_000,
            "{broken}: {} bytes",
            ended.err.len()
        );
        assert!(!ended.err.contains('\u{1b}'), "{broken}: {}", ended.err);
    }
}

#[test]
fn what_is_wrong_with_its_tables_is_an_error_at_the_recipe() {
    each(PROBED, &["validate", "hostile.toml"], 2);
}

#[test]
fn what_is_wrong_with_its_answers_is_an_error_at_the_recipe() {
    each(CHECKED, &["validate", "hostile.toml"], 2);
}

#[test]
fn what_goes_wrong_while_it_trains_is_a_failed_run() {
    each(TRAINED, &["run", "hostile.toml"], 1);
}

#[test]
fn what_keeps_to_the_rules_runs_though_it_is_from_the_future_or_leaves_a_thread_running() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("hostile.toml", RECIPE);
    for rule in ["NONE", "FROM_THE_FUTURE", "THREAD_LEFT_RUNNING"] {
        hostile(&bench, &compiler, rule);
        let ended = tlkit(&bench, &["run", "hostile.toml", "-q"]).code(0);
        assert!(ended.out.contains("test accuracy"), "{rule}: {}", ended.out);
    }
}

#[test]
fn the_conformance_suite_finds_what_it_looks_for() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    for (broken, words) in [
        ("GRADIENT_WRONG", "`features:0`: the value moves by"),
        ("SMALL_AND_TURNED", "`features:0`: the value moves by"),
        ("THROWS", "crashed: signal: 6"),
        ("NOT_THE_SAME_TWICE", "the bits differ"),
        ("VALUE_NAN", "gave the value NaN"),
        ("DESCRIBES_GARBAGE", "describes itself wrongly"),
        ("PHASES_NO_JSON", "gave phases that are no JSON"),
        ("LEAKS", "400 calls kept"),
        ("LEAVES", "ended the process with exit code 0"),
        ("LEAVES_WITH_1", "ended the process with exit code 1"),
    ] {
        // Memory is known there alone.
        if broken == "LEAKS" && !cfg!(target_os = "linux") {
            continue;
        }
        hostile(&bench, &compiler, broken);
        let ended = tlkit(&bench, &["plugins", "check", "libhostile.so"]).code(1);
        let line = ended.out.lines().find(|l| l.contains(words));
        let line = line.unwrap_or_else(|| panic!("{broken}: {}\n{}", ended.out, ended.err));
        assert!(line.starts_with("FAILED"), "{broken}: {line}");
    }
    // The symbol is called once in a process, in this one too.
    hostile(&bench, &compiler, "ASKED_ONCE");
    tlkit(&bench, &["plugins", "check", "libhostile.so"]).code(0);
    hostile(&bench, &compiler, "NONE");
    let ended = tlkit(&bench, &["plugins", "check", "libhostile.so"]).code(0);
    assert!(!ended.out.contains("FAILED"), "{}", ended.out);
    assert!(ended.out.lines().count() > 8, "{}", ended.out);
}

/// What a person types wrongly is none of the plugin's.
#[test]
fn a_key_that_is_no_key_is_said_before_anything_is_tried() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    hostile(&bench, &compiler, "NONE");
    let slip = tlkit(
        &bench,
        &["plugins", "check", "libhostile.so", "--key", "weight"],
    )
    .code(2);
    assert!(
        slip.err.contains("a key is set as `NAME=VALUE`"),
        "{}",
        slip.err
    );
    assert!(!slip.out.contains("crashed"), "{}", slip.out);
    let check = |broken: &str, key: &str| {
        hostile(&bench, &compiler, broken);
        tlkit(&bench, &["plugins", "check", "libhostile.so", "--key", key])
    };
    let none = check("NONE", "weight=1").code(2).err;
    assert!(none.contains("has such a key; they have none"), "{none}");
    let near = check("HAS_A_KEY", "wieght=1").code(2).err;
    assert!(
        near.contains(
            "`--key wieght`: none of the entries of hostile has such a key; did you mean `weight`?"
        ),
        "{near}"
    );
    check("HAS_A_KEY", "weight=1").code(0);
}

/// A plugin hands its own keys on to its term as they came, also those that are not set.
#[test]
fn keys_are_handed_on_as_they_came() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("hostile.toml", RECIPE);
    hostile(&bench, &compiler, "HANDS_ITS_KEYS_ON");
    tlkit(&bench, &["validate", "hostile.toml"]).code(0);
}

/// An exception that leaves a call ends the run with words, and nothing waits for what it left locked.
#[test]
fn an_exception_that_leaves_a_call_ends_the_run_and_says_whose_it_was() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    hostile(&bench, &compiler, "THROWS");
    bench.write("hostile.toml", RECIPE);
    let ended = tlkit(&bench, &["run", "hostile.toml", "--out", "r"]);
    assert_eq!(ended.code, None, "by a signal: {}", ended.err);
    assert!(
        ended.err.contains("an exception left plugin hostile"),
        "{}",
        ended.err
    );
    assert!(!bench.path("r/result.json").exists());
}

const ADAPTS: &str = "\
[source]
task = \"features\"
train = \"source.csv\"
split = { validation = 0.2 }

[target]
task = \"classification\"
unlabelled = \"rows.csv\"
test = \"rows.csv\"

[strategy]
kind = \"transductive\"
method = \"hostile\"

[train]
epochs = 3
source_epochs = 2
batch_size = 16
learning_rate = 1e-1

[[plugins]]
path = \"libhostile.so\"
";

/// The source alone is learned beside an adaptation, as that is: so much of the model, so fast. Where the adaptation has no terms the two are one. And
/// only beside an adaptation on both domains.
#[test]
fn the_twin_of_a_strangers_adaptation_trains_as_it_does() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("source.csv", &crate::bench::rows(100));
    bench.write("adapts.toml", ADAPTS);
    let epochs = |rule: &str, phase: &str| -> Vec<serde_json::Value> {
        let curves = bench.read(&format!("{rule}/metrics.jsonl"));
        let lines = curves
            .lines()
            .map(|l| serde_json::from_str(l).expect("JSON"));
        let of = |l: &serde_json::Value| l["phase"] == phase && l["epoch"].is_u64();
        let mut lines: Vec<serde_json::Value> = lines.filter(of).collect();
        for line in &mut lines {
            line["phase"].take();
        }
        lines
    };
    let run = |rule: &str| {
        hostile(&bench, &compiler, rule);
        tlkit(&bench, &["run", "adapts.toml", "-q", "--out", rule]).code(0);
    };
    for rule in ["ADAPTS", "ADAPTS_SLOWLY", "ADAPTS_THE_HEAD"] {
        run(rule);
        let twin = epochs(rule, "source-only");
        assert_eq!(twin.len(), 4, "{rule}");
        let same = |l: &serde_json::Value| (l["loss"].clone(), l["score_entropy"].clone());
        let twin: Vec<_> = twin.iter().map(same).collect();
        let adapted: Vec<_> = epochs(rule, "a").iter().map(same).collect();
        assert_eq!(twin, adapted, "{rule}");
    }
    run("LEARNS_THE_SOURCE");
    assert!(!epochs("LEARNS_THE_SOURCE", "a").is_empty());
    assert!(epochs("LEARNS_THE_SOURCE", "source-only").is_empty());
}

/// Whatever its phases are fed with, the source comes first, and is learned from labelled rows.
#[test]
fn a_transductive_strategy_without_a_source_is_refused_before_it_runs() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    let kept = |l: &&str| !l.contains("source.csv") && !l.contains("validation");
    let lines: Vec<&str> = ADAPTS.lines().filter(kept).collect();
    bench.write("adapts.toml", &lines.join("\n"));
    hostile(&bench, &compiler, "LEARNS_THE_TARGET");
    let said = tlkit(&bench, &["validate", "adapts.toml"]).code(2).err;
    assert!(
        said.contains("`hostile` adapts a model that knows the task, and there is none"),
        "{said}"
    );
}

/// Where batch norm takes the statistics of a batch, a row that is left over is no batch, as in tlkit's own phases.
#[test]
fn a_row_that_is_left_over_is_no_batch_for_batch_norm() {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    let recipe = |source: &str, target: &str, kind: &str| {
        format!(
            "[source]\ncheckpoint = \"builtin:resnet-mini\"\n{source}\n[target]\ntask = \"image-classification\"\n\
             {target} = \"builtin:scenes/day/train#33\"\ntest = \"builtin:scenes/day/test#8\"\nscene_size = 32\n\
             [strategy]\nkind = \"{kind}\"\nmethod = \"hostile\"\nbatch_norm = \"train\"\n\
             [train]\nepochs = 1\nbatch_size = 32\n[[plugins]]\npath = \"libhostile.so\"\n"
        )
    };
    let steps = |rule: &str, recipe: &str, phase: &str| {
        hostile(&bench, &compiler, rule);
        bench.write("norm.toml", recipe);
        tlkit(&bench, &["run", "norm.toml", "-q", "--out", rule]).code(0);
        let curves = bench.read(&format!("{rule}/metrics.jsonl"));
        let mut lines = curves
            .lines()
            .map(|l| serde_json::from_str(l).expect("JSON"));
        let of = |l: &serde_json::Value| l["phase"] == phase && l["epoch"] == 1;
        let line = lines.find(of).expect("an epoch");
        line["step"].as_u64()
    };
    let held = "validation = \"builtin:scenes/day/validation#8\"";
    let learns = recipe("", &format!("{held}\ntrain"), "inductive");
    assert_eq!(steps("NONE", &learns, "a"), Some(1));
    let source = format!("{held}\ntrain = \"builtin:scenes/day/train#33\"");
    let adapts = recipe(&source, "unlabelled", "transductive")
        .replace("epochs = 1", "epochs = 1\nsource_epochs = 1")
        .replace(
            "unlabelled = \"builtin:scenes/day/train",
            "unlabelled = \"builtin:scenes/night/train",
        );
    assert_eq!(steps("LEARNS_THE_TARGET", &adapts, "source"), Some(1));
}
