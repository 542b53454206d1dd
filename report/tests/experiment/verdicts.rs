//! What is said of a difference.

use std::fs;

use serde_json::{Value, json};
use tlkit_report::{Comparison, Format, Gate, Metric, Outcome};

use crate::fixture::world::{Method, two};
use crate::made::{At, Made, labels, row};
use crate::words;

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
        (Format::Latex, "\\begin{tabular}{lrrrlrrl}"),
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
fn a_bound_in_itself_is_asked_of_every_row_and_of_every_score() {
    let mut world = two();
    world.methods = vec![
        Method("frozen", 0.3, None),
        Method("better", 0.6, Some("frozen")),
    ];
    world.write();
    // The reference is below it.
    assert!(matches!(
        world.gate("accuracy >= 40%"),
        Outcome::NotMet(lines) if lines.len() == 1 && lines[0].contains("frozen")
    ));
    assert!(matches!(
        world.gate("better: macro_f1 >= 10%"),
        Outcome::Met(_)
    ));
    world.seeds = 4;
    world.write();
    assert!(matches!(
        world.gate("better: macro_f1 >= 10%"),
        Outcome::Undecided(lines) if lines[0].contains("which takes five runs on one pair")
    ));
}

/// One odd answer of many makes nothing surer than none.
#[test]
fn a_handful_of_odd_rows_is_no_surer_than_none() {
    let of = |odd: usize| {
        let mut e = Made::new(&[("source-only", None), ("a", Some("source-only"))]);
        let l = labels(100);
        for s in 0..5u64 {
            let mut said = l.clone();
            e.cell(&At("source-only", s, None), &l, &said, json!({}));
            if s == 0 {
                (0..odd).for_each(|i| said[i] = 1 - l[i]);
            }
            e.cell(&At("a", s, None), &l, &said, json!({}));
        }
        let gate = e.gate("a: accuracy >= 98%");
        (e.compare(), gate)
    };
    let ((none, gate_of_none), (one, gate_of_one)) = (of(0), of(1));
    let high = |c: &Comparison| {
        let d = row(c, "a").difference.as_ref().expect("a difference");
        (d.interval.expect("an interval").1, d.words.clone())
    };
    assert!(high(&one).0 > 0.02 && high(&none).0 > 0.02);
    assert_eq!(high(&one).1, high(&none).1);
    for gate in [gate_of_none, gate_of_one] {
        assert!(matches!(gate, Outcome::Undecided(_)), "{gate:?}");
    }
}

/// A gate asks for what is not there as well.
#[test]
fn a_gate_is_undecided_where_what_it_names_has_no_run() {
    let mut world = two();
    world.values = vec![5, 80];
    world.write();
    for seed in 0..world.seeds {
        let name = format!("imported/mine-5-s{seed}");
        world.run(&name, 0.3, [7, 0, 0, seed]);
        let cell =
            json!({"name": name, "method": "mine", "values": [5], "pair": null, "seed": seed});
        world.file(&format!("{name}/cell.json"), &cell);
    }
    let Outcome::Undecided(lines) = world.gate("better: accuracy >= mine") else {
        panic!("decided");
    };
    assert!(
        lines.len() == 1 && lines[0].contains("no run of `mine`") && lines[0].contains("80"),
        "{lines:?}"
    );
}
