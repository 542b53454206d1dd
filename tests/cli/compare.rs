//! Experiments and comparisons.

use std::path::Path;

use crate::bench::{Bench, ended, rows, wait_for};

/// Two methods, two values, three seeds.
const EXPERIMENT: &str = "\
[experiment]
base = \"small.toml\"
seeds = 3
methods = [\"from-scratch\", { name = \"wide\", method = \"from-scratch\", set = { \"source.hidden\" = [24] } }]

[experiment.vary]
\"train.epochs\" = [1, 2]
";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("two.toml", EXPERIMENT);
    bench
}

/// How many times each cell was begun: each start writes its recipe into the log.
fn starts(bench: &Bench, cell: &str) -> usize {
    let log = bench.read(&format!("experiments/two/{cell}/log.txt"));
    log.lines()
        .filter(|l| l.contains("run directory") || l.contains("going on with"))
        .count()
}

#[test]
fn an_experiment_runs_once_and_its_cells_run_alone() {
    let bench = bench();
    let first = bench.tlkit(&["compare", "two.toml"]).code(0);
    assert!(
        first.err.contains("12 cells in experiments/two"),
        "{}",
        first.err
    );
    assert!(first.err.contains("[12/12]"), "{}", first.err);
    for part in [
        "train.epochs = 1",
        "train.epochs = 2",
        "from-scratch",
        "reference",
        "wide",
    ] {
        assert!(first.out.contains(part), "{part}: {}", first.out);
    }
    assert!(
        first.out.lines().all(|l| l.chars().count() <= 100),
        "{}",
        first.out
    );
    for file in [
        "experiment.json",
        "comparison.json",
        "table.md",
        "report.html",
    ] {
        assert!(bench.path("experiments/two").join(file).is_file(), "{file}");
    }
    let again = bench.tlkit(&["compare", "two.toml"]).code(0);
    assert!(again.err.contains("all finished"), "{}", again.err);
    assert_eq!(again.out, first.out);
    assert_eq!(starts(&bench, "wide-1-s0"), 1);
    // The folder alone says the same, and runs nothing.
    let folder = bench.tlkit(&["compare", "experiments/two"]).code(0);
    assert_eq!(folder.out, first.out);
    // The recipe of a cell is a recipe like any other, and its run the same run.
    bench
        .tlkit(&[
            "run",
            "experiments/two/recipes/wide-2-s1.toml",
            "--out",
            "alone",
        ])
        .code(0);
    for key in ["identity", "weights_sha256"] {
        let of = |run: &str| bench.json(&format!("{run}/result.json"))[key].clone();
        assert_eq!(of("alone"), of("experiments/two/wide-2-s1"), "{key}");
    }
}

#[test]
fn a_changed_cell_runs_again_and_no_other() {
    let bench = bench();
    bench.tlkit(&["compare", "two.toml"]).code(0);
    bench.write("two.toml", &EXPERIMENT.replace("[24]", "[20]"));
    let ended = bench.tlkit(&["compare", "two.toml"]).code(0);
    assert!(ended.err.contains("6 finished, 6 to run"), "{}", ended.err);
    assert!(
        !ended.err.contains("from-scratch, train.epochs"),
        "{}",
        ended.err
    );
    // Other data are another run, for every cell.
    bench.write("rows.csv", &rows(210));
    let ended = bench
        .tlkit(&["compare", "two.toml", "--only", "wide-1"])
        .code(0);
    assert!(
        ended.err.contains("3 cells in experiments/two"),
        "{}",
        ended.err
    );
}

/// What cells share while they are checked must not be mistaken for each other's: each run says for itself what it is, and one that is not the
/// run that was planned is an error.
#[test]
fn cells_that_read_other_parts_of_one_file_are_other_runs() {
    let bench = Bench::new();
    bench.write("test.csv", &rows(60));
    bench.write("rows.csv", &rows(1000));
    let base = LONG.replace(
        "split = { validation = 0.1, test = 0.2 }",
        "test = \"test.csv\"\nsplit = { validation = 0.1 }",
    );
    bench.write("long.toml", &base);
    bench.write(
        "two.toml",
        "[experiment]\nbase = \"long.toml\"\nseeds = 1\nset = { \"train.max_steps\" = 2 }\n[experiment.vary]\n\"target.limit\" = [100, 300]\n\
         \"target.split.seed\" = [0, 1]\n",
    );
    bench.tlkit(&["compare", "two.toml"]).code(0);
    let of = |cell: &str, key: &str| {
        bench.json(&format!(
            "experiments/two/from-scratch-{cell}-s0/result.json"
        ))[key]
            .clone()
    };
    let cells = ["100-0", "100-1", "300-0", "300-1"];
    let mut data: Vec<String> = cells
        .iter()
        .map(|c| of(c, "data_sha256").to_string())
        .collect();
    data.sort();
    data.dedup();
    assert_eq!(data.len(), cells.len());
}

#[test]
fn only_some_cells_and_several_at_once() {
    let bench = bench();
    let some = bench
        .tlkit(&["compare", "two.toml", "--only", "1-s"])
        .code(0);
    assert!(
        some.err.contains("6 cells in experiments/two"),
        "{}",
        some.err
    );
    assert!(some.out.contains("0 of 3 runs"), "{}", some.out);
    bench.tlkit(&["compare", "two.toml", "--jobs", "2"]).code(0);
    bench
        .tlkit(&["compare", "two.toml", "--out", "one"])
        .code(0);
    for cell in ["from-scratch-1-s0", "wide-2-s2"] {
        let of = |folder: &str| {
            bench.json(&format!("{folder}/{cell}/result.json"))["weights_sha256"].clone()
        };
        assert_eq!(of("experiments/two"), of("one"), "{cell}");
    }
    let none = bench
        .tlkit(&["compare", "two.toml", "--only", "narrow"])
        .code(2);
    assert!(
        none.err.contains("no cell has narrow in its name"),
        "{}",
        none.err
    );
}

/// Hours of cells are not spent on a question that cannot be asked.
#[test]
fn what_is_asked_is_looked_at_before_the_first_cell_runs() {
    let bench = bench();
    let says = |arguments: &[&str], words: &str| {
        let all = [&["compare", "two.toml"], arguments].concat();
        let said = bench.tlkit(&all).code(2);
        assert!(said.err.contains(words), "{words}: {}", said.err);
        assert!(!bench.path("experiments").exists());
    };
    let gate = "accuracy >= norrow + 2pt";
    says(&["--gate", gate], "the gate names `norrow`");
    says(&["--gate", gate, "--dry-run"], "the gate names `norrow`");
    says(&["--dry-run", "--format", "csv"], "`--dry-run` prints none");
}

#[test]
fn a_dry_run_writes_nothing() {
    let bench = bench();
    let dry = bench.tlkit(&["compare", "two.toml", "--dry-run"]).code(0);
    for part in [
        "12 of 12 cells would run, about",
        "least difference",
        "3 seeds, 60 test rows",
        "nothing was run",
    ] {
        assert!(dry.out.contains(part), "{part}: {}", dry.out);
    }
    assert!(!bench.path("experiments").exists());
    bench
        .tlkit(&["compare", "two.toml", "--only", "s0"])
        .code(0);
    let dry = bench.tlkit(&["compare", "two.toml", "--dry-run"]).code(0);
    assert!(dry.out.contains("8 of 12 cells would run"), "{}", dry.out);
    assert!(dry.out.contains("(from finished cells)"), "{}", dry.out);
}

#[test]
fn a_cell_that_fails_is_said_and_the_others_go_on() {
    let bench = Bench::new();
    let experiment =
        EXPERIMENT.replace("\"source.hidden\" = [24]", "\"train.learning_rate\" = 1e38");
    bench.write("two.toml", &experiment);
    let ended = bench.tlkit(&["compare", "two.toml"]).code(1);
    assert!(
        ended.err.contains("wide, train.epochs = 1, seed 0: failed"),
        "{}",
        ended.err
    );
    assert!(ended.out.contains("failed 3/3"), "{}", ended.out);
    assert!(
        ended.out.contains("so nothing is said of it"),
        "{}",
        ended.out
    );
    let finished = bench.json("experiments/two/from-scratch-2-s2/result.json");
    assert_eq!(finished["status"], "done");
}

/// Steps that take a moment, and a checkpoint every other one.
const LONG: &str = "\
[source]
task = \"features\"
hidden = [128, 128]

[target]
task = \"classification\"
train = \"rows.csv\"
split = { validation = 0.1, test = 0.2 }

[strategy]
kind = \"inductive\"
method = \"from-scratch\"

[train]
epochs = 12
batch_size = 35
checkpoint_every = 2
";

fn long() -> Bench {
    let bench = Bench::new();
    bench.write("rows.csv", &rows(1000));
    bench.write("long.toml", LONG);
    bench.write("two.toml", "[experiment]\nbase = \"long.toml\"\nseeds = 3\n[experiment.vary]\n\"train.batch_size\" = [35, 70]\n");
    bench
}

fn weights(bench: &Bench, folder: &str) -> Vec<String> {
    let cells = ["35-s0", "35-s1", "35-s2", "70-s0", "70-s1", "70-s2"];
    let of = |cell: &str| bench.json(&format!("{folder}/from-scratch-{cell}/result.json"));
    cells
        .iter()
        .map(|c| of(c)["weights_sha256"].to_string())
        .collect()
}

#[test]
fn killed_or_stopped_it_goes_on_and_ends_with_the_same_bits() {
    let bench = long();
    bench
        .tlkit(&["compare", "two.toml", "--out", "whole"])
        .code(0);
    let cell = |name: &str| {
        bench
            .path("experiments/two")
            .join(format!("from-scratch-{name}"))
    };
    // SIGKILL in the second cell: the cell's own process ends by itself, after a checkpoint.
    let mut child = bench.start(&["compare", "two.toml"]);
    wait_for(&cell("35-s1"), 6);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let finished = |path: &Path| path.join("result.json").is_file();
    assert!(finished(&cell("35-s0")) && !finished(&cell("70-s2")));
    // Ctrl-C in the fourth.
    let child = bench.start(&["compare", "two.toml"]);
    wait_for(&cell("70-s0"), 6);
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("`kill` is there").success());
    let stopped = ended(child).code(130);
    assert!(stopped.err.contains("cells are left"), "{}", stopped.err);
    assert_eq!(stopped.out, "");
    let last = bench.tlkit(&["compare", "two.toml"]).code(0);
    assert!(last.err.contains("finished"), "{}", last.err);
    assert_eq!(weights(&bench, "experiments/two"), weights(&bench, "whole"));
}

/// The rows are taken away while the first cell works: what ends before it has a folder has failed too, and is no cell that is yet to run.
#[test]
fn a_cell_that_ends_before_it_has_a_folder_failed() {
    let bench = long();
    let child = bench.start(&["compare", "two.toml", "--jobs", "1"]);
    let cell = |name: &str| {
        bench
            .path("experiments/two")
            .join(format!("from-scratch-{name}"))
    };
    wait_for(&cell("35-s0"), 6);
    std::fs::rename(bench.path("rows.csv"), bench.path("away.csv")).expect("the rows");
    let ended = ended(child).code(1);
    assert!(ended.out.contains("failed 3/3"), "{}", ended.out);
    let left = bench.json("experiments/two/from-scratch-70-s2/result.json");
    assert_eq!(left["status"], "failed");
    let error = left["error"].as_str().expect("an error");
    assert!(error.contains("rows.csv"), "{error}");
    // And runs when they are back.
    std::fs::rename(bench.path("away.csv"), bench.path("rows.csv")).expect("the rows");
    let whole = bench.tlkit(&["compare", "two.toml"]).code(0);
    assert!(!whole.out.contains("failed"), "{}", whole.out);
}

#[test]
fn finished_runs_are_compared_and_gates_have_exit_codes() {
    let bench = Bench::new();
    for seed in ["0", "1", "2"] {
        for (name, epochs) in [("long", "train.epochs=12"), ("short", "train.epochs=1")] {
            let out = format!("{name}-{seed}");
            bench
                .tlkit(&[
                    "run",
                    "small.toml",
                    "--set",
                    epochs,
                    "--seed",
                    seed,
                    "--out",
                    &out,
                ])
                .code(0);
        }
    }
    let all = [
        "short-0", "short-1", "short-2", "long-0", "long-1", "long-2",
    ];
    let compared = bench.tlkit(&[&["compare"], &all[..]].concat()).code(0);
    for part in [
        "on 60 test rows, 3 seeds",
        "`small` has train.epochs = 1.",
        "small (2)",
    ] {
        assert!(compared.out.contains(part), "{part}: {}", compared.out);
    }
    let csv = bench
        .tlkit(&[&["compare"], &all[..], &["--format", "csv"]].concat())
        .code(0);
    // A header, two recipes, and the two baselines that stand beside them.
    assert_eq!(csv.out.lines().count(), 5, "{}", csv.out);
    let gate = |text: &str, code: i32| {
        bench
            .tlkit(&[&["compare"], &all[..], &["--gate", text]].concat())
            .code(code)
            .err
    };
    assert!(gate("accuracy >= small - 100pt", 0).contains("the gate is met"));
    assert!(gate("accuracy >= small + 99pt", 3).contains("the gate is not met"));
    assert!(gate("accuracy > 3", 2).contains("write a gate like"));
    // Of one run each the words are of the models.
    let two = bench.tlkit(&["compare", "short-0", "long-0"]).code(0);
    assert!(two.out.contains("this model:"), "{}", two.out);
    for (wrong, part) in [
        (
            &["compare", "short-0"][..],
            "cannot be compared with itself",
        ),
        (
            &["compare", "short-0", "short-1"],
            "differ in nothing but their seeds",
        ),
        (
            &["compare", "short-0", "nothing"],
            "there is no run `nothing`",
        ),
        (
            &["compare", "short-0", "long-0", "--dry-run"],
            "`--dry-run` is for an experiment",
        ),
    ] {
        let ended = bench.tlkit(wrong).code(2);
        assert!(ended.err.contains(part), "{wrong:?}: {}", ended.err);
    }
    // Other test rows.
    bench
        .tlkit(&[
            "run",
            "small.toml",
            "--set",
            "target.split.seed=5",
            "--out",
            "other",
        ])
        .code(0);
    let other = bench.tlkit(&["compare", "short-0", "other"]).code(2);
    assert!(
        other.err.contains("tested on different rows"),
        "{}",
        other.err
    );
}

/// As many rows, the same numbers for names and the same labels make no same rows.
#[test]
fn runs_that_were_tested_on_other_inputs_are_not_compared() {
    let bench = Bench::new();
    bench.tlkit(&["run", "small.toml", "--out", "mine"]).code(0);
    let other: String = (bench.read("rows.csv").lines())
        .map(|l| l.replace("0.1", "0.7") + "\n")
        .collect();
    bench.write("rows.csv", &other);
    bench
        .tlkit(&["run", "small.toml", "--out", "theirs"])
        .code(0);
    let compared = bench.tlkit(&["compare", "mine", "theirs"]).code(2);
    let words = "were tested on different rows";
    assert!(compared.err.contains(words), "{}", compared.err);
}

/// A file that has changed between two runs of one recipe makes two rows of them, and the table says so.
#[test]
fn runs_that_learned_from_other_rows_are_kept_apart() {
    let bench = Bench::new();
    let all = rows(300);
    let lines: Vec<&str> = all.lines().collect();
    let file =
        |range: std::ops::Range<usize>| format!("{}\n{}\n", lines[0], lines[range].join("\n"));
    bench.write("test.csv", &file(201..301));
    let split = "split = { validation = 0.1, test = 0.3 }";
    let recipe =
        crate::bench::RECIPE.replace(split, "split = { validation = 0.1 }\ntest = \"test.csv\"");
    bench.write("one.toml", &recipe);
    for (name, range) in [("first", 1..101), ("second", 101..201)] {
        bench.write("rows.csv", &file(range));
        for seed in ["0", "1"] {
            let out = format!("{name}-{seed}");
            let run = ["run", "one.toml", "--seed", seed, "--out", &out];
            bench.tlkit(&run).code(0);
        }
    }
    let compared = bench
        .tlkit(&["compare", "first-0", "first-1", "second-0", "second-1"])
        .code(0);
    for part in ["2 seeds", "`one` has the data = ", "one (2)"] {
        assert!(compared.out.contains(part), "{part}: {}", compared.out);
    }
}

#[test]
fn predictions_made_elsewhere_stand_in_the_table() {
    let bench = bench();
    bench.tlkit(&["compare", "two.toml"]).code(0);
    let lines = bench.read("experiments/two/wide-1-s0/predictions.jsonl");
    let mut csv = String::from("id,label,no,yes\n");
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let p = if row["label"] == "yes" {
            "0.25,0.75"
        } else {
            "0.75,0.25"
        };
        let (id, label) = (
            row["id"].as_str().expect("an id"),
            row["label"].as_str().expect("a label"),
        );
        csv += &format!("{id},{label},{p}\n");
    }
    bench.write("mine.csv", &csv);
    let import = |more: &[&str]| {
        let all = [
            "import",
            "mine.csv",
            "--method",
            "mine",
            "--out",
            "experiments/two",
        ];
        bench.tlkit(&[&all[..], more].concat())
    };
    let which = import(&[]).code(2);
    assert!(which.err.contains("--at train.epochs="), "{}", which.err);
    for seed in ["0", "1", "2"] {
        let said = import(&["--at", "train.epochs=1", "--seed", seed]).code(0);
        assert!(
            said.out.contains("60 rows, accuracy 1.0000"),
            "{}",
            said.out
        );
    }
    import(&["--at", "train.epochs=1", "--seed", "0"]).code(2);
    import(&["--at", "train.epochs=1", "--seed", "0", "--force"]).code(0);
    let table = bench.tlkit(&["compare", "experiments/two"]).code(0).out;
    assert!(
        table.contains("mine") && table.contains("Made elsewhere and imported: `mine`."),
        "{table}"
    );
    let first = csv.lines().nth(1).expect("a row").to_string();
    bench.write(
        "mine.csv",
        &csv.replacen(&first, &format!("77777{first}"), 1),
    );
    let other = import(&["--at", "train.epochs=2"]).code(2);
    assert!(
        other.err.contains("not about the test rows"),
        "{}",
        other.err
    );
    bench.write("mine.csv", "id,label\n1,no\n");
    let other = import(&["--at", "train.epochs=2"]).code(2);
    assert!(
        other.err.contains("no column `prediction`"),
        "{}",
        other.err
    );
}

/// Two experiments of one name in two folders are two.
#[test]
fn an_experiment_of_the_same_name_elsewhere_takes_no_folder_over() {
    let bench = Bench::new();
    for (folder, epochs) in [("a", 1), ("b", 2)] {
        std::fs::create_dir(bench.path(folder)).expect("a folder");
        let experiment = format!(
            "[experiment]\nbase = \"../small.toml\"\nseeds = 1\nset = {{ \"train.epochs\" = {epochs} }}\n"
        );
        bench.write(&format!("{folder}/trial.toml"), &experiment);
    }
    bench.tlkit(&["compare", "a/trial.toml"]).code(0);
    let before = bench.read("experiments/trial/comparison.json");
    let other = bench.tlkit(&["compare", "b/trial.toml"]).code(2);
    assert!(
        other.err.contains("holds the runs of another experiment"),
        "{}",
        other.err
    );
    assert_eq!(bench.read("experiments/trial/comparison.json"), before);
    bench
        .tlkit(&["compare", "b/trial.toml", "--out", "other"])
        .code(0);
    // The same one, changed, runs again, and says what that deletes.
    bench.write(
        "a/trial.toml",
        &bench.read("a/trial.toml").replace("= 1 }", "= 3 }"),
    );
    let again = bench.tlkit(&["compare", "a/trial.toml"]).code(0);
    assert!(
        again.err.contains("1 of them changed since they ran"),
        "{}",
        again.err
    );
    // One that was moved is the same still.
    std::fs::rename(bench.path("a"), bench.path("c")).expect("moved");
    bench.tlkit(&["compare", "c/trial.toml"]).code(0);
}

/// What a method sets for itself cannot be varied over it.
#[test]
fn a_key_that_a_method_sets_is_not_varied() {
    let bench = Bench::new();
    bench.write(
        "two.toml",
        &EXPERIMENT.replace("\"source.hidden\" = [24]", "\"train.epochs\" = 5"),
    );
    let said = bench.tlkit(&["compare", "two.toml", "--dry-run"]).code(2);
    assert!(
        said.err
            .contains("`train.epochs` of `wide` is set and varied"),
        "{}",
        said.err
    );
}

/// What cannot be measured is said by its name, and the others are.
#[test]
fn a_dry_run_measures_what_does_not_diverge() {
    let bench = Bench::new();
    bench.write(
        "two.toml",
        &EXPERIMENT.replace("\"source.hidden\" = [24]", "\"train.learning_rate\" = 1e30"),
    );
    let dry = bench.tlkit(&["compare", "two.toml", "--dry-run"]).code(0);
    assert!(dry.err.contains("wide-1-s0: not measured: "), "{}", dry.err);
    assert!(dry.out.contains("12 of 12 cells would run"), "{}", dry.out);
}
