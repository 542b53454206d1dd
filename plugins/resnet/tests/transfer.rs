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

/// A head's draw is a function of seed and name. The classifier that a checkpoint's encoder was fitted to was drawn by them too, and must not be drawn again.
#[test]
fn a_head_over_what_a_run_trained_is_not_that_runs_head_again() {
    let dir = folder();
    source(dir.path());
    let first = |name: &str, source: &str| -> Vec<f32> {
        let recipe = format!(
            "[source]\n{source}\n[target]\ntask = \"image-classification\"\ntrain = \"slants.drawn\"\ntest = \"slants-test.drawn\"\n\
             [strategy]\nkind = \"inductive\"\nmethod = \"fine-tune\"\n[train]\nepochs = 1\nmax_steps = 2\nhead_learning_rate = 0.001\n\
             [evaluate]\nbaselines = []\n"
        );
        let ran = run(dir.path(), name, &recipe);
        let file = ran.directory.join("model/model.safetensors");
        let tensors = candle_core::safetensors::load(file, &candle_core::Device::Cpu).unwrap();
        let mut found = tensors.iter().filter(|(n, _)| n.ends_with("linear.weight"));
        let (_, weight) = found.next().expect("a classifier");
        weight.flatten_all().unwrap().to_vec1().unwrap()
    };
    let apart = |a: &[f32], b: &[f32]| -> f32 {
        let far = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        far.fold(0.0, f32::max)
    };
    let drawn = first(
        "fresh",
        "task = \"image-network\"\narchitecture = \"cifar_resnet20\"\nimage_size = 12",
    );
    let ours = "checkpoint = \"stripes/model\"";
    let (one, again) = (first("one", ours), first("again", ours));
    assert_eq!(one, again);
    assert!(apart(&one, &drawn) > 0.02, "{}", apart(&one, &drawn));
    // Somebody else's encoder knows nothing of our draws.
    let config = dir.path().join("stripes/model/config.json");
    let said = std::fs::read_to_string(&config).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&said).unwrap();
    json.as_object_mut()
        .unwrap()
        .remove("tlkit")
        .expect("whose it is");
    std::fs::write(&config, json.to_string()).unwrap();
    let foreign = first("foreign", ours);
    assert!(
        apart(&foreign, &drawn) < 0.05,
        "{}",
        apart(&foreign, &drawn)
    );
}
