//! The crossed test: seeds and test rows are both drawn, and every seed answers every row.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::POWER;

/// A mean over seeds and rows, with the variance of a two-way layout of random effects (seeds, rows, and what is left).
///
/// With `D[s,i]` the value of seed `s` on row `i`, `S` seeds, `N` rows:
///
/// ```text
/// MSs = N sum_s (D[s,.] - D)^2 / (S-1)        MSi = S sum_i (D[.,i] - D)^2 / (N-1)
/// MSr = sum_si (D[s,i] - D[s,.] - D[.,i] + D)^2 / ((S-1)(N-1))
/// Var(D) = max(MSs + MSi - MSr, MSs, MSi) / (S N)
/// df = (MSs + MSi - MSr)^2 / (MSs^2/(S-1) + MSi^2/(N-1) + MSr^2/((S-1)(N-1))), at least 1    (Satterthwaite 1946)
/// ```
///
/// Over several test sets the rows are strata (each weighs as many pairs as it stands for), and the seeds are blocks that go through all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossed {
    /// The grand mean; over strata the weighted mean of their means.
    pub mean: f64,
    /// Of the mean.
    pub variance: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Seeds.
    pub seeds: usize,
    /// Test rows, over all strata.
    pub rows: usize,
    /// The parts of the variance that come from seeds, from rows, and from neither; each already of the mean.
    by_seed: f64,
    by_row: f64,
    rest: f64,
}

impl Crossed {
    /// Of values by seed and row. `None` with fewer than two seeds or rows, or where seeds have not the same rows.
    pub fn of(values: &[Vec<f64>]) -> Option<Crossed> {
        Crossed::stratified(&[(1.0, values)])
    }

    /// Of several test sets, each with its weight and its values by seed and row, all with the same seeds.
    pub fn stratified(strata: &[(f64, &[Vec<f64>])]) -> Option<Crossed> {
        let seeds = strata.first()?.1.len();
        let all: f64 = strata.iter().map(|(w, _)| w).sum();
        if seeds < 2 {
            return None;
        }
        let s = seeds as f64;
        let mut blocks = vec![0.0; seeds];
        let (mut by_row, mut rest, mut rows) = (0.0, 0.0, 0);
        // Sums of squared parts over their degrees of freedom, for Satterthwaite.
        let mut spread = 0.0;
        for (weight, stratum) in strata {
            let weight = weight / all;
            let n = stratum.first()?.len();
            if stratum.len() != seeds || n < 2 || stratum.iter().any(|r| r.len() != n) {
                return None;
            }
            rows += n;
            let count = n as f64;
            let of_seed: Vec<f64> = stratum
                .iter()
                .map(|r| r.iter().sum::<f64>() / count)
                .collect();
            let of_row: Vec<f64> = (0..n)
                .map(|i| stratum.iter().map(|r| r[i]).sum::<f64>() / s)
                .collect();
            let mean = of_seed.iter().sum::<f64>() / s;
            for (block, m) in blocks.iter_mut().zip(&of_seed) {
                *block += weight * m;
            }
            let rows_ms =
                s * of_row.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let left: f64 = (0..seeds)
                .map(|k| {
                    (0..n)
                        .map(|i| (stratum[k][i] - of_seed[k] - of_row[i] + mean).powi(2))
                        .sum::<f64>()
                })
                .sum();
            let rest_ms = left / ((s - 1.0) * (count - 1.0));
            let (row_part, rest_part) = (
                weight * weight * rows_ms / (s * count),
                weight * weight * rest_ms / (s * count),
            );
            by_row += row_part;
            rest += rest_part;
            spread +=
                row_part.powi(2) / (count - 1.0) + rest_part.powi(2) / ((s - 1.0) * (count - 1.0));
        }
        let mean = blocks.iter().sum::<f64>() / s;
        let by_seed = blocks.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / (s - 1.0) / s;
        spread += by_seed.powi(2) / (s - 1.0);
        let sum = by_seed + by_row - rest;
        let df = if spread > 0.0 {
            (sum * sum / spread).max(1.0)
        } else {
            1.0
        };
        Some(Crossed {
            mean,
            variance: sum.max(by_seed).max(by_row),
            df,
            seeds,
            rows,
            by_seed,
            by_row,
            rest,
        })
    }

    /// What a design would see before anything ran: so many seeds and rows, two methods that answer differently on a share of the
    /// rows (half of it whatever the seed), and a deviation over seeds of each method's score.
    pub fn expected(seeds: usize, rows: usize, disagree: f64, by_seed: f64) -> Option<Crossed> {
        if seeds < 2 || rows < 2 {
            return None;
        }
        let (s, n) = (seeds as f64, rows as f64);
        let rest = disagree / 2.0 / (s * n);
        let by_row = disagree / 2.0 / n + rest;
        let by_seed = 2.0 * by_seed * by_seed / s + rest;
        Some(Crossed::of_parts(by_seed, by_row, rest, seeds, rows))
    }

    /// A mean of 0 whose variance has these parts.
    fn of_parts(by_seed: f64, by_row: f64, rest: f64, seeds: usize, rows: usize) -> Crossed {
        let (variance, df) = satterthwaite(by_seed, by_row, rest, seeds, rows);
        Crossed {
            mean: 0.0,
            variance,
            df,
            seeds,
            rows,
            by_seed,
            by_row,
            rest,
        }
    }

    /// Whether no value differs from another, within each test set: then nothing is known of how far others would be, and what stands here is
    /// no interval.
    pub fn still(&self) -> bool {
        // One value of five million that is another moves it by 1e-14; what sums leave over is below 1e-30.
        self.variance < 1e-18
    }

    /// The interval at a level (0.95).
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let half = self.quantile(0.5 + level / 2.0) * self.variance.sqrt();
        (self.mean - half, self.mean + half)
    }

    /// The two-sided p-value of the mean being `against`.
    pub fn p(&self, against: f64) -> f64 {
        let far = (self.mean - against).abs();
        if self.still() {
            // Every seed and row says the same: as sure as a sign test over the rows.
            return if far < 1e-12 {
                1.0
            } else {
                0.5f64.powi(self.rows as i32 - 1).min(1.0)
            };
        }
        (2.0 * tail(self.df, far / self.variance.sqrt())).min(1.0)
    }

    /// The least true mean that a design like this one tells from 0, in four of five cases.
    pub fn least(&self, level: f64) -> f64 {
        (self.quantile(0.5 + level / 2.0) + self.quantile(POWER)) * self.variance.sqrt()
    }

    /// The fewest seeds, at most `most`, with which a true mean of this size is told from 0 in four of five cases.
    pub fn seeds_to_see(&self, size: f64, level: f64, most: usize) -> Option<usize> {
        (self.seeds + 1..=most).find(|&k| self.of_seeds(k).least(level) <= size.abs())
    }

    /// The same design with so many seeds.
    pub fn of_seeds(&self, seeds: usize) -> Crossed {
        let factor = self.seeds as f64 / seeds as f64;
        let rest = self.rest * factor;
        let by_seed = self.pure_seeds() * factor + rest;
        Crossed::of_parts(by_seed, self.pure_rows() + rest, rest, seeds, self.rows)
    }

    /// The fewest test rows, at most `most` and to a tenth, with which it is.
    pub fn rows_to_see(&self, size: f64, level: f64, most: usize) -> Option<usize> {
        let mut rows = self.rows;
        while rows < most {
            rows = (rows + rows.div_ceil(10)).min(most);
            let factor = self.rows as f64 / rows as f64;
            let rest = self.rest * factor;
            let by_row = self.pure_rows() * factor + rest;
            let more = Crossed::of_parts(self.pure_seeds() + rest, by_row, rest, self.seeds, rows);
            if more.least(level) <= size.abs() {
                return Some(rows);
            }
        }
        None
    }

    /// What the seeds alone add, without the part that any mean over rows would show.
    fn pure_seeds(&self) -> f64 {
        (self.by_seed - self.rest).max(0.0)
    }

    fn pure_rows(&self) -> f64 {
        (self.by_row - self.rest).max(0.0)
    }

    fn quantile(&self, at: f64) -> f64 {
        quantile(self.df, at)
    }
}

/// The variance that these parts come to, and its degrees of freedom.
pub(super) fn satterthwaite(
    by_seed: f64,
    by_row: f64,
    rest: f64,
    seeds: usize,
    rows: usize,
) -> (f64, f64) {
    let (s, n) = (seeds as f64 - 1.0, (rows as f64 - 1.0).max(1.0));
    let sum = by_seed + by_row - rest;
    let spread = by_seed.powi(2) / s + by_row.powi(2) / n + rest.powi(2) / (s * n);
    let df = match spread > 0.0 {
        true => (sum * sum / spread).max(1.0),
        false => 1.0,
    };
    (sum.max(by_seed).max(by_row), df)
}

/// Student's t with so many degrees of freedom.
pub(super) fn quantile(df: f64, at: f64) -> f64 {
    // Both parameters are positive, so the distribution is there.
    StudentsT::new(0.0, 1.0, df.max(1.0)).map_or(f64::INFINITY, |d| d.inverse_cdf(at))
}

/// What of such a t lies beyond a value.
pub(super) fn tail(df: f64, beyond: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df.max(1.0)).map_or(0.5, |d| d.sf(beyond))
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    #[test]
    fn a_table_worked_by_hand() {
        // Rows by seed: D[0,.] = 2, D[1,.] = 4, D[.,i] = 2, 3, 4, D = 3.
        // MSs = 3 (1 + 1) / 1 = 6, MSi = 2 (1 + 0 + 1) / 2 = 2; residuals 0, 0, 0, 0, 0, 0.
        let c = Crossed::of(&[vec![1.0, 2.0, 3.0], vec![3.0, 4.0, 5.0]]).expect("two seeds");
        assert_eq!((c.mean, c.seeds, c.rows), (3.0, 2, 3));
        assert!((c.variance - 8.0 / 6.0).abs() < 1e-12, "{}", c.variance);
        // df = 64 / (36 + 4 / 2) = 1.684.
        assert!((c.df - 64.0 / 38.0).abs() < 1e-12, "{}", c.df);
    }

    #[test]
    fn seeds_that_say_the_same_leave_the_paired_t_test() {
        let row = vec![1.0, 0.0, -1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let c = Crossed::of(&[row.clone(), row.clone(), row.clone()]).expect("seeds");
        let mean = row.iter().sum::<f64>() / 8.0;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 7.0 / 8.0;
        assert!((c.mean - mean).abs() < 1e-12);
        assert!((c.variance - variance).abs() < 1e-12);
        assert!((c.df - 7.0).abs() < 1e-9);
    }

    #[test]
    fn no_difference_and_nothing_but_a_difference() {
        let c = Crossed::of(&vec![vec![0.0; 10]; 3]).expect("seeds");
        assert_eq!((c.interval(0.95), c.p(0.0)), ((0.0, 0.0), 1.0));
        assert!(
            c.still()
                && !Crossed::of(&[vec![1.0, 1.0], vec![1.0, 0.0]])
                    .expect("seeds")
                    .still()
        );
        let c = Crossed::of(&vec![vec![1.0; 10]; 3]).expect("seeds");
        assert!(c.p(0.0) > 0.0 && c.p(0.0) < 0.01);
        assert_eq!(Crossed::of(&[vec![1.0, 0.0]]), None);
        assert_eq!(Crossed::of(&[vec![1.0, 0.0], vec![1.0]]), None);
    }

    #[test]
    fn strata_of_one_are_no_strata_and_two_alike_say_the_same_mean() {
        let mut random = Random::new(5);
        let mut table = || -> Vec<Vec<f64>> {
            (0..4)
                .map(|_| (0..50).map(|_| random.normal()).collect())
                .collect()
        };
        let (a, b) = (table(), table());
        let one = Crossed::of(&a).expect("one");
        assert_eq!(one, Crossed::stratified(&[(2.0, &a)]).expect("one"));
        let both = Crossed::stratified(&[(1.0, &a), (1.0, &b)]).expect("both");
        let other = Crossed::of(&b).expect("other");
        assert!((both.mean - (one.mean + other.mean) / 2.0).abs() < 1e-12);
        assert_eq!(both.rows, 100);
        assert!(both.variance < one.variance.max(other.variance));
    }

    #[test]
    fn more_seeds_or_more_rows_see_less() {
        let mut random = Random::new(6);
        let seeds: Vec<f64> = (0..3).map(|_| 0.02 * random.normal()).collect();
        let table: Vec<Vec<f64>> = seeds
            .iter()
            .map(|s| (0..200).map(|_| s + 0.3 * random.normal()).collect())
            .collect();
        let c = Crossed::of(&table).expect("seeds");
        let least = c.least(0.95);
        assert!(c.seeds_to_see(least / 2.0, 0.95, 500) > c.seeds_to_see(least * 0.9, 0.95, 500));
        assert_eq!(c.seeds_to_see(least / 1e4, 0.95, 50), None);
    }

    /// Right or wrong by seed and row of a method whose chance on a row depends on the row, on the method's liking for the
    /// row, and on the seed.
    fn answers(
        random: &mut Random,
        rows: &[f64],
        seeds: usize,
        by_seed: f64,
        liking: f64,
    ) -> Vec<Vec<f64>> {
        let liked: Vec<f64> = rows.iter().map(|r| r + liking * random.normal()).collect();
        (0..seeds)
            .map(|_| {
                let luck = by_seed * random.normal();
                let mut right = |l: &f64| f64::from(u8::from(l + luck + random.normal() > 0.0));
                liked.iter().map(&mut right).collect()
            })
            .collect()
    }

    /// The share of comparisons of two equal methods that are called different.
    fn false_alarms(seeds: usize, rows: usize, by_seed: f64, liking: f64, times: u64) -> f64 {
        let alarms = (0..times).filter(|&k| {
            let mut random = Random::new(1000 + k);
            let hard: Vec<f64> = (0..rows).map(|_| 1.0 + random.normal()).collect();
            let a = answers(&mut random, &hard, seeds, by_seed, liking);
            let b = answers(&mut random, &hard, seeds, by_seed, liking);
            let difference: Vec<Vec<f64>> = a
                .iter()
                .zip(&b)
                .map(|(a, b)| a.iter().zip(b).map(|(x, y)| x - y).collect())
                .collect();
            Crossed::of(&difference).is_some_and(|c| c.p(0.0) < 0.05)
        });
        alarms.count() as f64 / times as f64
    }

    /// Of two equal methods a nominal 5 % are called different: between 3 and 8 in a hundred, at 5 seeds and 1,000 rows.
    #[test]
    fn equal_methods_are_called_different_as_often_as_stated() {
        let share = false_alarms(5, 1000, 0.1, 0.5, 1500);
        println!("5 seeds, 1000 rows: {:.1} %", 100.0 * share);
        assert!((0.03..=0.08).contains(&share), "{share}");
        let mut worst: f64 = 0.0;
        for by_seed in [0.0, 0.1, 0.3] {
            for liking in [0.0, 0.5, 1.5] {
                let share = false_alarms(5, 300, by_seed, liking, 600);
                println!("seeds {by_seed}, rows {liking}: {:.1} %", 100.0 * share);
                worst = worst.max(share);
            }
        }
        assert!(worst <= 0.08, "{worst}");
    }

    /// The interval over strata holds what it says too.
    #[test]
    fn equal_methods_over_two_targets() {
        let times = 800;
        let alarms = (0..times).filter(|&k| {
            let mut random = Random::new(9000 + k);
            let mut target = || {
                let hard: Vec<f64> = (0..200).map(|_| 1.0 + random.normal()).collect();
                let a = answers(&mut random, &hard, 5, 0.2, 0.5);
                let b = answers(&mut random, &hard, 5, 0.2, 0.5);
                let rows = a.iter().zip(&b);
                rows.map(|(a, b)| a.iter().zip(b).map(|(x, y)| x - y).collect())
                    .collect::<Vec<Vec<f64>>>()
            };
            let (one, two) = (target(), target());
            Crossed::stratified(&[(1.0, &one), (2.0, &two)]).is_some_and(|c| c.p(0.0) < 0.05)
        });
        let share = alarms.count() as f64 / times as f64;
        println!("two targets: {:.1} %", 100.0 * share);
        assert!((0.03..=0.08).contains(&share), "{share}");
    }
}
