//! Scores that are no mean over rows (macro F1, MCC, AUROC): seeds and rows are drawn again, both.

use super::crossed::{quantile, satterthwaite, tail};
use super::normal_quantile;
use super::random::Random;

/// Fewer seeds than this give no interval: drawing again from two or three seeds shows too little of how seeds differ.
pub const BOOTSTRAP_SEEDS: usize = 5;

/// What drawing again showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Its mean over the seeds, in each draw that has one, from the least; stretched.
    values: Vec<f64>,
    level: f64,
    /// The score itself, the variance that the draws are stretched to, and its degrees of freedom.
    score: f64,
    variance: f64,
    df: f64,
}

impl Drawn {
    /// The percentile interval. `None` where all draws are alike: they see no errors that did not happen, and an interval without
    /// width would say otherwise.
    pub fn interval(&self) -> Option<(f64, f64)> {
        let last = self.values.len() - 1;
        let at = |share: f64| self.values[(last as f64 * share).round() as usize];
        (self.values[0] < self.values[last])
            .then(|| (at((1.0 - self.level) / 2.0), at((1.0 + self.level) / 2.0)))
    }

    /// The two-sided p-value of the score being `against`; `None` where there is no interval.
    pub fn p(&self, against: f64) -> Option<f64> {
        self.interval()?;
        let below = self.values.iter().filter(|v| **v <= against).count();
        let above = self.values.iter().filter(|v| **v >= against).count();
        // One more than counted: no number of draws shows a chance of nothing.
        let p = 2.0 * (below.min(above) + 1) as f64 / (self.values.len() + 1) as f64;
        // The draws fit the t that they are stretched to at the ends of the interval. Further out their tails are a normal distribution's, too thin for a
        // family of many questions; and beyond all of them the counting ends. There it is that of the t.
        let of_t = 2.0 * tail(self.df, (self.score - against).abs() / self.variance.sqrt());
        let p = match below.min(above) {
            0 => of_t,
            _ => p.max(of_t),
        };
        Some(p.min(1.0))
    }
}

/// The crossed bootstrap (Owen 2007): each draw takes seeds and rows again, independently; `score(seed, rows)` is asked for the score of one seed on
/// these rows, `None` where they leave it undefined (an AUROC without one of the classes), and such a draw is left out. `None` with fewer than
/// [`BOOTSTRAP_SEEDS`] seeds, without rows, or where more than half of the draws are undefined.
///
/// The interval is about the score itself: draws of a mean over classes lie below it where classes have few rows.
///
/// The draws alone are too close together where seeds differ (of five, drawing again shows four fifths of the variance, and a normal distribution of it), and
/// too far apart where they do not (what is neither the seed's nor the row's counts three times). So they are stretched to
/// the variance and the degrees of freedom that [`Crossed`](super::Crossed) has: the seeds' part is that of the scores on all rows, the rows' part and the
/// rest those of the drawn rows.
pub fn bootstrap(
    seeds: usize,
    rows: usize,
    draws: usize,
    level: f64,
    score: impl Fn(usize, &[usize]) -> Option<f64>,
) -> Option<Drawn> {
    drawn_again(seeds, rows, draws, level, score, true)
}

fn drawn_again(
    seeds: usize,
    rows: usize,
    draws: usize,
    level: f64,
    score: impl Fn(usize, &[usize]) -> Option<f64>,
    stretched: bool,
) -> Option<Drawn> {
    if seeds < BOOTSTRAP_SEEDS || rows == 0 || draws == 0 {
        return None;
    }
    let of =
        |taken: &[usize]| -> Option<Vec<f64>> { (0..seeds).map(|s| score(s, taken)).collect() };
    let whole = of(&(0..rows).collect::<Vec<_>>())?;
    let mut random = Random::new(0);
    let mut tables: Vec<Vec<f64>> = Vec::new();
    let mut values: Vec<f64> = Vec::new();
    for _ in 0..draws {
        let drawn: Vec<usize> = (0..seeds).map(|_| random.below(seeds)).collect();
        let taken: Vec<usize> = (0..rows).map(|_| random.below(rows)).collect();
        if let Some(table) = of(&taken) {
            values.push(drawn.iter().map(|&s| table[s]).sum::<f64>() / seeds as f64);
            tables.push(table);
        }
    }
    if 2 * values.len() < draws || values.len() < 2 {
        return None;
    }
    let (middle, score, drawn) = (mean(&values), mean(&whole), variance(&values));
    let (wanted, df) = wanted(&whole, &tables, rows);
    let by = match stretched && drawn > 0.0 && wanted > 0.0 {
        true => (wanted / drawn).sqrt() * quantile(df, 0.5 + level / 2.0) / normal_quantile(level),
        false => 1.0,
    };
    for v in &mut values {
        *v = score + by * (*v - middle);
    }
    values.sort_by(f64::total_cmp);
    Some(Drawn {
        values,
        level,
        score,
        variance: wanted,
        df,
    })
}

/// The variance of a mean over these seeds and rows, and its degrees of freedom.
fn wanted(whole: &[f64], tables: &[Vec<f64>], rows: usize) -> (f64, f64) {
    let s = whole.len() as f64;
    let means: Vec<f64> = tables.iter().map(|t| mean(t)).collect();
    let by_seed = variance(whole) / s;
    let by_row = variance(&means);
    let rest: f64 = (0..whole.len())
        .map(|k| {
            let apart: Vec<f64> = tables.iter().zip(&means).map(|(t, m)| t[k] - m).collect();
            variance(&apart)
        })
        .sum::<f64>()
        / (s - 1.0)
        / s;
    satterthwaite(by_seed, by_row, rest, whole.len(), rows)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let m = mean(values);
    values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Crossed, random::Random};
    use super::*;

    #[test]
    fn of_a_mean_it_is_near_the_crossed_interval() {
        let mut random = Random::new(8);
        let table: Vec<Vec<f64>> = (0..8)
            .map(|_| {
                let luck = 0.02 * random.normal();
                (0..300)
                    .map(|_| 0.1 + luck + 0.4 * random.normal())
                    .collect()
            })
            .collect();
        let score = |seed: usize, rows: &[usize]| {
            Some(rows.iter().map(|&i| table[seed][i]).sum::<f64>() / rows.len() as f64)
        };
        let drawn = bootstrap(8, 300, 2000, 0.95, score).expect("eight seeds");
        let (low, high) = drawn.interval().expect("draws that differ");
        let exact = Crossed::of(&table).expect("seeds");
        let (l, h) = exact.interval(0.95);
        let ratio = (high - low) / (h - l);
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
        assert!(low < exact.mean && exact.mean < high);
        assert!(drawn.p(0.0).expect("a p") < 0.05);
        assert_eq!(bootstrap(4, 300, 100, 0.95, score), None);
    }

    #[test]
    fn undefined_draws_are_left_out_and_alike_ones_have_no_interval() {
        // Defined where row 0 is drawn: in 63 of 100 draws of many rows, in a third or less where row 1 must be there too, and row 2.
        let needs = |k: usize| {
            move |_: usize, rows: &[usize]| {
                let all = (0..k).all(|i| rows.contains(&i));
                all.then(|| 1.0 + rows.iter().sum::<usize>() as f64)
            }
        };
        let drawn = bootstrap(5, 50, 400, 0.95, needs(1)).expect("most draws");
        assert!(
            (200..300).contains(&drawn.values.len()),
            "{}",
            drawn.values.len()
        );
        // None counts as 0: all scores are above 1.
        let (low, _) = drawn.interval().expect("an interval");
        assert!(low > 1.0, "{low}");
        assert!(drawn.p(0.0).expect("a p") < 0.01);
        assert_eq!(bootstrap(5, 50, 400, 0.95, needs(3)), None);
        let alike = bootstrap(5, 50, 100, 0.95, |_, _| Some(1.0)).expect("draws");
        assert_eq!((alike.interval(), alike.p(0.0)), (None, None));
    }

    /// Of many questions each has to be told at a small share of the level, which two thousand draws cannot count.
    #[test]
    fn a_difference_beyond_all_draws_is_as_sure_as_its_t_says() {
        let mut random = Random::new(9);
        let table: Vec<Vec<f64>> = (0..5)
            .map(|_| (0..400).map(|_| 0.3 + 0.5 * random.normal()).collect())
            .collect();
        let score = |seed: usize, rows: &[usize]| {
            Some(rows.iter().map(|&i| table[seed][i]).sum::<f64>() / rows.len() as f64)
        };
        let p = bootstrap(5, 400, 500, 0.95, score).and_then(|d| d.p(0.0));
        let exact = Crossed::of(&table).expect("seeds").p(0.0);
        let p = p.expect("a p");
        assert!(p < 1e-4 && exact < 1e-4, "{p} {exact}");
    }

    /// The draws of few seeds are normal, and their t is not: far out the t's tail is many times as large.
    #[test]
    fn no_p_is_below_that_of_its_t() {
        let (mut far, mut random) = (0, Random::new(11));
        for _ in 0..40 {
            let table: Vec<Vec<f64>> = (0..5)
                .map(|_| {
                    let luck = 0.3 + 0.1 * random.normal();
                    (0..100).map(|_| luck + 0.4 * random.normal()).collect()
                })
                .collect();
            let score = |seed: usize, rows: &[usize]| {
                Some(rows.iter().map(|&i| table[seed][i]).sum::<f64>() / rows.len() as f64)
            };
            let drawn = bootstrap(5, 100, 500, 0.95, score).expect("five seeds");
            let of_t = 2.0 * tail(drawn.df, drawn.score.abs() / drawn.variance.sqrt());
            let p = drawn.p(0.0).expect("a p");
            assert!(p >= of_t, "{p} {of_t}");
            far += usize::from(drawn.values[0] > 0.0 && of_t > 2.0 / 501.0);
        }
        // Beyond all draws, and not as sure as that by the t.
        assert!(far > 5, "{far}");
    }

    /// Macro F1 of two classes, from labels and whether each row is right.
    fn macro_f1(labels: &[bool], right: &[bool], rows: &[usize]) -> f64 {
        let mut counts = [[0.0; 2]; 2];
        for &i in rows {
            counts[usize::from(labels[i])][usize::from(labels[i] == right[i])] += 1.0;
        }
        let f1 = |hit: f64, a: f64, b: f64| 2.0 * hit / (2.0 * hit + a + b).max(1.0);
        let [[no, no_yes], [yes_no, yes]] = counts;
        (f1(no, no_yes, yes_no) + f1(yes, no_yes, yes_no)) / 2.0
    }

    /// The share of comparisons of two equal methods that are called different, by macro F1.
    fn false_alarms(seeds: usize, rows: usize, by_seed: f64, stretched: bool) -> f64 {
        let times = 400;
        let alarms = (0..times).filter(|&k| {
            let mut random = Random::new(500 + k);
            let labels: Vec<bool> = (0..rows).map(|_| random.uniform() < 0.5).collect();
            let hard: Vec<f64> = (0..rows).map(|_| 1.0 + random.normal()).collect();
            let mut method = || -> Vec<Vec<bool>> {
                let liked: Vec<f64> = hard.iter().map(|h| h + 0.5 * random.normal()).collect();
                (0..seeds)
                    .map(|_| {
                        let luck = by_seed * random.normal();
                        let mut right = |l: &f64| l + luck + random.normal() > 0.0;
                        liked.iter().map(&mut right).collect()
                    })
                    .collect()
            };
            let (a, b) = (method(), method());
            let score = |s: usize, taken: &[usize]| {
                Some(macro_f1(&labels, &a[s], taken) - macro_f1(&labels, &b[s], taken))
            };
            let drawn = drawn_again(seeds, rows, 400, 0.95, score, stretched);
            drawn.is_some_and(|d| match stretched {
                true => d.p(0.0).is_some_and(|p| p < 0.05),
                // The draws alone: p is that of a t at the least.
                false => (d.interval()).is_some_and(|(low, high)| low > 0.0 || high < 0.0),
            })
        });
        alarms.count() as f64 / times as f64
    }

    #[test]
    fn equal_methods_are_called_different_by_macro_f1_as_often_as_stated() {
        for (seeds, by_seed) in [(5, 0.0), (5, 0.1), (5, 0.3), (8, 0.3)] {
            let [share, plain] =
                [true, false].map(|stretched| false_alarms(seeds, 200, by_seed, stretched));
            println!(
                "macro F1, {seeds} seeds that differ by {by_seed}: {:.1} %, not stretched {:.1} %",
                100.0 * share,
                100.0 * plain
            );
            assert!(
                (0.01..=0.085).contains(&share),
                "{seeds} {by_seed}: {share}"
            );
        }
    }
}
