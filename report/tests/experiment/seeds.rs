//! Seeds that not all runs have, and seeds that say the same.

use serde_json::json;
use tlkit_report::Outcome;

use crate::made::{At, Made, labels, note, right, row};

/// Over pairs the k-th seed of one is not the k-th of another.
#[test]
fn over_pairs_stand_the_seeds_that_all_pairs_have() {
    let pairs = [("a", "b"), ("a", "c")];
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]).pairs(&pairs);
    let l = labels(200);
    for (p, &pair) in pairs.iter().enumerate() {
        for s in 0..5 {
            e.cell(
                &At("source-only", s, Some(pair)),
                &l,
                &right(&l, 0.6, [0, p, s as usize]),
                json!({}),
            );
            e.cell(
                &At("dann", s, Some(pair)),
                &l,
                &right(&l, 0.7, [1, p, s as usize]),
                json!({}),
            );
        }
    }
    e.read();
    // Of the first pair five seeds, of the second the last three: their like are 2 to 4.
    for s in 0..5 {
        let share = if s < 2 { 0.2 } else { 0.9 };
        e.import(
            &At("mine", s, Some(pairs[0])),
            &l,
            &right(&l, share, [2, 0, s as usize]),
        );
    }
    for s in 2..5 {
        e.import(
            &At("mine", s, Some(pairs[1])),
            &l,
            &right(&l, 0.8, [2, 1, s as usize]),
        );
    }
    let c = e.compare();
    let mine = row(&c, "mine");
    let of_pairs: Vec<f64> = mine.pairs.iter().map(|p| p.mean.expect("a mean")).collect();
    assert!(
        of_pairs[0] < 0.75,
        "all five seeds of the pair: {of_pairs:?}"
    );
    let mean = mine.mean.expect("a mean");
    assert!((mean - 0.85).abs() < 0.04, "seeds 2 to 4 of both: {mean}");
    assert_eq!(mine.by_seed.len(), 3);
    let d = mine
        .difference
        .as_ref()
        .expect("a difference of two targets");
    assert_eq!(d.seeds, 3);
    assert!((d.mean - 0.25).abs() < 0.06, "{}", d.mean);
    let said = note(&c, "has not the same seeds of each pair").expect("a note");
    assert!(
        said.contains("`mine`")
            && said.contains("0 to 4 of a to b, 2 to 4 of a to c")
            && said.contains("2 to 4."),
        "{said}"
    );
    assert_eq!(mine.pairs[0].runs, 5);
    assert_eq!(mine.pairs[1].done, 3);
    // Nothing in common: no mean, and nothing is said.
    std::fs::remove_dir_all(e.dir.path().join("imported")).expect("removed");
    for s in 0..3 {
        e.import(
            &At("mine", s, Some(pairs[0])),
            &l,
            &right(&l, 0.9, [2, 0, s as usize]),
        );
        e.import(
            &At("mine", s + 7, Some(pairs[1])),
            &l,
            &right(&l, 0.9, [2, 1, s as usize]),
        );
    }
    let c = e.compare();
    let mine = row(&c, "mine");
    assert_eq!((mine.mean, mine.difference.is_none()), (None, true));
    assert!(
        note(&c, "no seed is in all, so there is no mean").is_some(),
        "{:?}",
        c.notes
    );
}

#[test]
fn seeds_in_common_are_said_and_the_gap_is_of_them() {
    let ceiling = "target-supervised";
    let methods = ["few", "others", ceiling].map(|m| (m, Some("source-only")));
    let mut e = Made::new(&[&[("source-only", None)], &methods[..]].concat());
    let l = labels(400);
    for s in 0..5usize {
        // The seeds differ much, so that means over other seeds are others.
        e.cell(
            &At("source-only", s as u64, None),
            &l,
            &right(&l, 0.5 + 0.05 * s as f64, [0, 0, s]),
            json!({}),
        );
        e.cell(
            &At(ceiling, s as u64, None),
            &l,
            &right(&l, 0.95, [9, 0, s]),
            json!({}),
        );
    }
    for s in 0..3usize {
        e.cell(
            &At("few", s as u64, None),
            &l,
            &right(&l, 0.75, [1, 0, s]),
            json!({}),
        );
        e.cell(
            &At("others", 7 + s as u64, None),
            &l,
            &right(&l, 0.75, [2, 0, s]),
            json!({}),
        );
    }
    let c = e.compare();
    let said = note(&c, "`few` and `source-only` have not the same seeds").expect("a note");
    assert!(
        said.contains("(0 to 2 and 0 to 4): their difference is of 0 to 2."),
        "{said}"
    );
    let closed = row(&c, "few").gap_closed.expect("a gap");
    let d = row(&c, "few").difference.as_ref().expect("a difference");
    let start = row(&c, "few").mean.expect("a mean") - d.mean;
    let top = row(&c, ceiling).by_seed[..3].iter().sum::<f64>() / 3.0;
    assert!((closed - d.mean / (top - start)).abs() < 1e-9, "{closed}");
    let text = c.print(tlkit_report::Format::Text, false);
    assert!(
        text.lines()
            .any(|l| l.starts_with("others") && l.contains("no seed in common")),
        "{text}"
    );
    assert!(
        note(
            &c,
            "`others` and `source-only` have no seed in common (7 to 9 and 0 to 4)"
        )
        .is_some()
    );
    match e.gate("others: accuracy >= source_only") {
        Outcome::Undecided(lines) => assert!(lines[0].contains("no seed in common"), "{lines:?}"),
        other => panic!("{other:?}"),
    }
}

/// An interval without width would meet any gate.
#[test]
fn what_never_differs_has_an_interval_all_the_same() {
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]);
    let l = labels(10);
    for s in 0..3usize {
        // Right for certain by every seed, but not as sure of it.
        let p: Vec<f64> = l
            .iter()
            .map(|l| 0.1 + 0.8 * *l as f64 + 0.01 * s as f64)
            .collect();
        e.cell(
            &At("dann", s as u64, None),
            &l,
            &l,
            json!({"probabilities": p}),
        );
        e.cell(
            &At("source-only", s as u64, None),
            &l,
            &right(&l, 0.7, [0, 0, s]),
            json!({}),
        );
    }
    let c = e.compare();
    let (low, high) = row(&c, "dann").interval.expect("Wilson's");
    assert!((low - 0.722).abs() < 1e-3 && high == 1.0, "{low} {high}");
    assert!(matches!(
        e.gate("dann: accuracy >= 99%"),
        Outcome::Undecided(_)
    ));
    // The model of the source alone, seed by seed: no difference, on 300 rows.
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]);
    let l = labels(300);
    for s in 0..3usize {
        for m in ["source-only", "dann"] {
            e.cell(
                &At(m, s as u64, None),
                &l,
                &right(&l, 0.8, [0, 0, s]),
                json!({}),
            );
        }
    }
    let c = e.compare();
    let d = row(&c, "dann").difference.as_ref().expect("a difference");
    let (low, high) = d.interval.expect("Newcombe's");
    assert!(
        low < -0.003 && high > 0.003 && d.mean == 0.0,
        "{low} {high}"
    );
    assert_eq!(d.least, None);
    assert!(note(&c, "The least difference").is_none(), "{:?}", c.notes);
    assert!(matches!(
        e.gate("dann: accuracy >= source_only"),
        Outcome::Undecided(_)
    ));
    assert!(matches!(
        e.gate("dann: accuracy >= source_only - 5pt"),
        Outcome::Met(_)
    ));
    // Over pairs, every row right in each.
    let pairs = [("a", "b"), ("c", "d")];
    let mut e = Made::new(&[("source-only", None)]).pairs(&pairs);
    for (s, pair) in (0..3).flat_map(|s| pairs.map(|p| (s, p))) {
        e.cell(&At("source-only", s, Some(pair)), &l, &l, json!({}));
    }
    let (low, high) = row(&e.compare(), "source-only").interval.expect("Wilson's");
    assert!((0.98..1.0).contains(&low) && high == 1.0, "{low} {high}");
}
