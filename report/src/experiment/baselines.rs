//! The yardsticks that the runs computed.

use serde_json::Value;

use super::compare::{Row, mean};
use super::read::{Experiment, Trial};
use crate::statistics::{normal_quantile, wilson};

/// One yardstick at one value of what varies.
struct Yardstick {
    name: String,
    points: Vec<usize>,
    /// By pair, the score by run.
    scores: Vec<Vec<f64>>,
    interval: Option<(f64, f64)>,
    seconds: Option<f64>,
}

/// They depend on the data alone, so a value of an axis has one of each; over several pairs it is the mean of the pairs, as of every other row.
pub(super) fn baselines(e: &Experiment) -> Vec<Row> {
    let mut all: Vec<Yardstick> = Vec::new();
    for arm in e.arms.iter() {
        for (pair, trials) in arm.trials.iter().enumerate() {
            for trial in trials.iter().filter(|t| t.done) {
                let list = trial.run.result["baselines"].as_array();
                for b in list.into_iter().flatten() {
                    let (Some(name), Some(score)) =
                        (b["name"].as_str(), b["test"][e.metric.name()].as_f64())
                    else {
                        continue;
                    };
                    let there = all
                        .iter()
                        .position(|y| y.name == name && y.points == arm.values);
                    let at = there.unwrap_or_else(|| {
                        all.push(Yardstick {
                            name: name.to_string(),
                            points: arm.values.clone(),
                            scores: vec![Vec::new(); e.pairs.len().max(1)],
                            interval: interval(e, trial, &b["test"], score),
                            seconds: b["seconds"].as_f64(),
                        });
                        all.len() - 1
                    });
                    all[at].scores[pair].push(score);
                }
            }
        }
    }
    all.into_iter().map(|y| y.row(e)).collect()
}

/// At the level of the table, which need not be the run's.
fn interval(e: &Experiment, trial: &Trial, test: &Value, score: f64) -> Option<(f64, f64)> {
    let stored = &test[format!("{}_interval", e.metric.name())];
    let stored = stored[0].as_f64().zip(stored[1].as_f64());
    let level = test["level"].as_f64().unwrap_or(0.95);
    if (level - e.level).abs() < 1e-9 {
        return stored;
    }
    let rows = trial.rows.as_ref()?.ids.len();
    let again = e.metric.is_mean() && !trial.cross_validated() && stored.is_some();
    let right = (score * rows as f64).round() as usize;
    again.then(|| wilson(right, rows, normal_quantile(e.level)))
}

impl Yardstick {
    fn row(self, e: &Experiment) -> Row {
        let there: Vec<&Vec<f64>> = self.scores.iter().filter(|s| !s.is_empty()).collect();
        // The rows are the same for every seed, so the yardstick is; where they are not, it has no one interval.
        let mixed = there.iter().any(|s| s.windows(2).any(|w| w[0] != w[1]));
        let by_seed = match there.as_slice() {
            [one] => (*one).clone(),
            _ => there.iter().filter_map(|s| mean(s)).collect(),
        };
        let values = self.points.iter().zip(&e.axes);
        Row {
            method: self.name,
            values: values.map(|(&v, a)| a.values[v].clone()).collect(),
            points: self.points.clone(),
            done: 1,
            runs: 1,
            mean: mean(&by_seed),
            interval: self.interval.filter(|_| !mixed && e.pairs.len() < 2),
            by_seed: if there.len() > 1 { Vec::new() } else { by_seed },
            deterministic: !mixed,
            baseline: true,
            seconds: self.seconds,
            marks: vec!["baseline".into()],
            ..Row::default()
        }
    }
}
