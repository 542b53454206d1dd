//! Maximum mean discrepancy (Gretton, Borgwardt, Rasch, Schoelkopf & Smola 2012) with a permutation test.

use rayon::prelude::*;
use serde::Serialize;

use super::Table;
use crate::random::Stream;

/// Whether the features of the domains differ in distribution.
#[derive(Clone, Debug, Serialize)]
pub struct Discrepancy {
    /// The unbiased estimate of the squared discrepancy, by a Gaussian kernel as wide as the median distance.
    pub mmd2: f64,
    /// Share of permutations of the rows between the domains that differ as much, the data's own among them.
    pub p: f64,
    /// How many permutations.
    pub permutations: usize,
    /// Rows of each domain.
    pub rows: (usize, usize),
}

/// Rows of a domain, at most: the kernel is a square.
const ROWS: usize = 500;
/// Permutations; the least p is one in a thousand.
const PERMUTATIONS: usize = 999;

impl Discrepancy {
    /// Of rows drawn from both.
    pub fn of(source: Table<'_>, target: Table<'_>, random: Stream) -> Discrepancy {
        let pick = |t: Table<'_>, name: &str| -> Vec<Vec<f64>> {
            let mut order = random.purpose(name).permutation(t.rows());
            order.truncate(ROWS);
            order.iter().map(|&r| t.row(r as usize).to_vec()).collect()
        };
        let mut rows = pick(source, "source");
        let n = rows.len();
        rows.extend(pick(target, "target"));
        let total = rows.len();
        let m = total - n;
        let distance = |i: usize, j: usize| -> f64 {
            rows[i]
                .iter()
                .zip(&rows[j])
                .map(|(a, b)| (a - b).powi(2))
                .sum()
        };
        let mut k: Vec<f32> = (0..total * total)
            .into_par_iter()
            .map(|at| distance(at / total, at % total) as f32)
            .collect();
        let mut all: Vec<f32> = (0..total)
            .flat_map(|i| k[i * total..i * total + i].iter().copied())
            .collect();
        let middle = all.len() / 2;
        let median = match all.is_empty() {
            true => 1.0,
            false => *all.select_nth_unstable_by(middle, f32::total_cmp).1,
        };
        let width = 2.0 * median.max(1e-12);
        k.iter_mut().for_each(|v| *v = (-*v / width).exp());
        let statistic = |first: &[bool]| -> f64 {
            let (mut within_first, mut within_second, mut between) = (0.0, 0.0, 0.0);
            for i in 0..total {
                let row = &k[i * total..i * total + i];
                let (mut same, mut other) = (0.0f64, 0.0f64);
                for (v, &side) in row.iter().zip(first) {
                    let v = f64::from(*v);
                    match side == first[i] {
                        true => same += v,
                        false => other += v,
                    }
                }
                match first[i] {
                    true => within_first += same,
                    false => within_second += same,
                }
                between += other;
            }
            let pairs = |n: usize| (n * n.saturating_sub(1)).max(1) as f64 / 2.0;
            within_first / pairs(n) + within_second / pairs(m)
                - 2.0 * between / (n * m).max(1) as f64
        };
        let own: Vec<bool> = (0..total).map(|i| i < n).collect();
        let mmd2 = statistic(&own);
        let as_large = (0..PERMUTATIONS)
            .into_par_iter()
            .filter(|&p| {
                let order = random
                    .purpose("permutation")
                    .at(p as u64)
                    .permutation(total);
                let mixed: Vec<bool> = order.iter().map(|&r| (r as usize) < n).collect();
                statistic(&mixed) >= mmd2
            })
            .count();
        Discrepancy {
            mmd2,
            p: (as_large + 1) as f64 / (PERMUTATIONS + 1) as f64,
            permutations: PERMUTATIONS,
            rows: (n, m),
        }
    }
}
