//! Every inductive strategy on images: each learns what its checkpoint does not know, by the loop's own gradient checks, and its model
//! comes back from `model/` bit for bit.

mod common;

use common::{folder, recipe, run, source};
use tlkit_core::data::Named;
use tlkit_core::run::Saved;

const STRATEGIES: &[(&str, &str, &str, f64)] = &[
    ("frozen", "method = \"feature-extraction\"", "", 0.6),
    ("knn", "method = \"knn\"", "", 0.5),
    (
        "fine-tune",
        "method = \"fine-tune\"",
        "epochs = 12\nlearning_rate = 0.01",
        0.6,
    ),
    (
        "norms-train",
        "method = \"fine-tune\"\nbatch_norm = \"train\"",
        "epochs = 12\nlearning_rate = 0.01",
        0.6,
    ),
    (
        "norms-adapt",
        "method = \"fine-tune\"\nbatch_norm = \"adapt\"",
        "epochs = 12\nlearning_rate = 0.01",
        0.6,
    ),
    (
        "from-layer3",
        "method = \"fine-tune\"\ntrain_from = \"layer3\"",
        "epochs = 12\nlearning_rate = 0.01",
        0.6,
    ),
    (
        "head-alone",
        "method = \"fine-tune\"\ntrain_from = \"head\"",
        "epochs = 20\nlearning_rate = 0.01",
        0.6,
    ),
    (
        "gradual-unfreeze",
        "method = \"gradual-unfreeze\"\nbatch_norm = \"train\"",
        "epochs = 12\nlearning_rate = 0.02",
        0.6,
    ),
    (
        "l2-sp",
        "method = \"l2-sp\"",
        "epochs = 12\nlearning_rate = 0.01",
        0.6,
    ),
    ("scratch", "method = \"from-scratch\"", "epochs = 4", 0.2),
];

#[test]
fn every_strategy_learns_and_its_model_comes_back() {
    let dir = folder();
    let stripes = source(dir.path());
    println!("the source on its own: {:.3}", stripes.accuracy());
    assert!(stripes.accuracy() > 0.8, "{}", stripes.accuracy());
    let mut reached = Vec::new();
    for (name, strategy, train, least) in STRATEGIES {
        let ran = run(dir.path(), name, &recipe("", strategy, train));
        println!("{name}: {:.3}", ran.accuracy());
        reached.push((name, ran.accuracy(), *least));
        let again = Saved::open(&ran.directory.join("model"), &common::registry())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        // As `predict` finds the rows of a file.
        let table = common::pictures(&dir.path().join("slants-test.drawn"));
        let rows = again.rows.find(vec![table], &Named::default()).unwrap();
        let made = again
            .probabilities(rows.inputs.clone(), &tlkit_core::train::Silent)
            .unwrap();
        let text = std::fs::read_to_string(ran.directory.join("predictions.jsonl")).unwrap();
        assert_eq!(text.lines().count(), made.len());
        for (line, made) in text.lines().zip(&made) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            for (a, b) in line["probabilities"].as_array().unwrap().iter().zip(made) {
                let gap = (a.as_f64().unwrap() - f64::from(*b)).abs();
                assert!(gap < 1e-5, "{name}: {gap}");
            }
        }
    }
    for (name, accuracy, least) in reached {
        assert!(accuracy >= least, "{name}: {accuracy}");
    }
}

/// Cross-validation on images: each row is tested once, by a model that has not seen it.
#[test]
fn folds_of_images() {
    let dir = folder();
    source(dir.path());
    let recipe = recipe("", "method = \"feature-extraction\"", "")
        .replace("test = \"slants-test.drawn\"", "")
        + "\n[evaluate]\nfolds = 3\nbaselines = []\n";
    let ran = run(dir.path(), "folds", &recipe);
    assert_eq!(ran.result["metrics"]["test"]["n"], 48);
    let interval = &ran.result["metrics"]["test"]["accuracy_interval"];
    println!("{:.3}, {interval}", ran.accuracy());
    // Of three classes: guessing has a third.
    assert!(ran.accuracy() >= 0.5, "{}", ran.accuracy());
}
