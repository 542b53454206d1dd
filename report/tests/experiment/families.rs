//! What is asked at once, of whom, and in which words.

use serde_json::json;
use tlkit_report::{Comparison, Difference};

use crate::made::{At, Made, labels, note, right, row};

fn difference<'a>(c: &'a Comparison, method: &str) -> &'a Difference {
    row(c, method).difference.as_ref().expect("a difference")
}

/// Five seeds of methods that are right on these shares of the rows; `failed` has a seed that failed.
fn seeds(e: &mut Made, shares: &[(&str, f64)], failed: &[&str]) {
    let l = labels(300);
    for (m, (name, share)) in shares.iter().enumerate() {
        for s in 0..5 {
            let more = match s == 4 && failed.contains(name) {
                true => json!({"status": "failed", "error": "the loss is inf"}),
                false => json!({}),
            };
            let said = right(&l, *share, [m, s as usize, 0]);
            e.cell(&At(name, s, None), &l, &said, more);
        }
    }
}

#[test]
fn who_fails_was_asked_all_the_same() {
    let shares = [("source-only", 0.6), ("a", 0.66), ("b", 0.6), ("c", 0.6)];
    let of = |failed: &[&str]| {
        let reference = |name: &str| (name != "source-only").then_some("source-only");
        let methods: Vec<_> = shares.iter().map(|(n, _)| (*n, reference(n))).collect();
        let mut e = Made::new(&methods);
        seeds(&mut e, &shares, failed);
        e.compare()
    };
    let (all, some) = (of(&[]), of(&["b", "c"]));
    let p = |c: &Comparison| {
        let d = difference(c, "a");
        (d.p.expect("a p"), d.p_adjusted.expect("adjusted"))
    };
    assert!(row(&some, "b").difference.is_none());
    assert_eq!(p(&all), p(&some));
    assert!((p(&all).1 - 3.0 * p(&all).0).abs() < 1e-12);
    assert_eq!(difference(&all, "a").least, difference(&some, "a").least);
}

/// Of pairs that share no domain; and no range of those that came through.
#[test]
fn who_fails_on_a_pair_is_asked_of_new_domains_too() {
    let names: Vec<(String, String)> = (0..6).map(|i| (format!("s{i}"), format!("t{i}"))).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|(s, t)| (&**s, &**t)).collect();
    let methods = [
        ("source-only", None),
        ("a", Some("source-only")),
        ("b", Some("source-only")),
    ];
    let of = |fails: bool| {
        let mut e = Made::new(&methods).pairs(&pairs);
        let l = labels(100);
        for (p, &pair) in pairs.iter().enumerate() {
            for (m, share) in [0.6, 0.75, 0.8].into_iter().enumerate() {
                for s in 0..3 {
                    let lost = fails && (m, p, s) == (2, 5, 2);
                    let more = match lost {
                        true => json!({"status": "failed", "error": "the loss is inf"}),
                        false => json!({}),
                    };
                    let said = right(&l, share, [m, p, s as usize]);
                    e.cell(&At(methods[m].0, s, Some(pair)), &l, &said, more);
                }
            }
        }
        e.compare()
    };
    let (all, some) = (of(false), of(true));
    let p = |c: &Comparison| c.new_domains(row(c, "a")).expect("a p of six pairs");
    // 2 / 2^6 for each of two questions.
    assert!((p(&all) - 2.0 * 0.03125).abs() < 1e-12, "{}", p(&all));
    assert_eq!(p(&all), p(&some));
    assert!(note(&all, "`b`: from").is_some());
    assert!(note(&some, "`b`: from").is_none(), "{:?}", some.notes);
    let ranks = note(&some, "Mean ranks").expect("ranks of those with a score of every pair");
    assert!(
        ranks.contains("`a` 1.0") && !ranks.contains("`b`"),
        "{ranks}"
    );
}

#[test]
fn a_ceiling_by_another_name_is_one() {
    let mut e = Made::new(&[
        ("source-only", None),
        ("top", Some("source-only")),
        ("a", Some("source-only")),
    ]);
    e.plan["methods"][1]["method"] = json!("target-supervised");
    seeds(
        &mut e,
        &[("source-only", 0.5), ("top", 0.9), ("a", 0.7)],
        &[],
    );
    let c = e.compare();
    assert_eq!(difference(&c, "top").words, "ceiling");
    assert_eq!(row(&c, "top").gap_closed, None);
    let d = difference(&c, "a");
    assert_eq!(d.p, d.p_adjusted);
    let gap = row(&c, "a").gap_closed.expect("a gap to the ceiling");
    assert!((gap - 0.5).abs() < 0.15, "{gap}");
}

/// Only against the source alone is a method an adaptation, and the way to the ceiling one that begins there.
#[test]
fn words_of_adaptations_are_for_the_source_alone() {
    let mut e = Made::new(&[
        ("mcc", None),
        ("source-only", Some("mcc")),
        ("target-supervised", Some("mcc")),
    ]);
    let shares = [
        ("mcc", 0.8),
        ("source-only", 0.5),
        ("target-supervised", 0.9),
    ];
    seeds(&mut e, &shares, &[]);
    let c = e.compare();
    assert_eq!(difference(&c, "source-only").words, "worse");
    assert!(c.rows.iter().all(|r| r.gap_closed.is_none()));
    assert!(note(&c, "negative transfer").is_none());
    // In closed form the source alone is a head.
    let mut e = Made::new(&[("source-head", None), ("coral", Some("source-head"))]);
    seeds(&mut e, &[("source-head", 0.5), ("coral", 0.8)], &[]);
    assert_eq!(difference(&e.compare(), "coral").words, "adapt");
}

/// Between nothing and what is worth having the open question is whether it is less than that: a seed more does not answer it.
#[test]
fn what_would_settle_a_small_gain_is_not_one_seed_more() {
    let mut e = Made::new(&[("source-only", None), ("a", Some("source-only"))]);
    let l = labels(20_000);
    let plain = right(&l, 0.8, [0, 0, 0]);
    for s in 0..3usize {
        // 368 rows won and 208 lost in each seed, all but a few the same ones.
        let mut said = plain.clone();
        let turned = |is: bool, n: usize| {
            let of = (0..l.len()).filter(|&i| (plain[i] == l[i]) == is);
            of.skip(s).take(n).collect::<Vec<_>>()
        };
        for i in turned(false, 368).into_iter().chain(turned(true, 208)) {
            said[i] = 1 - plain[i];
        }
        let at = |name| At(name, s as u64, None);
        e.cell(&at("source-only"), &l, &plain, json!({}));
        e.cell(&at("a"), &l, &said, json!({}));
    }
    let c = e.compare();
    let d = difference(&c, "a");
    let (low, high) = d.interval.expect("an interval");
    assert!((d.mean - 0.008).abs() < 1e-9, "{}", d.mean);
    // It is there for sure, and may be worth a point or less.
    assert!(low > 0.0 && high > 0.01 && d.words == "inconclusive");
    // Three seeds tell a point from nothing already, so what a fourth would tell is nothing new.
    assert!(d.least.expect("a least") < 0.01);
    let settle = d.settle.as_deref().expect("what would settle it");
    assert!(
        settle.starts_with("30 seeds would not settle it; about")
            && settle.ends_with("times as many test rows would"),
        "{settle}"
    );
}
