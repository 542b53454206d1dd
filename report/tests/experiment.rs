//! Experiments of made-up runs: what is said of them, and what is refused.

mod fixture;

use std::fs;
use std::path::Path;

use fixture::world::{Method, World, adaptation, two};
use serde_json::{Value, json};
use tlkit_report::{Comparison, Experiment, Format, Gate, Metric, Outcome, Run};

fn words<'a>(c: &'a Comparison, method: &str) -> &'a str {
    let row = c.rows.iter().find(|r| r.method == method).expect("the row");
    &row.difference.as_ref().expect("a difference").words
}

#[test]
fn better_same_and_worse_are_told() {
    let world = two();
    let c = world.write().compare();
    assert_eq!(words(&c, "better"), "better");
    assert_eq!(words(&c, "worse"), "worse");
    let same = words(&c, "same");
    assert!(same == "not distinguishable" || same == "no gain", "{same}");
    // Holm: an adjusted p-value is never below its own.
    for d in c.rows.iter().filter_map(|r| r.difference.as_ref()) {
        assert!(d.p_adjusted >= d.p && d.least.is_some());
        let (low, high) = d.interval.expect("an interval");
        assert!(low < d.mean && d.mean < high);
    }
    let text = c.print(Format::Text, false);
    println!("{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
    assert!(!text.contains('\x1b') && c.print(Format::Text, true).contains('\x1b'));
    for (format, part) in [
        (Format::Markdown, "| frozen |"),
        (
            Format::Csv,
            "method,source,target,runs,done,failed,mean,low,high,difference,",
        ),
        (Format::Latex, "\\begin{tabular}{lrrrlrl}"),
        (Format::Html, "<!DOCTYPE html>"),
    ] {
        let printed = c.print(format, false);
        assert!(printed.contains(part), "{format:?}: {printed}");
    }
    let json: Value = serde_json::from_str(&c.print(Format::Json, false)).expect("JSON");
    assert_eq!(json["rows"][1]["difference"]["verdict"], "better");
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(4));
}

/// A difference whose interval excludes 0 is no tie, though it may be less than what is worth having.
#[test]
fn above_the_reference_is_not_called_indistinguishable() {
    let mut world = two();
    world.methods = vec![
        Method("frozen", 0.5, None),
        Method("above", 0.58, Some("frozen")),
    ];
    world.write();
    let file = world.dir.path().join("experiment.json");
    let text = fs::read_to_string(&file).expect("a plan");
    let asked = text.replace("\"worth\":0.01", "\"worth\":0.12");
    assert_ne!(asked, text);
    fs::write(&file, asked).expect("written");
    let c = world.compare();
    let d = c.rows[1].difference.as_ref().expect("a difference");
    let (low, high) = d.interval.expect("an interval");
    assert!(low > 0.0 && d.mean < 0.12 && high > 0.12, "{low} to {high}");
    assert_eq!(d.words, "inconclusive");
    let note = "`above` is above `frozen`, but not surely by what is worth having";
    assert!(c.notes.iter().any(|n| n.starts_with(note)), "{:?}", c.notes);
}

#[test]
fn a_failed_seed_voids_the_verdict_and_a_missing_one_leaves_it_open() {
    let world = two();
    world.write();
    world.file(
        "better-0-0-s2/result.json",
        &json!({"status": "failed", "error": "the loss is inf", "identity": "x"}),
    );
    let c = world.compare();
    let row = &c.rows[1];
    assert_eq!(
        (row.failed, row.mean, row.difference.is_none()),
        (1, None, true)
    );
    assert!(c.print(Format::Text, false).contains("failed 1/5"));
    assert!(
        c.notes[0].contains("failed in 1 of 5 runs"),
        "{:?}",
        c.notes
    );
    // The others keep their words.
    assert_eq!(words(&c, "worse"), "worse");
    fs::remove_dir_all(world.dir.path().join("same-0-0-s4")).expect("removed");
    let c = world.compare();
    assert!(c.print(Format::Text, false).contains("4 of 5 runs"));
    assert!(matches!(
        world.gate("same: accuracy >= frozen"),
        Outcome::Undecided(_)
    ));
}

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
fn few_seeds_say_nothing_of_a_method() {
    let mut world = two();
    world.seeds = 2;
    let c = world.write().compare();
    let d = c.rows[1].difference.as_ref().expect("a difference");
    assert_eq!((d.interval, d.verdict), (None, None));
    assert_eq!(d.words, "2 seeds say nothing");
    let mut world = two();
    world.seeds = 1;
    let c = world.write().compare();
    assert_eq!(words(&c, "better"), "this model: better");
    assert!(
        c.notes
            .iter()
            .any(|n| n.contains("which of these models to keep")),
        "{:?}",
        c.notes
    );
}

#[test]
fn what_no_seed_moves_is_called_deterministic() {
    let mut world = two();
    world.write();
    for method in ["frozen", "better"] {
        for seed in 1..5 {
            let from = world
                .dir
                .path()
                .join(format!("{method}-0-0-s0/predictions.jsonl"));
            let to = world
                .dir
                .path()
                .join(format!("{method}-0-0-s{seed}/predictions.jsonl"));
            fs::copy(from, to).expect("copied");
        }
    }
    world.seeds = 5;
    let c = world.compare();
    assert!(c.rows[0].deterministic && c.rows[1].deterministic && !c.rows[2].deterministic);
    // No word of "this model": the method has no seed to speak of.
    assert_eq!(words(&c, "better"), "better");
    assert!(
        c.notes
            .iter()
            .any(|n| n.starts_with("Deterministic") && n.contains("`frozen`, `better`"))
    );
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

#[test]
fn over_pairs_a_tally_a_range_and_no_word_of_new_domains() {
    let world = adaptation();
    let c = world.write().compare();
    let text = c.print(Format::Text, false);
    println!("{text}");
    assert_eq!(words(&c, "dann"), "adapt");
    let dann = &c.rows[2];
    assert_eq!(dann.pairs.len(), 3);
    assert_eq!(dann.tally.map(|t| t.iter().sum::<usize>()), Some(3));
    // (0.58 - 0.5) / (0.66 - 0.5), as drawn.
    let gap = dann.gap_closed.expect("a gap");
    assert!((0.3..0.7).contains(&gap), "{gap}");
    assert!(
        text.contains("3 pairs of 3 domains are not 3 independent samples"),
        "{text}"
    );
    assert!(text.contains("a tie (t) is not distinguishable"), "{text}");
    assert_eq!(c.new_domains(dann), None);
    assert!(text.contains("books to dvd"), "{text}");
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
    assert!(c.print(Format::Html, false).contains("class=\"heat\""));
    let csv = c.print(Format::Csv, false);
    assert_eq!(csv.lines().count(), 1 + 3 * 4);
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
    let free =
        json!({"by": "auto", "epoch": 3, "oracle": false, "without_labels": "no sign of harm"});
    for method in ["source-only", "target-supervised", "dann"] {
        select(method, free.clone());
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
        json!({"by": "auto", "epoch": 3, "oracle": true, "without_labels": null}),
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
fn what_was_imported_for_one_pair_alone_says_so() {
    let world = adaptation();
    world.write();
    for seed in 0..5 {
        let name = format!("imported/mine-s{seed}");
        world.run(&name, 0.6, [9, 0, 0, seed]);
        world.file(
            &format!("{name}/cell.json"),
            &json!({"name": name, "method": "mine", "values": [], "pair": ["books", "dvd"], "seed": seed}),
        );
    }
    let c = world.compare();
    let mine = c.rows.last().expect("rows");
    assert_eq!((mine.method.as_str(), mine.mean), ("mine", None));
    let there: Vec<bool> = mine.pairs.iter().map(|p| p.difference.is_some()).collect();
    assert_eq!(there, [true, false, false]);
    let text = c.print(Format::Text, false);
    assert!(text.contains("1 of 3 pairs"), "{text}");
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
fn the_same_twice_is_called_not_distinguishable_in_a_sentence() {
    let mut world = two();
    world.methods = vec![
        Method("frozen", 0.5, None),
        Method("near", 0.52, Some("frozen")),
    ];
    world.rows = 120;
    let c = world.write().compare();
    assert_eq!(words(&c, "near"), "not distinguishable");
    assert!(
        c.notes
            .iter()
            .any(|n| n.starts_with("`near` and `frozen` are not distinguishable")),
        "{:?}",
        c.notes
    );
}

/// The difference of one run each is that of the means over pairs, however many rows a pair has; a target's rows count once.
#[test]
fn one_run_each_over_pairs_is_a_mean_over_pairs() {
    let mut world = adaptation();
    world.seeds = 1;
    world.write();
    for method in ["source-only", "target-supervised", "dann"] {
        let file = world
            .dir
            .path()
            .join(format!("{method}-0-2-s0/predictions.jsonl"));
        let text = fs::read_to_string(&file).expect("predictions");
        let few: Vec<&str> = text.lines().take(100).collect();
        fs::write(&file, few.join("\n") + "\n").expect("written");
    }
    let c = world.compare();
    let d = c.rows[2].difference.as_ref().expect("a difference");
    let means = c.rows[2]
        .mean
        .zip(c.rows[0].mean)
        .map(|(a, b)| a - b)
        .expect("means");
    assert!((d.mean - means).abs() < 1e-12, "{} {means}", d.mean);
    assert!(d.of_models && d.words.starts_with("this model"));
    let (low, high) = d.interval.expect("an interval");
    assert!(low < d.mean && d.mean < high);
    assert!(c.rows.iter().all(|r| r.interval.is_some()));
    // The same predictions for two pairs of one target are no more rows than those of one.
    world.pairs = vec![("books", "dvd")];
    let one = world.write().compare();
    for method in ["source-only", "target-supervised", "dann"] {
        let path = |p: usize| {
            world
                .dir
                .path()
                .join(format!("{method}-0-{p}-s0/predictions.jsonl"))
        };
        fs::copy(path(0), path(1)).expect("copied");
    }
    let mut both = adaptation();
    both.dir = world.dir;
    both.seeds = 1;
    both.pairs = vec![("books", "dvd"), ("kitchen", "dvd")];
    let experiment = both.dir.path().join("experiment.json");
    let text = fs::read_to_string(&experiment).expect("an experiment");
    let mut d: Value = serde_json::from_str(&text).expect("JSON");
    d["pairs"] = json!([["books", "dvd"], ["kitchen", "dvd"]]);
    let cells = d["cells"].as_array().expect("cells").clone();
    for cell in cells {
        let name = cell["name"]
            .as_str()
            .expect("a name")
            .replace("-0-0-", "-0-1-");
        let mut cell = cell.clone();
        cell["name"] = json!(name);
        cell["identity"] = json!(name);
        cell["pair"] = json!(["kitchen", "dvd"]);
        d["cells"].as_array_mut().expect("cells").push(cell);
    }
    fs::write(&experiment, d.to_string()).expect("written");
    let two = both.compare();
    let width = |c: &Comparison| {
        let d = c.rows[2].difference.as_ref().expect("a difference");
        let (low, high) = d.interval.expect("an interval");
        high - low
    };
    // Newcombe's interval of the one, the rows' own t of the two.
    assert!(
        (width(&two) / width(&one) - 1.0).abs() < 0.05,
        "{} {}",
        width(&two),
        width(&one)
    );
}

#[test]
fn the_page_draws_training_domains_and_what_changed() {
    let world = adaptation();
    let page = world.write().compare().print(Format::Html, false);
    for id in [
        "table",
        "differences",
        "pairs",
        "training",
        "domains",
        "changes",
        "notes",
    ] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    let count = |part: &str| page.matches(part).count();
    // Of each pair: the loss, the source's accuracy, the selector's score, the discriminator; in each a line a method with its band.
    assert_eq!(count("<figure class=\"chart\">"), 3 * 4);
    assert_eq!(count("<path class=\"band l-second\""), 3 * 4);
    assert!(page.contains("Score of the selector (validation)"));
    // One start for all, one end a method.
    assert_eq!(count("<h3>Before</h3>"), 3);
    assert_eq!(count("<h3>After dann</h3>"), 3);
    // A method with a reference each.
    assert_eq!(count("are right that were wrong with source-only"), 2);
    assert_eq!(count("Wrong with source-only, right with dann"), 1);
    // Whatever stands in a data set stays text.
    assert!(page.contains("&lt;script&gt;document.title") && !page.contains("<script"));
    let mut ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .filter_map(|t| t.split('"').next())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an identifier is there twice");
}

#[test]
fn six_pairs_that_share_no_domain_speak_of_new_ones() {
    let mut world = adaptation();
    world.rows = 150;
    world.pairs = vec![
        ("a", "b"),
        ("c", "d"),
        ("e", "f"),
        ("g", "h"),
        ("i", "j"),
        ("k", "l"),
    ];
    let c = world.write().compare();
    assert_eq!(c.new_domains(&c.rows[2]), Some(0.03125));
    assert!(
        c.notes
            .iter()
            .any(|n| n.contains("on new domains (Wilcoxon) p = 0.031")),
        "{:?}",
        c.notes
    );
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
fn gates_are_met_not_met_or_undecided() {
    let world = two();
    world.write();
    assert!(matches!(
        world.gate("better: accuracy >= frozen + 2pt"),
        Outcome::Met(_)
    ));
    assert!(matches!(
        world.gate("worse: accuracy >= frozen"),
        Outcome::NotMet(_)
    ));
    assert!(matches!(
        world.gate("same: accuracy >= frozen + 0.1pt"),
        Outcome::Undecided(_)
    ));
    // All rows are asked where none is named.
    assert!(matches!(
        world.gate("accuracy >= frozen"),
        Outcome::NotMet(_)
    ));
    assert!(matches!(
        world.gate("better: accuracy >= 10%"),
        Outcome::Met(_)
    ));
    let gate = Gate::parse("accuracy >= froozen").expect("a gate");
    let said = gate.ask(&world.read()).expect_err("no such method");
    assert!(
        said.contains("the methods are frozen, better, same, worse"),
        "{said}"
    );
}

#[test]
fn scores_that_are_no_mean_take_five_seeds() {
    let world = two();
    let e = { world.write().read() };
    let c = e.compare(Some(Metric::MacroF1));
    let d = c.rows[1].difference.as_ref().expect("a difference");
    assert!(d.interval.is_some_and(|(low, _)| low > 0.0), "{d:?}");
    let mut world = two();
    world.seeds = 4;
    let c = world.write().read().compare(Some(Metric::Mcc));
    assert_eq!(words(&c, "better"), "needs 5 seeds");
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
