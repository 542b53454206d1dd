//! Cross-validations beside each other.

use serde_json::{Value, json};
use tlkit_report::{Comparison, Format, Outcome};

use crate::made::{At, Made, labels, note, right, row};

fn folds(values: &[f64]) -> Value {
    json!({"folds": {"k": values.len(), "metrics": {"accuracy": {"values": values}}}})
}

#[test]
fn folds_are_compared_by_the_corrected_t_and_never_called_one_model() {
    let mut e = Made::new(&[
        ("plain", None),
        ("better", Some("plain")),
        ("other", Some("plain")),
    ]);
    let l = labels(80);
    let runs = [
        ("plain", vec![0.80, 0.82, 0.84, 0.81]),
        ("better", vec![0.90, 0.93, 0.93, 0.92]),
        ("other", vec![0.90, 0.93, 0.93]),
    ];
    for (m, (name, values)) in runs.iter().enumerate() {
        e.cell(
            &At(name, 0, None),
            &l,
            &right(&l, 0.8, [m, 0, 0]),
            folds(values),
        );
    }
    let c = e.compare();
    let d = row(&c, "better").difference.as_ref().expect("a difference");
    // By hand: 0.10, 0.11, 0.09, 0.11 have mean 0.1025 and s^2 = 9.1667e-5; (1/4 + 1/3) s^2 = 5.3472e-5, t(0.975, 3) = 3.18245: half = 0.023272.
    let (low, high) = d.interval.expect("an interval");
    assert!((d.mean - 0.1025).abs() < 1e-9, "{}", d.mean);
    assert!(
        (low - 0.079_228).abs() < 1e-5 && (high - 0.125_772).abs() < 1e-5,
        "{low} {high}"
    );
    assert!(
        !d.of_models && d.words == "these folds: better",
        "{}",
        d.words
    );
    assert!((row(&c, "better").mean.expect("a mean") - 0.92).abs() < 1e-9);
    assert!(matches!(
        e.gate("better: accuracy >= plain + 5pt"),
        Outcome::Met(_)
    ));
    // Three folds beside four: the mean, and no more.
    let other = row(&c, "other").difference.as_ref().expect("a mean");
    assert_eq!(
        (other.interval, other.p, other.words.as_str()),
        (None, None, "no interval")
    );
    assert!(matches!(
        e.gate("other: accuracy >= plain"),
        Outcome::Undecided(lines) if lines[0].contains("the same folds on both sides")
    ));
    assert!(
        note(&c, "corrected resampled t over the folds").is_some(),
        "{:?}",
        c.notes
    );
    assert!(!c.print(Format::Text, false).contains("this model"));
}

/// The same rows in other folds: the mean of each side, and nothing that pairs their folds.
#[test]
fn rows_that_were_dealt_otherwise_are_no_pairs() {
    let of = |dealt_otherwise: bool| {
        let mut e = Made::new(&[("plain", None), ("better", Some("plain"))]);
        let l = labels(80);
        let ids = |turned: usize| -> Vec<String> {
            (0..80)
                .map(|i| format!("{:02}", (i + turned) % 80))
                .collect()
        };
        for (m, (name, values)) in [
            ("plain", [0.80, 0.82, 0.84, 0.81]),
            ("better", [0.90, 0.93, 0.93, 0.92]),
        ]
        .into_iter()
        .enumerate()
        {
            let mut more = folds(&values);
            let turned = if dealt_otherwise { 2 * m } else { 0 };
            more["ids"] = json!(ids(turned));
            e.cell(&At(name, 0, None), &l, &right(&l, 0.8, [m, 0, 0]), more);
        }
        e.compare()
    };
    let d = |c: &Comparison| row(c, "better").difference.clone().expect("a mean");
    let (alike, otherwise) = (d(&of(false)), d(&of(true)));
    assert!(alike.interval.is_some() && otherwise.interval.is_none());
    assert!((otherwise.mean - 0.1025).abs() < 1e-9, "{}", otherwise.mean);
}

/// A fold without a class has no macro F1 that means the same; all rows together have one.
#[test]
fn a_score_of_all_folds_together_stands_without_an_interval() {
    let mut e = Made::new(&[("plain", None), ("better", Some("plain"))]);
    e.plan["metric"] = json!("macro_f1");
    let l = labels(80);
    for (m, (name, score)) in [("plain", 0.4), ("better", 0.5)].into_iter().enumerate() {
        let mut more = folds(&[0.8, 0.9]);
        more["folds"]["pooled"] = json!(["macro_f1"]);
        more["metrics"] = json!({"test": {"macro_f1": score}});
        e.cell(&At(name, 0, None), &l, &right(&l, 0.8, [m, 0, 0]), more);
    }
    let c = e.compare();
    let better = row(&c, "better");
    assert_eq!((better.mean, better.interval), (Some(0.5), None));
    let d = better.difference.as_ref().expect("a mean");
    assert!((d.mean - 0.1).abs() < 1e-12 && d.interval.is_none());
    assert!(note(&c, "of all rows together").is_some(), "{:?}", c.notes);
    assert!(note(&c, "of one class").is_none(), "{:?}", c.notes);
}

/// Rows of cross-validations are sorted by their names; what is shown of one is its own text.
#[test]
fn a_row_that_turned_is_shown_with_its_own_text() {
    let mut e = Made::new(&[("plain", None), ("better", Some("plain"))]);
    let l = labels(6);
    let ids = ["05", "03", "01", "04", "02", "00"];
    for (name, share) in [("plain", 0.5), ("better", 0.9)] {
        let mut more = folds(&[share, share, share]);
        more["ids"] = json!(ids);
        let mut said = l.clone();
        if name == "plain" {
            said[1] = 1 - said[1];
        }
        e.cell(&At(name, 0, None), &l, &said, more);
    }
    for cell in ["c0", "c1"] {
        let file = e.dir.path().join(cell).join("predictions.jsonl");
        let text = std::fs::read_to_string(&file).expect("predictions");
        let with = |line: &str| {
            let mut row: Value = serde_json::from_str(line).expect("JSON");
            row["input"] = format!("the text of {}", row["id"].as_str().expect("a name")).into();
            format!("{row}\n")
        };
        std::fs::write(&file, text.lines().map(with).collect::<String>()).expect("written");
    }
    let page = e.compare().print(Format::Html, false);
    assert!(page.contains("the text of 03") && !page.contains("the text of 01"));
}
