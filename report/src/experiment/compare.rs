//! What can be said of an experiment.

use std::sync::Arc;

use serde::Serialize;

use super::difference::{CEILING, DRAWS, Difference, complete, twice};
use super::notes;
use super::read::{Arm, Axis, Experiment};
use super::rows::{Metric, Rows};
use crate::statistics::{
    LEAST_SEEDS, Tally, bootstrap, gap_closed, holm, independent, normal_quantile, wilcoxon, wilson,
};

/// A table, and the words beneath it. Scores and differences are shares of 1.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The experiment's name.
    pub name: String,
    /// The score, as `result.json` names it.
    pub metric: &'static str,
    /// Of the intervals.
    pub level: f64,
    /// The least difference worth having.
    pub worth: f64,
    /// Whether adaptations are compared.
    pub transductive: bool,
    /// Test rows.
    pub rows_tested: usize,
    /// Seeds of the arm that has most.
    pub seeds: usize,
    /// Keys that vary.
    pub axes: Vec<String>,
    /// Their values.
    #[serde(skip)]
    pub axis_values: Vec<Axis>,
    /// Source and target of each pair.
    pub pairs: Vec<(String, String)>,
    /// The rows of the table.
    pub rows: Vec<Row>,
    /// What stands beneath it.
    pub notes: Vec<String>,
    /// The words in the table's head.
    #[serde(skip)]
    pub score: &'static str,
    /// What it is of: the page draws more of the runs than the table says.
    #[serde(skip)]
    pub(super) experiment: Arc<Experiment>,
}

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The method.
    pub method: String,
    /// The value of each key that varies.
    pub values: Vec<String>,
    /// By axis, the number of the value.
    #[serde(skip)]
    pub points: Vec<usize>,
    /// Keys that tell it from the others.
    pub keys: Vec<(String, String)>,
    /// Runs that are finished, that failed, and all.
    pub done: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Runs of this row.
    pub runs: usize,
    /// The mean score over seeds and pairs; none when a run failed or is missing.
    pub mean: Option<f64>,
    /// Its interval over seeds and rows.
    pub interval: Option<(f64, f64)>,
    /// The score of each seed, mean over pairs.
    pub by_seed: Vec<f64>,
    /// Whether every seed said the same.
    pub deterministic: bool,
    /// Whether the others are compared with it.
    pub reference: bool,
    /// Whether it is a yardstick that a run computed, not an arm.
    pub baseline: bool,
    /// To the reference.
    pub difference: Option<Difference>,
    /// By pair of domains; none where there is only one.
    pub pairs: Vec<PairCell>,
    /// Pairs won, tied and lost.
    pub tally: Option<[usize; 3]>,
    /// The share of the way from source-only to target-supervised.
    pub gap_closed: Option<f64>,
    /// Mean over runs.
    pub seconds: Option<f64>,
    /// The largest of any run.
    pub memory_mb: Option<u64>,
    /// What chose the epoch.
    pub selector: String,
    /// What it saw: `label-free`, `target validation`, `oracle`; `validation` where the target's labels are open; empty where nothing was chosen.
    pub selector_kind: String,
    /// Runs that kept the model of the source alone.
    pub given_up: usize,
    /// Runs whose adaptation diverged; what they kept is of the epochs before.
    pub diverged: usize,
    /// Marks: `oracle`, `tested on the rows adapted on`, `imported`.
    pub marks: Vec<String>,
}

/// A row on one pair.
#[derive(Clone, Debug, Serialize)]
pub struct PairCell {
    /// The source domain.
    pub source: String,
    /// The target domain.
    pub target: String,
    /// The mean score.
    pub mean: Option<f64>,
    /// To the reference on this pair.
    pub difference: Option<Difference>,
}

impl Experiment {
    /// Says what can be said; `metric` in place of the experiment's own.
    pub fn compare(&self, metric: Option<Metric>) -> Comparison {
        let whole = Arc::new(Experiment {
            metric: metric.unwrap_or(self.metric),
            ..self.clone()
        });
        let e = whole.as_ref();
        let all: Vec<usize> = (0..e.pairs.len().max(1)).collect();
        let mut rows: Vec<Row> = e.arms.iter().map(|arm| e.row(arm)).collect();
        for (i, row) in rows.iter_mut().enumerate() {
            row.reference = e.arms.iter().any(|a| a.reference == Some(i));
            let Some(r) = e.arms[i].reference else {
                continue;
            };
            row.difference = e.difference(i, r, &all);
            if e.pairs.len() > 1 {
                for (p, cell) in row.pairs.iter_mut().enumerate() {
                    cell.difference = e.difference(i, r, &[p]);
                }
            }
        }
        adjust(e, &mut rows);
        for i in 0..rows.len() {
            let is_ceiling = |a: &Arm| a.method == CEILING;
            let at = |a: &Arm| is_ceiling(a) && a.values == e.arms[i].values;
            let ceiling = e.arms.iter().position(at);
            let Some((r, t)) = e.arms[i].reference.zip(ceiling).filter(|(_, t)| *t != i) else {
                continue;
            };
            let gap = e.difference(t, r, &all).and_then(|d| d.crossed);
            if let (Some(gap), Some(a), Some(s)) = (gap, rows[i].mean, rows[r].mean) {
                rows[i].gap_closed = gap_closed(a, s, &gap, e.level);
            }
        }
        if e.baselines {
            rows.extend(baselines(e));
        }
        let seeds = e.arms.iter().flat_map(|a| &a.trials).map(Vec::len).max();
        let mut c = Comparison {
            name: e.name.clone(),
            metric: e.metric.name(),
            score: e.metric.words(),
            level: e.level,
            worth: e.worth,
            transductive: e.transductive,
            rows_tested: e.rows(),
            seeds: seeds.unwrap_or(0),
            axes: e.axes.iter().map(|a| a.key.clone()).collect(),
            axis_values: e.axes.clone(),
            pairs: e.pairs.clone(),
            rows,
            notes: Vec::new(),
            experiment: whole.clone(),
        };
        c.notes = notes::notes(e, &c);
        c
    }

    fn row(&self, arm: &Arm) -> Row {
        let trials = || arm.trials.iter().flatten();
        let done: Vec<_> = trials().filter(|t| t.done).collect();
        let seconds: Vec<f64> = done
            .iter()
            .filter_map(|t| t.run.result["seconds"].as_f64())
            .collect();
        let whole: Option<Vec<Vec<&Rows>>> = arm.trials.iter().map(|t| complete(t)).collect();
        let still = whole.as_ref().is_some_and(|pairs| {
            pairs.iter().all(|seeds| {
                seeds.len() > 1
                    && seeds.windows(2).all(|w| {
                        w[0].predictions == w[1].predictions
                            && w[0].probabilities == w[1].probabilities
                    })
            })
        });
        let scores: Option<Vec<Vec<f64>>> = whole
            .as_ref()
            .and_then(|pairs| pairs.iter().map(|seeds| self.scores(seeds)).collect());
        let by_seed: Vec<f64> = scores
            .as_ref()
            .map(|s| {
                let seeds = s.iter().map(Vec::len).min().unwrap_or(0);
                (0..seeds)
                    .map(|k| s.iter().map(|pair| pair[k]).sum::<f64>() / s.len() as f64)
                    .collect()
            })
            .unwrap_or_default();
        let mean = mean(&by_seed);
        let pairs = match self.pairs.len() {
            0 | 1 => Vec::new(),
            _ => (0..self.pairs.len())
                .map(|p| PairCell {
                    source: self.pairs[p].0.clone(),
                    target: self.pairs[p].1.clone(),
                    // A pair whose runs are all there has its score, whatever the others have.
                    mean: complete(&arm.trials[p])
                        .and_then(|seeds| self.scores(&seeds))
                        .and_then(|s| self::mean(&s)),
                    difference: None,
                })
                .collect(),
        };
        let mut marks = Vec::new();
        let mut selectors: Vec<String> = Vec::new();
        let mut kinds: Vec<&str> = Vec::new();
        for t in &done {
            let selection = &t.run.result["selection"];
            let kind = kind(selection);
            if !kinds.contains(&kind) && !kind.is_empty() {
                kinds.push(kind);
            }
            let by = selection["by"].as_str().unwrap_or("unknown").to_string();
            if !selectors.contains(&by) {
                selectors.push(by);
            }
            let mut mark = |is: bool, text: &str| {
                if is && !marks.iter().any(|m| m == text) {
                    marks.push(text.to_string());
                }
            };
            mark(selection["oracle"] == true, "oracle");
            mark(
                t.run.identity["values"]["target"]["test"] == "unlabelled",
                "tested on the rows adapted on",
            );
            mark(t.run.result["imported"] == true, "imported");
        }
        let chose = |key: &str| {
            let said = done
                .iter()
                .filter(|t| !t.run.result["selection"][key].is_null());
            said.count()
        };
        Row {
            method: arm.method.clone(),
            values: arm
                .values
                .iter()
                .zip(&self.axes)
                .map(|(&v, a)| a.values[v].clone())
                .collect(),
            points: arm.values.clone(),
            keys: arm.keys.clone(),
            done: done.len(),
            failed: trials().filter(|t| t.failed()).count(),
            runs: trials().count(),
            mean,
            interval: whole.as_ref().and_then(|pairs| self.interval(pairs, still)),
            by_seed,
            deterministic: still,
            reference: false,
            baseline: false,
            difference: None,
            pairs,
            tally: None,
            gap_closed: None,
            seconds: self::mean(&seconds),
            memory_mb: done
                .iter()
                .filter_map(|t| t.run.result["peak_rss_mb"].as_u64().filter(|mb| *mb > 0))
                .max(),
            selector: selectors.join(", "),
            selector_kind: kinds.join(", "),
            given_up: chose("of"),
            diverged: chose("diverged"),
            marks,
        }
    }

    fn scores(&self, seeds: &[&Rows]) -> Option<Vec<f64>> {
        seeds
            .iter()
            .map(|r| r.score(self.metric, &(0..r.ids.len()).collect::<Vec<_>>()))
            .collect()
    }

    /// Of a mean score: over seeds and rows; of one model, or one that no seed moves, over the rows alone (Wilson). Of any other: seeds and rows are drawn
    /// again, on one pair.
    fn interval(&self, pairs: &[Vec<&Rows>], still: bool) -> Option<(f64, f64)> {
        if !self.metric.is_mean() {
            let [one] = pairs else { return None };
            let score = |seeds: &[usize], rows: &[usize]| {
                let of = |&s: &usize| one[s].score(self.metric, rows).unwrap_or(0.0);
                seeds.iter().map(of).sum::<f64>() / seeds.len() as f64
            };
            let drawn = bootstrap(one.len(), one.first()?.ids.len(), DRAWS, self.level, score);
            return drawn.map(|(interval, _)| interval);
        }
        let clamp = |(low, high): (f64, f64)| (low.max(0.0), high.min(1.0));
        let seeds = pairs.iter().map(Vec::len).min()?;
        if let ([one], true) = (pairs, seeds == 1 || still) {
            let n = one[0].ids.len();
            let right = one[0].right().iter().sum::<f64>() as usize;
            return Some(clamp(wilson(right, n, normal_quantile(self.level))));
        }
        let alone = seeds == 1 || still;
        if seeds < LEAST_SEEDS && !alone {
            return None;
        }
        let tables = pairs.iter().enumerate().map(|(p, rows)| {
            let table = match alone {
                true => twice(rows[0].right()),
                false => rows.iter().map(|r| r.right()).collect(),
            };
            (p, table)
        });
        let crossed = self.stratified(tables);
        crossed.map(|c| clamp(c.interval(self.level)))
    }
}

/// Holm over the rows of the table; over the cells of pairs apart; then the words.
fn adjust(e: &Experiment, rows: &mut [Row]) {
    fn family(mut all: Vec<&mut Difference>) {
        let with: Vec<usize> = (0..all.len())
            .filter(|&i| all[i].p.is_some() && !all[i].ceiling)
            .collect();
        let of = |get: fn(&Difference) -> Option<f64>, all: &[&mut Difference]| {
            let p: Vec<f64> = with.iter().map(|&i| get(all[i]).unwrap_or(1.0)).collect();
            holm(&p)
        };
        let (zero, worth) = (of(|d| d.p, &all), of(|d| d.p_worth, &all));
        for (k, &i) in with.iter().enumerate() {
            all[i].p_adjusted = Some(zero[k]);
            all[i].p_worth_adjusted = Some(worth[k]);
        }
    }
    family(
        rows.iter_mut()
            .filter_map(|r| r.difference.as_mut())
            .collect(),
    );
    family(
        rows.iter_mut()
            .flat_map(|r| r.pairs.iter_mut().filter_map(|c| c.difference.as_mut()))
            .collect(),
    );
    for row in rows {
        if let Some(d) = &mut row.difference {
            d.settle_words(e, false);
        }
        let mut cells = Vec::new();
        for cell in &mut row.pairs {
            if let Some(d) = &mut cell.difference {
                d.settle_words(e, true);
                cells.extend(d.p_adjusted.map(|p| (d.mean, p)));
            }
        }
        if row.difference.is_some() && !row.pairs.is_empty() && cells.len() == row.pairs.len() {
            let t = Tally::of(&cells, 1.0 - e.level);
            row.tally = Some([t.wins, t.ties, t.losses]);
        }
    }
}

/// The yardsticks that the runs computed: they depend on the data alone, so a value of an axis has one of each.
fn baselines(e: &Experiment) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for arm in &e.arms {
        for trial in arm.trials.iter().flatten().filter(|t| t.done) {
            for b in trial.run.result["baselines"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let (Some(name), Some(score)) =
                    (b["name"].as_str(), b["test"][e.metric.name()].as_f64())
                else {
                    continue;
                };
                let values: Vec<String> = arm
                    .values
                    .iter()
                    .zip(&e.axes)
                    .map(|(&v, a)| a.values[v].clone())
                    .collect();
                let there = rows
                    .iter_mut()
                    .find(|r| r.method == name && r.values == values);
                if let Some(row) = there {
                    // The rows are the same for every seed, so the yardstick is; where they are not, it has no one interval.
                    if row.by_seed.iter().any(|s| *s != score) {
                        row.interval = None;
                    }
                    row.by_seed.push(score);
                    row.mean = mean(&row.by_seed);
                    continue;
                }
                let interval = &b["test"][format!("{}_interval", e.metric.name())];
                rows.push(Row {
                    method: name.to_string(),
                    values,
                    points: arm.values.clone(),
                    keys: Vec::new(),
                    done: 1,
                    failed: 0,
                    runs: 1,
                    mean: Some(score),
                    interval: interval[0].as_f64().zip(interval[1].as_f64()),
                    by_seed: vec![score],
                    deterministic: true,
                    reference: false,
                    baseline: true,
                    difference: None,
                    pairs: Vec::new(),
                    tally: None,
                    gap_closed: None,
                    seconds: b["seconds"].as_f64(),
                    memory_mb: None,
                    selector: String::new(),
                    selector_kind: String::new(),
                    given_up: 0,
                    diverged: 0,
                    marks: vec!["baseline".into()],
                });
            }
        }
    }
    rows
}

impl Comparison {
    /// What can be said of new domains: a p-value of Wilcoxon's test, only where no two pairs share a domain and there are at least
    /// six.
    pub fn new_domains(&self, row: &Row) -> Option<f64> {
        if !independent(&self.pairs) {
            return None;
        }
        let means: Option<Vec<f64>> = row
            .pairs
            .iter()
            .map(|c| c.difference.as_ref().map(|d| d.mean))
            .collect();
        wilcoxon(&means?)
    }
}

/// What a selector saw.
fn kind(selection: &serde_json::Value) -> &'static str {
    match selection["by"].as_str() {
        _ if selection["oracle"] == true => "oracle",
        Some(by) if by.starts_with("target validation") => "target validation",
        Some("validation") => "validation",
        _ if selection["without_labels"].is_string() => "label-free",
        _ => "",
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
