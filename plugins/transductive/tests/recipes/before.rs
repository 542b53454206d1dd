//! What the source alone makes of the target, beside what an adaptation makes of it.

use serde_json::Value;
use tlkit_core::run::RunResult;

use crate::world::{SOURCE, World, accuracy};

fn source_only(result: &RunResult) -> Option<f64> {
    let baseline = result.baseline.as_ref()?;
    baseline["source_only"]["test"]["accuracy"].as_f64()
}

/// `bbse` and `em-prior` learn the source as `source-only` does, and correct what comes of it: that is what they are held against, and not a model of fewer epochs.
#[test]
fn a_correction_is_held_against_the_whole_source_model() {
    let world = World::new();
    // Few epochs, so that more of them would be seen.
    let short = [
        "train.source_epochs=1",
        "train.epochs=4",
        "select.by=\"last\"",
    ];
    let plain = world.run(&world.adapted("source-only", &short), "plain", &[]);
    for method in ["bbse", "em-prior"] {
        let run = world.run(&world.adapted(method, &short), method, &[]);
        assert_eq!(source_only(&run), Some(accuracy(&plain)), "{method}");
    }
}

/// Without a source phase there is no source model, with a twin or without one.
#[test]
fn a_network_on_fresh_weights_is_no_source_model() {
    let world = World::new();
    for twin in ["select.twin=true", "select.twin=false"] {
        let sets = [twin, "train.source_epochs=0"];
        let run = world.run(&world.adapted("mcd", &sets), twin, &[]);
        assert!(run.baseline.is_none(), "{twin}");
        let first = world.metrics(twin).into_iter();
        let first = first.filter(|r| r["phase"] == "mcd" && !r["epoch"].is_null());
        let first: Vec<Value> = first.map(|r| r["epoch"].clone()).collect();
        assert_eq!(first[0], 1, "{twin}");
    }
}

/// A closed form takes the classifier away, so it is its own head without the adaptation that it is held against, also after a finished run.
#[test]
fn a_closed_form_goes_on_from_a_finished_run() {
    let world = World::new();
    world.run(&world.adapted("source-only", &[]), "known", &[]);
    let source = "run = \"known\"\ntrain = \"source.csv\"";
    for method in ["coral", "subspace-alignment"] {
        let checked = world.check(source, method, &[]).expect("a recipe");
        let run = world.run(&checked, method, &[]);
        let was = source_only(&run).expect("a baseline");
        assert!((0.3..=1.0).contains(&was), "{method}: {was}");
    }
}

/// What a model says that learned under weights of classes is not how often they occur.
#[test]
fn corrections_of_the_prior_refuse_weighted_losses() {
    let world = World::new();
    for method in ["bbse", "em-prior"] {
        let weights = ["target.class_weights=[1.0, 4.0]"];
        let checked = world.check(SOURCE, method, &weights).expect("a recipe");
        let Err(said) = tlkit_core::run::summary(&checked) else {
            panic!("{method} is not refused");
        };
        assert!(
            said.to_string().contains("take out class_weights"),
            "{said}"
        );
    }
}

/// A term that several updates of a step have is a mean over them, and no sum.
#[test]
fn means_of_an_epoch_lie_among_those_of_its_steps() {
    let world = World::new();
    let checked = world.adapted("mcd", &["strategy.repeats=3"]);
    world.run(&checked, "mcd", &[]);
    let rows: Vec<Value> = world.metrics("mcd");
    let of = |epochs: bool| -> Vec<f64> {
        let of = rows.iter().filter(|r| r["phase"] == "mcd");
        let of = of.filter(|r| r["epoch"].as_u64().is_some_and(|e| e > 0) == epochs);
        of.filter_map(|r| r["loss"].as_f64()).collect()
    };
    let (steps, epochs) = (of(false), of(true));
    assert!(
        !steps.is_empty() && epochs.len() == 6,
        "{steps:?} {epochs:?}"
    );
    // Not every step leaves a line.
    let most = 1.3 * steps.iter().copied().fold(0.0, f64::max);
    assert!(epochs.iter().all(|e| *e <= most), "{steps:?} {epochs:?}");
}

/// A batch norm has two statistics.
#[test]
fn batch_norms_are_counted_once() {
    let world = World::new();
    for method in ["adabn", "tent"] {
        let checked = world.adapted(method, &["source.batch_norm=true"]);
        let run = world.run(&checked, method, &[]);
        assert_eq!(run.fits["batch_norms"], 1.0, "{method}");
    }
}
