//! The verbs that train nothing.

use crate::bench::{Bench, RECIPE, rows};

#[test]
fn validate_says_ok_or_what_is_wrong() {
    let bench = Bench::new();
    bench.write("typo.toml", &RECIPE.replace("epochs", "epoch"));
    let ok = bench.tlkit(&["validate", "small.toml"]).code(0);
    assert_eq!((ok.out.as_str(), ok.err.as_str()), ("small.toml: ok\n", ""));
    let both = bench
        .tlkit(&["validate", "small.toml", "typo.toml"])
        .code(2);
    assert_eq!(both.out, "small.toml: ok\n");
    assert!(both.err.contains("unknown key `epoch`"), "{}", both.err);
    let json = bench.tlkit(&["validate", "typo.toml", "--json"]).code(2);
    let report: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(report["errors"], 1);
    assert_eq!(report["diagnostics"][0]["line"], 14);
}

#[test]
fn what_explain_prints_is_the_same_recipe() {
    let bench = Bench::new();
    let explained = bench.tlkit(&["explain", "small.toml"]).code(0).out;
    assert!(explained.contains("# default:"), "{explained}");
    bench.write("explained.toml", &explained);
    bench
        .tlkit(&["run", "small.toml", "--out", "a", "--quiet"])
        .code(0);
    bench
        .tlkit(&["run", "explained.toml", "--out", "b", "--quiet"])
        .code(0);
    let identity = |run: &str| bench.json(&format!("{run}/result.json"))["identity"].clone();
    assert_eq!(identity("a"), identity("b"));
    let layers = bench
        .tlkit(&["explain", "small.toml", "--summary"])
        .code(0)
        .out;
    assert!(
        layers.starts_with("stage") && layers.contains("classifier"),
        "{layers}"
    );
}

/// What `[source]` leaves out is as in `[target]`, also in the recipe as it is written out.
#[test]
fn the_files_of_a_source_are_read_as_the_targets() {
    let bench = Bench::new();
    let all = rows(80);
    let bare: Vec<&str> = all.lines().skip(1).collect();
    bench.write("source.csv", &bare[..40].join("\n"));
    bench.write("target.csv", &bare[40..].join("\n"));
    bench.write(
        "bare.toml",
        "[source]\ntask = \"features\"\ntrain = \"source.csv\"\n\
         [target]\ntask = \"classification\"\nunlabelled = \"target.csv\"\ntest = \"unlabelled\"\nheader = false\nlabel = 4\n\
         [strategy]\nkind = \"transductive\"\nmethod = \"coral\"\n",
    );
    let explained = bench.tlkit(&["explain", "bare.toml"]).code(0).out;
    let line = "header = false  # default: as in [target]";
    assert!(explained.contains(line), "{explained}");
    bench.write("explained.toml", &explained);
    for (recipe, out) in [("bare.toml", "a"), ("explained.toml", "b")] {
        bench
            .tlkit(&["run", recipe, "--out", out, "--quiet"])
            .code(0);
    }
    let of = |run: &str, key: &str| bench.json(&format!("{run}/result.json"))[key].clone();
    for key in ["data_sha256", "identity"] {
        assert_eq!(of("a", key), of("b", key), "{key}");
    }
    // The recipe that a run keeps is that run.
    bench
        .tlkit(&["run", "a/recipe.toml", "--out", "c", "--quiet"])
        .code(0);
    assert_eq!(of("a", "data_sha256"), of("c", "data_sha256"));

    bench.write(
        "images.toml",
        "[source]\ncheckpoint = \"builtin:resnet-mini\"\ntrain = \"builtin:scenes/day/train#20\"\n\
         [target]\ntask = \"image-classification\"\nunlabelled = \"builtin:scenes/night/train#20\"\n\
         scene_size = 32\nskip_broken = true\n\
         [strategy]\nkind = \"transductive\"\nmethod = \"coral\"\n",
    );
    let explained = bench.tlkit(&["explain", "images.toml"]).code(0).out;
    for line in ["scene_size = 32", "skip_broken = true"] {
        let line = format!("{line}  # default: as in [target]");
        assert!(explained.contains(&line), "{explained}");
    }
}

#[test]
fn the_schema_has_the_keys_that_are_read() {
    let bench = Bench::new();
    let text = bench.tlkit(&["schema"]).code(0).out;
    let schema: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let keys = |table: &str| {
        let properties = schema["properties"][table]["properties"].as_object();
        let names = properties.unwrap_or_else(|| panic!("no [{table}]")).keys();
        names.cloned().collect::<Vec<_>>()
    };
    for (table, wanted) in [
        ("source", &["task", "checkpoint"][..]),
        (
            "target",
            &[
                "task",
                "train",
                "validation",
                "test",
                "split",
                "label",
                "limit",
                "per_class",
                "domain",
            ],
        ),
        ("strategy", &["kind", "method", "train_from", "freeze"]),
        (
            "train",
            &[
                "epochs",
                "batch_size",
                "micro_batch",
                "learning_rate",
                "head_learning_rate",
                "optimizer",
                "schedule",
                "warmup",
                "weight_decay",
                "seed",
                "device",
                "precision",
                "momentum",
                "nesterov",
                "betas",
            ],
        ),
        ("select", &["by"]),
    ] {
        let there = keys(table);
        for key in wanted {
            assert!(
                there.iter().any(|k| k == key),
                "{table}.{key} among {there:?}"
            );
        }
    }
    assert_eq!(
        schema["required"],
        serde_json::json!(["target", "strategy"])
    );
}

#[test]
fn recipes_are_listed_shown_and_copied() {
    let bench = Bench::new();
    let list = bench.tlkit(&["recipes", "list"]).code(0).out;
    for name in [
        "sentiment",
        "sentiment-frozen",
        "sentiment-scratch",
        "hub/sst2-bert-base",
        "hub/imdb-minilm",
        "hub/rotten-tomatoes-distilled",
        "scenes",
        "hub/pets-dinov2",
        "hub/pets-resnet50",
    ] {
        assert!(
            list.lines().any(|l| l.starts_with(&format!("{name} "))),
            "{list}"
        );
    }
    for line in list.lines() {
        assert!(line.ends_with(['.', '?']), "no sentence: {line}");
    }
    // What it still needs is said, and nothing that fails is promised.
    let bare = bench
        .tlkit(&["recipes", "copy", "pretrain-bert-mini"])
        .code(0);
    assert!(
        bare.err.contains("`passages.txt` is not there"),
        "{}",
        bare.err
    );
    assert!(!bare.out.contains("tlkit run"), "{}", bare.out);
    let text = bench.tlkit(&["recipes", "show", "sentiment"]).code(0).out;
    let copied = bench.tlkit(&["recipes", "copy", "sentiment"]).code(0);
    let said = "sentiment.toml: written; `tlkit run sentiment.toml` runs it\n";
    assert_eq!((copied.out.as_str(), copied.err.as_str()), (said, ""));
    assert_eq!(bench.read("sentiment.toml"), text);
    bench.tlkit(&["recipes", "copy", "sentiment"]).code(2);
    bench
        .tlkit(&["recipes", "copy", "sentiment", "--force"])
        .code(0);
    // An experiment comes with the recipe that it runs over.
    std::fs::remove_file(bench.path("sentiment.toml")).expect("a file");
    let copied = bench
        .tlkit(&["recipes", "copy", "experiments/how-many-labels"])
        .code(0);
    assert!(
        copied.out.contains("`tlkit compare how-many-labels.toml`"),
        "{}",
        copied.out
    );
    assert_eq!(bench.read("sentiment.toml"), text);
    let planned = [
        "compare",
        "how-many-labels.toml",
        "--set",
        "experiment.seeds=0",
    ];
    // No word of a file that is not there: what is wrong is the number of seeds.
    let said = bench.tlkit(&planned).code(2);
    assert!(
        said.err.contains("experiment.seeds") && !said.err.contains("is not there"),
        "{}",
        said.err
    );
    // One that has its recipe's name gets another.
    let copied = bench
        .tlkit(&["recipes", "copy", "experiments/day-night"])
        .code(0);
    assert!(
        copied.out.contains(
            "day-night-experiment.toml: written over day-night.toml, which is written too"
        ),
        "{}",
        copied.out
    );
    let copy = [
        "recipes",
        "copy",
        "experiments/day-night",
        "day-night.toml",
        "--force",
    ];
    bench.tlkit(&copy).code(2);
    let none = bench.tlkit(&["recipes", "show", "nothing"]).code(2);
    assert!(none.err.contains("sentiment-frozen"), "{}", none.err);
    let elsewhere = bench.tlkit(&["run", "recipes/sentiment.toml"]).code(2);
    assert!(
        elsewhere.err.contains("tlkit recipes copy sentiment"),
        "{}",
        elsewhere.err
    );
}

#[test]
fn runs_are_listed_and_found_by_name_id_and_path() {
    let bench = Bench::new();
    let none = bench.tlkit(&["runs", "list"]).code(0);
    assert_eq!(none.out, "");
    bench.tlkit(&["run", "small.toml"]).code(0);
    let list = bench.tlkit(&["runs", "list"]).code(0).out;
    assert!(list.contains("small") && list.contains("done"), "{list}");
    let path = bench.runs("small").remove(0);
    let id = path
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let shown = bench.tlkit(&["runs", "show", "latest"]).code(0).out;
    assert!(shown.contains("test accuracy"), "{shown}");
    for name in ["small", &id, &id[..11]] {
        assert_eq!(bench.tlkit(&["runs", "show", name]).code(0).out, shown);
    }
    bench.tlkit(&["runs", "show", "nothing"]).code(2);
}

#[test]
fn every_verb_has_three_examples() {
    let bench = Bench::new();
    let all = bench.tlkit(&["--help"]).code(0).out;
    let verbs = all.split("Commands:\n").nth(1).expect("a list of verbs");
    let verbs: Vec<&str> = verbs
        .lines()
        .take_while(|l| !l.trim().is_empty())
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    for verb in ["plan", "diagnose", "rank", "run", "completions"] {
        assert!(verbs.contains(&verb), "{verbs:?}");
    }
    for verb in verbs {
        let help = bench.tlkit(&[verb, "--help"]).code(0).out;
        // What escapes a quote in the source is nothing to be read.
        assert!(!help.contains('\\'), "{verb}: {help}");
        let examples = help
            .split("Examples:")
            .nth(1)
            .unwrap_or_else(|| panic!("{verb}: {help}"));
        let count = examples.lines().filter(|l| l.contains("tlkit")).count();
        assert_eq!(count, 3, "{verb}: {examples}");
    }
}

#[test]
fn what_clap_does_not_know_exits_2() {
    let bench = Bench::new();
    for arguments in [
        &["train"][..],
        &["run"],
        &["run", "small.toml", "--fast"],
        &[],
    ] {
        let ended = bench.tlkit(arguments).code(2);
        assert!(ended.err.contains("Usage"), "{arguments:?}: {}", ended.err);
    }
    let bash = bench.tlkit(&["completions", "bash"]).code(0).out;
    assert!(bash.contains("validate"));
}

#[test]
fn the_reference_in_the_guide_is_what_the_schema_says() {
    let page = Bench::new().tlkit(&["schema", "--markdown"]).code(0).out;
    for part in [
        "| `learning_rate` |",
        "## `[[plugins]]`",
        "| `allow_writable` |",
        "| `phases[].train_from` |",
        "| `phases[].warmup` |",
        "(comparing.md)",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/reference.md");
    let guide = std::fs::read_to_string(path).expect("docs/src/reference.md");
    assert!(
        guide == page,
        "the keys have changed: run `tlkit schema --markdown > docs/src/reference.md`"
    );
}

/// A result that did not arrive is no success; a reader that went away is none's fault.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let bench = Bench::new();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tlkit"))
        .args(["explain", "small.toml"])
        .current_dir(bench.path(""))
        .stdout(full)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("standard output: "), "{said}");
}

/// Without the key that says what reads a table, what stands there is not called unknown; a slip of that key is told.
#[test]
fn a_missing_task_or_method_makes_no_right_key_a_wrong_one() {
    let bench = Bench::new();
    let recipe = bench.read("small.toml");
    let said = |recipe: &str| {
        bench.write("slip.toml", recipe);
        bench.tlkit(&["validate", "slip.toml"]).code(2).err
    };
    let task = "task = \"classification\"\n";
    assert!(recipe.contains(task), "{recipe}");
    let without = said(&recipe.replace(task, ""));
    assert!(
        without.contains("missing key `task` in `[target]`"),
        "{without}"
    );
    assert!(!without.contains("unknown key"), "{without}");
    let slip = said(&recipe.replace(task, "tsk = \"classification\"\n"));
    assert!(
        slip.contains("unknown key `tsk`") && slip.contains("did you mean `task`?"),
        "{slip}"
    );
    assert_eq!(slip.matches("unknown key").count(), 1, "{slip}");
}
