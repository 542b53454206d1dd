//! Each finding of `why`, and its absence.

mod fixture;

use fixture::{Fixture, curves};
use serde_json::{Value, json};
use tlkit_report::{Finding, Level, why};

/// The finding of a kind, if there is one.
fn found(f: &Fixture, kind: &str) -> Option<Finding> {
    why(&f.run()).findings.into_iter().find(|f| f.kind == kind)
}

#[track_caller]
fn words(f: &Fixture, kind: &str) -> String {
    let why = why(&f.run());
    let all = format!("{:?}", why.findings);
    let one = why.findings.into_iter().find(|f| f.kind == kind);
    one.unwrap_or_else(|| panic!("no {kind} in {all}")).words
}

/// A run with every field and nothing that stands out.
fn sound() -> Fixture {
    let mut f = Fixture::full();
    f.metrics = curves(20, 19, 20);
    f.result["selection"]["epoch"] = json!(20);
    f.result["audit"]["findings"] = json!([]);
    f.result["audit"]["dropped"] = json!({"overlap": 0});
    f.result["audit"]["truncated"] = json!({"train": 0.0, "test": 0.004});
    f
}

/// Step lines of one phase, and nothing else.
fn losses(of: impl Fn(f64) -> f64) -> Vec<Value> {
    (0..200u64)
        .map(|s| {
            let loss = of(s as f64 / 200.0);
            json!({"phase": "all", "step": s + 1, "loss": loss, "learning_rate": 1e-3, "gradient_norm": 2.0 + (s % 3) as f64})
        })
        .collect()
}

#[test]
fn nothing_stands_out_where_nothing_does() {
    let f = sound();
    let run = f.run();
    let why = why(&run);
    assert_eq!(why.findings, []);
    assert_eq!(why.looked.len(), 8, "{:?}", why.not_looked);
    assert_eq!(why.not_looked, []);
    assert!(why.text(&run, false).contains("nothing stands out\n"));
}

#[test]
fn an_adaptation_that_diverged_is_said_of_a_run_that_is_done() {
    let mut f = sound();
    f.result["selection"]["diverged"] = json!("the loss is NaN at step 74");
    let one = found(&f, "diverged").expect("it diverged");
    assert_eq!(one.level, Level::Warning);
    assert!(one.words.ends_with("the loss is NaN at step 74"), "{one:?}");
    assert!(one.lines[0].starts_with("training loss"), "{one:?}");
    assert!(found(&sound(), "diverged").is_none());
}

#[test]
fn what_cannot_be_looked_at_is_said() {
    let f = Fixture::bare();
    let run = f.run();
    let why = why(&run);
    assert_eq!(why.findings, []);
    assert_eq!(why.looked, ["how the run ended"]);
    let text = why.text(&run, false);
    assert!(
        text.contains("not looked at: tensors that never moved (there is no liveness.json)"),
        "{text}"
    );
    assert!(
        text.contains("not looked at: the data audit (result.json has no `audit`)"),
        "{text}"
    );
}

#[test]
fn over_fitting_has_its_epoch_and_its_numbers() {
    let mut f = sound();
    let row = |epoch: u64, training: f64, validation: f64, accuracy: f64| {
        json!({"phase": "all", "epoch": epoch, "step": epoch * 10, "loss": training,
               "validation_loss": validation, "validation_accuracy": accuracy})
    };
    f.metrics = vec![
        row(1, 0.6, 0.5, 0.7),
        row(2, 0.4, 0.45, 0.8),
        row(3, 0.22, 0.41, 0.82),
        row(4, 0.1, 0.55, 0.83),
        row(5, 0.04, 0.73, 0.81),
    ];
    f.result["selection"]["epoch"] = json!(4);
    let one = found(&f, "over-fitting").expect("it over-fits");
    assert_eq!(
        one.words,
        "over-fitting: validation loss has risen since epoch 3 (0.41 -> 0.73) while training loss fell (0.22 -> 0.040)"
    );
    assert_eq!(
        one.lines,
        [
            "validation accuracy over the same epochs: 82.0 % -> 81.0 %",
            "epoch 4 was kept, by validation, validation loss 0.55"
        ]
    );
    // One bad epoch is none, a rise of less than a tenth is none, and neither is one that training shares.
    for change in [(4, 0.73, 0.42), (5, 0.44, 0.04), (5, 0.73, 0.3)] {
        let (last, validation, training) = change;
        let mut f = sound();
        f.metrics = vec![
            row(1, 0.6, 0.5, 0.7),
            row(2, 0.4, 0.45, 0.8),
            row(3, 0.22, 0.41, 0.8),
        ];
        f.metrics
            .extend((4..=last).map(|e| row(e, training, validation, 0.8)));
        assert_eq!(found(&f, "over-fitting"), None, "{change:?}");
    }
}

#[test]
fn a_rising_loss_and_a_jump_are_a_high_rate() {
    let mut f = sound();
    f.metrics = losses(|t| 0.7 + t);
    let text = words(&f, "learning-rate-high");
    assert!(
        text.contains("rose from 0.80 (first fifth of the steps) to 1.60 (last fifth)"),
        "{text}"
    );
    f.metrics = losses(|t| {
        if (0.4..0.5).contains(&t) {
            2.0
        } else {
            0.7 - 0.5 * t
        }
    });
    let text = words(&f, "learning-rate-high");
    assert!(text.contains("jumped from 0.5"), "{text}");
    let one = found(&f, "learning-rate-high").expect("a finding");
    assert_eq!(
        one.lines[..2],
        [
            "learning rate 0.001 at its peak",
            "gradient norm 3.00 in the median, 4.00 at most"
        ]
    );
    f.metrics = losses(|t| {
        if t == 0.0 {
            0.7
        } else {
            0.6 + 90.0 * (0.4 - t).max(0.0)
        }
    });
    let text = words(&f, "learning-rate-high");
    assert!(
        text.contains("shot up from 0.70 (first step) to 31.0 (about step 6), and ended at 0.60"),
        "{text}"
    );
    // Single steps jump about; the mean of many does not.
    f.metrics = losses(|t| {
        (0.7 - 0.65 * t.sqrt())
            * if ((t * 200.0) as u64).is_multiple_of(7) {
                2.0
            } else {
                1.0
            }
    });
    assert_eq!(why(&f.run()).findings, []);
}

/// SHOT's loss is one entropy less another: a multiple of what is below 0 is no jump.
#[test]
fn a_loss_below_zero_is_no_jump() {
    let mut f = sound();
    f.metrics = losses(|t| -1.6 - 0.5 * t);
    assert_eq!(found(&f, "learning-rate-high"), None);
    f.metrics = losses(|t| if t < 0.5 { 1.0 - t } else { 2.0 });
    assert!(found(&f, "learning-rate-high").is_some());
}

#[test]
fn a_loss_that_stays_is_told_by_how_far_tensors_moved() {
    let mut f = sound();
    f.metrics = losses(|t| 0.693 - 0.01 * t);
    let moved = |f: &mut Fixture, share: f64| {
        f.liveness = json!({"tensors": [{"name": "model.w", "trains": true, "norm": 2.0, "change": 2.0 * share}]});
    };
    moved(&mut f, 0.001);
    let text = words(&f, "learning-rate-low");
    assert!(
        text.contains("looks too low: training loss hardly fell: 0.69 (first fifth of the steps) to 0.68 (last fifth)"),
        "{text}"
    );
    let one = found(&f, "learning-rate-low").expect("a finding");
    assert!(
        one.lines.iter().any(|l| l.contains("0.10 % of its norm")),
        "{:?}",
        one.lines
    );
    moved(&mut f, 0.9);
    words(&f, "learning-rate-high");
    moved(&mut f, 0.1);
    assert!(words(&f, "did-not-learn").starts_with("training loss hardly fell"));
    f.liveness = Value::Null;
    words(&f, "did-not-learn");
}

#[test]
fn a_loss_that_still_falls_is_a_note_unless_validation_says_otherwise() {
    let mut f = sound();
    f.metrics = losses(|t| 0.7 - 0.5 * t);
    let one = found(&f, "still-falling").expect("a finding");
    assert_eq!(one.level, Level::Note);
    assert!(
        one.words.contains("0.39 -> 0.26 over the last quarter"),
        "{}",
        one.words
    );
    for (epoch, validation) in [(1, 0.5), (2, 0.6), (3, 0.8)] {
        f.metrics.push(json!({"phase": "all", "epoch": epoch, "step": 200, "loss": 0.3, "validation_loss": validation}));
    }
    assert_eq!(found(&f, "still-falling"), None);
    f.metrics = losses(|t| 0.7 * (-5.0 * t).exp());
    assert_eq!(found(&f, "still-falling"), None);
}

#[test]
fn a_phase_is_named_where_there_are_several() {
    let mut f = sound();
    f.metrics = losses(|t| 0.7 + t);
    f.metrics.extend(
        losses(|t| 0.7 * (-5.0 * t).exp())
            .into_iter()
            .map(|mut row| {
                row["phase"] = json!("second");
                row
            }),
    );
    assert!(words(&f, "learning-rate-high").contains("rose in phase `all` from"));
}

#[test]
fn tensors_that_never_moved_are_named() {
    let mut f = sound();
    let tensors = f.liveness["tensors"].as_array_mut().expect("a list");
    // Frozen, and zero in mathematics: neither is one.
    tensors.push(json!({"name": "frozen", "trains": false, "norm": 1.0, "change": 0.0}));
    // An adapter that was added to its weight when training ended; a discriminator that was put back with the epoch before it.
    tensors.push(json!({"name": "lora.encoder.0.query.b", "stage": "encoder.0", "trains": true, "norm": 0.0, "change": 0.0}));
    tensors.push(json!({"name": "discriminator.hidden.0.weight", "stage": null, "trains": true, "norm": 2.0, "change": 0.0}));
    assert_eq!(found(&f, "never-moved"), None);
    f.liveness["tensors"][2]["change"] = json!(0.0);
    assert_eq!(
        words(&f, "never-moved"),
        "1 of 3 tensors that train end with the bits they started with: model.encoder.0.query.weight"
    );
}

#[test]
fn the_first_tensor_that_was_not_finite_is_named() {
    let one = found(&Fixture::failed(), "non-finite").expect("a finding");
    assert_eq!(
        one.words,
        "the loss is NaN at step 3; the first tensor that is not finite is the weight classifier.bias"
    );
    assert_eq!(
        one.lines[0],
        "training loss 0.69 at step 1, 8.1e20 at step 2"
    );
    assert_eq!(found(&sound(), "non-finite"), None);
    let mut f = Fixture::failed();
    f.result["failure"] = json!({"kind": "liveness", "tensors": ["a", "b"]});
    f.result["error"] = json!("2 of 9 trainable tensors got no gradient");
    let one = found(&f, "liveness").expect("a finding");
    assert!(
        one.words
            .ends_with("2 of 9 trainable tensors got no gradient"),
        "{}",
        one.words
    );
    assert_eq!(one.lines, ["a, b"]);
    f.result["failure"] = Value::Null;
    assert_eq!(
        words(&f, "failed"),
        "the run failed: 2 of 9 trainable tensors got no gradient"
    );
}

#[test]
fn an_unfinished_run_is_said() {
    let mut f = sound();
    f.result = Value::Null;
    words(&f, "unfinished");
}

#[test]
fn labels_that_are_never_predicted_are_named_with_their_rows() {
    let mut f = sound();
    f.result["labels"] = json!(["bad", "fair", "good", "absent"]);
    f.result["metrics"]["test"]["confusion"] =
        json!([[40, 0, 3, 0], [12, 0, 8, 0], [1, 0, 36, 0], [0, 0, 0, 0]]);
    assert_eq!(
        words(&f, "never-predicted"),
        "1 of 4 labels are never predicted on the 100 test rows: `fair` (20 rows)"
    );
    assert_eq!(found(&sound(), "never-predicted"), None);
}

#[test]
fn a_length_limit_that_cuts_is_a_note_and_then_a_warning() {
    let mut f = sound();
    f.result["audit"]["truncated"] = json!({"train": 0.04, "test": 0.0});
    let one = found(&f, "length-limit").expect("a finding");
    assert_eq!(one.level, Level::Note);
    assert_eq!(
        one.words,
        "the length limit of 128 tokens cuts texts: 4.0 % of train"
    );
    f.result["audit"]["truncated"] = json!({"train": 0.4, "test": 0.2});
    f.identity = json!({"recipe": "sentiment"});
    let one = found(&f, "length-limit").expect("a finding");
    assert_eq!(one.level, Level::Warning);
    assert_eq!(
        one.words,
        "the length limit cuts texts: 40.0 % of train, 20.0 % of test"
    );
}

#[test]
fn what_the_audit_found_is_told_warnings_first() {
    let f = Fixture::full();
    let all = why(&f.run()).findings;
    let at = |kind: &str| all.iter().position(|f| f.kind == kind);
    assert!(at("audit-conflicting-labels") < at("audit-duplicates"));
    let one = &all[at("audit-duplicates").expect("a finding")];
    assert_eq!(
        one.words,
        "data audit: 12 rows of train occur more than once"
    );
    assert_eq!(one.lines[0], "films.tsv:13  A fine film.");
    assert!(words(&f, "audit-dropped").ends_with("rows dropped before training: 3 overlap"));
}

#[test]
fn a_baseline_that_is_as_good_or_better_is_named() {
    let mut f = sound();
    f.result["worth"] =
        json!({"against": "tf-idf", "difference": 0.01, "interval": [-0.02, 0.04], "p": 0.5});
    assert_eq!(
        words(&f, "baseline"),
        "the model cannot be told from tf-idf: +1.0 points on the test rows, 95 % interval -2.0 to +4.0"
    );
    f.result["worth"]["interval"] = json!([-0.06, -0.02]);
    assert!(words(&f, "baseline").starts_with("the model is worse than tf-idf"));
}

#[test]
fn scripts_get_the_same_as_json() {
    let f = Fixture::full();
    let run = f.run();
    let json = why(&run).to_json();
    assert_eq!(json["findings"][0]["kind"], "over-fitting");
    assert_eq!(json["findings"][0]["level"], "warning");
    assert_eq!(json["looked_at"].as_array().map(Vec::len), Some(8));
}

/// Batches of a few rows jump about: what is no more than that is nothing.
#[test]
fn noise_of_few_steps_is_no_rise() {
    let mut f = sound();
    f.metrics = losses(|t| 0.9 + 0.4 * ((t * 7919.0).sin()));
    f.metrics.truncate(32);
    f.metrics.iter_mut().rev().take(6).for_each(|row| {
        row["loss"] = json!(row["loss"].as_f64().expect("a loss") + 0.15);
    });
    let kinds: Vec<String> = why(&f.run()).findings.into_iter().map(|f| f.kind).collect();
    assert_eq!(kinds, ["did-not-learn"]);
}
