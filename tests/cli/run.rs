//! What a run leaves behind and says.

use crate::bench::{Bench, RECIPE, timeless};

#[test]
fn a_run_leaves_its_result_its_predictions_and_its_recipe() {
    let bench = Bench::new();
    let ended = bench.tlkit(&["run", "small.toml", "--out", "r"]).code(0);
    assert!(ended.out.contains("test accuracy"), "{}", ended.out);
    assert!(ended.out.contains("95 % interval"), "{}", ended.out);
    assert!(ended.err.contains("60 test"), "{}", ended.err);
    assert!(ended.err.contains("epoch 4/4"), "{}", ended.err);

    let result = bench.json("r/result.json");
    assert_eq!(result["format"], 1);
    assert_eq!(result["recipe"], "small");
    assert_eq!(result["status"], "done");
    assert_eq!(result["seed"], 0);
    assert_eq!(result["device"], "cpu");
    assert_eq!(result["strategy"]["kind"], "inductive");
    assert_eq!(result["strategy"]["method"], "from-scratch");
    assert_eq!(result["selection"]["by"], "validation");
    assert_eq!(result["selection"]["oracle"], false);
    let test = &result["metrics"]["test"];
    assert_eq!(test["n"], 60);
    for key in ["accuracy", "macro_f1", "mcc", "ece"] {
        assert!(test[key].is_number(), "{key} in {test}");
    }
    // Two clouds that hardly overlap: chance would be one half.
    assert!(test["accuracy"].as_f64().expect("a number") > 0.7, "{test}");
    for key in ["recipe_sha256", "data_sha256", "weights_sha256"] {
        assert_eq!(result[key].as_str().map(str::len), Some(64), "{key}");
    }

    let predictions = bench.read("r/predictions.jsonl");
    assert_eq!(predictions.lines().count(), 60);
    for line in predictions.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        for key in ["id", "label", "prediction", "probabilities", "input"] {
            assert!(!row[key].is_null(), "{key} in {line}");
        }
    }
    let metrics = timeless(&bench.read("r/metrics.jsonl"));
    let (epochs, steps): (Vec<_>, Vec<_>) = metrics.iter().partition(|row| row["epoch"].is_u64());
    assert_eq!(epochs.len(), 4);
    assert_eq!(steps.len() as u64, result["steps"].as_u64().expect("steps"));
    for row in steps {
        for key in ["phase", "step", "loss", "learning_rate", "gradient_norm"] {
            assert!(!row[key].is_null(), "{key} in {row}");
        }
    }
    let layers = result["layers"].as_array().expect("a list");
    assert_eq!(layers.last().expect("a layer")["stage"], "classifier");
    let liveness = bench.json("r/liveness.json");
    let tensors = liveness["tensors"].as_array().expect("a list");
    assert!(!tensors.is_empty());
    for tensor in tensors {
        assert_eq!(tensor["trains"], true, "{tensor}");
        assert!(
            tensor["change"].as_f64().expect("a number") > 0.0,
            "{tensor}"
        );
    }
    assert!(bench.read("r/log.txt").contains("epoch 4/4"));
    assert!(bench.path("r/model").is_dir());
}

#[test]
fn a_run_says_how_many_of_its_folder_have_opened_its_test_rows() {
    let bench = Bench::new();
    let run = |out: &str, more: &[&str]| {
        let arguments = [&["run", "small.toml", "--out", out], more].concat();
        bench.tlkit(&arguments).code(0).out
    };
    let alone = run("many/0", &[]);
    let second = run("many/1", &["--seed", "1"]);
    let other = run("many/2", &["--set", "target.split.seed=3"]);
    run("few/0", &["--seed", "2"]);
    assert!(!alone.contains("opened by"), "{alone}");
    assert!(second.contains("opened by 2 runs in many"), "{second}");
    assert!(!other.contains("opened by"), "{other}");
    for (run, opened) in [("many/0", 1), ("many/1", 2), ("many/2", 1), ("few/0", 1)] {
        let rows = &bench.json(&format!("{run}/result.json"))["test_rows"];
        assert_eq!(rows["opened_by"], opened, "{run}: {rows}");
    }
}

/// Cross-validation opens them too; a plan, which runs in small, reads no whole test.
#[test]
fn a_cross_validation_says_what_it_tested_on_and_a_plan_does_not() {
    let bench = Bench::new();
    let folds = ["run", "small.toml", "--set", "evaluate.folds=3", "--out"];
    for (run, opened) in [("folds/0", 1), ("folds/1", 2)] {
        let seed = ["--set", "train.epochs=1", "--seed", &run[6..]];
        bench.tlkit(&[&folds[..], &[run], &seed].concat()).code(0);
        let rows = &bench.json(&format!("{run}/result.json"))["test_rows"];
        assert_eq!(rows["opened_by"], opened, "{run}: {rows}");
        assert!(rows["sha256"].as_str().is_some_and(|s| s.len() == 64));
    }
    bench
        .tlkit(&[
            "run",
            "small.toml",
            "--out",
            "folds/2",
            "--set",
            "train.epochs=1",
        ])
        .code(0);
    let rows = &bench.json("folds/2/result.json")["test_rows"];
    assert_eq!(rows["opened_by"], 1, "other rows are other rows: {rows}");
}

#[test]
fn an_experiment_given_to_run_and_a_recipe_given_to_compare_are_one_error() {
    let bench = Bench::new();
    bench.write(
        "many.toml",
        "[experiment]\nbase = \"small.toml\"\nseeds = 2\n",
    );
    let run = bench.tlkit(&["run", "many.toml"]).code(2).err;
    assert!(
        run.contains("`tlkit compare FILE` runs experiments"),
        "{run}"
    );
    assert!(run.contains("1 error in many.toml"), "{run}");
    let compare = bench.tlkit(&["compare", "small.toml"]).code(2).err;
    assert!(
        compare.contains("`tlkit run FILE` runs recipes"),
        "{compare}"
    );
    assert!(compare.contains("1 error in small.toml"), "{compare}");
    assert!(!bench.path("runs").exists() && !bench.path("experiments").exists());
}

/// A layer that nobody has trained and nothing trains makes noise of the vectors.
#[test]
fn a_method_that_trains_no_encoder_has_the_vectors_as_they_are() {
    let bench = Bench::new();
    for method in ["knn", "feature-extraction"] {
        let method = format!("strategy.method={method}");
        let set = ["--set", method.as_str(), "--set", "train.epochs=1"];
        let weights = |seed: &str| {
            let out = format!("{seed}{method}");
            let run = ["run", "small.toml", "--out", &out, "--seed", seed];
            bench.tlkit(&[&run[..], &set].concat()).code(0);
            bench.json(&format!("{out}/result.json"))["metrics"]["test"]["accuracy"].clone()
        };
        assert_eq!(weights("0"), weights("1"), "no seed has a say: {method}");
        let hidden = ["validate", "small.toml", "--set", "source.hidden=[8]"];
        let refused = bench.tlkit(&[&hidden[..], &set[..2]].concat()).code(2);
        let words = "leaves the encoder as it is, and nobody has trained this one";
        assert!(refused.err.contains(words), "{}", refused.err);
        assert!(refused.err.contains("take `hidden` out"), "{}", refused.err);
    }
}

#[test]
fn results_go_over_nothing_that_is_wanted_still() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--out", "r"]).code(0);
    let before = bench.read("rows.csv");
    for arguments in [
        &["predict", "r", "rows.csv", "--out", "rows.csv"][..],
        &["predict", "r", "rows.csv", "--features", "rows.csv"],
        &["predict", "r", "rows.csv", "--out", "small.toml"],
        &["predict", "r", "rows.csv", "--out", "r/result.json"],
        &["predict", "r", "rows.csv", "--out", "."],
        &["predict", "r", "rows.csv", "--out", "a", "--features", "a"],
        &["report", "r", "--out", "rows.csv"],
        &["report", "r", "--out", "small.toml"],
        &["init", "rows.csv", "--out", "rows.csv", "--force"],
    ] {
        let ended = bench.tlkit(arguments).code(2);
        assert!(ended.err.contains("name"), "{arguments:?}: {}", ended.err);
    }
    assert_eq!(bench.read("rows.csv"), before);
    assert_eq!(bench.json("r/result.json")["status"], "done");
    bench.tlkit(&["report", "r", "--out", "page.html"]).code(0);
    bench.tlkit(&["report", "r", "--out", "page.html"]).code(0);
    // A run's folder is no checkpoint, but holds one.
    let checkpoint = ["validate", "small.toml", "--set", "source.checkpoint=r"];
    let refused = bench.tlkit(&checkpoint).code(2);
    assert!(
        refused.err.contains("`checkpoint = \"r/model\"`"),
        "{}",
        refused.err
    );
}

/// What is written of steps says nothing where none is taken, and what a complete recipe says of them is no reproach.
#[test]
fn keys_of_steps_are_a_warning_where_none_is_taken() {
    let bench = Bench::new();
    let knn = ["--set", "strategy.method=knn", "--set", "train.clip=0.5"];
    let said = bench.tlkit(&[&["validate", "small.toml"], &knn[..]].concat());
    let said = said.code(0).err;
    let words =
        "`knn` takes no step, so `batch_size`, `epochs`, `learning_rate`, `clip` say nothing here";
    assert!(said.contains(words), "{said}");
    let more = [
        "--set",
        "strategy.method=knn",
        "--set",
        "source.dropout=0.4",
        "--set",
        "train.precision=bf16",
    ];
    let said = bench.tlkit(&[&["validate", "small.toml"], &more[..]].concat());
    let said = said.code(0).err;
    assert!(
        said.contains("`batch_size`, `precision`, `epochs`"),
        "{said}"
    );
    assert!(said.contains("`source.dropout` say nothing here"), "{said}");
    let risen = [
        "validate",
        "small.toml",
        "--set",
        "train.schedule=one-cycle",
        "--set",
        "train.warmup=0.5",
    ];
    let said = bench.tlkit(&risen).code(0).err;
    assert!(said.contains("one-cycle rises for three tenths"), "{said}");
    let run = [
        "run",
        "small.toml",
        "--out",
        "r",
        "--set",
        "strategy.method=knn",
    ];
    bench.tlkit(&run).code(0);
    let again = bench.tlkit(&["validate", "r/recipe.toml"]).code(0).err;
    assert!(
        again.contains("so `batch_size`, `epochs`, `learning_rate` say nothing here"),
        "{again}"
    );
    assert!(
        !bench
            .tlkit(&["validate", "small.toml"])
            .code(0)
            .err
            .contains("takes no step")
    );
}

/// What is there and says nothing is no run that somebody stopped.
#[test]
fn a_result_that_cannot_be_read_is_said_and_written_anew() {
    let bench = Bench::new();
    let run = ["run", "small.toml", "--out", "r"];
    bench.tlkit(&run).code(0);
    let before = bench.json("r/result.json")["weights_sha256"].clone();
    bench.write("r/result.json", "{\"half");
    let shown = bench.tlkit(&["runs", "show", "r"]);
    assert!(
        shown
            .out
            .contains("result.json is there and cannot be read"),
        "{}{}",
        shown.out,
        shown.err
    );
    bench.tlkit(&[&run[..], &["--resume"]].concat()).code(0);
    assert_eq!(bench.json("r/result.json")["weights_sha256"], before);
}

#[test]
fn patience_where_nothing_decides_is_a_warning() {
    let bench = Bench::new();
    let dry = |more: &[&str]| {
        let arguments = [
            &[
                "run",
                "small.toml",
                "--dry-run",
                "--set",
                "train.patience=2",
            ],
            more,
        ]
        .concat();
        bench.tlkit(&arguments).code(0).err
    };
    let words = "nothing decides between epochs here";
    assert!(!dry(&[]).contains(words));
    for none in ["target.split.validation=0.0", "select.by=last"] {
        let err = dry(&["--set", none]);
        assert!(err.contains(words), "{none}: {err}");
    }
}

#[test]
fn the_recipe_of_a_run_directory_runs_again_from_anywhere() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--out", "r"]).code(0);
    bench
        .tlkit(&["run", "r/recipe.toml", "--out", "again"])
        .code(0);
    let weights = |run: &str| bench.json(&format!("{run}/result.json"))["weights_sha256"].clone();
    assert_eq!(weights("r"), weights("again"));
}

#[test]
fn without_out_each_run_has_a_directory_of_its_own() {
    let bench = Bench::new();
    for _ in 0..2 {
        bench.tlkit(&["run", "small.toml", "--seed", "7"]).code(0);
    }
    let runs = bench.runs("small");
    assert_eq!(runs.len(), 2);
    for run in runs {
        let id = run
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        assert!(id.contains("-s7"), "{id}");
    }
}

#[test]
fn the_seed_decides_and_threads_do_not() {
    let bench = Bench::new();
    bench.write("rows.csv", &crate::bench::rows(1000));
    let wide = ["--set", "source.hidden=[256, 256]"];
    let run = |out: &str, seed: &str, threads: &str| {
        let arguments = [
            &["run", "small.toml", "--out", out, "--seed", seed],
            &wide[..],
        ]
        .concat();
        bench
            .tlkit_with(&arguments, &[("RAYON_NUM_THREADS", threads)])
            .code(0);
        let result = bench.json(&format!("{out}/result.json"));
        assert_eq!(result["threads"].to_string(), threads);
        (
            result["weights_sha256"].clone(),
            timeless(&bench.read(&format!("{out}/metrics.jsonl"))),
        )
    };
    let one = run("one", "0", "1");
    assert_eq!(one, run("two", "0", "2"));
    assert_ne!(one.0, run("other", "1", "2").0);
}

#[test]
fn nothing_is_coloured_or_moved_without_a_terminal() {
    let bench = Bench::new();
    let ended = bench.tlkit(&["run", "small.toml"]).code(0);
    let wrong = bench
        .tlkit(&["run", "small.toml", "--set", "train.epoch=1"])
        .code(2);
    for text in [&ended.out, &ended.err, &wrong.err] {
        assert!(!text.contains(['\x1b', '\r']), "{text:?}");
    }
}

#[test]
fn quiet_prints_the_table_only_and_json_the_result_only() {
    let bench = Bench::new();
    let quiet = bench
        .tlkit(&["run", "small.toml", "--out", "q", "--quiet"])
        .code(0);
    assert_eq!(quiet.err, "");
    assert!(quiet.out.contains("test accuracy"), "{}", quiet.out);
    let json = bench
        .tlkit(&["run", "small.toml", "--out", "j", "--json"])
        .code(0);
    assert_eq!(json.err, "");
    let said: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(said, bench.json("j/result.json"));
}

#[test]
fn a_dry_run_checks_everything_and_writes_nothing() {
    let bench = Bench::new();
    let ended = bench.tlkit(&["run", "small.toml", "--dry-run"]).code(0);
    assert!(ended.err.contains("classifier"), "{}", ended.err);
    let mut names: Vec<_> = std::fs::read_dir(bench.path(""))
        .expect("the folder")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["rows.csv", "small.toml"]);
}

#[test]
fn a_typo_is_pointed_at_and_exits_2() {
    let bench = Bench::new();
    bench.write("typo.toml", &RECIPE.replace("epochs", "epoch"));
    let ended = bench.tlkit(&["run", "typo.toml"]).code(2);
    assert!(ended.err.contains("typo.toml:14:1"), "{}", ended.err);
    assert!(ended.err.contains("^^^^^"), "{}", ended.err);
    assert!(
        ended.err.contains("did you mean `epochs`?"),
        "{}",
        ended.err
    );
    assert!(bench.runs("typo").is_empty());
}

#[test]
fn what_is_set_on_the_command_line_has_the_same_checks() {
    let bench = Bench::new();
    for (arguments, said) in [
        (["--set", "train.epochs"], "`--set` has no value"),
        (["--set", "train.epochs=many"], "`epochs`"),
        (["--set", "train.lr=1"], "learning_rate"),
        (["--set", "train.epochs=0"], "`epochs`"),
        (["--device", "toaster"], "no device `toaster`"),
        (["--seed", "x"], "invalid value 'x'"),
    ] {
        let ended = bench
            .tlkit(&[&["run", "small.toml"], &arguments[..]].concat())
            .code(2);
        assert!(ended.err.contains(said), "{arguments:?}\n{}", ended.err);
    }
}

#[test]
fn a_file_that_is_not_there_exits_2() {
    let bench = Bench::new();
    bench.tlkit(&["run", "none.toml"]).code(2);
    let ended = bench
        .tlkit(&["run", "small.toml", "--set", "target.train=none.csv"])
        .code(2);
    assert!(ended.err.contains("none.csv"), "{}", ended.err);
}

/// A yardstick that moved with the run's seed would be another one for each row of a table.
#[test]
fn baselines_are_the_same_whatever_the_seed() {
    let bench = Bench::new();
    bench
        .tlkit(&["recipes", "copy", "sentiment-frozen"])
        .code(0);
    let beside = |seed: &str| {
        let run = ["run", "sentiment-frozen.toml", "--seed", seed, "--json"];
        let said = bench.tlkit(&run).code(0).out;
        let result: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let baselines = result["baselines"].as_array().expect("a list").clone();
        let timeless = baselines.into_iter().map(|mut b| {
            b.as_object_mut().expect("an object").remove("seconds");
            b
        });
        timeless.collect::<Vec<_>>()
    };
    let first = beside("0");
    assert_eq!(first[1]["name"], "tf-idf");
    for seed in ["1", "2"] {
        assert_eq!(first, beside(seed), "seed {seed}");
    }
}

/// A finished run is what it learned under; and it brings one classifier, where two are to agree.
#[test]
fn a_finished_run_is_a_source_as_far_as_it_goes() {
    let bench = Bench::new();
    for (name, more) in [
        ("plain", ""),
        ("weighed", "class_weights = [1.0, 5.0]\n"),
        ("smoothed", "label_smoothing = 0.1\n"),
    ] {
        let recipe = crate::bench::RECIPE.replace("[strategy]", &format!("{more}[strategy]"));
        bench.write("small.toml", &recipe);
        bench
            .tlkit(&[
                "run",
                "small.toml",
                "--out",
                name,
                "--set",
                "train.epochs=1",
            ])
            .code(0);
    }
    let adapt = |run: &str, method: &str| {
        let recipe = format!(
            "[source]\nrun = \"{run}\"\ntrain = \"rows.csv\"\n[target]\ntask = \"classification\"\nunlabelled = \"other.csv\"\n\
             [strategy]\nkind = \"transductive\"\nmethod = \"{method}\"\n[train]\nepochs = 1\n"
        );
        bench.write("adapt.toml", &recipe);
        bench.tlkit(&["run", "adapt.toml", "--out", &format!("{run}-{method}")])
    };
    bench.write("other.csv", &crate::bench::rows(90).replace("0.4", "0.5"));
    adapt("plain", "em-prior").code(0);
    for (run, key) in [
        ("weighed", "class_weights"),
        ("smoothed", "label_smoothing"),
    ] {
        let refused = adapt(run, "em-prior").code(2);
        let words = format!("a finished run that learned under `{key}`");
        assert!(refused.err.contains(&words), "{}", refused.err);
    }
    adapt("plain", "mcd").code(0);
    let metrics = bench.read("plain-mcd/metrics.jsonl");
    let at = |phase: &str| metrics.find(&format!("\"phase\":\"{phase}\""));
    assert!(
        at("second").is_some() && at("second") < at("mcd"),
        "{metrics}"
    );
}
