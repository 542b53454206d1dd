//! `tlkit plan`: what is said before a run, and that nothing is left of it.

use serde_json::Value;

use crate::bench::Bench;

fn planned(bench: &Bench, more: &[&str]) -> Value {
    let mut arguments = vec!["plan", "small.toml", "--json"];
    arguments.extend(more);
    let ended = bench.tlkit(&arguments).code(0);
    serde_json::from_str(&ended.out).expect("JSON")
}

#[test]
fn a_plan_knows_the_steps_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let plan = planned(&bench, &[]);
    let seconds = plan["seconds"].as_f64().expect("a number");
    let between = |i: usize| plan["between"][i].as_f64().expect("a number");
    assert!(
        0.0 < between(0) && between(0) < seconds && seconds < between(1),
        "{plan}"
    );
    let parts: f64 = plan["parts"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|p| p["seconds"].as_f64())
        .sum();
    assert!((parts - seconds).abs() < 1e-6, "{plan}");
    assert!(plan["memory_mib"].as_u64() > Some(0) && plan["disk_bytes"].as_u64() > Some(0));
    assert!(bench.runs("small").is_empty());

    // The run itself makes as many steps.
    bench.tlkit(&["run", "small.toml", "--quiet"]).code(0);
    let run = bench.runs("small").remove(0);
    let result = std::fs::read_to_string(run.join("result.json")).expect("a result");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    assert_eq!(plan["phases"][0]["steps"], result["steps"]);
}

#[test]
fn more_epochs_are_more_steps_and_a_grid_is_more_runs() {
    let bench = Bench::new();
    let steps = |epochs: &str| {
        let plan = planned(&bench, &["--set", epochs]);
        plan["phases"][0]["steps"].as_u64().expect("a number")
    };
    assert_eq!(2 * steps("train.epochs=4"), steps("train.epochs=8"));
    let tuned = planned(
        &bench,
        &["--set", "tune.\"train.learning_rate\"=[0.01, 0.001]"],
    );
    assert_eq!(tuned["runs"], 2);
}

/// A fold leaves a model and a checkpoint of its own.
#[test]
fn the_folds_take_their_room_on_the_disk_together() {
    let bench = Bench::new();
    let wide = ["--set", "source.hidden=[1024, 1024]", "--set"];
    let megabytes = |more: &str| {
        let arguments = [&["plan", "small.toml"], &wide[..], &[more]].concat();
        let out = bench.tlkit(&arguments).code(0).out;
        let line = out.lines().find(|l| l.trim_start().starts_with("disk"));
        let number = line.and_then(|l| l.split("about ").nth(1)?.split(' ').next()?.parse().ok());
        let number: f64 = number.unwrap_or_else(|| panic!("{out}"));
        (number, out)
    };
    let (one, _) = megabytes("train.epochs=4");
    let (four, out) = megabytes("evaluate.folds=4");
    assert!(
        (3.5 * one..4.5 * one).contains(&four),
        "{one} MB, {four} MB"
    );
    assert!(out.contains("for each of 4 folds"), "{out}");
}

/// A cell takes as many runs as its recipe.
#[test]
fn an_experiment_counts_every_fold() {
    let bench = Bench::new();
    let seconds = |more: &str| {
        let text = format!(
            "[experiment]\nbase = \"small.toml\"\nseeds = 1\n[experiment.set]\n\"train.epochs\" = 4000\n{more}"
        );
        bench.write("cells.toml", &text);
        let ended = bench.tlkit(&["compare", "cells.toml", "--dry-run"]).code(0);
        let line = ended.out.lines().find(|l| l.contains(" would run, about "));
        let about = line
            .and_then(|l| l.split_once(", about "))
            .expect("a time")
            .1;
        let (number, unit) = about.split_once(' ').expect("a unit");
        let unit = match unit.split(' ').next() {
            Some("min") => 60.0,
            Some("h") => 3600.0,
            _ => 1.0,
        };
        unit * number.parse::<f64>().expect("a number")
    };
    let folds =
        "\"target.split.test\" = 0\n\"target.split.validation\" = 0.2\n\"evaluate.folds\" = 20\n";
    let (one, twenty) = (seconds(""), seconds(folds));
    // What a few steps take moves by a third or so.
    assert!(
        twenty > 6.0 * one,
        "{one} s, and {twenty} s in twenty folds"
    );
}

#[test]
fn a_wrong_recipe_is_an_error_at_its_place() {
    let bench = Bench::new();
    let ended = bench
        .tlkit(&["plan", "small.toml", "--set", "train.epochs=-1"])
        .code(2);
    assert!(ended.err.contains("train.epochs"), "{}", ended.err);
}

/// Where the encoder is frozen the rows that are scored pass through it all the same, and a plan counts them.
#[test]
fn the_scores_of_a_frozen_encoder_are_a_part() {
    let bench = Bench::new();
    bench.write(
        "frozen.toml",
        "[source]\ncheckpoint = \"builtin:bert-mini\"\n\
         [target]\ntask = \"text-classification\"\ntrain = \"builtin:reviews/films/train\"\ntest = \"builtin:reviews/films/test\"\nlimit = 60\n\
         [strategy]\nkind = \"inductive\"\nmethod = \"feature-extraction\"\n",
    );
    let ended = bench.tlkit(&["plan", "frozen.toml", "--json"]).code(0);
    let plan: Value = serde_json::from_str(&ended.out).expect("JSON");
    let parts = plan["parts"].as_array().expect("a list");
    let scores = parts.iter().find(|p| p["what"] == "scores");
    let seconds = scores.and_then(|p| p["seconds"].as_f64());
    assert!(seconds > Some(0.0), "{plan}");
}
