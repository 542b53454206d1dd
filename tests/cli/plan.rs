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

#[test]
fn a_wrong_recipe_is_an_error_at_its_place() {
    let bench = Bench::new();
    let ended = bench
        .tlkit(&["plan", "small.toml", "--set", "train.epochs=-1"])
        .code(2);
    assert!(ended.err.contains("train.epochs"), "{}", ended.err);
}
