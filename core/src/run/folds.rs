//! Cross-validation: the training rows in k parts, each tested once by a run on the others.

use serde_json::{Map, Value, json};

use super::directory::write_whole;
use super::execute::{Surroundings, begin, pretty};
use super::many::{Again, part};
use super::result::peak_rss_mb;
use crate::check::Checked;
use crate::evaluate::words;
use crate::metrics::{Counts, Spread, corrected_t};
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
    for k in 1..=of {
        let written = again
            .written
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
    });
    if let (Some(all), Value::Object(own)) = (result.as_object_mut(), own) {
        all.extend(own);
    }
    write_whole(&dir.result(), &pretty(&result)?)
}

/// The result of a cross-validation from those of its folds: means with the corrected resampled t interval (Nadeau & Bengio 2003), confusions
/// added up.
pub fn summarised(results: &[Value], level: f64) -> Value {
    let k = results.len();
    let ratio = 1.0 / (k as f64 - 1.0).max(1.0);
    let spread = |values: Vec<f64>| corrected_t(values, ratio, level);
    let tests: Vec<&Value> = results.iter().map(|r| &r["metrics"]["test"]).collect();
    let (test, metrics) = scores(&tests, &spread, level);
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
    out.insert(
        "folds".into(),
        json!({
            "k": k,
            "runs": runs,
            "interval": "corrected resampled t (Nadeau & Bengio 2003)",
            "metrics": metrics,
        }),
    );
    out.insert("labels".into(), first["labels"].clone());
    out.insert(
        "model".into(),
        json!({ "loadable_by": null, "why": "a cross-validation leaves a model a fold, in folds/1 to folds/k" }),
    );
    out.insert("steps".into(), json!(total("steps") as u64));
    Value::Object(out)
}

/// Scores that every fold has, as one table of scores and as spreads by name.
fn scores(
    tests: &[&Value],
    spread: &dyn Fn(Vec<f64>) -> Spread,
    level: f64,
) -> (Value, Map<String, Value>) {
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
    test.insert("n".into(), json!(n));
    for name in NAMES {
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
    let confusions = tests.iter().map(|t| {
        serde_json::from_value::<Vec<Vec<usize>>>(t["confusion"].clone()).unwrap_or_default()
    });
    let sum = confusions.reduce(|mut a, b| {
        for (a, b) in a.iter_mut().flatten().zip(b.iter().flatten()) {
            *a += b;
        }
        a
    });
    if let Some(sum) = sum.filter(|s| !s.is_empty()) {
        let counts = Counts::of(&sum);
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
    (Value::Object(test), metrics)
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
        let (test, metrics) = scores(&tests, spread, level);
        let seconds = results
            .iter()
            .filter_map(|r| r["baselines"][i]["seconds"].as_f64())
            .sum::<f64>();
        all.push(
            json!({ "name": b["name"], "words": b["words"], "test": test, "seconds": seconds }),
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
