//! Scores and intervals that are not there, and why.

use serde_json::{Value, json};
use tlkit_report::{Comparison, Metric, Outcome};

use crate::fixture::world::noise;
use crate::made::{At, Made, labels, note, right, row};

/// Chances of the second class: further apart for what is right more often.
fn sure(labels: &[usize], apart: f64, parts: [usize; 2]) -> Value {
    let p = |(i, l): (usize, &usize)| {
        let z = 4.0 * (noise([i, parts[0], parts[1], 77]) - 0.5) + apart * (*l as f64 - 0.5);
        1.0 / (1.0 + (-z).exp())
    };
    let list: Vec<f64> = labels.iter().enumerate().map(p).collect();
    json!({"probabilities": list})
}

#[test]
fn draws_without_a_class_count_for_nothing() {
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]);
    // Two rows of the rare class of 60: a draw in seven has none.
    let l: Vec<usize> = (0..60).map(|i| usize::from(i < 2)).collect();
    for s in 0..5usize {
        for (m, (name, apart)) in [("source-only", 2.6), ("dann", 3.4)].iter().enumerate() {
            e.cell(&At(name, s as u64, None), &l, &l, sure(&l, *apart, [m, s]));
        }
    }
    let c = e.read().compare(Some(Metric::Auroc));
    for method in ["source-only", "dann"] {
        let (low, _) = row(&c, method).interval.expect("an interval");
        assert!(
            low > 0.5,
            "{method}: a draw without the class is no score of 0: {low}"
        );
    }
}

/// Seeds that say the same classes and rank otherwise are no one model, so two of them are too few for an interval.
#[test]
fn seeds_that_rank_otherwise_are_not_alike() {
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]);
    let l: Vec<usize> = (0..60).map(|i| usize::from(i % 6 == 0)).collect();
    let majority = vec![0; 60];
    for s in 0..2usize {
        for (m, (name, apart)) in [("source-only", 0.5), ("dann", 3.0)].iter().enumerate() {
            let chances = sure(&l, *apart, [m, s]);
            e.cell(&At(name, s as u64, None), &l, &majority, chances);
        }
    }
    let c = e.read().compare(Some(Metric::Auroc));
    let difference = row(&c, "dann").difference.as_ref().expect("a difference");
    assert_eq!(difference.interval, None);
}

/// Runs number their classes each for itself; what turned is told by the names.
#[test]
fn rows_that_turned_are_told_by_the_names_of_their_classes() {
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]);
    let l = labels(40);
    let mut said = l.clone();
    said[0] = 1;
    e.cell(&At("source-only", 0, None), &l, &said, json!({}));
    // It knows one class more, before the others.
    let more = json!({"labels": ["maybe", "no", "yes"]});
    e.cell(&At("dann", 0, None), &l, &l, more);
    let page = e.compare().print(tlkit_report::Format::Html, false);
    let words = "of 40 predictions 1 are right that were wrong with source-only, 0 wrong";
    assert!(page.contains(words), "{page}");
}

#[test]
fn what_has_no_score_says_why() {
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]);
    let l = labels(100);
    for s in 0..5usize {
        e.cell(
            &At("source-only", s as u64, None),
            &l,
            &right(&l, 0.6, [0, 0, s]),
            sure(&l, 2.0, [0, s]),
        );
        e.cell(
            &At("dann", s as u64, None),
            &l,
            &right(&l, 0.7, [1, 0, s]),
            json!({}),
        );
    }
    let auroc = |e: &Made| -> Comparison { e.read().compare(Some(Metric::Auroc)) };
    let c = auroc(&e);
    assert!(
        note(&c, "Without probabilities there is no AUROC: `dann`").is_some(),
        "{:?}",
        c.notes
    );
    let text = c.print(tlkit_report::Format::Text, false);
    assert!(
        text.lines()
            .any(|l| l.starts_with("dann") && l.contains("no probabilities")),
        "{text}"
    );
    assert!(matches!(
        e.gate("dann: auroc >= 50%"),
        Outcome::Undecided(lines) if lines[0].contains("no probabilities")
    ));
    // One class alone.
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]);
    let one = vec![0; 40];
    for s in 0..5u64 {
        for m in ["source-only", "dann"] {
            e.cell(
                &At(m, s, None),
                &one,
                &one,
                sure(&one, 2.0, [0, s as usize]),
            );
        }
    }
    let c = auroc(&e);
    assert!(
        note(&c, "All test rows are of one class").is_some(),
        "{:?}",
        c.notes
    );
    // All right in every draw.
    let c = e.read().compare(Some(Metric::MacroF1));
    assert_eq!(row(&c, "dann").interval, None);
    assert!(
        note(&c, "drawn again are all alike").is_some(),
        "{:?}",
        c.notes
    );
}

#[test]
fn over_several_pairs_other_scores_say_that_they_have_no_interval() {
    let pairs = [("a", "b"), ("c", "d")];
    let mut e = Made::new(&[("source-only", None), ("dann", Some("source-only"))]).pairs(&pairs);
    let l = labels(60);
    for s in 0..5usize {
        for (p, pair) in pairs.iter().enumerate() {
            for (m, name) in ["source-only", "dann"].iter().enumerate() {
                e.cell(
                    &At(name, s as u64, Some(*pair)),
                    &l,
                    &right(&l, 0.7, [m, p, s]),
                    json!({}),
                );
            }
        }
    }
    let c = e.read().compare(Some(Metric::MacroF1));
    assert_eq!(row(&c, "dann").interval, None);
    assert!(
        note(&c, "the mean over the pairs has no interval").is_some(),
        "{:?}",
        c.notes
    );
    assert!(
        row(&c, "dann")
            .pairs
            .iter()
            .all(|p| p.difference.as_ref().is_some_and(|d| d.interval.is_some()))
    );
}

/// A class that few rows are of is missing from draws, which says nothing of its F1.
#[test]
fn a_rare_class_that_is_all_right_lowers_no_bound() {
    let mut e = Made::new(&[("source-only", None)]).classes(&["a", "b", "c"]);
    let mut l: Vec<usize> = labels(99);
    l.push(2);
    for s in 0..5usize {
        let mut said = right(&l[..99], 0.95, [0, 0, s]);
        said.push(2);
        e.cell(&At("source-only", s as u64, None), &l, &said, json!({}));
    }
    let c = e.read().compare(Some(Metric::MacroF1));
    let (low, _) = row(&c, "source-only").interval.expect("an interval");
    assert!(low > 0.85, "{low}");
}

/// A class that no test row is of counts 0, said or not: that it was said twice is no reason to leave it out of some draws.
#[test]
fn a_class_that_is_said_and_not_there_widens_no_interval() {
    let interval = |odd: bool| {
        let mut e = Made::new(&[("source-only", None)]).classes(&["a", "b", "c"]);
        let l = labels(200);
        for s in 0..5usize {
            let mut said = right(&l, 0.8, [0, 0, s]);
            if odd {
                // A row that is wrong already.
                let wrong = (0..200).find(|&i| said[i] != l[i]).expect("a wrong row");
                said[wrong] = 2;
            }
            e.cell(&At("source-only", s as u64, None), &l, &said, json!({}));
        }
        let c = e.read().compare(Some(Metric::MacroF1));
        row(&c, "source-only").interval.expect("an interval")
    };
    let (plain, odd) = (interval(false), interval(true));
    let wide = |(low, high): (f64, f64)| high - low;
    assert!(wide(odd) < 1.2 * wide(plain), "{plain:?} {odd:?}");
}

/// Methods that no seed moves are told by the rows, whatever the score.
#[test]
fn what_no_seed_moves_has_an_interval_of_any_score_with_three_seeds() {
    let mut e = Made::new(&[("source-only", None), ("a", Some("source-only"))]);
    let l = labels(200);
    for s in 0..3u64 {
        e.cell(
            &At("source-only", s, None),
            &l,
            &right(&l, 0.6, [0, 0, 0]),
            json!({}),
        );
        e.cell(&At("a", s, None), &l, &right(&l, 0.9, [0, 0, 0]), json!({}));
    }
    let c = e.read().compare(Some(Metric::MacroF1));
    let a = row(&c, "a");
    assert!(a.interval.is_some());
    let d = a.difference.as_ref().expect("a difference");
    let (low, _) = d.interval.expect("an interval");
    assert!(low > 0.1 && d.words == "adapt", "{low} {}", d.words);
}
