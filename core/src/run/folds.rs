//! Cross-validation: the training rows in k parts, each tested once by a run on the others.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::directory::write_whole;
use super::execute::{Surroundings, begin, pretty};
use super::many::{Again, part};
use super::opened::Opened;
use super::result::peak_rss_mb;
use crate::check::Checked;
use crate::evaluate::words;
use crate::metrics::{Counts, Spread, corrected_t};
use crate::recipe::Written;
use crate::{Context, Error, Result};

/// Runs the folds, and writes what they come to.
pub(super) fn run(
    c: &Checked,
    of: usize,
    again: &Again<'_>,
    around: &Surroundings<'_>,
) -> Result<()> {
    begin(c, around)?;
    let dir = &around.directory;
    let mut results = Vec::new();
    let mut predictions = Vec::new();
    // What was worked out of all rows (the passes over them, where nobody wrote how many) holds in each fold, as the header, the plan and the run's own recipe say it:
    // a fold has fewer rows, and would come to others.
    let settled = Written::parse(again.written.name(), &c.replayable, &[])
        .map_err(|report| Error::msg(report.to_string()))?;
    for k in 1..=of {
        let written = settled
            .with_sets(&[format!("evaluate.fold={k}")])
            .map_err(|report| Error::msg(report.to_string()))?;
        let said = format!("fold {k} of {of}");
        let checked = again.check(&written).context(&said)?;
        let fold = dir.part("folds", k);
        results.push(part(&checked, fold.clone(), true, &said, around).context(&said)?);
        let path = fold.predictions();
        predictions.extend(std::fs::read(&path).map_err(Error::io(&path))?);
    }
    write_whole(&dir.predictions(), &predictions)?;
    let mut result = summarised(&results, c.judge.level);
    use sha2::Digest;
    let sha = |text: &str| crate::hex(&sha2::Sha256::digest(text.as_bytes()));
    let own = json!({
        "recipe": around.name,
        "recipe_sha256": sha(&c.explained),
        "data_sha256": c.data_sha256(),
        "identity": c.identity(),
        "peak_rss_mb": peak_rss_mb(),
        "test_rows": Opened::by(c, dir)?,
        "audit": audit(c, &results)?,
    });
    if let (Some(all), Value::Object(own)) = (result.as_object_mut(), own) {
        all.extend(own);
    }
    write_whole(&dir.result(), &pretty(&result)?)
}

/// What was found in the rows before they were dealt; what was left out of them once, and what each fold left out besides.
fn audit(c: &Checked, results: &[Value]) -> Result<Value> {
    let all = c.audit()?;
    let mut audit = serde_json::to_value(all).map_err(|e| Error::msg(e.to_string()))?;
    audit["dropped"] = json!(dropped(&audit["dropped"], results));
    Ok(audit)
}

/// By reason: what was left out of all rows, and in the folds what each left out besides, added up.
fn dropped(once: &Value, results: &[Value]) -> BTreeMap<String, u64> {
    let counts = |v: &Value| -> BTreeMap<String, u64> {
        let all = v.as_object().into_iter().flatten();
        all.filter_map(|(why, n)| Some((why.clone(), n.as_u64()?)))
            .collect()
    };
    let once = counts(once);
    let mut sum = once.clone();
    for fold in results {
        for (why, n) in counts(&fold["audit"]["dropped"]) {
            let before = once.get(&why).copied().unwrap_or(0);
            *sum.entry(why).or_default() += n.saturating_sub(before);
        }
    }
    sum
}

/// The result of a cross-validation from those of its folds: means with the corrected resampled t interval (Nadeau & Bengio 2003), confusions
/// added up.
pub fn summarised(results: &[Value], level: f64) -> Value {
    let k = results.len();
    let ratio = 1.0 / (k as f64 - 1.0).max(1.0);
    let spread = |values: Vec<f64>| corrected_t(values, ratio, level);
    let tests: Vec<&Value> = results.iter().map(|r| &r["metrics"]["test"]).collect();
    let Scores {
        test,
        metrics,
        pooled,
    } = scores(&tests, &spread, level);
    let first = results.first().cloned().unwrap_or(Value::Null);
    let total = |key: &str| results.iter().filter_map(|r| r[key].as_f64()).sum::<f64>();
    let mut out = Map::new();
    for key in [
        "format",
        "recipe",
        "recipe_sha256",
        "data_sha256",
        "identity",
        "version",
        "seed",
        "status",
        "device",
        "threads",
    ] {
        out.insert(key.into(), first[key].clone());
    }
    out.insert("seconds".into(), json!(total("seconds")));
    out.insert("strategy".into(), first["strategy"].clone());
    out.insert(
        "selection".into(),
        json!({ "by": first["selection"]["by"], "epoch": null, "oracle": false, "folds": k }),
    );
    out.insert("metrics".into(), json!({ "test": test }));
    let (beside, worth) = beside(results, &metrics, &spread, level);
    if !beside.is_empty() {
        out.insert("baselines".into(), Value::Array(beside));
    }
    if let Some(worth) = worth {
        out.insert("worth".into(), worth);
    }
    let runs: Vec<String> = (1..=k).map(|k| format!("folds/{k}")).collect();
    let mut folds = json!({
        "k": k,
        "runs": runs,
        "interval": "corrected resampled t (Nadeau & Bengio 2003)",
        "metrics": metrics,
    });
    if !pooled.is_empty() {
        folds["pooled"] = json!(pooled);
    }
    out.insert("folds".into(), folds);
    out.insert("labels".into(), first["labels"].clone());
    out.insert(
        "model".into(),
        json!({ "loadable_by": null, "why": "a cross-validation leaves a model a fold, in folds/1 to folds/k" }),
    );
    out.insert("steps".into(), json!(total("steps") as u64));
    Value::Object(out)
}

/// Scores over folds.
struct Scores {
    /// As one table.
    test: Value,
    /// As spreads, by name.
    metrics: Map<String, Value>,
    /// Those that are of all rows together, since a fold without a class has none that means the same.
    pooled: Vec<&'static str>,
}

/// Scores that weigh classes, of all rows together.
const BY_CLASS: [(&str, fn(&Counts) -> f64); 4] = [
    ("macro_f1", |c| c.macro_mean(Counts::f1)),
    ("macro_precision", |c| c.macro_mean(Counts::precision)),
    ("macro_recall", |c| c.macro_mean(Counts::recall)),
    ("mcc", Counts::mcc),
];

/// Confusions added up, and whether a fold's test lacks a class that another's has.
fn confusion(tests: &[&Value]) -> (Vec<Vec<usize>>, bool) {
    let read = |t: &&Value| serde_json::from_value(t["confusion"].clone()).unwrap_or_default();
    let all: Vec<Vec<Vec<usize>>> = tests.iter().map(read).collect();
    let sum = all.iter().cloned().reduce(|mut a, b| {
        for (a, b) in a.iter_mut().flatten().zip(b.iter().flatten()) {
            *a += b;
        }
        a
    });
    let sum = sum.unwrap_or_default();
    let has = |of: &[Vec<usize>], class: usize| of[class].iter().any(|&n| n > 0);
    let lacks = |of: &Vec<Vec<usize>>| (0..of.len()).any(|c| has(&sum, c) && !has(of, c));
    let lacking = all.iter().any(lacks);
    (sum, lacking)
}

/// Scores that every fold has. What weighs classes is of all rows together where a fold lacks one: it would count 0 there.
fn scores(tests: &[&Value], spread: &dyn Fn(Vec<f64>) -> Spread, level: f64) -> Scores {
    const NAMES: [&str; 10] = [
        "accuracy",
        "macro_f1",
        "micro_f1",
        "macro_precision",
        "macro_recall",
        "mcc",
        "auroc",
        "ece",
        "ece_calibrated",
        "loss",
    ];
    let n: u64 = tests.iter().filter_map(|t| t["n"].as_u64()).sum();
    let mut test = Map::new();
    let mut metrics = Map::new();
    let mut pooled = Vec::new();
    test.insert("n".into(), json!(n));
    let (sum, lacking) = confusion(tests);
    let counts = Counts::of(&sum);
    for name in NAMES {
        let by_class = BY_CLASS.iter().find(|(n, _)| *n == name);
        if let Some((name, of_all)) = by_class.filter(|_| lacking)
            && tests.iter().all(|t| t[*name].is_number())
        {
            test.insert(name.to_string(), json!(of_all(&counts)));
            pooled.push(*name);
            continue;
        }
        let values: Option<Vec<f64>> = tests.iter().map(|t| t[name].as_f64()).collect();
        let Some(values) = values else { continue };
        let s = spread(values);
        test.insert(name.into(), json!(s.mean));
        if let Some((low, high)) = s.interval {
            let low = low.max(if name == "mcc" { -1.0 } else { 0.0 });
            let high = if name == "loss" { high } else { high.min(1.0) };
            test.insert(format!("{name}_interval"), json!([low, high]));
        }
        metrics.insert(name.into(), json!(s));
    }
    test.insert("level".into(), json!(level));
    if !sum.is_empty() {
        let label = |c: usize| tests[0]["per_class"][c]["label"].clone();
        let class = |c: usize| {
            json!({
                "label": label(c), "precision": counts.precision(c), "recall": counts.recall(c), "f1": counts.f1(c),
                "support": counts.truth[c] as u64,
            })
        };
        let classes: Vec<Value> = (0..counts.classes()).map(class).collect();
        test.insert("per_class".into(), Value::Array(classes));
        test.insert("confusion".into(), json!(sum));
    }
    Scores {
        test: Value::Object(test),
        metrics,
        pooled,
    }
}

/// Baselines by their means, and the differences to the best of them, fold by fold.
fn beside(
    results: &[Value],
    ours: &Map<String, Value>,
    spread: &dyn Fn(Vec<f64>) -> Spread,
    level: f64,
) -> (Vec<Value>, Option<Value>) {
    let none = Vec::new();
    let first = results.first().and_then(|r| r["baselines"].as_array());
    let mut all = Vec::new();
    let mut best: Option<(String, f64, Vec<f64>)> = None;
    for (i, b) in first.unwrap_or(&none).iter().enumerate() {
        let tests: Vec<&Value> = results.iter().map(|r| &r["baselines"][i]["test"]).collect();
        let Scores { test, metrics, .. } = scores(&tests, spread, level);
        let seconds = results
            .iter()
            .filter_map(|r| r["baselines"][i]["seconds"].as_f64())
            .sum::<f64>();
        all.push(
            json!({ "name": b["name"], "words": said(results, i), "test": test, "seconds": seconds }),
        );
        let accuracy = &metrics["accuracy"];
        let mean = accuracy["mean"].as_f64().unwrap_or(0.0);
        if best.as_ref().is_none_or(|(_, m, _)| mean > *m) {
            let name = b["name"].as_str().unwrap_or_default().to_string();
            best = Some((name, mean, numbers(&accuracy["values"])));
        }
    }
    let worth = best.and_then(|(name, _, theirs)| {
        let ours = numbers(&ours.get("accuracy")?["values"]);
        let differences = ours.iter().zip(&theirs).map(|(a, b)| a - b).collect();
        let s = spread(differences);
        let on = format!("over {} folds", results.len());
        let Some(p) = s.p else {
            let words = format!(
                "{:+.1} points to {name} in every fold alike, which says nothing of others ({on})",
                100.0 * s.mean
            );
            return Some(json!({ "against": name, "difference": s.mean, "words": words }));
        };
        // Of a difference of two shares.
        let within = |v: f64| v.clamp(-1.0, 1.0);
        let interval = s.interval.unwrap_or((s.mean, s.mean));
        let interval = (within(interval.0), within(interval.1));
        let differs = p < 1.0 - level;
        Some(json!({
            "against": name, "difference": s.mean, "interval": interval, "p": p,
            "words": words(&name, s.mean, interval, differs, level, &on),
        }))
    });
    (all, worth)
}

/// What a baseline is. It is fitted in each fold, so what it says of one is not true of all.
fn said(results: &[Value], baseline: usize) -> Value {
    let b = |r: &Value| r["baselines"][baseline].clone();
    let first = results.first().map(b).unwrap_or(Value::Null);
    if results.iter().all(|r| b(r)["words"] == first["words"]) {
        return first["words"].clone();
    }
    match first["name"].as_str() {
        Some("majority") => "always says the largest class of its fold's training rows".into(),
        _ => "fitted anew in each fold".into(),
    }
}

fn numbers(values: &Value) -> Vec<f64> {
    let list = values.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(accuracy: f64, baseline: f64) -> Value {
        let test = |a: f64| {
            json!({ "n": 20, "accuracy": a, "mcc": 2.0 * a - 1.0, "confusion": [[9, 1], [2, 8]],
            "per_class": [{ "label": "a" }, { "label": "b" }] })
        };
        json!({
            "format": 1, "status": "done", "seconds": 2.0, "steps": 10, "selection": { "by": "validation" },
            "metrics": { "test": test(accuracy) },
            "baselines": [{ "name": "majority", "words": "w", "test": test(baseline), "seconds": 0.5 }],
        })
    }

    #[test]
    fn folds_come_to_means_with_the_corrected_interval_and_sums() {
        let folds = [
            fold(0.80, 0.5),
            fold(0.82, 0.5),
            fold(0.84, 0.5),
            fold(0.81, 0.5),
            fold(0.83, 0.5),
        ];
        let all = summarised(&folds, 0.95);
        let test = &all["metrics"]["test"];
        assert_eq!(
            (test["n"].as_u64(), all["steps"].as_u64()),
            (Some(100), Some(50))
        );
        assert!((test["accuracy"].as_f64().unwrap() - 0.82).abs() < 1e-12);
        let half = 2.776_445 * 0.45f64.sqrt() * 0.015_811_388;
        let low = test["accuracy_interval"][0].as_f64().unwrap();
        assert!((low - (0.82 - half)).abs() < 1e-6, "{low}");
        assert_eq!(test["confusion"], json!([[45, 5], [10, 40]]));
        assert_eq!(test["per_class"][1]["recall"], 0.8);
        assert_eq!(all["folds"]["k"], 5);
        assert_eq!(all["baselines"][0]["seconds"], 2.5);
        let words = all["worth"]["words"].as_str().unwrap();
        assert!(
            words.starts_with("this model is 32.0 points better than majority"),
            "{words}"
        );
    }

    #[test]
    fn what_weighs_classes_is_of_all_rows_where_a_fold_lacks_one() {
        let of = |confusion: Value, macro_f1: f64| {
            json!({ "metrics": { "test": { "n": 2, "accuracy": 1.0, "macro_f1": macro_f1, "confusion": confusion,
                "per_class": [{ "label": "a" }, { "label": "b" }] } } })
        };
        let lacking = [
            of(json!([[2, 0], [0, 0]]), 0.5),
            of(json!([[0, 0], [0, 2]]), 0.5),
        ];
        let all = summarised(&lacking, 0.95);
        // Each class is found in full: the mean of the folds would say a half.
        assert_eq!(all["metrics"]["test"]["macro_f1"], 1.0);
        assert!(all["metrics"]["test"]["macro_f1_interval"].is_null());
        assert_eq!(all["folds"]["pooled"], json!(["macro_f1"]));
        assert!(all["folds"]["metrics"]["macro_f1"].is_null());
        let whole = [
            of(json!([[1, 0], [0, 1]]), 1.0),
            of(json!([[1, 0], [1, 0]]), 0.4),
        ];
        let all = summarised(&whole, 0.95);
        assert_eq!(all["metrics"]["test"]["macro_f1"], 0.7);
        assert!(all["folds"]["pooled"].is_null());
    }

    #[test]
    fn what_a_baseline_says_of_one_fold_is_not_said_of_all() {
        let named =
            |name: &str, words: &str| json!({ "baselines": [{ "name": name, "words": words }] });
        let of = |name, a, b| said(&[named(name, a), named(name, b)], 0);
        assert_eq!(of("majority", "always `a`", "always `a`"), "always `a`");
        assert_eq!(
            of("majority", "always `a`", "always `b`"),
            "always says the largest class of its fold's training rows"
        );
        assert_eq!(
            of("tf-idf", "80 words", "90 words"),
            "fitted anew in each fold"
        );
    }

    #[test]
    fn what_is_left_out_once_is_counted_once() {
        let fold = |n: u64| json!({ "audit": { "dropped": { "empty": 2, "overlap": n } } });
        let sum = dropped(&json!({ "empty": 2 }), &[fold(1), fold(3)]);
        assert_eq!(json!(sum), json!({ "empty": 2, "overlap": 4 }));
    }

    #[test]
    fn two_models_without_an_error_are_not_compared_by_an_interval() {
        let all = summarised(&[fold(1.0, 1.0), fold(1.0, 1.0)], 0.95);
        let words = all["worth"]["words"].as_str().unwrap();
        assert!(
            words.starts_with("+0.0 points") && !words.contains("95 %"),
            "{words}"
        );
        assert!(all["worth"]["p"].is_null(), "{words}");
    }

    #[test]
    fn folds_that_differ_alike_are_no_proof() {
        let all = summarised(&[fold(1.0, 0.5), fold(1.0, 0.5)], 0.95);
        assert_eq!(
            all["worth"]["words"],
            "+50.0 points to majority in every fold alike, which says nothing of others (over 2 folds)"
        );
        assert!(all["worth"]["p"].is_null() && all["worth"]["interval"].is_null());
    }

    #[test]
    fn a_difference_that_is_smaller_than_its_spread_is_none() {
        let all = summarised(&[fold(0.6, 0.5), fold(0.4, 0.5), fold(0.55, 0.5)], 0.95);
        let words = all["worth"]["words"].as_str().unwrap();
        assert!(
            words.contains("not distinguishable over 3 folds"),
            "{words}"
        );
    }
}
