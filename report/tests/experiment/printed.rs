//! How it is printed, and what it is printed of: families, twins, ceilings, test rows.

use serde_json::json;
use tlkit_report::{Format, Outcome};

use crate::fixture::world::{Method, adaptation, two};
use crate::made::{At, Made, labels, note, right, row};

#[test]
fn a_ceiling_is_in_no_family() {
    let world = adaptation();
    let c = world.write().compare();
    let ceiling = row(&c, "target-supervised");
    let ds = ceiling.pairs.iter().filter_map(|p| p.difference.as_ref());
    for d in ds.chain(&ceiling.difference) {
        assert!(
            d.p.is_some() && d.p_adjusted.is_none() && d.least.is_none(),
            "{d:?}"
        );
    }
    assert_eq!(ceiling.tally, None);
    assert!(row(&c, "dann").tally.is_some());
    let text = c.print(Format::Text, false);
    let line = text
        .lines()
        .find(|l| l.trim_start().starts_with("books to dvd"))
        .expect("a pair");
    assert_eq!(line.matches('*').count(), 1, "{line}");
    let said = note(&c, "`target-supervised`: from").expect("a range");
    assert!(!said.contains("negative transfer"), "{said}");
}

/// What could be seen is asked at the level that is left to one question of many.
#[test]
fn the_least_difference_is_that_of_the_family() {
    let mut world = two();
    world.write();
    let many = world.compare();
    world.methods = vec![
        Method("frozen", 0.5, None),
        Method("better", 0.6, Some("frozen")),
    ];
    let one = world.write().compare();
    let least = |c: &tlkit_report::Comparison| {
        let d = row(c, "better").difference.as_ref().expect("a difference");
        d.least.expect("a least difference")
    };
    // z at 1 - 0.05 / 6 and 0.8 over z at 1 - 0.05 / 2 and 0.8: 3.235 / 2.802.
    let ratio = least(&many) / least(&one);
    assert!((1.1..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn a_gate_takes_a_method_against_its_own_twin_and_asks_no_twin() {
    let mut e = Made::new(&[
        ("source-only", None),
        ("source-only as long", None),
        ("dann", Some("source-only")),
        ("long", Some("source-only as long")),
    ]);
    let l = labels(400);
    let shares = [
        ("source-only", 0.5),
        ("source-only as long", 0.8),
        ("dann", 0.75),
        ("long", 0.74),
    ];
    for s in 0..4usize {
        for (m, (name, share)) in shares.iter().enumerate() {
            e.cell(
                &At(name, s as u64, None),
                &l,
                &right(&l, *share, [m, 0, s]),
                json!({}),
            );
        }
    }
    match e.gate("accuracy >= source_only + 2pt") {
        Outcome::NotMet(lines) => {
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(
                lines[0].contains("`long`: accuracy less that of `source-only as long`"),
                "{lines:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        e.gate("dann: accuracy >= source_only + 2pt"),
        Outcome::Met(_)
    ));
    // What was imported is compared as `dann` is, though a twin stands first.
    e.plan["methods"]
        .as_array_mut()
        .expect("methods")
        .swap(0, 1);
    e.read();
    for s in 0..4usize {
        e.import(&At("mine", s as u64, None), &l, &right(&l, 0.7, [7, 0, s]));
    }
    let d = row(&e.compare(), "mine")
        .difference
        .clone()
        .expect("a difference");
    assert!(
        d.mean > 0.1,
        "to `source-only`, not to the twin: {}",
        d.mean
    );
}

#[test]
fn a_baseline_that_was_added_is_asked_by_its_name_alone() {
    let mut e = Made::new(&[
        ("source-only", None),
        ("adabn", Some("source-only")),
        ("dann", Some("source-only")),
    ]);
    e.plan["methods"][1]["added"] = json!(true);
    let l = labels(400);
    for s in 0..4usize {
        for (m, (name, share)) in [("source-only", 0.6), ("adabn", 0.3), ("dann", 0.9)]
            .iter()
            .enumerate()
        {
            let said = right(&l, *share, [m, 0, s]);
            e.cell(&At(name, s as u64, None), &l, &said, json!({}));
        }
    }
    for gate in ["accuracy >= source_only + 2pt", "accuracy >= 45%"] {
        assert!(matches!(e.gate(gate), Outcome::Met(_)), "{gate}");
    }
    for gate in [
        "adabn: accuracy >= source_only + 2pt",
        "adabn: accuracy >= 45%",
    ] {
        assert!(matches!(e.gate(gate), Outcome::NotMet(_)), "{gate}");
    }
}

#[test]
fn rows_that_were_tuned_on_what_they_are_tested_on_have_a_footnote() {
    let mut e = Made::new(&[
        ("source-only", None),
        ("dann", Some("source-only")),
        ("mcc", Some("source-only")),
    ]);
    let l = labels(100);
    let margin = || json!({"drawn scenes": ["select.margin"]});
    let tuned = [
        json!({}),
        margin(),
        json!({"drawn scenes": ["strategy.temperature", "select.margin"], "Office-31": ["strategy.weight"]}),
    ];
    for s in 0..3usize {
        for (m, name) in ["source-only", "dann", "mcc"].iter().enumerate() {
            let more = json!({"test_rows": {"sha256": "0", "opened_by": 9, "tuned_on": tuned[m]}});
            let said = right(&l, 0.7, [m, 0, s]);
            e.cell(&At(name, s as u64, None), &l, &said, more);
        }
    }
    let c = e.compare();
    let footnote = |part: &str| note(&c, part).expect("a footnote");
    let margin = footnote("on which `select.margin` was chosen");
    assert!(
        margin.starts_with("Tested on rows of drawn scenes"),
        "{margin}"
    );
    assert!(margin.ends_with("chosen: `dann`, `mcc`."), "{margin}");
    let own = footnote("rows of Office-31");
    assert!(
        own.ends_with("on which defaults of theirs were chosen: `mcc`."),
        "{own}"
    );
    assert_eq!(row(&c, "mcc").marks.len(), 3);
    assert!(row(&c, "source-only").marks.is_empty());
}

/// Two pairs of one target that were tested on other rows are two test sets.
#[test]
fn pairs_of_one_target_with_other_rows_are_not_averaged_row_by_row() {
    let pairs = [("a", "c"), ("b", "c")];
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]).pairs(&pairs);
    let (few, many) = (labels(100), labels(300));
    for s in 0..3usize {
        for (m, name) in ["source-only", "dann"].iter().enumerate() {
            e.cell(
                &At(name, s as u64, Some(pairs[0])),
                &few,
                &right(&few, 0.7, [m, 0, s]),
                json!({}),
            );
            // The last 200 rows are right with `dann` alone.
            let mut said = right(&many, 0.5, [m, 1, s]);
            if m == 1 {
                said[100..].copy_from_slice(&many[100..]);
            }
            e.cell(&At(name, s as u64, Some(pairs[1])), &many, &said, json!({}));
        }
    }
    let c = e.compare();
    let dann = row(&c, "dann");
    let of_pairs: f64 = dann
        .pairs
        .iter()
        .filter_map(|p| p.difference.as_ref().map(|d| d.mean))
        .sum();
    let d = dann.difference.as_ref().expect("a difference");
    assert!(
        (d.mean - of_pairs / 2.0).abs() < 1e-12,
        "{} {of_pairs}",
        d.mean
    );
    let (low, high) = dann.interval.expect("an interval");
    assert!(low < dann.mean.expect("a mean") && high > dann.mean.expect("a mean"));
}

#[test]
fn baselines_are_means_of_pairs_and_at_the_level_of_the_table() {
    let pairs = [("a", "b"), ("b", "a")];
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]).pairs(&pairs);
    let l = labels(200);
    let with = |accuracy: f64| json!({"baselines": [{"name": "majority", "test": {"accuracy": accuracy, "accuracy_interval": [accuracy - 0.07, accuracy + 0.07], "level": 0.95}}]});
    for s in 0..3u64 {
        for (p, pair) in pairs.iter().enumerate() {
            for name in ["source-only", "dann"] {
                // More runs of one pair than of the other do not weigh more.
                let more = if p == 1 && name == "dann" {
                    json!({})
                } else {
                    with([0.5, 0.9][p])
                };
                e.cell(
                    &At(name, s, Some(*pair)),
                    &l,
                    &right(&l, 0.7, [p, 0, s as usize]),
                    more,
                );
            }
        }
    }
    let c = e.compare();
    let majority = row(&c, "majority");
    assert!((majority.mean.expect("a mean") - 0.7).abs() < 1e-9 && majority.interval.is_none());
    assert!(
        note(&c, "whose training rows differ").is_none(),
        "{:?}",
        c.notes
    );
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]);
    e.plan["level"] = json!(0.999);
    for s in 0..3u64 {
        for name in ["source-only", "dann"] {
            e.cell(
                &At(name, s, None),
                &l,
                &right(&l, 0.7, [0, 0, s as usize]),
                with(0.5),
            );
        }
    }
    let c = e.compare();
    let (low, _) = row(&c, "majority").interval.expect("Wilson's");
    assert!((low - 0.386).abs() < 2e-3, "{low}");
    let text = c.print(Format::Text, false);
    assert!(text.contains("; 99.9 % intervals;"), "{text}");
}

#[test]
fn values_and_tallies_are_printed_whole() {
    let mut world = two();
    world.values = vec![5, 20];
    world.write();
    let file = world.dir.path().join("experiment.json");
    let text = std::fs::read_to_string(&file).expect("a plan");
    // A value that looks like two of them.
    let text = text.replace("\"values\":[5,20]", "\"values\":[\"p, q\",\"r = s, t\"]");
    let text = text
        .replace("\"values\":[5]", "\"values\":[\"p, q\"]")
        .replace("\"values\":[20]", "\"values\":[\"r = s, t\"]");
    std::fs::write(&file, text).expect("written");
    let markdown = world.compare().print(Format::Markdown, false);
    assert!(
        markdown.contains("| p, q | frozen |") && markdown.contains("| r = s, t | frozen |"),
        "{markdown}"
    );
    let c = adaptation().write().compare();
    let csv = c.print(Format::Csv, false);
    let mut lines = csv.lines();
    let head: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let at = |name: &str| head.iter().position(|h| *h == name).expect("a column");
    for line in lines.filter(|l| l.starts_with("dann,")) {
        let cells: Vec<&str> = line.split(',').collect();
        let whole = cells[at("source")].is_empty();
        assert_eq!(cells[at("runs")], if whole { "15" } else { "5" }, "{line}");
        assert_eq!(cells[at("wins")].is_empty(), !whole, "{line}");
    }
}
