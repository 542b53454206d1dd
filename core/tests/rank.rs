//! LogME and H-score against their closed formulas (`golden/rank.py`), and in the order that they should say.

use tlkit_core::rank::{Labelled, h_score, log_me};

fn features(rows: usize, width: usize) -> Labelled {
    let value = |i: usize, j: usize| {
        let (x, y) = (i as f64, j as f64);
        let own = if i % 3 == j % 3 { 0.5 } else { 0.0 };
        (0.7 * x + 1.3 * y + 0.11 * x * y).sin() + own
    };
    Labelled {
        features: (0..rows * width)
            .map(|k| value(k / width, k % width))
            .collect(),
        width,
        labels: (0..rows as u32).map(|i| i % 3).collect(),
        classes: 3,
    }
}

#[test]
fn scores_are_those_of_the_closed_formulas() {
    let golden: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("golden/rank.json")).unwrap();
    assert_eq!(golden.len(), 3);
    for row in golden {
        let number = |k: &str| row[k].as_f64().unwrap();
        let data = features(number("rows") as usize, number("width") as usize);
        let (me, h) = (log_me(&data), h_score(&data));
        println!("{me} {h}, {row}");
        assert!((me - number("log_me")).abs() < 1e-6, "{me}, {row}");
        assert!((h - number("h_score")).abs() < 1e-9, "{h}, {row}");
    }
}

#[test]
fn features_that_know_the_classes_score_higher() {
    let good = features(600, 12);
    let mut shuffled = good.clone();
    // The same features with labels that they say nothing of.
    shuffled.labels = (0..600u32).map(|i| (i * 7 + i / 9) % 3).collect();
    assert!(log_me(&good) > log_me(&shuffled) + 0.01);
    assert!(h_score(&good) > h_score(&shuffled));
}
