//! One arm against another.

use serde::Serialize;

use super::compare::dealt_alike;
use super::read::{Experiment, Trial};
use super::rows::{Metric, Rows, Scorer};
use super::seeds::complete;
use crate::statistics::{
    BOOTSTRAP_SEEDS, Crossed, LEAST_SEEDS, Tested, Verdict, bootstrap, corrected_t, mcnemar,
    paired_interval, verdict,
};

/// Draws of the bootstrap.
pub(super) const DRAWS: usize = 2000;
/// Fewer rows than this that are answered otherwise are a handful: their variance says too little of others.
pub(super) const FEW: usize = 10;
/// The most seeds that are said to settle something.
const MOST_SEEDS: usize = 30;

/// A difference of two arms on the same rows, by seed. Shares of 1.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Difference {
    /// The mean over seeds and rows.
    pub mean: f64,
    /// Its interval; none where too few seeds say nothing of a method.
    pub interval: Option<(f64, f64)>,
    /// Of the difference being 0.
    pub p: Option<f64>,
    /// The same, adjusted for its family; none of a ceiling, which is in none.
    pub p_adjusted: Option<f64>,
    /// Of the difference being `worth`.
    #[serde(skip)]
    pub p_worth: Option<f64>,
    #[serde(skip)]
    pub(super) p_worth_adjusted: Option<f64>,
    /// The least difference that this design tells from 0 in four of five cases, at the level that is left to one question of its family.
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
    /// Whether either side is a cross-validation.
    #[serde(skip)]
    pub(super) folds: bool,
    /// Whether it is above 0, by interval and adjusted p.
    #[serde(skip)]
    pub(super) apart: bool,
    #[serde(skip)]
    pub(super) crossed: Option<Crossed>,
    /// Whether the arm sees the target's labels: it is asked nothing, it says what could be had.
    #[serde(skip)]
    pub(super) ceiling: bool,
    /// Whether it is that of an adaptation to the source alone: the words differ.
    #[serde(skip)]
    pub(super) adapts: bool,
    /// How many questions are asked at once.
    #[serde(skip)]
    family: usize,
}

/// What the seeds of two arms said, by seed, of one pair of domains.
struct Both<'a> {
    pair: usize,
    arm: Vec<&'a Rows>,
    other: Vec<&'a Rows>,
    trials: [Vec<&'a Trial>; 2],
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

    /// Whether every seed of both says the same of every row, as far as the score looks.
    fn still(&self, metric: Metric) -> bool {
        let same = |list: &[&Rows]| list.windows(2).all(|w| w[0].alike(w[1], metric));
        self.arm.len() > 1 && same(&self.arm) && same(&self.other)
    }

    /// Rows that both have right in the first seed, only the arm, only the other, none.
    fn counts(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for (x, y) in self.arm[0].right().into_iter().zip(self.other[0].right()) {
            counts[usize::from(x < 0.5) * 2 + usize::from(y < 0.5)] += 1;
        }
        counts
    }

    fn cross_validated(&self) -> bool {
        self.trials.iter().flatten().any(|t| t.cross_validated())
    }
}

impl Experiment {
    /// The difference of arm `a` to arm `b` over these pairs, of the seeds that both have of all of them; the p-values are not adjusted yet. `None`
    /// where a run of either is missing or failed, or no seed is in common.
    pub fn difference(&self, a: usize, b: usize, pairs: &[usize]) -> Option<Difference> {
        self.contrast(a, b, pairs, &self.shared(&[a, b], pairs))
    }

    /// The same of these seeds.
    pub(super) fn contrast(
        &self,
        a: usize,
        b: usize,
        pairs: &[usize],
        seeds: &[u64],
    ) -> Option<Difference> {
        let both = |&pair: &usize| {
            let of = |arm: usize| complete(&self.arms[arm].trials[pair], seeds);
            let trials = [of(a)?, of(b)?];
            Some(Both {
                pair,
                arm: rows_of(&trials[0])?,
                other: rows_of(&trials[1])?,
                trials,
            })
        };
        let both: Vec<Both<'_>> = pairs.iter().map(both).collect::<Option<_>>()?;
        if seeds.is_empty() || both.is_empty() {
            return None;
        }
        let alone = seeds.len() == 1 || both.iter().all(|b| b.still(self.metric));
        let mut d = if both.iter().any(Both::cross_validated) {
            self.over_folds(&both)?
        } else if !self.metric.is_mean() {
            self.by_bootstrap(&both)?
        } else if alone && both.len() == 1 {
            self.of_models(&both)?
        } else if alone {
            let tables = both
                .iter()
                .map(|b| (b.pair, twice(b.table().swap_remove(0))));
            self.by_crossed(&both, self.stratified(tables)?)
        } else {
            let crossed = self.stratified(both.iter().map(|b| (b.pair, b.table())))?;
            match seeds.len() >= LEAST_SEEDS {
                true => self.by_crossed(&both, crossed),
                false => Difference {
                    mean: crossed.mean,
                    ..Difference::default()
                },
            }
        };
        d.seeds = seeds.len();
        d.of_models = alone
            && !d.folds
            && self.metric.is_mean()
            && !both.iter().all(|b| b.still(self.metric));
        d.ceiling = self.arms[a].is_ceiling();
        d.adapts = self.adapts(b);
        d.p_adjusted = d.p.filter(|_| !d.ceiling);
        d.asked_of(1, self.level);
        d.settle_words(self, false);
        Some(d)
    }

    /// One run each on one pair: which of two models.
    fn of_models(&self, both: &[Both<'_>]) -> Option<Difference> {
        let [one] = both else { return None };
        let [_, first, second, _] = one.counts();
        // How sure is what the rows alone leave open.
        let crossed = Crossed::of(&twice(one.table().swap_remove(0)));
        Some(Difference {
            mean: (first as f64 - second as f64) / one.arm[0].ids.len() as f64,
            interval: Some(self.of_first_seed(both)),
            p: Some(mcnemar(first, second)),
            p_worth: crossed.as_ref().map(|c| c.p(self.worth)),
            crossed: crossed.filter(|c| !c.still()),
            ..Difference::default()
        })
    }

    /// By the crossed test: of seeds and rows, or of one run each over several pairs, of the rows alone, stratified by target. (A target's rows stand in several
    /// pairs, so counting them pair by pair would take them for more than they are.)
    fn by_crossed(&self, both: &[Both<'_>], crossed: Crossed) -> Difference {
        Difference {
            mean: crossed.mean,
            // Where nothing moves, a variance of 0 would be an interval without width: as sure as the rows of one seed are. Where hardly a row does, the
            // variance is that of a handful, and no surer than that.
            interval: Some(match (crossed.still(), self.odd(both) < FEW) {
                (true, _) => self.of_first_seed(both),
                (false, true) => wider(crossed.interval(self.level), self.of_first_seed(both)),
                (false, false) => crossed.interval(self.level),
            }),
            p: Some(crossed.p(0.0)),
            p_worth: Some(crossed.p(self.worth)),
            crossed: Some(crossed).filter(|c| !c.still()),
            ..Difference::default()
        }
    }

    /// Test rows that the two answer differently in some seed, those of a test set once.
    fn odd(&self, both: &[Both<'_>]) -> usize {
        let pairs: Vec<usize> = both.iter().map(|b| b.pair).collect();
        let sets = self.test_sets(&pairs);
        let of_set = |set: &Vec<usize>| {
            let tables: Vec<Vec<Vec<f64>>> = set.iter().map(|&k| both[k].table()).collect();
            let rows = both[set[0]].arm[0].ids.len();
            let odd = |&i: &usize| tables.iter().flatten().any(|seed| seed[i] != 0.0);
            (0..rows).filter(odd).count()
        };
        sets.iter().map(of_set).sum()
    }

    /// Newcombe's interval of the first seed, the rows of each test set once.
    fn of_first_seed(&self, both: &[Both<'_>]) -> (f64, f64) {
        let pairs: Vec<usize> = both.iter().map(|b| b.pair).collect();
        let mut sum = [0; 4];
        for set in self.test_sets(&pairs) {
            for (total, n) in sum.iter_mut().zip(both[set[0]].counts()) {
                *total += n;
            }
        }
        let [all, first, second, none] = sum;
        paired_interval(all, first, second, none, self.level)
    }

    /// Which of these pairs are tested on the same rows: the same target, and there the same rows in the same order.
    pub(super) fn test_sets(&self, pairs: &[usize]) -> Vec<Vec<usize>> {
        let rows = |pair: usize| {
            let mut trials = self.arms.iter().flat_map(|a| &a.trials[pair]);
            trials.find_map(|t| t.rows.as_ref())
        };
        let target = |pair: usize| self.pairs.get(pair).map(|p| p.1.as_str());
        let mut sets: Vec<Vec<usize>> = Vec::new();
        for (k, &pair) in pairs.iter().enumerate() {
            let alike = |set: &&mut Vec<usize>| {
                let first = pairs[set[0]];
                let same = rows(first).zip(rows(pair)).is_some_and(|(a, b)| a.same(b));
                target(first) == target(pair) && same
            };
            match sets.iter_mut().find(alike) {
                Some(set) => set.push(k),
                None => sets.push(vec![k]),
            }
        }
        sets
    }

    /// Tables of values by seed and row, one a pair: pairs that are tested on the same rows are averaged row by row, test sets are strata that count by
    /// their pairs.
    pub(super) fn stratified(
        &self,
        tables: impl Iterator<Item = (usize, Vec<Vec<f64>>)>,
    ) -> Option<Crossed> {
        let (pairs, tables): (Vec<usize>, Vec<Vec<Vec<f64>>>) = tables.unzip();
        let averaged: Vec<(f64, Vec<Vec<f64>>)> = self
            .test_sets(&pairs)
            .iter()
            .map(|set| {
                let of: Vec<&Vec<Vec<f64>>> = set.iter().map(|&k| &tables[k]).collect();
                (set.len() as f64, mean_table(&of))
            })
            .collect();
        let refs: Vec<(f64, &[Vec<f64>])> =
            averaged.iter().map(|(w, t)| (*w, t.as_slice())).collect();
        Crossed::stratified(&refs)
    }

    /// Scores that are no mean over rows.
    fn by_bootstrap(&self, both: &[Both<'_>]) -> Option<Difference> {
        let mut means = Vec::new();
        let mut drawn = None;
        for b in both {
            let (arm, other) = (self.scorers(&b.arm), self.scorers(&b.other));
            let of = |s: usize, rows: &[usize]| Some(arm[s].of(rows)? - other[s].of(rows)?);
            let (seeds, n) = (b.arm.len(), b.arm[0].ids.len());
            let all: Vec<usize> = (0..n).collect();
            let scores: Option<Vec<f64>> = (0..seeds).map(|s| of(s, &all)).collect();
            means.push(scores?.iter().sum::<f64>() / seeds as f64);
            // Over several pairs the rows would have to be drawn pair by pair; their mean stands without an interval.
            if both.len() == 1 {
                drawn = match b.still(self.metric) {
                    // No seed has a say: there are as many as anybody asks for.
                    true => {
                        let again = |s: usize, rows: &[usize]| of(s % seeds, rows);
                        bootstrap(seeds.max(BOOTSTRAP_SEEDS), n, DRAWS, self.level, again)
                    }
                    false => bootstrap(seeds, n, DRAWS, self.level, of),
                };
            }
        }
        Some(Difference {
            mean: means.iter().sum::<f64>() / means.len() as f64,
            interval: drawn.as_ref().and_then(|d| d.interval()),
            p: drawn.as_ref().and_then(|d| d.p(0.0)),
            p_worth: drawn.as_ref().and_then(|d| d.p(self.worth)),
            ..Difference::default()
        })
    }

    pub(super) fn scorers<'a>(&self, rows: &[&'a Rows]) -> Vec<Scorer<'a>> {
        rows.iter().map(|r| r.scorer(self.metric)).collect()
    }

    /// Cross-validations: the corrected resampled t over the folds, the mean of the seeds in each; nothing but the mean where both sides have not the same
    /// folds, or over several pairs.
    fn over_folds(&self, both: &[Both<'_>]) -> Option<Difference> {
        let mean = |side: &[&Trial]| -> Option<f64> {
            let scores: Option<Vec<f64>> = side.iter().map(|t| self.score(t)).collect();
            Some(scores?.iter().sum::<f64>() / side.len() as f64)
        };
        let mut means = Vec::new();
        for b in both {
            means.push(mean(&b.trials[0])? - mean(&b.trials[1])?);
        }
        let values = match both {
            [one] => {
                let [arm, other] = &one.trials;
                let alike = dealt_alike(&[arm[0], other[0]]);
                let both = self.by_fold(arm).zip(self.by_fold(other));
                both.filter(|_| alike)
            }
            _ => None,
        };
        let tested = values
            .filter(|(a, b)| a.len() == b.len())
            .and_then(|(a, b)| {
                let apart: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
                corrected_t(&apart, 1.0 / (apart.len() as f64 - 1.0).max(1.0))
            });
        let within = |(low, high): (f64, f64)| (low.max(-1.0), high.min(1.0));
        let interval = tested.as_ref().and_then(|t| t.interval(self.level));
        Some(Difference {
            mean: means.iter().sum::<f64>() / means.len() as f64,
            interval: interval.map(|i| if self.metric.is_mean() { within(i) } else { i }),
            p: tested.as_ref().and_then(|t| t.p(0.0)),
            p_worth: tested.as_ref().and_then(|t| t.p(self.worth)),
            folds: true,
            ..Difference::default()
        })
    }
}

impl Difference {
    /// That it is one of so many questions asked at once: what is left of `1 - level` to one of them decides what could be seen.
    pub(super) fn asked_of(&mut self, family: usize, level: f64) {
        self.family = family.max(1);
        let seen = self.crossed.as_ref().map(|c| c.least(self.strict(level)));
        self.least = seen.filter(|_| !self.ceiling);
    }

    /// The least difference that the same design would tell from 0 with so many seeds, at this level; none of two models, which say nothing of seeds.
    pub fn least_of(&self, seeds: usize, level: f64) -> Option<f64> {
        let crossed = self
            .crossed
            .as_ref()
            .filter(|_| !self.ceiling && !self.of_models);
        crossed.map(|c| c.of_seeds(seeds).least(level))
    }

    /// The level at which the hardest question of the family is answered (Holm's first step).
    fn strict(&self, level: f64) -> f64 {
        1.0 - (1.0 - level) / self.family.max(1) as f64
    }

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
                (n, true) if !self.folds => format!("{n} seeds say nothing"),
                (n, false) if !self.folds && n < BOOTSTRAP_SEEDS => {
                    format!("needs {BOOTSTRAP_SEEDS} seeds")
                }
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
            word => word.words(self.adapts),
        };
        self.words = match (self.of_models, self.folds) {
            (true, _) => format!("this model: {words}"),
            (_, true) => format!("these folds: {words}"),
            _ => words.to_string(),
        };
        self.settle = None;
        if cell || word != Verdict::Undecided || self.of_models {
            return;
        }
        let Some(crossed) = &self.crossed else { return };
        // What is still to be told: a gain that is large enough from none, any other difference from one that is worth having.
        let size = match self.mean >= e.worth {
            true => self.mean,
            false => e.worth - self.mean,
        };
        let level = self.strict(e.level);
        let rows = crossed.rows_to_see(size, level, 1_000_000);
        let most = MOST_SEEDS.max(4 * crossed.seeds);
        self.settle = Some(match crossed.seeds_to_see(size, level, most) {
            Some(seeds) => format!("about {seeds} seeds would settle it"),
            None => match rows {
                Some(rows) => format!(
                    "{most} seeds would not settle it; about {} times as many test rows would",
                    times(rows as f64 / crossed.rows as f64)
                ),
                None => format!("neither {most} seeds nor more test rows alone would settle it"),
            },
        });
    }
}

/// What each of these said; `None` where one said nothing.
fn rows_of<'a>(trials: &[&'a Trial]) -> Option<Vec<&'a Rows>> {
    trials.iter().map(|t| t.rows.as_ref()).collect()
}

/// Two digits that count, upwards.
fn times(n: f64) -> String {
    match n {
        n if n < 10.0 => format!("{:.1}", (10.0 * n).ceil() / 10.0),
        n => {
            let unit = 10f64.powf(n.log10().floor() - 1.0);
            format!("{:.0}", (n / unit).ceil() * unit)
        }
    }
}

/// From the lower to the higher end.
pub(super) fn wider(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// One seed as two that say the same: the crossed test is then one over the rows alone.
pub(super) fn twice(rows: Vec<f64>) -> Vec<Vec<f64>> {
    vec![rows.clone(), rows]
}

/// The mean of tables of the same seeds and rows, cell by cell.
fn mean_table(tables: &[&Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
    let mut sum = tables.first().map_or_else(Vec::new, |t| (*t).clone());
    for table in &tables[1..] {
        for (row, own) in sum.iter_mut().zip(table.iter()) {
            for (cell, v) in row.iter_mut().zip(own) {
                *cell += v;
            }
        }
    }
    let k = tables.len() as f64;
    sum.iter_mut().flatten().for_each(|cell| *cell /= k);
    sum
}
