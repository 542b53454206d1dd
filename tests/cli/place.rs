//! Which directory a run goes to, and what is refused.

use crate::bench::{Bench, rows};

#[test]
fn a_directory_with_something_else_in_it_is_refused() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("mine")).expect("a folder");
    bench.write("mine/letter.txt", "dear");
    let ended = bench.tlkit(&["run", "small.toml", "--out", "mine"]).code(2);
    assert!(
        ended.err.contains("something else than a run"),
        "{}",
        ended.err
    );
    std::fs::create_dir(bench.path("new")).expect("a folder");
    bench.tlkit(&["run", "small.toml", "--out", "new"]).code(0);
}

#[test]
fn a_finished_run_is_not_overwritten_and_has_nothing_left_to_do() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--out", "r"]).code(0);
    let before = bench.read("r/result.json");
    let ended = bench.tlkit(&["run", "small.toml", "--out", "r"]).code(2);
    assert!(ended.err.contains("a finished run"), "{}", ended.err);
    let ended = bench
        .tlkit(&["run", "small.toml", "--out", "r", "--resume"])
        .code(0);
    assert!(ended.err.contains("nothing is left to do"), "{}", ended.err);
    assert!(ended.out.contains("test accuracy"), "{}", ended.out);
    assert_eq!(before, bench.read("r/result.json"));
}

#[test]
fn without_out_a_finished_run_has_nothing_left_to_do_either() {
    let bench = Bench::new();
    let none = bench.tlkit(&["run", "small.toml", "--resume"]).code(2);
    assert!(none.err.contains("no run of small"), "{}", none.err);
    bench.tlkit(&["run", "small.toml"]).code(0);
    let ended = bench.tlkit(&["run", "small.toml", "--resume"]).code(0);
    assert!(ended.err.contains("nothing is left to do"), "{}", ended.err);
    assert_eq!(bench.runs("small").len(), 1);
}

#[test]
fn a_changed_recipe_or_changed_data_is_refused_and_named() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--out", "r"]).code(0);
    // As if it had been stopped.
    std::fs::remove_file(bench.path("r/result.json")).expect("a result");
    let resume = ["run", "small.toml", "--out", "r", "--resume"];
    let other = bench
        .tlkit(&[&resume[..], &["--set", "train.epochs=9", "--seed", "3"]].concat())
        .code(2);
    assert!(
        other.err.contains("train.epochs was 4, is 9"),
        "{}",
        other.err
    );
    assert!(
        other.err.contains("train.seed was 0, is 3"),
        "{}",
        other.err
    );
    bench.write("rows.csv", &rows(198));
    let other = bench.tlkit(&resume).code(2);
    assert!(other.err.contains("the data"), "{}", other.err);
    bench.write("rows.csv", &rows(200));
    let unfinished = bench.tlkit(&["run", "small.toml", "--out", "r"]).code(2);
    assert!(
        unfinished.err.contains("an unfinished run; `--resume`"),
        "{}",
        unfinished.err
    );
    bench.tlkit(&resume).code(0);
}

#[test]
fn writing_out_a_default_is_no_change() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--out", "r"]).code(0);
    let resume = [
        "run",
        "small.toml",
        "--out",
        "r",
        "--resume",
        "--set",
        "train.layer_decay=1.0",
    ];
    bench.tlkit(&resume).code(0);
}

/// A folder with nothing but a recipe in it is a person's own, and no run that was killed.
#[test]
fn a_recipe_is_not_overwritten_by_the_run_that_it_asks_for() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("mine")).expect("a folder");
    let mine = format!(
        "# my notes\n{}",
        bench.read("small.toml").replace("rows.csv", "../rows.csv")
    );
    bench.write("mine/recipe.toml", &mine);
    let ended = bench
        .tlkit(&["run", "mine/recipe.toml", "--out", "mine"])
        .code(2);
    assert!(
        ended.err.contains("something else than a run"),
        "{}",
        ended.err
    );
    assert_eq!(bench.read("mine/recipe.toml"), mine);
    // What a run leaves that was killed at once began with its lock.
    bench.write("mine/.lock", "");
    bench
        .tlkit(&["run", "mine/recipe.toml", "--out", "mine"])
        .code(0);
}

/// Of several runs that are open the one that is asked for goes on.
#[test]
fn the_run_of_a_seed_goes_on_beside_an_open_one_of_another() {
    let bench = Bench::new();
    for seed in ["7", "8"] {
        bench.tlkit(&["run", "small.toml", "--seed", seed]).code(0);
    }
    for run in bench.runs("small") {
        // As if they had been stopped.
        std::fs::remove_file(run.join("result.json")).expect("a result");
    }
    for seed in ["7", "8"] {
        bench
            .tlkit(&["run", "small.toml", "--seed", seed, "--resume"])
            .code(0);
    }
    assert_eq!(bench.runs("small").len(), 2);
}
