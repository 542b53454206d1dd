//! What can be said of an experiment.

use std::sync::Arc;

use serde::Serialize;

use super::baselines::baselines;
use super::difference::{DRAWS, Difference, FEW, twice, wider};
use super::families::adjust;
use super::notes;
use super::read::{Arm, Axis, Experiment, Trial};
use super::rows::{Metric, Rows};
use super::seeds::complete;
use crate::statistics::{
    BOOTSTRAP_SEEDS, LEAST_SEEDS, bootstrap, corrected_t, gap_closed, normal_quantile, wilson,
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
#[derive(Clone, Debug, Default, Serialize)]
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
    /// The score of each seed that all pairs have, mean over pairs.
    pub by_seed: Vec<f64>,
    /// Whether every seed said the same.
    pub deterministic: bool,
    /// Whether the others are compared with it.
    pub reference: bool,
    /// Whether it is a yardstick that a run computed, not an arm.
    pub baseline: bool,
    /// To the reference.
    pub difference: Option<Difference>,
    /// Why there is none, though all runs are there.
    #[serde(skip)]
    pub(super) unsaid: Option<&'static str>,
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
    /// Runs of this pair.
    pub runs: usize,
    /// Those that are finished.
    pub done: usize,
    /// Those that failed.
    pub failed: usize,
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
        let all = e.every_pair();
        let mut rows: Vec<Row> = (0..e.arms.len()).map(|i| e.row(i)).collect();
        for (i, row) in rows.iter_mut().enumerate() {
            row.reference = e.arms.iter().any(|a| a.reference == Some(i));
            let Some(r) = e.arms[i].reference else {
                continue;
            };
            row.difference = e.difference(i, r, &all);
            if row.difference.is_none() {
                row.unsaid = e.unsaid(i, r);
            }
            if e.pairs.len() > 1 {
                for (p, cell) in row.pairs.iter_mut().enumerate() {
                    cell.difference = e.difference(i, r, &[p]);
                }
            }
        }
        adjust(e, &mut rows);
        for (i, row) in rows.iter_mut().enumerate() {
            row.gap_closed = e.gap(i);
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

    /// The share of the way from the source alone to the ceiling at the same value, all three of the same seeds.
    fn gap(&self, i: usize) -> Option<f64> {
        let is_ceiling = |a: &Arm| a.is_ceiling() && a.values == self.arms[i].values;
        let r = self.arms[i].reference.filter(|&r| self.adapts(r))?;
        let t = self.arms.iter().position(is_ceiling)?;
        // Of other scores there is no crossed test to say that there is a gap.
        if self.arms[i].is_ceiling() || !self.metric.is_mean() {
            return None;
        }
        let all = self.every_pair();
        let seeds = self.shared(&[i, r, t], &all);
        let of = |arm: usize| self.contrast(arm, r, &all, &seeds);
        gap_closed(of(i)?.mean, &of(t)?.crossed?, self.level)
    }

    /// What stands in the table of one arm, but for what it is compared with.
    pub(super) fn row(&self, at: usize) -> Row {
        let arm = &self.arms[at];
        let trials = || arm.trials.iter().flatten();
        let done: Vec<_> = trials().filter(|t| t.done).collect();
        let seconds: Vec<f64> = done
            .iter()
            .filter_map(|t| t.run.result["seconds"].as_f64())
            .collect();
        let seeds = self.shared(&[at], &self.every_pair());
        let whole: Option<Vec<Vec<&Trial>>> = match seeds.is_empty() {
            true => None,
            false => arm.trials.iter().map(|t| complete(t, &seeds)).collect(),
        };
        let still = whole.as_ref().is_some_and(|pairs| {
            pairs
                .iter()
                .all(|seeds| seeds.len() > 1 && seeds.windows(2).all(|w| self.alike(w[0], w[1])))
        });
        let scores: Option<Vec<Vec<f64>>> = whole
            .as_ref()
            .and_then(|pairs| pairs.iter().map(|seeds| self.scores(seeds)).collect());
        let by_seed: Vec<f64> = scores.map_or_else(Vec::new, |s| {
            let of = |k: usize| s.iter().map(|pair| pair[k]).sum::<f64>() / s.len() as f64;
            (0..seeds.len()).map(of).collect()
        });
        let mean = mean(&by_seed);
        let pairs = match self.pairs.len() {
            0 | 1 => Vec::new(),
            n => (0..n).map(|p| self.pair_cell(arm, p)).collect(),
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
            // What has no epochs, and what was made elsewhere, has none that was kept.
            let result = &t.run.result;
            let without = result["imported"] == true || by == "last" && result["steps"] == 0;
            if !without && !selectors.contains(&by) {
                selectors.push(by);
            }
            let mut mark = |is: bool, text: &str| {
                if is && !marks.iter().any(|m| m == text) {
                    marks.push(text.to_string());
                }
            };
            mark(selection["oracle"] == true, "oracle");
            mark(t.run.tested_as_adapted(), "tested on the rows adapted on");
            mark(t.run.result["imported"] == true, "imported");
            for (set, keys) in t.run.result["test_rows"]["tuned_on"]
                .as_object()
                .into_iter()
                .flatten()
            {
                let keys = keys.as_array().into_iter().flatten();
                let keys: Vec<&str> = keys.filter_map(serde_json::Value::as_str).collect();
                let own = keys.iter().any(|k| k.starts_with("strategy."));
                mark(own, &format!("defaults chosen on {set}"));
                let chooses = keys.iter().any(|k| k.starts_with("select."));
                mark(chooses, &format!("selection tuned on {set}"));
            }
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
            pairs,
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
            ..Row::default()
        }
    }

    /// A pair whose runs are all there has its score, whatever the others have.
    fn pair_cell(&self, arm: &Arm, p: usize) -> PairCell {
        let trials = &arm.trials[p];
        let seeds: Vec<u64> = trials.iter().map(|t| t.seed).collect();
        let count = |of: fn(&Trial) -> bool| trials.iter().filter(|t| of(t)).count();
        PairCell {
            source: self.pairs[p].0.clone(),
            target: self.pairs[p].1.clone(),
            runs: trials.len(),
            done: count(|t| t.done),
            failed: count(Trial::failed),
            mean: complete(trials, &seeds)
                .and_then(|t| self.scores(&t))
                .and_then(|s| self::mean(&s)),
            difference: None,
        }
    }

    /// Whether two runs say the same, as far as the score looks.
    fn alike(&self, a: &Trial, b: &Trial) -> bool {
        let (Some(a), Some(b)) = (&a.rows, &b.rows) else {
            return false;
        };
        a.alike(b, self.metric)
    }

    fn scores(&self, seeds: &[&Trial]) -> Option<Vec<f64>> {
        seeds.iter().map(|t| self.score(t)).collect()
    }

    /// Of one run; of a cross-validation the mean over its folds, or what it has of all rows together.
    pub(super) fn score(&self, trial: &Trial) -> Option<f64> {
        match trial.cross_validated() {
            true => trial
                .by_fold(self.metric)
                .map_or_else(|| trial.pooled(self.metric), |folds| mean(&folds)),
            false => trial.rows.as_ref()?.score(self.metric),
        }
    }

    /// The score in each fold, mean over seeds; `None` where not all were cross-validated over the same folds.
    pub(super) fn by_fold(&self, trials: &[&Trial]) -> Option<Vec<f64>> {
        let all: Vec<Vec<f64>> = trials
            .iter()
            .map(|t| t.by_fold(self.metric))
            .collect::<Option<_>>()?;
        let folds = all.first()?.len();
        let mean = |k: usize| all.iter().map(|f| f[k]).sum::<f64>() / all.len() as f64;
        let same = all.iter().all(|f| f.len() == folds) && dealt_alike(trials);
        same.then(|| (0..folds).map(mean).collect())
    }

    /// Of a mean score: over seeds and rows; of one model, or one that no seed moves, over the rows alone (Wilson). Of any other: seeds and rows are drawn
    /// again, on one pair. Of cross-validations: over the folds.
    fn interval(&self, pairs: &[Vec<&Trial>], still: bool) -> Option<(f64, f64)> {
        let clamp = |(low, high): (f64, f64)| match self.metric {
            Metric::Mcc => (low.max(-1.0), high.min(1.0)),
            _ => (low.max(0.0), high.min(1.0)),
        };
        if pairs.iter().flatten().any(|t| t.cross_validated()) {
            let [one] = pairs else { return None };
            let folds = self.by_fold(one)?;
            let share = 1.0 / (folds.len() as f64 - 1.0).max(1.0);
            let interval = corrected_t(&folds, share)?.interval(self.level);
            return interval.map(clamp);
        }
        let rows: Vec<Vec<&Rows>> = pairs
            .iter()
            .map(|seeds| seeds.iter().filter_map(|t| t.rows.as_ref()).collect())
            .collect();
        if !self.metric.is_mean() {
            let [one] = rows.as_slice() else { return None };
            let scorers = self.scorers(one);
            let score = |seed: usize, rows: &[usize]| scorers[seed].of(rows);
            let (seeds, n) = (one.len(), one.first()?.ids.len());
            let drawn = match still && seeds > 1 {
                // No seed has a say: there are as many as anybody asks for.
                true => {
                    let again = |s: usize, rows: &[usize]| score(s % seeds, rows);
                    bootstrap(seeds.max(BOOTSTRAP_SEEDS), n, DRAWS, self.level, again)
                }
                false => bootstrap(seeds, n, DRAWS, self.level, score),
            };
            return drawn?.interval().map(clamp);
        }
        let of_share = |share: f64, n: usize| {
            let right = (share * n as f64).round() as usize;
            clamp(wilson(right, n, normal_quantile(self.level)))
        };
        let seeds = rows.first()?.len();
        let alone = seeds == 1 || still;
        if let ([one], true) = (rows.as_slice(), alone) {
            return Some(of_share(self.score(pairs[0][0])?, one[0].ids.len()));
        }
        if seeds < LEAST_SEEDS && !alone {
            return None;
        }
        let tables = rows.iter().enumerate().map(|(p, rows)| {
            let table = match alone {
                true => twice(rows[0].right()),
                false => rows.iter().map(|r| r.right()).collect(),
            };
            (p, table)
        });
        let crossed = self.stratified(tables)?;
        // Rows that are right, or wrong, in some seed; of several pairs with the same test rows each pair's.
        let some = |right: f64| {
            let of_pair = |seeds: &Vec<&Rows>| {
                let all: Vec<Vec<f64>> = seeds.iter().map(|r| r.right()).collect();
                let any = |&i: &usize| all.iter().any(|seed| seed[i] == right);
                (0..seeds[0].ids.len()).filter(any).count()
            };
            rows.iter().map(of_pair).sum::<usize>()
        };
        let of_rows = || of_share(crossed.mean, crossed.rows);
        Some(match (crossed.still(), some(0.0).min(some(1.0)) < FEW) {
            // All rows right in every seed is not right for certain; nor is all but a few.
            (true, _) => of_rows(),
            (false, true) => wider(clamp(crossed.interval(self.level)), of_rows()),
            (false, false) => clamp(crossed.interval(self.level)),
        })
    }
}

/// Whether cross-validations have the same rows in the same folds.
pub(super) fn dealt_alike(trials: &[&Trial]) -> bool {
    let mut rows = trials.iter().filter_map(|t| t.rows.as_ref());
    let first = rows.next();
    rows.all(|r| first.is_some_and(|f| f.stood_as(r)))
}

/// What a selector saw.
fn kind(selection: &serde_json::Value) -> &'static str {
    match selection["by"].as_str() {
        _ if selection["oracle"] == true => "oracle",
        Some(by) if by.starts_with("target validation") => "target validation",
        Some("validation") => "validation",
        // Words of harm there are of adaptations alone; what had collapsed is said of every choice without labels.
        _ if selection["collapsed_epochs"].is_array() => "label-free",
        _ => "",
    }
}

pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
