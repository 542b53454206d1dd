//! tf-idf and logistic regression beside scikit-learn (`golden/tfidf.py` made the values).

use std::borrow::Cow;

use serde_json::Value;
use tlkit_baselines::Vocabulary;
use tlkit_core::data::{Input, Samples};
use tlkit_core::logistic::fit_rows;
use tlkit_core::metrics::softmax;

struct Lines(Vec<String>);

impl Samples for Lines {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn id(&self, row: usize) -> String {
        row.to_string()
    }
    fn input(&self, row: usize) -> tlkit_core::Result<Input<'_>> {
        Ok(Input::Text(Cow::Borrowed(&self.0[row])))
    }
}

fn lines(value: &Value) -> Lines {
    Lines(serde_json::from_value(value.clone()).expect("texts"))
}

#[test]
fn vectors_and_probabilities_are_scikit_learns() {
    let golden: Value = serde_json::from_str(include_str!("golden/tfidf.json")).expect("JSON");
    let (train, test) = (lines(&golden["train"]), lines(&golden["test"]));
    let (vocabulary, rows) = Vocabulary::learn(&train).unwrap();
    assert_eq!(vocabulary.len() as u64, golden["terms"].as_u64().unwrap());
    let vectors = vocabulary.vectors(&test).unwrap();
    for (row, theirs) in golden["vectors"].as_array().unwrap().iter().enumerate() {
        // Columns are in another order: the same numbers, sorted.
        let mut ours: Vec<f64> = vectors.row(row).map(|(_, v)| f64::from(v)).collect();
        let mut theirs: Vec<f64> = theirs
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_f64)
            .collect();
        ours.sort_by(f64::total_cmp);
        theirs.sort_by(f64::total_cmp);
        assert_eq!(ours.len(), theirs.len(), "row {row}");
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() < 1e-6, "row {row}: {a} {b}");
        }
    }
    for fit in golden["fits"].as_array().unwrap() {
        let of = fit["of"].as_str().unwrap();
        let y: Vec<u32> = serde_json::from_value(golden[of].clone()).unwrap();
        let classes = if of == "labels" { 2 } else { 3 };
        let halved = if classes == 2 { 2.0 } else { 1.0 };
        let strength = halved / (fit["C"].as_f64().unwrap() * y.len() as f64);
        let ours = fit_rows(&rows, &y, classes, strength, 1e-9, None);
        let logits: Vec<Vec<f32>> = (0..4)
            .map(|r| {
                ours.scores(&vectors, r)
                    .into_iter()
                    .map(|s| s as f32)
                    .collect()
            })
            .collect();
        let theirs: Vec<Vec<f64>> = serde_json::from_value(fit["probabilities"].clone()).unwrap();
        for (a, b) in softmax(&logits)
            .iter()
            .flatten()
            .zip(theirs.iter().flatten())
        {
            assert!(
                (f64::from(*a) - b).abs() < 1e-5,
                "{of} C = {}: {a} {b}",
                fit["C"]
            );
        }
    }
}
