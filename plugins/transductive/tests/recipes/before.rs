//! What the source alone makes of the target, beside what an adaptation makes of it.

use candle_core::{Device, Tensor};
use serde_json::Value;
use tlkit_core::run::RunResult;

use crate::world::{SOURCE, World, accuracy, rows};

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
    // Their head on the features as they are, which is what they have where the source is not a run.
    let checked = world.check(source, "source-head", &[]);
    let alone = accuracy(&world.run(&checked.expect("a recipe"), "alone", &[]));
    for method in ["coral", "subspace-alignment"] {
        let checked = world.check(source, method, &[]).expect("a recipe");
        let run = world.run(&checked, method, &[]);
        let was = source_only(&run).expect("a baseline");
        assert_eq!(was, alone, "{method}");
    }
}

/// What a model says that learned under weights of classes is not how often they occur.
#[test]
fn corrections_of_the_prior_refuse_weighted_losses() {
    let world = World::new();
    for method in ["bbse", "em-prior"] {
        let weights = ["target.class_weights=[1.0, 4.0]"];
        let Err(said) = world.check(SOURCE, method, &weights) else {
            panic!("{method} is not refused");
        };
        assert!(said.contains("take out class_weights"), "{said}");
    }
}

/// A term that several updates of a step have is a mean over them, and no sum.
#[test]
fn means_of_an_epoch_lie_among_those_of_its_steps() {
    let world = World::new();
    // One step an epoch, in which next to nothing is learned: the epoch's mean is the step's.
    let sets = [
        "strategy.repeats=3",
        "train.source_epochs=0",
        "train.batch_size=200",
        "train.learning_rate=1e-6",
        "train.head_learning_rate=1e-6",
        "train.schedule=\"constant\"",
        "train.warmup=0.0",
    ];
    world.run(&world.adapted("mcd", &sets), "mcd", &[]);
    let rows: Vec<Value> = world.metrics("mcd");
    let of = |epochs: bool| -> Vec<f64> {
        let of = rows.iter().filter(|r| r["phase"] == "mcd");
        let of = of.filter(|r| r["epoch"].as_u64().is_some_and(|e| e > 0) == epochs);
        of.filter_map(|r| r["loss"].as_f64()).collect()
    };
    let (steps, epochs) = (of(false), of(true));
    assert!(!steps.is_empty() && !epochs.is_empty());
    for epoch in &epochs {
        assert!(
            (epoch / steps[0] - 1.0).abs() < 1e-3,
            "{steps:?} {epochs:?}"
        );
    }
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

/// What batch norm has after `adabn` is of the target's rows alone, also where they are fewer than one batch, and whatever the size of a batch: the first norm's mean
/// is that of `W x + b`, and so is its variance.
#[test]
fn nothing_of_the_source_or_of_the_batches_is_left_in_the_statistics() {
    let world = World::new();
    let few = rows(20, 5, [2.3, 2.0], false);
    std::fs::write(world.path("target.csv"), &few).expect("written");
    // The source is learned alike, in a run that the others adapt.
    let norm = "source.batch_norm=true";
    world.run(&world.adapted("source-only", &[norm]), "source", &[]);
    for batch in ["train.batch_size=2", "train.batch_size=256"] {
        let checked = world.check("run = \"source\"", "adabn", &[batch]);
        world.run(&checked.expect("a recipe"), batch, &[]);
        statistics(&world, batch, &few);
    }
}

fn statistics(world: &World, run: &str, few: &str) {
    let path = world.path(run).join("model/model.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).expect("weights");
    let named = |end: &str| -> Tensor {
        let mut all = tensors.iter().filter(|(name, _)| name.ends_with(end));
        let (_, t) = all
            .next()
            .unwrap_or_else(|| panic!("{end}: {:?}", tensors.keys()));
        assert!(all.next().is_none(), "{end} is several");
        t.clone()
    };
    let mean: Vec<f32> = named("running_mean").to_vec1().expect("numbers");
    let var: Vec<f32> = named("running_var").to_vec1().expect("numbers");
    let weight: Vec<Vec<f32>> = named("hidden.0.weight").to_vec2().expect("numbers");
    let bias: Vec<f32> = named("hidden.0.bias").to_vec1().expect("numbers");
    let points: Vec<Vec<f32>> = few
        .lines()
        .skip(1)
        .map(|line| {
            line.split(',')
                .take(2)
                .map(|v| v.parse().expect("a number"))
                .collect()
        })
        .collect();
    for (k, row) in weight.iter().enumerate() {
        let y = points
            .iter()
            .map(|p| row[0] * p[0] + row[1] * p[1] + bias[k]);
        let y: Vec<f32> = y.collect();
        let m = y.iter().sum::<f32>() / 20.0;
        let v = y.iter().map(|y| (y - m).powi(2)).sum::<f32>() / 20.0;
        assert!((mean[k] - m).abs() < 1e-4, "{k}: {} and {m}", mean[k]);
        assert!(
            (var[k] - v).abs() < 1e-3 * v.max(1.0),
            "{k}: {} and {v}",
            var[k]
        );
    }
}

/// Batch norm is trained as the recipe says until the source is learned; `tent`'s own way of it holds from there on.
#[test]
fn tent_learns_the_source_as_the_others_do() {
    let world = World::new();
    let sets = ["source.batch_norm=true", "strategy.batch_norm=\"frozen\""];
    let of = |method: &str| -> Vec<Value> {
        world.run(&world.adapted(method, &sets), method, &[]);
        let rows = world.metrics(method).into_iter();
        rows.filter(|r| r["phase"] == "source").collect()
    };
    let tent = of("tent");
    assert!(!tent.is_empty());
    assert_eq!(tent, of("source-only"));
}

/// Labelled rows of the target are there for scores: no method counts on their labels.
#[test]
fn the_labels_of_the_target_are_not_counted_on() {
    let world = World::new();
    let some = std::fs::read_to_string(world.path("some.csv")).expect("rows");
    let flipped = some
        .replace("left", "?")
        .replace("right", "left")
        .replace('?', "right");
    std::fs::write(world.path("exchanged.csv"), flipped).expect("written");
    for method in ["bbse", "em-prior"] {
        let fits = |validation: &str| {
            let set = format!("target.validation=\"{validation}\"");
            let checked = world.adapted(method, &[&set]);
            world
                .run(&checked, &format!("{method}-{validation}"), &[])
                .fits
        };
        assert_eq!(fits("some.csv"), fits("exchanged.csv"), "{method}");
    }
}

/// Nothing stands beside a closed form that ends an adaptation, so nobody can say that it did no harm.
#[test]
fn of_a_closed_form_after_the_source_no_harm_is_ruled_out() {
    let world = World::new();
    let words = |method: &str, sets: &[&str]| {
        let run = world.run(&world.adapted(method, sets), method, &[]);
        let selection = serde_json::to_value(&run).expect("JSON")["selection"].clone();
        (
            selection["without_labels"].clone(),
            selection["collapsed_epochs"].clone(),
        )
    };
    for (method, sets) in [
        ("adabn", &["source.batch_norm=true"][..]),
        ("em-prior", &[]),
    ] {
        assert_eq!(
            words(method, sets),
            ("cannot tell".into(), serde_json::json!([]))
        );
    }
    // Nor by the score that the method itself brings down, while one that it does not bring down may say so.
    let norm = "source.batch_norm=true";
    let (own, _) = words("tent", &[norm, "select.by=\"entropy\""]);
    assert_eq!(own, "cannot tell");
    let (other, _) = words("mcc", &["select.by=\"class-clustering\""]);
    assert_eq!(other, "no sign of harm");
}

#[test]
fn what_decides_must_be_there() {
    let world = World::new();
    world.run(&world.adapted("source-only", &[]), "known", &[]);
    let said = |source: &str, method: &str, set: &str| {
        let checked = world.check(source, method, &[set]);
        checked.map(|_| ()).expect_err("an error")
    };
    let run = "run = \"known\"";
    for score in ["source-accuracy", "importance-weighted", "dev"] {
        let error = said(run, "shot", &format!("select.by={score:?}"));
        assert!(
            error.contains("looks at labelled rows of the source"),
            "{error}"
        );
    }
    // The source's rows beside the run are enough.
    let beside = format!("{run}\ntrain = \"source.csv\"");
    assert!(world.check(&beside, "shot", &["select.by=\"dev\""]).is_ok());
    let error = said(run, "shot", "select.twin=true");
    assert!(
        error.contains("a finished run is adapted as it is"),
        "{error}"
    );
    let error = said(run, "shot", "train.source_epochs=3");
    assert!(
        error.contains("there is no phase before the adaptation"),
        "{error}"
    );
    let error = said(SOURCE, "em-prior", "select.twin=true");
    assert!(
        error.contains("nothing is trained beside this method"),
        "{error}"
    );
    // The ceiling is chosen by labels, where some are left to choose by.
    let error = said(SOURCE, "target-supervised", "select.by=\"auto\"");
    assert!(error.contains("a score without labels counts"), "{error}");
    let by = |sets: &[&str]| {
        let checked = world.adapted("target-supervised", sets);
        checked.values["select"]["by"].clone()
    };
    assert_eq!(by(&[]), "last");
    assert_eq!(by(&["target.validation=\"some.csv\""]), "target-validation");
}

/// Rows of the source that the target is judged on are found by their inputs, whatever their labels.
#[test]
fn rows_of_the_source_that_are_tested_on_are_found() {
    let world = World::new();
    let text = |name: &str| std::fs::read_to_string(world.path(name)).expect("rows");
    let (source, test) = (text("source.csv"), text("test.csv"));
    let some: String = test
        .lines()
        .skip(1)
        .take(30)
        .map(|l| format!("{l}\n"))
        .collect();
    std::fs::write(world.path("source.csv"), source + &some).expect("written");
    let checked = world.adapted("dann", &[]);
    let audit = checked.audit().expect("an audit");
    let found = audit
        .findings
        .iter()
        .find(|f| f.kind == "overlap" && f.split == "source");
    let found = found.expect("the rows of both");
    assert!(found.words.contains("target.test"), "{}", found.words);
    assert!((20..=30).contains(&found.count), "{}", found.count);
    assert!(!audit.tests_adapted);
    let stop = world.check(SOURCE, "dann", &["evaluate.overlap=\"stop\""]);
    let error = stop.map(|_| ()).expect_err("an error");
    assert!(
        error.contains("of `source` also stand in target.test"),
        "{error}"
    );
    // One file by two names is what `test = "unlabelled"` says.
    let checked = world.adapted("dann", &["target.test=\"target.csv\""]);
    assert!(checked.audit().expect("an audit").tests_adapted);
}

/// The labels that the ceiling learns from are no part of the data's hash, since nobody else may see them.
#[test]
fn the_ceiling_depends_on_its_labels() {
    let world = World::new();
    let identity = |method: &str, file: &str| {
        let set = format!("target.unlabelled={file:?}");
        world.adapted(method, &[&set]).identity()
    };
    let copy = |name: &str| {
        let path = world.path("turned.csv");
        std::fs::copy(world.path(name), path).expect("copied");
    };
    let of = |method: &str, name: &str| {
        copy(name);
        identity(method, "turned.csv")
    };
    let (target, flipped) = ("target.csv", "flipped.csv");
    assert_eq!(of("dann", target), of("dann", flipped));
    assert_ne!(
        of("target-supervised", target),
        of("target-supervised", flipped)
    );
    let rows = std::fs::read_to_string(world.path(target)).expect("rows");
    std::fs::write(world.path("turned.csv"), rows.replacen("left", "lfet", 1)).expect("written");
    let set = ["target.unlabelled=\"turned.csv\""];
    let wrong = world.check(SOURCE, "target-supervised", &set);
    let error = wrong.map(|_| ()).expect_err("an error");
    assert!(
        error.contains("`lfet` is not among the classes left, right"),
        "{error}"
    );
    assert!(world.check(SOURCE, "dann", &set).is_ok());
}

/// A column that counts the rows is named, and can be left out.
#[test]
fn columns_that_count_the_rows_are_warned_of_and_left_out() {
    let world = World::new();
    for name in ["source.csv", "target.csv", "test.csv"] {
        let text = std::fs::read_to_string(world.path(name)).expect("rows");
        let number = |(i, line): (usize, &str)| match i {
            0 => format!("Id,{line}\n"),
            n => format!("{n},{line}\n"),
        };
        let text: String = text.lines().enumerate().map(number).collect();
        std::fs::write(world.path(name), text).expect("written");
    }
    let warned = |checked: &tlkit_core::Checked| {
        let audit = checked.audit().expect("an audit");
        let found = audit.findings.iter().filter(|f| f.kind == "counter");
        found.map(|f| f.words.clone()).collect::<Vec<_>>()
    };
    let words = warned(&world.adapted("dann", &[]));
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(
        words[0].contains("the column `Id` counts the rows")
            && words[0].contains("without = [\"Id\"]")
    );
    let without = world.adapted("dann", &["target.without=\"Id\""]);
    assert!(warned(&without).is_empty());
    world.run(&without, "without", &[]);
    let odd = world.check(SOURCE, "dann", &["target.without=\"id\""]);
    let error = odd.map(|_| ()).expect_err("an error");
    assert!(error.contains("the data has no column `id`"), "{error}");
}

#[test]
fn rows_that_do_not_vary_have_no_directions() {
    let world = World::new();
    let one = format!("x,y,label\n{}", "1.0,1.0,left\n".repeat(30));
    std::fs::write(world.path("target.csv"), one).expect("written");
    for method in ["gfk", "subspace-alignment"] {
        let checked = world.adapted(method, &["source.hidden=[]", "target.test=\"some.csv\""]);
        let error = world.fails(&checked, method);
        assert!(
            error.contains("the rows of the target do not vary"),
            "{method}: {error}"
        );
    }
}

/// Of a model that was not adapted no harm of adapting is ruled out.
#[test]
fn nothing_is_said_of_what_adapts_nothing() {
    let world = World::new();
    let run = world.run(&world.adapted("source-only", &[]), "r", &[]);
    let selection = serde_json::to_value(&run).expect("JSON")["selection"].clone();
    assert_eq!(selection["by"], "auto", "{selection}");
    assert!(selection["without_labels"].is_null(), "{selection}");
}

/// A score may like a collapse: then the epoch that is kept tells of it, also where the last one has recovered.
#[test]
fn a_collapse_that_is_kept_is_a_sign_of_one() {
    let world = World::new();
    let sets = [
        "select.by=\"entropy\"",
        "select.twin=false",
        "train.learning_rate=1.0",
    ];
    let run = world.run(&world.adapted("dann", &sets), "r", &[]);
    let selection = serde_json::to_value(&run).expect("JSON")["selection"].clone();
    let collapsed = selection["collapsed_epochs"].as_array().expect("a list");
    assert!(collapsed.contains(&selection["epoch"]), "{selection}");
    let last = serde_json::json!(6);
    let ended = selection.get("diverged").is_some_and(|d| !d.is_null());
    assert!(!collapsed.contains(&last) && !ended, "{selection}");
    assert_eq!(selection["without_labels"], "signs of collapse");
}

/// Rows that were learned from would say of every candidate that it knows the source.
#[test]
fn rows_that_were_learned_from_judge_nothing() {
    let world = World::new();
    let none = "source.split.validation=0.0";
    let error = world
        .check(SOURCE, "dann", &[none, "select.by=\"source-accuracy\""])
        .map(|_| ())
        .expect_err("an error");
    assert!(error.contains("none are set aside"), "{error}");
    for (sets, scored) in [(&[none][..], false), (&[], true)] {
        world.run(&world.adapted("dann", sets), "r", &[]);
        let lines = world.metrics("r");
        let score = |l: &serde_json::Value| l.get("score_source-accuracy").is_some();
        assert_eq!(lines.iter().any(score), scored, "{sets:?}");
        std::fs::remove_dir_all(world.path("r")).expect("removed");
    }
}

/// A lone last row joins the batch before it, and that batch is not cut for it.
#[test]
fn a_batch_of_one_row_more_is_one_batch() {
    let world = World::new();
    let weights = |micro: &str| {
        // 161 rows to learn from: five batches of 32 and one row.
        let sets = [
            "source.batch_norm=true",
            "source.limit=179",
            "train.batch_size=32",
            micro,
        ];
        let run = world.run(&world.adapted("source-only", &sets), micro, &[]);
        serde_json::to_value(&run).expect("JSON")["weights_sha256"].clone()
    };
    assert_eq!(
        weights("train.micro_batch=32"),
        weights("train.micro_batch=\"auto\"")
    );
}

/// What another run left and a disk has damaged is trained again, said, and left anew.
#[test]
fn a_damaged_beginning_is_replaced() {
    use std::sync::Mutex;
    use tlkit_core::run::{Directory, Surroundings, execute};
    use tlkit_core::train::{Event, Observer, Stop};

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);
    impl Observer for Notes {
        fn event(&self, event: &Event<'_>) {
            if let Event::Note(text) = event {
                self.0.lock().expect("notes").push(text.to_string());
            }
        }
    }
    let world = World::new();
    let folder = world.path("beginnings");
    let run = |method: &str| {
        let notes = Notes::default();
        let around = Surroundings {
            directory: Directory::at(world.path(method)),
            name: "recipe".into(),
            observer: &notes,
            stop: Stop::default(),
            shared: Some(folder.clone()),
        };
        let run = execute(&world.adapted(method, &[]), &around).expect("a result");
        let seconds = serde_json::to_value(&run).expect("JSON")["seconds_taken_up"].clone();
        (
            seconds.as_f64().unwrap_or_default(),
            notes.0.into_inner().expect("notes").join("\n"),
        )
    };
    assert_eq!(run("dan").0, 0.0);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|f| f.expect("a file").path())
        .filter(|f| f.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    assert!(!files.is_empty());
    for file in &files {
        let mut bytes = std::fs::read(file).expect("read");
        *bytes.last_mut().expect("a byte") ^= 1;
        std::fs::write(file, bytes).expect("written");
    }
    let (taken, said) = run("deep-coral");
    assert_eq!(taken, 0.0);
    assert!(said.contains("is not taken up"), "{said}");
    let (taken, said) = run("mcc");
    assert!(taken > 0.0, "{said}");
}
