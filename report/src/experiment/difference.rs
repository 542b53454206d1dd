//! One arm against another.

use serde::Serialize;

use super::read::{Experiment, Trial};
use super::rows::Rows;
use crate::statistics::{
    Crossed, LEAST_SEEDS, Tested, Verdict, bootstrap, mcnemar, paired_interval, verdict,
};

/// The method that sees the target's labels.
pub(super) const CEILING: &str = "target-supervised";
/// Draws of the bootstrap.
pub(super) const DRAWS: usize = 2000;

/// A difference of two arms on the same rows, by seed. Shares of 1.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The mean over seeds and rows.
    pub mean: f64,
    /// Its interval; none where too few seeds say nothing of a method.
    pub interval: Option<(f64, f64)>,
    /// Of the difference being 0.
    pub p: Option<f64>,
    /// The same, adjusted for its family.
    pub p_adjusted: Option<f64>,
    /// Of the difference being `worth`.
    #[serde(skip)]
    pub p_worth: Option<f64>,
    #[serde(skip)]
    pub(super) p_worth_adjusted: Option<f64>,
    /// The least difference that this design tells from 0 in four of five cases.
    pub least: Option<f64>,
    /// Seeds that both arms have.
    pub seeds: usize,
    /// What it comes to.
    pub verdict: Option<Verdict>,
    /// The verdict in words, or why there is none.
    pub words: String,
    /// What would settle it.
    pub settle: Option<String>,
    /// Whether it speaks of two models, not of methods.
    pub of_models: bool,
    /// Whether it is above 0, by interval and adjusted p.
    #[serde(skip)]
    pub(super) apart: bool,
    #[serde(skip)]
    pub(super) crossed: Option<Crossed>,
    /// Whether the arm sees the target's labels: it is asked nothing, it says what could be had.
    #[serde(skip)]
    pub(super) ceiling: bool,
}

/// What the seeds of two arms said, by seed, of one pair of domains.
struct Both<'a> {
    arm: Vec<&'a Rows>,
    other: Vec<&'a Rows>,
}

impl Both<'_> {
    /// 1, 0 or -1 by seed and row.
    fn table(&self) -> Vec<Vec<f64>> {
        let pairs = self.arm.iter().zip(&self.other);
        pairs
            .map(|(a, b)| {
                let right = a.right().into_iter().zip(b.right());
                right.map(|(a, b)| a - b).collect()
            })
            .collect()
    }

    /// Whether every seed of both says the same of every row.
    fn still(&self) -> bool {
        let same = |list: &[&Rows]| {
            list.windows(2)
                .all(|w| w[0].predictions == w[1].predictions)
        };
        self.arm.len() > 1 && same(&self.arm) && same(&self.other)
    }
}

/// The trials of one arm and pair, if all ended well.
pub(super) fn complete(trials: &[Trial]) -> Option<Vec<&Rows>> {
    let rows: Option<Vec<&Rows>> = trials.iter().map(|t| t.rows.as_ref()).collect();
    rows.filter(|r| !r.is_empty())
}

impl Experiment {
    /// The difference of arm `a` to arm `b` over these pairs; the p-values are not adjusted yet. `None` where a run of either is
    /// missing or failed.
    pub fn difference(&self, a: usize, b: usize, pairs: &[usize]) -> Option<Difference> {
        let mut both = Vec::new();
        for &pair in pairs {
            let (mut arm, mut other) = (
                complete(&self.arms[a].trials[pair])?,
                complete(&self.arms[b].trials[pair])?,
            );
            let seeds = |arm: usize| -> Vec<u64> {
                self.arms[arm].trials[pair].iter().map(|t| t.seed).collect()
            };
            let (of_a, of_b) = (seeds(a), seeds(b));
            let common: Vec<u64> = of_a.iter().copied().filter(|s| of_b.contains(s)).collect();
            let keep = |rows: Vec<&'_ Rows>, of: &[u64]| -> Vec<usize> {
                (0..rows.len())
                    .filter(|&i| common.contains(&of[i]))
                    .collect()
            };
            let (ka, kb) = (keep(arm.clone(), &of_a), keep(other.clone(), &of_b));
            arm = ka.into_iter().map(|i| arm[i]).collect();
            other = kb.into_iter().map(|i| other[i]).collect();
            if arm.is_empty() {
                return None;
            }
            both.push((pair, Both { arm, other }));
        }
        let seeds = both.iter().map(|(_, b)| b.arm.len()).min()?;
        let still = both.iter().all(|(_, b)| b.still());
        let mut d = if !self.metric.is_mean() {
            self.by_bootstrap(&both, seeds)?
        } else if (seeds == 1 || still) && both.len() == 1 {
            self.of_models(&both, still)
        } else if seeds == 1 || still {
            self.of_models_over_pairs(&both, still)?
        } else {
            self.of_methods(&both, seeds)?
        };
        d.ceiling = self.arms[a].method == CEILING;
        d.settle_words(self, false);
        Some(d)
    }

    /// One run each: which of two models.
    fn of_models(&self, both: &[(usize, Both<'_>)], still: bool) -> Difference {
        // Both right, only the arm, only the other, none.
        let mut counts = [0usize; 4];
        for (_, b) in both {
            for (x, y) in b.arm[0].right().into_iter().zip(b.other[0].right()) {
                counts[usize::from(x < 0.5) * 2 + usize::from(y < 0.5)] += 1;
            }
        }
        let n = counts.iter().sum::<usize>() as f64;
        let [all, first, second, none] = counts;
        let mean = (first as f64 - second as f64) / n;
        // How sure is what the rows alone leave open.
        let rows: Vec<f64> = [(first, 1.0), (second, -1.0), (all + none, 0.0)]
            .iter()
            .flat_map(|&(k, v)| std::iter::repeat_n(v, k))
            .collect();
        let crossed = Crossed::of(&twice(rows));
        let p = mcnemar(first, second);
        Difference {
            mean,
            interval: Some(paired_interval(all, first, second, none, self.level)),
            p: Some(p),
            p_adjusted: Some(p),
            p_worth: crossed.as_ref().map(|c| c.p(self.worth)),
            p_worth_adjusted: None,
            least: crossed.as_ref().map(|c| c.least(self.level)),
            seeds: both.iter().map(|(_, b)| b.arm.len()).min().unwrap_or(1),
            verdict: None,
            words: String::new(),
            settle: None,
            of_models: !still,
            crossed,
            apart: false,
            ceiling: false,
        }
    }

    /// One run each on every pair: the rows alone, stratified by target. A target's rows stand in several pairs, so counting them pair by pair would take
    /// them for more than they are.
    fn of_models_over_pairs(&self, both: &[(usize, Both<'_>)], still: bool) -> Option<Difference> {
        let tables = both.iter().map(|(pair, b)| {
            let first = b.table().swap_remove(0);
            (*pair, twice(first))
        });
        let crossed = self.stratified(tables)?;
        let p = crossed.p(0.0);
        Some(Difference {
            mean: crossed.mean,
            interval: Some(crossed.interval(self.level)),
            p: Some(p),
            p_adjusted: Some(p),
            p_worth: Some(crossed.p(self.worth)),
            p_worth_adjusted: None,
            least: Some(crossed.least(self.level)),
            seeds: both.iter().map(|(_, b)| b.arm.len()).min().unwrap_or(1),
            verdict: None,
            words: String::new(),
            settle: None,
            of_models: !still,
            crossed: Some(crossed),
            apart: false,
            ceiling: false,
        })
    }

    /// Tables of values by seed and row, one a pair: pairs that share a target are averaged row by row, targets are strata that count by their pairs.
    pub(super) fn stratified(
        &self,
        tables: impl Iterator<Item = (usize, Vec<Vec<f64>>)>,
    ) -> Option<Crossed> {
        let mut strata: Vec<(&str, Vec<Vec<Vec<f64>>>)> = Vec::new();
        for (pair, table) in tables {
            let target = self.pairs.get(pair).map_or("", |p| p.1.as_str());
            match strata.iter_mut().find(|(t, _)| *t == target) {
                Some((_, tables)) => tables.push(table),
                None => strata.push((target, vec![table])),
            }
        }
        let averaged: Vec<(f64, Vec<Vec<f64>>)> = strata
            .iter()
            .map(|(_, tables)| (tables.len() as f64, mean_table(tables)))
            .collect();
        let refs: Vec<(f64, &[Vec<f64>])> =
            averaged.iter().map(|(w, t)| (*w, t.as_slice())).collect();
        Crossed::stratified(&refs)
    }

    /// Several seeds: the crossed test.
    fn of_methods(&self, both: &[(usize, Both<'_>)], seeds: usize) -> Option<Difference> {
        let crossed = self.stratified(both.iter().map(|(pair, b)| (*pair, b.table())))?;
        let enough = seeds >= LEAST_SEEDS;
        Some(Difference {
            mean: crossed.mean,
            interval: enough.then(|| crossed.interval(self.level)),
            p: enough.then(|| crossed.p(0.0)),
            p_adjusted: enough.then(|| crossed.p(0.0)),
            p_worth: enough.then(|| crossed.p(self.worth)),
            p_worth_adjusted: None,
            least: enough.then(|| crossed.least(self.level)),
            seeds,
            verdict: None,
            words: String::new(),
            settle: None,
            of_models: false,
            crossed: enough.then_some(crossed),
            apart: false,
            ceiling: false,
        })
    }

    /// Scores that are no mean over rows.
    fn by_bootstrap(&self, both: &[(usize, Both<'_>)], seeds: usize) -> Option<Difference> {
        let of = |b: &Both<'_>, drawn: &[usize], rows: &[usize]| -> Option<f64> {
            let mut sum = 0.0;
            for &s in drawn {
                sum += b.arm[s].score(self.metric, rows)? - b.other[s].score(self.metric, rows)?;
            }
            Some(sum / drawn.len() as f64)
        };
        let every: Vec<usize> = (0..seeds).collect();
        let mut means = Vec::new();
        for (_, b) in both {
            let rows: Vec<usize> = (0..b.arm[0].ids.len()).collect();
            means.push(of(b, &every, &rows)?);
        }
        let mean = means.iter().sum::<f64>() / means.len() as f64;
        // Over several pairs the rows would have to be drawn pair by pair; their mean stands without an interval.
        let drawn = match both {
            [(_, b)] => {
                let n = b.arm[0].ids.len();
                let at = |less: f64| {
                    bootstrap(seeds, n, DRAWS, self.level, |s, r| {
                        of(b, s, r).unwrap_or(0.0) - less
                    })
                };
                at(0.0).zip(at(self.worth))
            }
            _ => None,
        };
        Some(Difference {
            mean,
            interval: drawn.map(|((i, _), _)| i),
            p: drawn.map(|((_, p), _)| p),
            p_adjusted: drawn.map(|((_, p), _)| p),
            p_worth: drawn.map(|(_, (_, p))| p),
            p_worth_adjusted: None,
            least: None,
            seeds,
            verdict: None,
            words: String::new(),
            settle: None,
            of_models: false,
            crossed: None,
            apart: false,
            ceiling: false,
        })
    }
}

impl Difference {
    /// The verdict, from what is adjusted by now.
    pub(super) fn settle_words(&mut self, e: &Experiment, cell: bool) {
        if self.ceiling {
            self.words = "ceiling".into();
            (self.verdict, self.settle) = (None, None);
            return;
        }
        let (Some(interval), Some(of_zero), Some(of_worth)) = (
            self.interval,
            self.p_adjusted.or(self.p),
            self.p_worth_adjusted.or(self.p_worth),
        ) else {
            self.words = match (self.seeds, e.metric.is_mean()) {
                (n, true) => format!("{n} seeds say nothing"),
                (n, false) if n < crate::statistics::BOOTSTRAP_SEEDS => "needs 5 seeds".to_string(),
                _ => "no interval".to_string(),
            };
            return;
        };
        let tested = Tested {
            mean: self.mean,
            interval,
            of_zero,
            of_worth,
        };
        let word = verdict(&tested, e.worth, 1.0 - e.level);
        self.verdict = Some(word);
        self.apart = interval.0 > 0.0 && of_zero < 1.0 - e.level;
        let words = match word {
            // It is told from 0, though not from what is worth having.
            Verdict::Undecided if self.apart => "inconclusive",
            word => word.words(e.transductive),
        };
        self.words = match self.of_models {
            true => format!("this model: {words}"),
            false => words.to_string(),
        };
        self.settle = None;
        if cell || word != Verdict::Undecided || self.of_models {
            return;
        }
        let Some(crossed) = &self.crossed else { return };
        let size = self.mean.abs().max(e.worth);
        let rows = crossed.rows_to_see(size, e.level, 1_000_000);
        self.settle = Some(match crossed.seeds_to_see(size, e.level, 30) {
            Some(seeds) => format!("about {seeds} seeds would settle it"),
            None => match rows {
                Some(rows) => format!(
                    "more seeds would not settle it; about {} test rows would",
                    round(rows)
                ),
                None => "neither more seeds nor more test rows alone would settle it".to_string(),
            },
        });
    }
}

/// Two digits that count.
fn round(n: usize) -> usize {
    let unit = 10usize.pow((n.max(1).ilog10()).saturating_sub(1));
    n.div_ceil(unit) * unit
}

/// One seed as two that say the same: the crossed test is then one over the rows alone.
pub(super) fn twice(rows: Vec<f64>) -> Vec<Vec<f64>> {
    vec![rows.clone(), rows]
}

/// The mean of tables of one shape, cell by cell.
pub(super) fn mean_table(tables: &[Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
    let k = tables.len() as f64;
    let seeds = tables.iter().map(Vec::len).min().unwrap_or(0);
    (0..seeds)
        .map(|s| {
            let rows = tables.iter().map(|t| t[s].len()).min().unwrap_or(0);
            (0..rows)
                .map(|i| tables.iter().map(|t| t[s][i]).sum::<f64>() / k)
                .collect()
        })
        .collect()
}
