//! Whole runs: from a recipe to a run directory.

mod common;

use common::{At, check, data, go};
use tlkit_core::evaluate::Scores;
use tlkit_core::run::RunResult;

/// `metrics.jsonl` without the seconds, which are others each time.
fn timeless(metrics: &str) -> Vec<serde_json::Value> {
    let line = |line: &str| {
        let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().remove("seconds");
        row
    };
    metrics.lines().map(line).collect()
}

fn accuracy(result: &RunResult) -> f64 {
    match &result.metrics["test"] {
        Scores::Classes(c) => c.accuracy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_blobs_are_told_apart_from_svmlight_and_from_csv() {
    let dir = data();
    for ending in ["svmlight", "csv"] {
        let checked = check(dir.path(), ending, &["train.learning_rate=1e-2"]).unwrap();
        let result = go(&checked, &dir.path().join(ending), At::Never).unwrap();
        assert!(accuracy(&result) > 0.9, "{ending}: {}", accuracy(&result));
        assert_eq!(result.labels, ["left", "right"]);
    }
}

#[test]
fn every_setting_trains() {
    let dir = data();
    let settings: [&[&str]; 4] = [
        &[
            "source.hidden=[8, 4]",
            "source.activation=\"tanh\"",
            "source.dropout=0.1",
        ],
        &["source.activation=\"gelu\"", "target.label_smoothing=0.1"],
        &[
            "source.activation=\"none\"",
            "target.class_weights=\"balanced\"",
        ],
        &["target.class_weights=[1.0, 2.5]", "train.micro_batch=5"],
    ];
    for (i, sets) in settings.into_iter().enumerate() {
        let sets = [sets, &["train.learning_rate=1e-2"]].concat();
        let checked = check(dir.path(), "csv", &sets).unwrap();
        let result = go(&checked, &dir.path().join(i.to_string()), At::Never).unwrap();
        assert!(accuracy(&result) > 0.88, "{sets:?}: {}", accuracy(&result));
    }
}

#[test]
fn one_seed_one_set_of_weights() {
    let dir = data();
    let run = |seed: &str, to: &str| {
        let checked = check(dir.path(), "csv", &["source.dropout=0.2", seed]).unwrap();
        go(&checked, &dir.path().join(to), At::Never)
            .unwrap()
            .weights_sha256
    };
    let first = run("train.seed=3", "a");
    assert_eq!(first, run("train.seed=3", "b"));
    assert_ne!(first, run("train.seed=4", "c"));
}

/// Where an interruption falls makes no difference: 12 steps an epoch, two phases of 6 epochs, a checkpoint at every third step.
#[test]
fn a_run_that_was_interrupted_ends_with_the_same_bits() {
    let dir = data();
    let sets = [
        "source.dropout=0.3",
        "source.hidden=[16, 8]",
        "strategy.phases=2",
        "train.checkpoint_every=3",
        "train.schedule=\"cosine\"",
        "train.warmup=0.1",
    ];
    let checked = || check(dir.path(), "svmlight", &sets).unwrap();
    let whole = dir.path().join("whole");
    let wanted = go(&checked(), &whole, At::Never).unwrap();
    let read = |run: &std::path::Path, file: &str| std::fs::read_to_string(run.join(file)).unwrap();
    let ways: [&[At]; 7] = [
        &[At::Stop(1)],
        &[At::Stop(12)],
        &[At::Stop(17), At::Stop(20), At::Die(9)],
        &[At::Die(1)],
        &[At::Die(29)],
        &[At::Stop(72)],
        &[At::Die(80), At::Die(4), At::Stop(5)],
    ];
    for (i, way) in ways.iter().enumerate() {
        let to = dir.path().join(i.to_string());
        for &at in way.iter() {
            assert!(
                go(&checked(), &to, at).is_none(),
                "way {i} was not interrupted"
            );
        }
        let result = go(&checked(), &to, At::Never).unwrap();
        assert_eq!(result.weights_sha256, wanted.weights_sha256, "way {i}");
        assert_eq!(
            (result.steps, &result.metrics),
            (wanted.steps, &wanted.metrics),
            "way {i}"
        );
        assert_eq!(
            read(&to, "predictions.jsonl"),
            read(&whole, "predictions.jsonl"),
            "way {i}"
        );
        assert_eq!(
            timeless(&read(&to, "metrics.jsonl")),
            timeless(&read(&whole, "metrics.jsonl")),
            "way {i}"
        );
    }
}

/// svmlight does not say how wide it is: the training file's last feature is always 0 here, and the test file's is not.
#[test]
fn a_test_file_may_be_wider_than_the_training_file() {
    let dir = data();
    let wide = std::fs::read_to_string(dir.path().join("test.svmlight")).unwrap();
    let wide = wide.replacen('\n', " 5:1\n", 1);
    std::fs::write(dir.path().join("test.svmlight"), wide).unwrap();
    let checked = check(dir.path(), "svmlight", &["train.max_steps=12"]).unwrap();
    assert_eq!(checked.target.input_width(), Some(5));
    go(&checked, &dir.path().join("run"), At::Never).unwrap();
}

#[test]
fn the_model_is_written_with_its_shape_and_every_weight() {
    let dir = data();
    let checked = check(
        dir.path(),
        "csv",
        &["source.hidden=[8, 4]", "train.max_steps=12"],
    )
    .unwrap();
    let to = dir.path().join("run");
    let result = go(&checked, &to, At::Never).unwrap();
    assert_eq!(
        result.model,
        serde_json::json!({ "loadable_by": null, "why": "no other library has this network", "reloads": true })
    );
    let text = std::fs::read_to_string(to.join("model/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["inputs"], 2);
    assert_eq!(config["hidden"], serde_json::json!([8, 4]));
    assert_eq!(config["labels"], serde_json::json!(["left", "right"]));
    let bytes = std::fs::read(to.join("model/model.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = tensors.names();
    names.sort();
    assert_eq!(
        names,
        [
            "classifier.bias",
            "classifier.weight",
            "hidden.0.bias",
            "hidden.0.weight",
            "hidden.1.bias",
            "hidden.1.weight"
        ]
    );
    assert_eq!(tensors.tensor("hidden.0.weight").unwrap().shape(), [8, 2]);
}
