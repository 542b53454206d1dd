//! `[tune]`: a grid, chosen from on validation rows.

use crate::bench::{Bench, ended, wait_for};

const TUNE: &str =
    "\n[tune]\n\"train.learning_rate\" = [1e-6, 1e-2]\n\"source.hidden\" = [[4], [16]]\n";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("tuned.toml", &format!("{}{TUNE}", crate::bench::RECIPE));
    bench
}

#[test]
fn the_best_on_validation_is_the_run_and_only_its_test_is_opened() {
    let bench = bench();
    let done = bench.tlkit(&["run", "tuned.toml", "--out", "r"]).code(0);
    assert!(
        done.err
            .contains("point 2 of 4: train.learning_rate = 1e-6, source.hidden = [16]"),
        "{}",
        done.err
    );
    let result = bench.json("r/result.json");
    let tuned = &result["tuned"];
    assert_eq!(tuned["candidates"], 4);
    let points = tuned["points"].as_array().unwrap();
    let score = |p: &serde_json::Value| p["validation"]["accuracy"].as_f64().unwrap();
    let chosen = tuned["chosen"].as_u64().unwrap() as usize;
    assert!(
        points
            .iter()
            .all(|p| score(p) <= score(&points[chosen - 1]))
    );
    assert_eq!(tuned["values"], points[chosen - 1]["values"]);
    assert_eq!(tuned["values"]["train.learning_rate"], 1e-2);
    for n in 1..=4 {
        let point = bench.json(&format!("r/tune/{n}/result.json"));
        assert!(
            point["metrics"]["test"].is_null(),
            "the test of point {n} was opened"
        );
        assert!(point["baselines"].is_null());
        let kept = bench
            .path(&format!("r/tune/{n}/checkpoint/state.safetensors"))
            .exists();
        assert_eq!(kept, n == chosen, "point {n}");
    }
    assert_eq!(result["metrics"]["test"]["n"], 60);
    // The run is what its point's recipe gives alone.
    let recipe = format!("r/tune/{chosen}/recipe.toml");
    bench.tlkit(&["run", &recipe, "--out", "alone"]).code(0);
    let alone = bench.json("alone/result.json");
    assert_eq!(alone["weights_sha256"], result["weights_sha256"]);
    assert_eq!(alone["metrics"], result["metrics"]);
    assert_eq!(
        bench.read("alone/predictions.jsonl"),
        bench.read("r/predictions.jsonl")
    );
    let again = bench
        .tlkit(&["run", "tuned.toml", "--out", "r", "--resume"])
        .code(0);
    assert!(again.err.contains("nothing is left to do"), "{}", again.err);
    // The run's own recipe says no default that the grid decides, and is the run again.
    let recipe = bench.read("r/recipe.toml");
    let open = |key: &str| {
        let line = format!("# {key} = ");
        let mut lines = recipe.lines();
        lines.any(|l| l.starts_with(&line) && l.ends_with("another by the grid"))
    };
    assert!(
        open("head_learning_rate") && open("hidden") && !open("batch_size"),
        "{recipe}"
    );
    bench
        .tlkit(&["run", "r/recipe.toml", "--out", "anew"])
        .code(0);
    let anew = bench.json("anew/result.json");
    assert_eq!(anew["weights_sha256"], result["weights_sha256"]);
    assert_eq!(anew["metrics"], result["metrics"]);
}

/// A key that only one of the optimizers has is a default of the base's, and none of the others' points.
#[test]
fn a_grid_over_optimizers_is_a_recipe_again() {
    let bench = Bench::new();
    let grid = "\n[tune]\n\"train.optimizer\" = [\"sgd\", \"adamw\", \"rmsprop\"]\n";
    bench.write("tuned.toml", &format!("{}{grid}", crate::bench::RECIPE));
    let explained = bench.tlkit(&["explain", "tuned.toml"]).code(0).out;
    bench.write("explained.toml", &explained);
    bench.tlkit(&["run", "tuned.toml", "--out", "r"]).code(0);
    let hash = |out: &str| bench.json(&format!("{out}/result.json"))["weights_sha256"].clone();
    for (recipe, out) in [("r/recipe.toml", "anew"), ("explained.toml", "explained")] {
        bench.tlkit(&["run", recipe, "--out", out]).code(0);
        assert_eq!(hash(out), hash("r"), "{recipe}");
    }
    // So are the cells of an experiment over it.
    bench.write(
        "over.toml",
        "[experiment]\nbase = \"tuned.toml\"\nseeds = [0]\n",
    );
    bench
        .tlkit(&["compare", "over.toml", "--out", "cells"])
        .code(0);
    assert_eq!(hash("cells/from-scratch-s0"), hash("r"));
}

#[test]
fn killed_at_the_third_point_it_goes_on_there() {
    let bench = bench();
    let long = [
        "--set",
        "train.epochs=60",
        "--set",
        "train.checkpoint_every=1",
    ];
    let run = |out: &'static str| [&["run", "tuned.toml", "--out", out][..], &long].concat();
    bench.tlkit(&run("whole")).code(0);
    let mut child = bench.start(&run("killed"));
    wait_for(&bench.path("killed/tune/3"), 20);
    child.kill().expect("it runs");
    ended(child);
    let again = bench
        .tlkit(&[run("killed"), vec!["--resume"]].concat())
        .code(0);
    assert!(again.err.contains("finished before"), "{}", again.err);
    let (whole, killed) = (
        bench.json("whole/result.json"),
        bench.json("killed/result.json"),
    );
    assert_eq!(whole["metrics"], killed["metrics"]);
    assert_eq!(whole["weights_sha256"], killed["weights_sha256"]);
    assert_eq!(whole["tuned"]["chosen"], killed["tuned"]["chosen"]);
}

#[test]
fn a_grid_on_the_command_line_is_checked_too() {
    let bench = Bench::new();
    let wrong = bench
        .tlkit(&[
            "validate",
            "small.toml",
            "--set",
            "tune.\"train.learning_rate\"=[1e-3, -1]",
        ])
        .code(2);
    assert!(
        wrong.err.contains("`learning_rate` is out of range") && wrong.err.contains("--set:1:"),
        "{}",
        wrong.err
    );
}

#[test]
fn the_level_of_intervals_and_the_baselines_are_keys() {
    let bench = Bench::new();
    let at = |out: &str, sets: &[&str]| {
        let mut arguments = vec!["run", "small.toml", "--out", out];
        sets.iter().for_each(|s| arguments.extend(["--set", s]));
        bench.tlkit(&arguments).code(0);
        bench.json(&format!("{out}/result.json"))
    };
    let usual = at("a", &[]);
    let wide = at(
        "b",
        &["evaluate.level=0.99", "evaluate.baselines=[\"majority\"]"],
    );
    let none = at("c", &["evaluate.baselines=false"]);
    let width = |r: &serde_json::Value| {
        let i = &r["metrics"]["test"]["accuracy_interval"];
        i[1].as_f64().unwrap() - i[0].as_f64().unwrap()
    };
    assert!(width(&wide) > 1.2 * width(&usual));
    let names = |r: &serde_json::Value| -> Vec<String> {
        let list = r["baselines"].as_array().into_iter().flatten();
        list.map(|b| b["name"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(names(&usual), ["majority", "logistic-regression"]);
    assert_eq!(names(&wide), ["majority"]);
    assert_eq!(names(&none), [] as [String; 0]);
    assert!(none["worth"].is_null());
    assert!(
        usual["worth"]["words"]
            .as_str()
            .unwrap()
            .contains("logistic-regression")
    );
    // The two classes are apart: what always says one of them is right half of the time.
    assert_eq!(wide["baselines"][0]["test"]["accuracy"], 0.5);
    assert!(wide["worth"]["words"].as_str().unwrap().contains("99 %:"));
    assert_eq!(usual["weights_sha256"], wide["weights_sha256"]);
}

/// The points of a grid open no test, and the run that goes on from the best of them says all the same what the source model was.
#[test]
fn an_adaptation_with_a_grid_has_its_source_model_beside_it() {
    let bench = Bench::new();
    let all = crate::bench::rows(400);
    let (head, body) = all.split_once('\n').expect("a header");
    let body: Vec<&str> = body.lines().collect();
    for (name, part) in ["source", "target", "some", "test"]
        .iter()
        .zip(body.chunks(100))
    {
        bench.write(
            &format!("{name}.csv"),
            &format!("{head}\n{}\n", part.join("\n")),
        );
    }
    bench.write(
        "grid.toml",
        "[source]\ntask = \"features\"\ntrain = \"source.csv\"\nhidden = [8]\n\
         [target]\ntask = \"classification\"\nunlabelled = \"target.csv\"\nvalidation = \"some.csv\"\ntest = \"test.csv\"\n\
         [strategy]\nkind = \"transductive\"\nmethod = \"dann\"\n[train]\nepochs = 2\nsource_epochs = 2\n\
         [tune]\n\"train.learning_rate\" = [1e-3, 1e-2]\n",
    );
    bench.tlkit(&["run", "grid.toml", "--out", "r"]).code(0);
    let result = bench.json("r/result.json");
    let was = &result["baseline"]["source_only"]["test"]["accuracy"];
    assert!(was.is_number(), "{result}");
    assert_eq!(result["worth"]["against"], "the source model");
    // Labels of the target chose between the points.
    let by = result["selection"]["by"].as_str().unwrap_or_default();
    assert!(
        by.starts_with("target validation (") && by.ends_with("of a grid, by auto within"),
        "{by}"
    );
}

/// A closed form keeps no moved rows: the picture of the chosen point is the run's.
#[test]
fn a_closed_form_with_a_grid_has_its_picture_of_both_moments() {
    let bench = Bench::new();
    let all = crate::bench::rows(160);
    let (names, body) = all.split_once('\n').expect("a header");
    let body: Vec<&str> = body.lines().collect();
    let files = ["source", "target", "some", "test"];
    for (name, part) in files.iter().zip(body.chunks(40)) {
        let text = format!("{names}\n{}\n", part.join("\n"));
        bench.write(&format!("{name}.csv"), &text);
    }
    bench.write(
        "grid.toml",
        "[source]\ntask = \"features\"\ntrain = \"source.csv\"\n\
         [target]\ntask = \"classification\"\nunlabelled = \"target.csv\"\nvalidation = \"some.csv\"\ntest = \"test.csv\"\n\
         [strategy]\nkind = \"transductive\"\nmethod = \"coral\"\n\
         [tune]\n\"strategy.regularisation\" = [0.5, 1.0]\n",
    );
    bench.tlkit(&["run", "grid.toml", "--out", "r"]).code(0);
    let picture = bench.json("r/embedding.json");
    assert!(picture["before"].is_object(), "{picture}");
    assert!(picture["after"].is_object(), "{picture}");
}
