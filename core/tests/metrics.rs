//! Metrics beside scikit-learn and scipy (`golden/metrics.py` made the values), and whether intervals hold what they promise.

use serde_json::Value;
use tlkit_core::metrics::{
    Classification, Judge, Paired, corrected_t, normal_quantile, paired, softmax, wilson,
};
use tlkit_core::random::Stream;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/metrics.json")).expect("JSON")
}

fn near(name: &str, what: &str, ours: f64, theirs: &Value, within: f64) {
    let theirs = theirs
        .as_f64()
        .unwrap_or_else(|| panic!("{name}: no {what}"));
    assert!(
        (ours - theirs).abs() <= within,
        "{name}: {what} {ours}, scikit-learn {theirs}"
    );
}

#[test]
fn scores_are_scikit_learns() {
    let all = golden();
    for case in all["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().unwrap();
        let logits: Vec<Vec<f32>> = serde_json::from_value(case["logits"].clone()).unwrap();
        let truth: Vec<u32> = serde_json::from_value(case["truth"].clone()).unwrap();
        let classes: Vec<String> = (0..logits[0].len()).map(|c| c.to_string()).collect();
        let judge = Judge {
            level: 0.9,
            draws: 50,
            seed: 0,
            crops: 1,
        };
        let ours = Classification::judged_and_fitted(&logits, &truth, &classes, &judge);
        let detail = ours.detail.as_ref().unwrap();
        assert_eq!(
            serde_json::to_value(&ours.confusion).unwrap(),
            case["confusion"],
            "{name}"
        );
        for (what, value) in [
            ("accuracy", ours.accuracy),
            ("macro_f1", ours.macro_f1),
            ("mcc", ours.mcc),
            ("macro_precision", detail.macro_precision),
            ("macro_recall", detail.macro_recall),
            ("micro_f1", detail.micro_f1),
        ] {
            near(name, what, value, &case[what], 1e-12);
        }
        // From probabilities in f32, as predictions.jsonl has them.
        near(name, "loss", ours.loss, &case["loss"], 1e-6);
        near(name, "ece", ours.ece, &case["ece"], 1e-6);
        near(name, "auroc", detail.auroc.unwrap(), &case["auroc"], 1e-9);
        near(
            name,
            "low end",
            ours.accuracy_interval.0,
            &case["wilson_90"][0],
            1e-9,
        );
        near(
            name,
            "high end",
            ours.accuracy_interval.1,
            &case["wilson_90"][1],
            1e-9,
        );
        let t = detail.temperature.unwrap();
        near(name, "temperature", t, &case["temperature"], 1e-4 * t);
        for (c, class) in detail.per_class.iter().enumerate() {
            near(
                name,
                "precision",
                class.precision,
                &case["precision"][c],
                1e-12,
            );
            near(name, "recall", class.recall, &case["recall"][c], 1e-12);
            near(name, "f1", class.f1, &case["f1"][c], 1e-12);
            match class.auroc {
                Some(a) => near(name, "class auroc", a, &case["class_auroc"][c], 1e-9),
                None => assert!(case["class_auroc"][c].is_null(), "{name}"),
            }
        }
    }
}

#[test]
fn tests_are_scipys() {
    let all = golden();
    for case in all["mcnemar"].as_array().expect("cases") {
        let n = |key: &str| case[key].as_u64().unwrap() as usize;
        let (b, c) = (n("first_only"), n("second_only"));
        let first: Vec<bool> = (0..b + c).map(|i| i < b).collect();
        let second: Vec<bool> = first.iter().map(|f| !f).collect();
        near(
            "mcnemar",
            "p",
            paired(&first, &second, 0.95).p,
            &case["p"],
            1e-10,
        );
    }
    for case in all["folds"].as_array().expect("cases") {
        let values: Vec<f64> = serde_json::from_value(case["values"].clone()).unwrap();
        let k = values.len() as f64;
        let spread = corrected_t(values, 1.0 / (k - 1.0), case["level"].as_f64().unwrap());
        let (low, high) = spread.interval.unwrap();
        near("folds", "low end", low, &case["interval"][0], 1e-8);
        near("folds", "high end", high, &case["interval"][1], 1e-8);
        near("folds", "p", spread.p.unwrap(), &case["p"], 1e-8);
    }
}

/// Rows of a world whose true scores are known by a draw of 400,000: three classes of unequal size, logits with noise.
fn world(random: Stream, n: usize) -> (Vec<Vec<f32>>, Vec<u32>) {
    let noise = random.purpose("noise").normals(3 * n);
    let truth: Vec<u32> = (0..n)
        .map(|i| {
            let u = random.purpose("class").uniform(i as u64);
            u32::from(u > 0.5) + u32::from(u > 0.8)
        })
        .collect();
    let row = |(i, &t): (usize, &u32)| {
        let mut l = noise[3 * i..3 * i + 3].to_vec();
        l[t as usize] += 1.6;
        l
    };
    (truth.iter().enumerate().map(row).collect(), truth)
}

fn names() -> Vec<String> {
    ["a", "b", "c"].map(String::from).to_vec()
}

#[test]
fn intervals_of_95_percent_hold_the_truth_92_to_98_times_of_100() {
    let root = Stream::new(11);
    let (logits, truth) = world(root.purpose("all"), 400_000);
    let no_draws = Judge {
        draws: 0,
        ..Judge::default()
    };
    let all = Classification::judged(&logits, &truth, &names(), None, &no_draws);
    let whole = all.detail.as_ref().unwrap();
    let target = [
        ("accuracy", all.accuracy),
        ("macro F1", all.macro_f1),
        ("macro precision", whole.macro_precision),
        ("macro recall", whole.macro_recall),
        ("MCC", all.mcc),
        ("AUROC", whole.auroc.unwrap()),
        ("loss", all.loss),
        ("F1 of c", whole.per_class[2].f1),
        ("precision of c", whole.per_class[2].precision),
        ("recall of c", whole.per_class[2].recall),
    ];
    const TIMES: usize = 600;
    let mut held = [0usize; 10];
    for i in 0..TIMES {
        let (logits, truth) = world(root.purpose("draw").at(i as u64), 300);
        let judge = Judge {
            draws: 400,
            seed: i as u64,
            ..Judge::default()
        };
        let c = Classification::judged(&logits, &truth, &names(), None, &judge);
        let d = c.detail.as_ref().unwrap();
        let last = &d.per_class[2];
        let intervals = [
            Some(c.accuracy_interval),
            d.macro_f1_interval,
            d.macro_precision_interval,
            d.macro_recall_interval,
            d.mcc_interval,
            d.auroc_interval,
            d.loss_interval,
            last.f1_interval,
            last.precision_interval,
            last.recall_interval,
        ];
        for ((h, interval), (name, truth)) in held.iter_mut().zip(intervals).zip(target) {
            let (lo, hi) = interval.unwrap_or_else(|| panic!("{name} has no interval"));
            *h += usize::from(lo <= truth && truth <= hi);
        }
    }
    for (h, (name, truth)) in held.iter().zip(target) {
        let share = *h as f64 / TIMES as f64;
        println!("{name}: {truth:.4} held by {:.1} %", 100.0 * share);
        assert!((0.92..=0.98).contains(&share), "{name}: {share}");
    }
}

/// Two models on the same rows, alike or 4 points apart.
#[test]
fn paired_intervals_hold_the_difference_and_mcnemar_seldom_cries_wolf() {
    const TIMES: usize = 2000;
    for (gain, lowest, highest) in [(0.0, 0.92, 0.98), (0.04, 0.92, 0.98)] {
        let (mut held, mut cried) = (0, 0);
        for i in 0..TIMES {
            let random = Stream::new(5).purpose("paired").at(i as u64);
            let draw = |j: u64| random.at(j).uniform(0);
            // Rows that are easy for both; of the others each is right by a coin of its own.
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for row in 0..300 {
                let easy = draw(3 * row) < 0.7;
                a.push(easy || draw(3 * row + 1) < 0.5 + gain / 0.3);
                b.push(easy || draw(3 * row + 2) < 0.5);
            }
            let p: Paired = paired(&a, &b, 0.95);
            held += usize::from(p.interval.0 <= gain && gain <= p.interval.1);
            cried += usize::from(p.differs(0.95));
        }
        let share = held as f64 / TIMES as f64;
        println!(
            "difference {gain}: held {:.1} %, called different {:.1} %",
            100.0 * share,
            100.0 * cried as f64 / TIMES as f64
        );
        assert!((lowest..=highest).contains(&share), "{gain}: {share}");
        if gain == 0.0 {
            assert!(cried <= TIMES * 5 / 100, "{cried} of {TIMES}");
        }
    }
}

#[test]
fn wilson_holds_the_share_also_near_one() {
    for share in [0.5, 0.9, 0.97] {
        const TIMES: u64 = 4000;
        let z = normal_quantile(0.95);
        let held = (0..TIMES).filter(|&i| {
            let random = Stream::new(8).purpose("wilson").at(i);
            let right = (0..300).filter(|&r| random.uniform(r) < share).count();
            let (lo, hi) = wilson(right, 300, z);
            lo <= share && share <= hi
        });
        let held = held.count() as f64 / TIMES as f64;
        println!("{share}: {held}");
        assert!((0.92..=0.98).contains(&held), "{share}: {held}");
    }
}

/// What ECE's interval is worth: the estimate is biased upwards, so the interval is one of the estimate, not of the error of the model.
#[test]
fn the_calibration_error_of_few_rows_is_biased_upwards() {
    let (logits, truth) = world(Stream::new(2).purpose("all"), 200_000);
    let large = Classification::of(&softmax(&logits), &truth, 3).ece;
    let small: f64 = logits
        .chunks(300)
        .zip(truth.chunks(300))
        .map(|(l, t)| Classification::of(&softmax(l), t, 3).ece)
        .sum::<f64>()
        / (200_000.0f64 / 300.0).ceil();
    println!("{large} of 200,000 rows, {small} of 300");
    assert!(small > large + 0.005, "{large} {small}");
}

/// Thirty classes of about ten rows each: draws lie below the score.
#[test]
fn macro_f1_of_many_classes_with_few_rows_is_held_as_often() {
    const CLASSES: usize = 30;
    let names: Vec<String> = (0..CLASSES).map(|c| c.to_string()).collect();
    let world = |stream: Stream, rows: usize| -> (Vec<Vec<f32>>, Vec<u32>) {
        (0..rows as u64)
            .map(|i| {
                let truth = stream.purpose("class").below(i, CLASSES as u64) as usize;
                let said = match stream.purpose("right").uniform(i) < 0.7 {
                    true => truth,
                    false => stream.purpose("said").below(i, CLASSES as u64) as usize,
                };
                let mut row = vec![0.0; CLASSES];
                row[said] = 2.0;
                (row, truth as u32)
            })
            .unzip()
    };
    let root = Stream::new(12);
    let (logits, truth) = world(root.purpose("all"), 300_000);
    let no_draws = Judge {
        draws: 0,
        ..Judge::default()
    };
    let all = Classification::judged(&logits, &truth, &names, None, &no_draws).macro_f1;
    const TIMES: usize = 200;
    let held = (0..TIMES).filter(|&i| {
        let (logits, truth) = world(root.purpose("draw").at(i as u64), 300);
        let judge = Judge {
            draws: 400,
            seed: i as u64,
            ..Judge::default()
        };
        let c = Classification::judged(&logits, &truth, &names, None, &judge);
        let (lo, hi) = c.detail.as_ref().unwrap().macro_f1_interval.unwrap();
        (lo..=hi).contains(&all)
    });
    let share = held.count() as f64 / TIMES as f64;
    println!(
        "macro F1 of {CLASSES} classes with ten rows each: {:.1} %",
        100.0 * share
    );
    assert!((0.92..=0.98).contains(&share), "{share}");
}
