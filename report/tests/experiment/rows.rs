//! Which runs are a row, and what stands in it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tlkit_report::statistics::{normal_quantile, wilson};
use tlkit_report::{Experiment, Format, Run};

use crate::fixture::world::{Method, World, adaptation, two};
use crate::words;

#[test]
fn a_cell_of_another_identity_is_not_there() {
    let world = two();
    world.write();
    let file = world.dir.path().join("better-0-0-s0/result.json");
    let text = fs::read_to_string(&file).expect("a result");
    fs::write(
        &file,
        text.replace("\"identity\":\"better-0-0-s0\"", "\"identity\":\"old\""),
    )
    .expect("written");
    assert_eq!(world.compare().rows[1].done, 4);
}

#[test]
fn values_stand_in_groups_and_are_compared_at_the_same_value() {
    let mut world = World::new(vec![
        Method("frozen", 0.5, None),
        Method("tuned", 0.62, Some("frozen")),
    ]);
    world.values = vec![5, 20];
    let c = world.write().compare();
    let text = c.print(Format::Text, false);
    println!("{text}");
    for part in [
        "target.per_class = 5\n",
        "target.per_class = 20\n",
        "differences in points to `frozen` at the same value",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let page = c.print(Format::Html, false);
    assert!(page.contains("curves-title") && page.contains("class=\"forest\""));
    // One method alone is compared with itself at the first value.
    let mut world = World::new(vec![Method("tuned", 0.5, None)]);
    world.values = vec![5, 20];
    let c = world.write().compare();
    assert!(c.rows[0].reference && c.rows[1].difference.is_some());
    assert!(c.print(Format::Text, false).contains("target.per_class"));
}

/// A method over several values, and one that was imported: the first is compared with its own first value all the same.
#[test]
fn what_a_method_is_compared_with_is_named_with_its_value() {
    let mut world = World::new(vec![Method("tuned", 0.5, None)]);
    world.values = vec![5, 20];
    world.write();
    let place = world.dir.path().join("imported/mine-5-s0");
    fs::create_dir_all(&place).expect("a folder");
    for file in ["result.json", "predictions.jsonl"] {
        let from = world.dir.path().join(format!("tuned-0-0-s0/{file}"));
        fs::copy(from, place.join(file)).expect("copied");
    }
    let write = |keys: &str| {
        let cell = json!({"name": "imported/mine-5-s0", "method": "mine", "keys": [keys], "values": [5], "pair": null, "seed": 0});
        fs::write(place.join("cell.json"), cell.to_string()).expect("written");
        world.compare()
    };
    let c = write("target.per_class");
    assert!(c.rows.iter().any(|r| r.method == "mine"));
    let text = c.print(Format::Text, false);
    assert!(
        text.contains("differences in points to `tuned` at 5;"),
        "{text}"
    );
    // What was imported for a value of another key is not of this experiment.
    assert!(
        write("train.epochs")
            .rows
            .iter()
            .all(|r| r.method == "tuned")
    );
}

/// An error of an earlier recipe is none of the experiment as it is: the cell is yet to run.
#[test]
fn a_failure_of_another_identity_is_not_counted() {
    let world = two();
    world.write();
    let cell = world.dir.path().join("better-0-0-s0");
    let failed = json!({"status": "failed", "error": "the loss is inf"});
    fs::write(cell.join("result.json"), failed.to_string()).expect("written");
    let was = |identity: &str| {
        let text = json!({ "identity": identity }).to_string();
        fs::write(cell.join("identity.json"), text).expect("written");
        world.compare().rows[1].failed
    };
    assert_eq!(was("better-0-0-s0"), 1);
    assert_eq!(was("old"), 0);
}

#[test]
fn every_row_says_what_chose_its_epoch() {
    let world = adaptation();
    world.write();
    let select = |method: &str, selection: Value| {
        for (pair, seed) in (0..3).flat_map(|p| (0..5).map(move |s| (p, s))) {
            let file = world
                .dir
                .path()
                .join(format!("{method}-0-{pair}-s{seed}/result.json"));
            let text = fs::read_to_string(&file).expect("a result");
            let mut result: Value = serde_json::from_str(&text).expect("JSON");
            result["selection"] = selection.clone();
            fs::write(&file, result.to_string()).expect("written");
        }
    };
    let free = |words: Option<&str>| json!({"by": "auto", "epoch": 3, "oracle": false, "collapsed_epochs": [], "without_labels": words});
    // Of what adapts nothing there are no words, and its epoch was chosen without labels all the same.
    select("source-only", free(None));
    for method in ["target-supervised", "dann"] {
        select(method, free(Some("no sign of harm")));
    }
    let c = world.compare();
    // Alike for all: a line beneath the text, a column where there is room.
    let text = c.print(Format::Text, false);
    assert!(
        text.contains("Kept: the best epoch by auto, without labels of the target."),
        "{text}"
    );
    assert!(!text.contains("kept by"), "{text}");
    assert!(
        c.print(Format::Markdown, false)
            .contains("| label-free: auto |")
    );
    select(
        "target-supervised",
        json!({"by": "auto", "epoch": 3, "oracle": true, "collapsed_epochs": [], "without_labels": null}),
    );
    select(
        "dann",
        json!({"by": "target validation (40)", "epoch": 3, "oracle": false}),
    );
    let c = world.compare();
    let kinds: Vec<&str> = c.rows.iter().map(|r| r.selector_kind.as_str()).collect();
    assert_eq!(kinds, ["label-free", "oracle", "target validation"]);
    for format in [Format::Markdown, Format::Html, Format::Latex] {
        let printed = c.print(format, false);
        for part in [
            "label-free: auto",
            "oracle: auto",
            "target validation (40)",
            "kept by",
        ] {
            assert!(printed.contains(part), "{part}: {printed}");
        }
    }
    assert!(
        c.print(Format::Csv, false)
            .contains(",auto,oracle,oracle,0,0\n")
    );
    let text = c.print(Format::Text, false);
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
}

#[test]
fn rows_say_which_runs_gave_up_or_diverged() {
    let world = adaptation();
    world.write();
    let text = world.compare().print(Format::Text, false);
    assert!(!text.contains("Given up") && !text.contains("Diverged"));
    for seed in 0..5 {
        let file = (world.dir.path()).join(format!("dann-0-1-s{seed}/result.json"));
        let text = fs::read_to_string(&file).expect("a result");
        let mut result: Value = serde_json::from_str(&text).expect("JSON");
        result["selection"]["of"] = json!("source-only");
        if seed < 2 {
            result["selection"]["diverged"] = json!("the loss is NaN at step 74");
        }
        fs::write(&file, result.to_string()).expect("written");
    }
    let c = world.compare();
    let dann = c.rows.iter().find(|r| r.method == "dann").expect("a row");
    assert_eq!((dann.given_up, dann.diverged), (5, 2));
    let text = c.print(Format::Markdown, false);
    for note in [
        "Given up, the model of the source alone is kept: `dann` in 5 of 15 runs.",
        "Diverged, what is kept is of the epochs before: `dann` in 2 of 15 runs.",
    ] {
        assert!(text.contains(note), "{text}");
    }
    assert!(c.print(Format::Csv, false).contains(",5,2\n"), "the counts");
}

#[test]
fn columns_that_a_terminal_has_no_room_for_are_named() {
    let mut world = adaptation();
    world.methods[2].0 = "dann-with-two-layers-of-64";
    let c = world.write().compare();
    let text = c.print(Format::Text, false);
    assert!(text.contains("(no room for MiB"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
    assert!(c.print(Format::Markdown, false).contains("| s | MiB |"));
}

#[test]
fn other_rows_are_refused_with_the_first_that_differs() {
    let world = two();
    world.write();
    let file = world.dir.path().join("same-0-0-s1/predictions.jsonl");
    let text = fs::read_to_string(&file).expect("predictions");
    fs::write(&file, text.replacen("rows.csv:7\"", "rows.csv:70\"", 1)).expect("written");
    let said = Experiment::read(world.dir.path()).expect_err("other rows");
    assert!(
        said.contains("tested on different rows") && said.contains("row 8 is `rows.csv:7`"),
        "{said}"
    );
}

#[test]
fn runs_that_differ_only_in_their_seed_are_one_row() {
    let world = two();
    world.write();
    let run = |name: &str, rate: f64, seed: usize| {
        let path = world.dir.path().join(format!("{name}-0-0-s{seed}"));
        let identity = json!({"recipe": name, "values": {"train": {"learning_rate": rate, "seed": seed, "epochs": 3}}});
        fs::write(path.join("identity.json"), identity.to_string()).expect("written");
        let result = fs::read_to_string(path.join("result.json")).expect("a result");
        let result = result.replace(
            &format!("\"recipe\":\"{name}-0-0-s{seed}\""),
            &format!("\"recipe\":\"{name}\""),
        );
        fs::write(path.join("result.json"), result).expect("written");
        Run::read(&path)
    };
    let runs = (0..3)
        .flat_map(|s| [run("frozen", 0.1, s), run("better", 0.2, s)])
        .collect();
    let e = Experiment::of_runs(runs).expect("runs");
    assert_eq!(e.arms.len(), 2);
    assert_eq!(
        e.arms[0].keys,
        [("train.learning_rate".to_string(), "0.1".to_string())]
    );
    let c = e.compare(None);
    assert_eq!(words(&c, "better"), "better");
    // Of one recipe the arms go by their number.
    let one = [0.1, 0.2, 0.3, 0.4].map(|rate| run("frozen", rate, 0));
    let e = Experiment::of_runs(one.into()).expect("runs");
    let names: Vec<&str> = e.arms.iter().map(|a| a.method.as_str()).collect();
    assert_eq!(names, ["frozen", "frozen (2)", "frozen (3)", "frozen (4)"]);
    let twice = vec![run("frozen", 0.1, 0), run("frozen", 0.1, 0)];
    assert!(
        Experiment::of_runs(twice)
            .expect_err("twice")
            .contains("the same run")
    );
    let unfinished = Run::read(Path::new("nowhere"));
    assert!(Experiment::of_runs(vec![unfinished]).is_err());
}

#[test]
fn imported_rows_and_baselines_stand_in_the_table() {
    let world = two();
    world.write();
    for seed in 0..5 {
        world.run(&format!("imported/mine-s{seed}"), 0.6, [9, 0, 0, seed]);
        world.file(
            &format!("imported/mine-s{seed}/cell.json"),
            &json!({"name": format!("imported/mine-s{seed}"), "method": "mine", "values": [], "pair": null, "seed": seed}),
        );
    }
    let file = world.dir.path().join("frozen-0-0-s0/result.json");
    let mut result: Value =
        serde_json::from_str(&fs::read_to_string(&file).expect("a result")).expect("JSON");
    result["baselines"] = json!([{"name": "majority", "test": {"accuracy": 0.5, "accuracy_interval": [0.45, 0.55]}, "seconds": 0.1}]);
    fs::write(&file, result.to_string()).expect("written");
    let c = world.compare();
    assert!(
        c.rows
            .iter()
            .any(|r| r.method == "mine" && r.difference.is_some())
    );
    let baseline = c.rows.last().expect("rows");
    assert!(baseline.baseline && baseline.method == "majority");
    assert!(c.print(Format::Text, false).contains("majority"));
}

#[test]
fn the_gap_is_to_the_ceiling_at_the_same_value_and_the_ceiling_has_none() {
    let mut world = adaptation();
    world.pairs = vec![("books", "dvd")];
    world.values = vec![5, 20];
    world.write();
    for seed in 0..5 {
        world.run(
            &format!("target-supervised-1-0-s{seed}"),
            0.9,
            [1, 1, 0, seed],
        );
    }
    let c = world.compare();
    let mut closed = Vec::new();
    for row in c.rows.iter().filter(|r| r.gap_closed.is_some()) {
        let at = |method: &str| {
            let mut rows = c.rows.iter().filter(|r| r.points == row.points);
            let of = rows.find(|r| r.method == method).expect("a row");
            of.mean.expect("a mean")
        };
        let gap = at("target-supervised") - at("source-only");
        let wanted = (row.mean.expect("a mean") - at("source-only")) / gap;
        assert!((row.gap_closed.expect("a share") - wanted).abs() < 1e-9);
        closed.push((row.method.as_str(), row.points[0]));
    }
    assert_eq!(closed, [("dann", 0), ("dann", 1)]);
}

#[test]
fn one_run_has_wilsons_interval() {
    let mut world = two();
    world.seeds = 1;
    let c = world.write().compare();
    for row in &c.rows {
        let right = (row.mean.expect("a mean") * 400.0).round() as usize;
        let wanted = wilson(right, 400, normal_quantile(0.95));
        assert_eq!(row.interval, Some(wanted));
    }
}

#[test]
fn what_was_imported_is_compared_as_the_first_method_is() {
    let mut world = two();
    world.methods = vec![
        Method("better", 0.6, Some("frozen")),
        Method("frozen", 0.5, None),
    ];
    world.write();
    for seed in 0..5 {
        let name = format!("imported/mine-s{seed}");
        world.run(&name, 0.56, [9, 0, 0, seed]);
        world.file(
            &format!("{name}/cell.json"),
            &json!({"name": name, "method": "mine", "values": [], "pair": null, "seed": seed}),
        );
    }
    let c = world.compare();
    let of = |method: &str| c.rows.iter().find(|r| r.method == method).expect("a row");
    let wanted = of("mine").mean.expect("a mean") - of("frozen").mean.expect("a mean");
    let mine = of("mine").difference.as_ref().expect("a difference");
    assert!(wanted > 0.0 && (mine.mean - wanted).abs() < 1e-9);
}

#[test]
fn baselines_of_one_method_say_of_which_value_they_are() {
    let mut world = World::new(vec![Method("frozen", 0.5, None)]);
    world.values = vec![5, 20];
    world.write();
    for (value, score) in [(0, 0.4), (1, 0.45)] {
        let file = world.dir.path();
        let file = file.join(format!("frozen-{value}-0-s0/result.json"));
        let text = fs::read_to_string(&file).expect("a result");
        let mut result: Value = serde_json::from_str(&text).expect("JSON");
        result["baselines"] = json!([{"name": "majority", "test": {"accuracy": score}}]);
        fs::write(&file, result.to_string()).expect("written");
    }
    let text = world.compare().print(Format::Text, false);
    let names: Vec<&str> = text
        .lines()
        .map(|l| l.trim().split("  ").next().unwrap_or(""))
        .collect();
    for name in ["5", "20", "majority at 5", "majority at 20"] {
        assert!(names.contains(&name), "{name}: {text}");
    }
}

#[test]
fn a_run_that_cannot_be_compared_says_what_to_do() {
    let world = two();
    world.write();
    let run = world.dir.path().join("frozen-0-0-s1");
    let broken = || Experiment::read(world.dir.path()).expect_err("an error");
    let rows = run.join("predictions.jsonl");
    let whole = fs::read_to_string(&rows).expect("predictions");
    fs::write(&rows, &whole[..whole.len() - 30]).expect("written");
    let said = broken();
    let delete = format!("delete {}, and", run.display());
    assert!(
        said.contains("predictions.jsonl:400") && said.contains(&delete),
        "{said}"
    );
    // Hidden words, and vectors, leave no class of a row.
    fs::write(&rows, "").expect("written");
    let file = run.join("result.json");
    let text = fs::read_to_string(&file).expect("a result");
    let mut result: Value = serde_json::from_str(&text).expect("JSON");
    result["labels"] = json!([]);
    fs::write(&file, result.to_string()).expect("written");
    let said = broken();
    assert!(said.contains("has no classes"), "{said}");
}

#[test]
fn baselines_of_other_training_rows_are_called_a_mean() {
    let world = two();
    world.write();
    let with = |score: &dyn Fn(usize) -> f64| {
        for seed in 0..5 {
            let file = world
                .dir
                .path()
                .join(format!("frozen-0-0-s{seed}/result.json"));
            let text = fs::read_to_string(&file).expect("a result");
            let mut result: Value = serde_json::from_str(&text).expect("JSON");
            let test = json!({"accuracy": score(seed), "accuracy_interval": [0.3, 0.6]});
            result["baselines"] = json!([{"name": "tf-idf", "test": test, "seconds": 0.1}]);
            fs::write(&file, result.to_string()).expect("written");
        }
        world.compare().notes.join("\n")
    };
    let words = "A mean over runs whose training rows differ: `tf-idf`.";
    assert!(!with(&|_| 0.5).contains(words));
    assert!(with(&|seed| 0.4 + 0.01 * seed as f64).contains(words));
}
