//! Whole transductive runs, from recipes on feature vectors.

mod before;
mod world;

use std::sync::Arc;

use serde_json::Value;
use tlkit_core::Checked;
use tlkit_core::data::Resolve;
use tlkit_core::evaluate::Scores;
use tlkit_core::random::Stream;
use tlkit_core::recipe::Written;

use world::{Files, SOURCE, World, accuracy, registry};

#[test]
fn an_adaptation_has_its_twin_beside_it() {
    let world = World::new();
    let twin = world.run(&world.adapted("source-only", &[]), "twin", &[]);
    let dann = world.run(&world.adapted("dann", &[]), "dann", &[]);
    assert_eq!(dann.selection["by"], "auto");
    assert_eq!(dann.selection["oracle"], false);
    // The source model before the adaptation, and the two of them compared.
    let before = dann.baseline.as_ref().expect("a baseline");
    let was = before["source_only"]["test"]["accuracy"].as_f64().unwrap();
    let worth = dann.worth.as_ref().expect("a comparison");
    assert_eq!(worth.against, "the source model");
    assert!((worth.difference - (accuracy(&dann) - was)).abs() < 1e-12);
    assert!(twin.baseline.is_none());

    // The same source phase, and as many candidates on the way; the twin's own way besides.
    let of_source = 5 * 180_u64.div_ceil(32);
    assert_eq!(dann.steps, 2 * twin.steps - of_source);
    let of = |to: &str, phase: &str| -> Vec<Value> {
        let rows = world.metrics(to).into_iter();
        rows.filter(|r| r["phase"] == phase && !r["epoch"].is_null())
            .collect()
    };
    assert_eq!(of("twin", "source"), of("dann", "source"));
    let (a, b) = (of("twin", "source-only"), of("dann", "dann"));
    assert_eq!((a.len(), b.len()), (7, 7));
    let start = |r: &Value| (r["epoch"].clone(), r["score_infomax"].clone());
    assert_eq!(start(&a[0]), start(&b[0]));
    // The adversary is in the curves.
    for epoch in &b[1..] {
        let right = epoch["discriminator_accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&right));
        assert!(epoch["reversal"].as_f64().unwrap() > 0.0);
        assert!(epoch["target_accuracy"].is_null(), "an oracle's number");
    }
}

/// The twin's epochs are those of `source-only`, the adaptation's those of a run without a twin; and where the twin is kept, it is `source-only`'s model.
#[test]
fn the_twin_is_source_only_and_leaves_the_adaptation_as_it_was() {
    let world = World::new();
    let dropout = "source.dropout=0.1";
    let of = |to: &str, phase: &str| -> Vec<Value> {
        let rows = world.metrics(to).into_iter();
        rows.filter(|r| r["phase"] == phase).collect()
    };
    let plain = world.run(&world.adapted("source-only", &[dropout]), "plain", &[]);
    let mut kept = Vec::new();
    for (name, method, margin) in [
        ("dann", "dann", "0.0"),
        ("shot", "shot", "0.0"),
        ("mcd", "mcd", "0.0"),
        ("mcc", "mcc", "0.0"),
        ("margin", "dann", "10.0"),
    ] {
        let run = |to: &str, sets: &[&str]| {
            world.run(
                &world.adapted(method, &[&[dropout], sets].concat()),
                to,
                &[],
            )
        };
        let alone = run(&format!("{name}-alone"), &["select.twin=false"]);
        let margin = format!("select.margin={margin}");
        let beside = run(&format!("{name}-beside"), &[margin.as_str()]);
        assert!(alone.selection["of"].is_null(), "{name}");
        assert!(of(&format!("{name}-alone"), "source-only").is_empty());
        for phase in ["source", method] {
            let (a, b) = (
                of(&format!("{name}-alone"), phase),
                of(&format!("{name}-beside"), phase),
            );
            assert!(!a.is_empty() && a == b, "{name}: {phase}");
        }
        assert_eq!(
            of(&format!("{name}-beside"), "source-only"),
            of("plain", "source-only"),
            "{name}"
        );
        if beside.selection["of"] == "source-only" {
            assert_eq!(beside.metrics["test"], plain.metrics["test"], "{name}");
            assert_eq!(
                beside.selection["epoch"], plain.selection["epoch"],
                "{name}"
            );
            assert_eq!(beside.selection["without_labels"], "cannot tell");
        } else {
            assert_eq!(beside.metrics["test"], alone.metrics["test"], "{name}");
            assert_eq!(
                beside.selection["epoch"], alone.selection["epoch"],
                "{name}"
            );
        }
        kept.push((name, beside.selection["of"].as_str().map(str::to_string)));
    }
    // Both happen.
    let twins = kept.iter().filter(|(_, of)| of.is_some()).count();
    assert!((1..kept.len()).contains(&twins), "{kept:?}");
}

/// Under `linear_probe` the source phase begins with a head that is fitted, for every method alike, and a killed run ends with the same bits.
#[test]
fn a_probe_is_where_the_source_phase_begins() {
    let world = World::new();
    let probe = "train.linear_probe=true";
    let first = |to: &str| -> f64 {
        let rows = world.metrics(to).into_iter();
        let mut of = rows.filter(|r| r["phase"] == "source" && r["epoch"] == 1);
        of.next().expect("an epoch")["loss"]
            .as_f64()
            .expect("a loss")
    };
    let dann = world.adapted("dann", &[probe]);
    let probed = world.run(&dann, "probed", &[]);
    world.run(&world.adapted("dann", &[]), "plain", &[]);
    assert!(first("probed") < 0.5 * first("plain"));
    assert!(probed.fits["probe_cross_validation_accuracy"] > 0.9);
    assert!(probed.fits["probe_strength"] > 0.0);
    let again = world.run(&dann, "again", &[3, 40]);
    assert_eq!(again.weights_sha256, probed.weights_sha256);
    // The source model is that of the source phase, not of the probe alone.
    let alone = world.run(&world.adapted("source-only", &[probe]), "alone", &[]);
    let of = |to: &str| -> Vec<Value> {
        let rows = world.metrics(to).into_iter();
        rows.filter(|r| r["phase"] == "source").collect()
    };
    assert_eq!(of("alone"), of("probed"));
    assert!(alone.fits.contains_key("probe_strength"));
    assert!(probed.baseline.is_some());
    let said = world.check(SOURCE, "coral", &[probe]);
    let said = said.err().expect("a closed form is refused");
    assert!(
        said.contains("fits its head on features that stay"),
        "{said}"
    );
    assert!(said.contains("leave `linear_probe` out"), "{said}");
}

/// An adversary whose gradient outgrows f32 about half way: the epochs before are what can be kept, and where nothing is chosen between, the run fails.
#[test]
fn an_adaptation_that_diverges_ends_there_and_keeps_an_epoch_before() {
    let world = World::new();
    let adversary = ["strategy.lambda=1.4e39", "strategy.gamma=1.0"];
    let with = |sets: &[&str]| world.adapted("dann", &[&adversary, sets].concat());
    for (by, to) in [("auto", "auto"), ("oracle", "oracle")] {
        let select = format!("select.by=\"{by}\"");
        let run = world.run(&with(&[&select]), to, &[]);
        let words = run.selection["diverged"].as_str().expect("it diverged");
        assert!(words.contains(" at step "), "{words}");
        let epochs = world.metrics(to).into_iter();
        let epochs: Vec<u64> = epochs
            .filter(|r| r["phase"] == "dann")
            .filter_map(|r| r["epoch"].as_u64())
            .collect();
        let last = *epochs.last().expect("epochs");
        assert!((1..6).contains(&last), "{epochs:?}");
        if by == "auto" {
            assert_eq!(run.selection["without_labels"], "signs of collapse");
            let collapsed = run.selection["collapsed_epochs"]
                .as_array()
                .expect("a list");
            assert_eq!(collapsed.last(), Some(&Value::from(last + 1)));
        }
        assert!(accuracy(&run) > 0.4);
        if by == "auto" {
            let again = world.run(&with(&[&select]), "again", &[40, 70]);
            assert_eq!(again.weights_sha256, run.weights_sha256);
            assert_eq!(again.selection, run.selection);
        }
    }
    let last = with(&["select.by=\"last\""]);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.run(&last, "last", &[])
    }));
    assert!(failed.is_err(), "nothing was there to be kept");
}

/// No label of the target decides anything: with others in their place the run is the same to the bit.
#[test]
fn the_targets_labels_are_not_looked_at() {
    let world = World::new();
    for method in ["dann", "shot", "mcc"] {
        let plain = world.run(&world.adapted(method, &[]), &format!("{method}-plain"), &[]);
        let flipped = world.adapted(method, &["target.unlabelled=\"flipped.csv\""]);
        let flipped = world.run(&flipped, &format!("{method}-flipped"), &[]);
        assert_eq!(plain.weights_sha256, flipped.weights_sha256, "{method}");
        assert_eq!(plain.selection, flipped.selection, "{method}");
    }
}

#[test]
fn a_run_that_died_ends_with_the_same_bits() {
    let world = World::new();
    let methods: [(&str, &[&str]); 7] = [
        ("source-only", &[]),
        ("cdan", &["strategy.projection=8"]),
        ("mdd", &[]),
        ("mcd", &[]),
        ("shot", &[]),
        ("tent", &["source.batch_norm=true"]),
        ("em-prior", &[]),
    ];
    for (method, sets) in methods {
        let sets = [sets, &["train.checkpoint_every=3", "source.dropout=0.1"]].concat();
        let checked = world.adapted(method, &sets);
        let whole = world.run(&checked, &format!("{method}-whole"), &[]);
        // In the source phase, at its border, in the adaptation, near the end; where a twin stands beside it, in the twin and on both sides of its end.
        let twin = checked.settings.twin.is_some()
            && !["source-only", "tent", "em-prior"].contains(&method);
        let die: &[u64] = match twin {
            true => &[7, 26, 20, 14, 16, 9, 20, 10],
            false => &[7, 26, 20, 14],
        };
        let cut = world.run(&checked, &format!("{method}-cut"), die);
        assert_eq!(whole.weights_sha256, cut.weights_sha256, "{method}");
        assert_eq!(whole.metrics, cut.metrics, "{method}");
        assert_eq!(whole.selection, cut.selection, "{method}");
        assert_eq!(whole.baseline, cut.baseline, "{method}");
        assert_eq!(
            world.metrics(&format!("{method}-whole")),
            world.metrics(&format!("{method}-cut")),
            "{method}"
        );
    }
}

#[test]
fn a_finished_run_is_a_source() {
    let world = World::new();
    world.run(
        &world.adapted("source-only", &["source.batch_norm=true"]),
        "first",
        &[],
    );
    for method in ["shot", "tent", "adabn"] {
        let checked = world.check("run = \"first\"", method, &[]);
        let checked = checked.unwrap_or_else(|e| panic!("{e}"));
        let result = world.run(&checked, method, &[]);
        let before = &result.baseline;
        println!(
            "{method}: {}, before {:?}",
            accuracy(&result),
            before.is_some()
        );
        assert_eq!(result.labels, ["left", "right"]);
        assert!(accuracy(&result) > 0.9, "{method}: {}", accuracy(&result));
        // What was adapted can be adapted again.
        let again = world.check(&format!("run = \"{method}\""), "shot", &[]);
        assert!(again.is_ok(), "{}", again.err().unwrap_or_default());
    }
    let missing = world.check("run = \"nowhere\"", "shot", &[]);
    assert!(
        missing
            .err()
            .unwrap_or_default()
            .contains("is not the folder of a run")
    );
    let needs = world
        .check("run = \"first\"", "dann", &[])
        .err()
        .unwrap_or_default();
    assert!(
        needs.contains("`dann` learns from labelled source rows"),
        "{needs}"
    );
}

#[test]
fn what_cannot_run_is_refused_when_it_is_checked() {
    let world = World::new();
    let refused = |source: &str, method: &str, sets: &[&str]| {
        world.check(source, method, sets).err().unwrap_or_default()
    };
    let no_norm = refused(SOURCE, "adabn", &[]);
    assert!(no_norm.contains("this network has none"), "{no_norm}");
    let no_mlm = refused(SOURCE, "tapt", &[]);
    assert!(no_mlm.contains("pretext task `mlm`"), "{no_mlm}");
    let nothing = refused("task = \"features\"", "shot", &[]);
    assert!(
        nothing.contains("adapts a model that knows the task"),
        "{nothing}"
    );
    let none = "train.source_epochs=0";
    let untaught = refused(SOURCE, "shot", &[none]);
    assert!(
        untaught.contains("without a pass over the source rows"),
        "{untaught}"
    );
    // Who learns the source while it adapts, or has a head that was fitted on it, does without.
    let norm = "source.batch_norm=true";
    assert!(refused(SOURCE, "tent", &[norm, none]).contains("`tent` adapts a model that knows"));
    for method in ["dann", "source-only", "adabn"] {
        assert_eq!(refused(SOURCE, method, &[norm, none]), "");
    }
    let fitted = refused(SOURCE, "shot", &[none, "train.linear_probe=true"]);
    assert_eq!(fitted, "");
    let custom = refused(SOURCE, "target-supervised", &["target.test=\"unlabelled\""]);
    assert!(custom.contains("tested on"), "{custom}");
    let rows = refused(SOURCE, "dann", &["select.by=\"target-validation\""]);
    assert!(rows.contains("no labelled target rows"), "{rows}");
}

#[test]
fn selections_that_see_the_targets_labels_say_so() {
    let world = World::new();
    let by = |method: &str, sets: &[&str], to: &str| {
        let result = world.run(&world.adapted(method, sets), to, &[]);
        (
            result.selection["by"].clone(),
            result.selection["oracle"].clone(),
        )
    };
    let some = [
        "select.by=\"target-validation\"",
        "target.validation=\"some.csv\"",
    ];
    assert_eq!(
        by("dann", &some, "a"),
        ("target validation (40)".into(), false.into())
    );
    assert_eq!(
        by("dann", &["select.by=\"oracle\""], "b"),
        ("oracle".into(), true.into())
    );
    assert_eq!(by("target-supervised", &[], "c").1, true);
    assert_eq!(
        by("dann", &["select.by=\"dev\""], "d"),
        ("dev".into(), false.into())
    );
    // The target's accuracy is in the curves of an oracle alone.
    let seen = |to: &str| {
        world
            .metrics(to)
            .iter()
            .any(|r| !r["target_accuracy"].is_null())
    };
    assert_eq!((seen("a"), seen("b"), seen("d")), (true, true, false));
}

/// The custom on small benchmarks: the rows adapted on are those tested on. A copy of the recipe elsewhere still says so.
#[test]
fn the_rows_adapted_on_may_be_tested_on() {
    let world = World::new();
    let checked = world.adapted("mcc", &["target.test=\"unlabelled\""]);
    let result = world.run(&checked, "run", &[]);
    match &result.metrics["test"] {
        Scores::Classes(c) => assert_eq!(c.n, 300),
        other => panic!("{other:?}"),
    }
    assert_eq!(checked.values["target"]["test"], "unlabelled");
    let text = std::fs::read_to_string(world.path("run/recipe.toml")).expect("the recipe");
    assert!(text.contains("test = \"unlabelled\""), "{text}");
    let resolve: Arc<dyn Resolve> = Arc::new(Files);
    let again = Written::parse("elsewhere/recipe.toml", &text, &[]).expect("TOML");
    let again = Checked::new(&again, &registry(), &resolve).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again.data_sha256(), checked.data_sha256());
}

/// Three of four rows of the target are of one class, and half of the source's: the frequencies are found, and predictions moved.
#[test]
fn class_frequencies_are_found() {
    let world = World::new();
    let overlapping = |n: usize, seed: u64, left: usize| {
        let noise = Stream::new(seed).purpose("rows").normals(2 * n);
        let row = |i: usize| {
            let (name, side) = if i % 4 < left {
                ("left", -0.8)
            } else {
                ("right", 0.8)
            };
            format!("{},{},{name}\n", side + noise[2 * i], noise[2 * i + 1])
        };
        let rows: String = (0..n).map(row).collect();
        format!("x,y,label\n{rows}")
    };
    for (file, text) in [
        ("source.csv", overlapping(2000, 11, 2)),
        ("target.csv", overlapping(2000, 12, 3)),
        ("test.csv", overlapping(2000, 13, 3)),
    ] {
        std::fs::write(world.path(file), text).expect("written");
    }
    let without = world.run(&world.adapted("source-only", &[]), "without", &[]);
    for method in ["bbse", "em-prior"] {
        let result = world.run(&world.adapted(method, &[]), method, &[]);
        let left = result.fits["prior of left"];
        println!(
            "{method}: {left}, {} after {}",
            accuracy(&result),
            accuracy(&without)
        );
        assert!((left - 0.75).abs() < 0.08, "{method}: {left}");
        assert!(accuracy(&result) > accuracy(&without), "{method}");
    }
    // Nothing is shifted but the rows that the source is validated on: what the model says goes by the rows that it has learned from.
    std::fs::write(world.path("validation.csv"), overlapping(1000, 14, 3)).expect("written");
    std::fs::write(world.path("target.csv"), overlapping(2000, 15, 2)).expect("written");
    for method in ["bbse", "em-prior"] {
        let validated = ["source.validation=\"validation.csv\""];
        let result = world.run(&world.adapted(method, &validated), "validated", &[]);
        std::fs::remove_dir_all(world.path("validated")).expect("a run");
        let left = result.fits["prior of left"];
        assert!((left - 0.5).abs() < 0.08, "{method}: {left}");
    }
}
