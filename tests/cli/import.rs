//! Predictions that were made elsewhere: what is refused, and what is kept as it is.

use crate::bench::{Bench, Ended};

/// An experiment of one method with one finished cell, and its test rows: names and labels.
fn bench() -> (Bench, Vec<(String, String)>) {
    let bench = Bench::new();
    bench.write(
        "one.toml",
        "[experiment]\nbase = \"small.toml\"\nseeds = 1\nset = { \"train.epochs\" = 1 }\n",
    );
    bench.tlkit(&["compare", "one.toml"]).code(0);
    let lines = bench.read("experiments/one/from-scratch-s0/predictions.jsonl");
    let rows = lines.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |key: &str| row[key].as_str().expect("a text").to_string();
        (text("id"), text("label"))
    });
    (bench, rows.collect())
}

fn import(bench: &Bench, method: &str, more: &[&str]) -> Ended {
    let all = [
        "import",
        "mine.csv",
        "--method",
        method,
        "--out",
        "experiments/one",
    ];
    bench.tlkit(&[&all[..], more].concat())
}

#[test]
fn probabilities_keep_their_digits_and_sum_to_one() {
    let (bench, rows) = bench();
    let mut csv = String::from("id,label,no,yes\n");
    for (i, (id, label)) in rows.iter().enumerate() {
        // Near 1 single precision has no room for these.
        let p = 1.0 - 1e-10 * (i + 1) as f64;
        csv += &format!("{id},{label},{},{p}\n", 1.0 - p);
    }
    bench.write("mine.csv", &csv);
    import(&bench, "mine", &[]).code(0);
    let kept = bench.read("experiments/one/imported/mine-s0/predictions.jsonl");
    let mut last: Vec<String> = kept
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            row["probabilities"][1].to_string()
        })
        .collect();
    last.sort();
    last.dedup();
    assert_eq!(last.len(), rows.len());
    let (id, label) = &rows[0];
    bench.write(
        "mine.csv",
        &csv.replacen(
            csv.lines().nth(1).expect("a row"),
            &format!("{id},{label},0.9,0.9"),
            1,
        ),
    );
    let wrong = import(&bench, "other", &[]).code(2);
    assert!(
        wrong.err.contains("sum to 1.8000, not to 1"),
        "{}",
        wrong.err
    );
}

#[test]
fn a_folder_that_two_names_share_is_not_written_over() {
    let (bench, rows) = bench();
    let csv = |said: &str| {
        let lines = rows
            .iter()
            .map(|(id, label)| format!("{id},{label},{said}\n"));
        format!("id,label,prediction\n{}", lines.collect::<String>())
    };
    bench.write("mine.csv", &csv("yes"));
    let broken = import(&bench, "a\nb", &[]).code(2);
    assert!(broken.err.contains("a name, on one line"), "{}", broken.err);
    import(&bench, "a b", &[]).code(0);
    let before = bench.read("experiments/one/imported/a_b-s0/predictions.jsonl");
    bench.write("mine.csv", &csv("no"));
    let refused = import(&bench, "a_b", &["--force"]).code(2);
    assert!(
        refused.err.contains("holds the predictions of `a b`"),
        "{}",
        refused.err
    );
    assert_eq!(
        bench.read("experiments/one/imported/a_b-s0/predictions.jsonl"),
        before
    );
    // Its own it may.
    import(&bench, "a b", &["--force"]).code(0);
    assert_ne!(
        bench.read("experiments/one/imported/a_b-s0/predictions.jsonl"),
        before
    );
}
