//! Over pairs of domains: what can be said of new ones.

/// Fewer independent pairs than this get no Wilcoxon test.
pub const WILCOXON_PAIRS: usize = 6;

/// In how many pairs a method was told to be better, worse, or neither, and the range of its differences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Better, after correction.
    pub wins: usize,
    /// Not distinguishable after correction.
    pub ties: usize,
    /// Worse, after correction: negative transfer.
    pub losses: usize,
    /// The least and the largest difference.
    pub range: Option<(f64, f64)>,
}

impl Tally {
    /// From differences and their adjusted p-values.
    pub fn of(cells: &[(f64, f64)], alpha: f64) -> Tally {
        let mut tally = Tally::default();
        for &(difference, p) in cells {
            match difference {
                d if p < alpha && d > 0.0 => tally.wins += 1,
                d if p < alpha && d < 0.0 => tally.losses += 1,
                _ => tally.ties += 1,
            }
            let (low, high) = tally.range.unwrap_or((difference, difference));
            tally.range = Some((low.min(difference), high.max(difference)));
        }
        tally
    }
}

/// A difference in billionths: means of the same counts over seeds and rows may differ in their last bits, and are the same difference.
fn grid(difference: f64) -> i64 {
    (difference * 1e9).round() as i64
}

/// The mean rank of each method over pairs, 1 for the highest score of a pair, scores that are alike sharing theirs. `scores` is by method and pair.
pub fn mean_ranks(scores: &[Vec<f64>]) -> Vec<f64> {
    let pairs = scores.iter().map(Vec::len).min().unwrap_or(0);
    let rank = |method: usize, pair: usize| {
        let own = grid(scores[method][pair]);
        let others = || scores.iter().map(|s| grid(s[pair]));
        let above = others().filter(|o| *o > own).count() as f64;
        let alike = others().filter(|o| *o == own).count() as f64;
        above + (alike + 1.0) / 2.0
    };
    (0..scores.len())
        .map(|m| (0..pairs).map(|p| rank(m, p)).sum::<f64>() / pairs.max(1) as f64)
        .collect()
}

/// Whether no two pairs share a domain: only then are they independent samples.
pub fn independent(pairs: &[(String, String)]) -> bool {
    let mut domains: Vec<&str> = pairs
        .iter()
        .flat_map(|(a, b)| [a.as_str(), b.as_str()])
        .collect();
    domains.sort_unstable();
    domains.windows(2).all(|w| w[0] != w[1])
}

/// The exact two-sided p-value of Wilcoxon's signed-rank test (1945), differences of 0 left out and ties given their mean rank.
/// `None` from fewer than [`WILCOXON_PAIRS`] differences.
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    if differences.len() < WILCOXON_PAIRS {
        return None;
    }
    let mut sizes: Vec<(i64, bool)> = differences
        .iter()
        .map(|d| grid(*d))
        .filter(|d| *d != 0)
        .map(|d| (d.abs(), d > 0))
        .collect();
    if sizes.is_empty() {
        return Some(1.0);
    }
    sizes.sort_by_key(|s| s.0);
    // Twice the rank is a whole number also where ranks are shared.
    let mut ranks = vec![0usize; sizes.len()];
    let mut start = 0;
    while start < sizes.len() {
        let end = (start..sizes.len())
            .take_while(|&i| sizes[i].0 == sizes[start].0)
            .last()
            .unwrap_or(start);
        ranks[start..=end].fill(start + end + 2);
        start = end + 1;
    }
    let all: usize = ranks.iter().sum();
    let positive: usize = ranks
        .iter()
        .zip(&sizes)
        .filter(|(_, s)| s.1)
        .map(|(r, _)| r)
        .sum();
    // The chance of each sum of ranks when every sign is a coin's.
    let mut chance = vec![0.0; all + 1];
    chance[0] = 1.0;
    for &rank in &ranks {
        for sum in (0..=all).rev() {
            let with = if sum >= rank { chance[sum - rank] } else { 0.0 };
            chance[sum] = (chance[sum] + with) / 2.0;
        }
    }
    let low: f64 = chance[..=positive.min(all - positive)].iter().sum();
    Some((2.0 * low).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_what_is_told_apart() {
        let cells = [(0.05, 0.01), (0.02, 0.2), (-0.04, 0.03), (0.0, 1.0)];
        let tally = Tally::of(&cells, 0.05);
        assert_eq!((tally.wins, tally.ties, tally.losses), (1, 2, 1));
        assert_eq!(tally.range, Some((-0.04, 0.05)));
    }

    #[test]
    fn pairs_that_share_a_domain_are_not_independent() {
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert!(independent(&[pair("a", "b"), pair("c", "d")]));
        assert!(!independent(&[pair("a", "b"), pair("b", "c")]));
    }

    #[test]
    fn exact_values_of_wilcoxon() {
        // R 4.3: wilcox.test(c(1, 2, 3, 4, 5, 6))$p.value is 0.03125; with -1 in place of 1 it is 0.0625.
        assert_eq!(wilcoxon(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Some(0.03125));
        assert_eq!(wilcoxon(&[-1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Some(0.0625));
        assert_eq!(wilcoxon(&[1.0; 5]), None);
        assert_eq!(wilcoxon(&[0.0; 6]), Some(1.0));
        // scipy 1.15: wilcoxon([8, 8, 9, 10, 11], mode="exact") is 0.0625 with the two zeros out, in whatever bits these come.
        let bits = [2e-18, -1e-18, 0.08, 0.07 + 0.01, 0.09, 0.1, 0.11];
        assert_eq!(wilcoxon(&bits), Some(0.0625));
        let ranks = mean_ranks(&[vec![0.5, 0.7], vec![0.6, 0.7 + 1e-16], vec![0.4, 0.9]]);
        assert_eq!(ranks, [2.25, 1.75, 2.0]);
        // All alike: 2 / 2^6.
        assert_eq!(wilcoxon(&[2.0; 6]), Some(0.03125));
    }
}
