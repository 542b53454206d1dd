//! Scores that are no mean over rows (macro F1, MCC, AUROC): seeds and rows are drawn again, both.

use super::random::Random;

/// Fewer seeds than this give no interval: drawing again from two or three seeds shows too little of how seeds differ.
pub const BOOTSTRAP_SEEDS: usize = 5;

/// The interval of a score by the crossed bootstrap (Owen 2007): each draw takes seeds and rows again, independently, and
/// `score(seeds, rows)` is asked for the mean over these seeds of the score on these rows. Percentiles of `draws` draws, and a
/// two-sided p-value of the score being 0. `None` with fewer than [`BOOTSTRAP_SEEDS`] seeds or no rows.
pub fn bootstrap(
    seeds: usize,
    rows: usize,
    draws: usize,
    level: f64,
    score: impl Fn(&[usize], &[usize]) -> f64,
) -> Option<((f64, f64), f64)> {
    if seeds < BOOTSTRAP_SEEDS || rows == 0 || draws == 0 {
        return None;
    }
    let mut random = Random::new(0);
    let mut values: Vec<f64> = (0..draws)
        .map(|_| {
            let drawn: Vec<usize> = (0..seeds).map(|_| random.below(seeds)).collect();
            let taken: Vec<usize> = (0..rows).map(|_| random.below(rows)).collect();
            score(&drawn, &taken)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((draws as f64 - 1.0) * share).round() as usize];
    let below = values.iter().filter(|v| **v <= 0.0).count();
    let above = values.iter().filter(|v| **v >= 0.0).count();
    // One more than counted: no number of draws shows a chance of nothing.
    let p = 2.0 * (below.min(above) + 1) as f64 / (draws + 1) as f64;
    Some((
        (at((1.0 - level) / 2.0), at((1.0 + level) / 2.0)),
        p.min(1.0),
    ))
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
        let mean = |seeds: &[usize], rows: &[usize]| {
            let sum: f64 = seeds
                .iter()
                .map(|&s| rows.iter().map(|&i| table[s][i]).sum::<f64>())
                .sum();
            sum / (seeds.len() * rows.len()) as f64
        };
        let ((low, high), p) = bootstrap(8, 300, 2000, 0.95, mean).expect("eight seeds");
        let exact = Crossed::of(&table).expect("seeds");
        let (l, h) = exact.interval(0.95);
        let ratio = (high - low) / (h - l);
        assert!((0.7..1.5).contains(&ratio), "{ratio}");
        assert!(low < exact.mean && exact.mean < high && p < 0.05);
        assert_eq!(bootstrap(4, 300, 100, 0.95, mean), None);
    }
}
