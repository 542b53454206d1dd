//! Two models on the same rows.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::interval::{Interval, normal_quantile, wilson};

/// The difference of two accuracies on the same rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// Rows.
    pub n: usize,
    /// Rows that only the first has right.
    pub first_only: usize,
    /// Rows that only the second has right.
    pub second_only: usize,
    /// First less second.
    pub difference: f64,
    /// Newcombe's (1998) score interval for paired proportions, his method 10.
    pub interval: Interval,
    /// Exact McNemar, two-sided (McNemar 1947).
    pub p: f64,
}

impl Paired {
    /// Whether test and interval both say that there is a difference.
    pub fn differs(&self, level: f64) -> bool {
        self.p < 1.0 - level && (self.interval.0 > 0.0 || self.interval.1 < 0.0)
    }
}

/// Compares. Both say, row by row, whether a model was right.
pub fn paired(first: &[bool], second: &[bool], level: f64) -> Paired {
    let n = first.len().min(second.len());
    let count = |a: bool, b: bool| {
        let rows = first.iter().zip(second);
        rows.filter(|&(&x, &y)| (x, y) == (a, b)).count()
    };
    let (both, b, c, none) = (
        count(true, true),
        count(true, false),
        count(false, true),
        count(false, false),
    );
    let difference = (b as f64 - c as f64) / n.max(1) as f64;
    Paired {
        n,
        first_only: b,
        second_only: c,
        difference,
        interval: newcombe(both, b, c, none, normal_quantile(level)),
        p: mcnemar(b, c),
    }
}

/// Twice the smaller tail of a fair coin thrown once for each row on which the two differ.
fn mcnemar(b: usize, c: usize) -> f64 {
    match Binomial::new(0.5, (b + c) as u64) {
        Ok(coin) if b + c > 0 => (2.0 * coin.cdf(b.min(c) as u64)).min(1.0),
        _ => 1.0,
    }
}

fn newcombe(both: usize, b: usize, c: usize, none: usize, z: f64) -> Interval {
    let n = both + b + c + none;
    if n == 0 {
        return (-1.0, 1.0);
    }
    let (first, second) = (both + b, both + c);
    let (p1, p2) = (first as f64 / n as f64, second as f64 / n as f64);
    let ((l1, u1), (l2, u2)) = (wilson(first, n, z), wilson(second, n, z));
    let f = |v: usize| v as f64;
    let below = (f(first) * f(n - first) * f(second) * f(n - second)).sqrt();
    let mut above = f(both) * f(none) - f(b) * f(c);
    if above > 0.0 {
        above = (above - f(n) / 2.0).max(0.0);
    }
    let phi = if below > 0.0 { above / below } else { 0.0 };
    let length = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let d = p1 - p2;
    (
        (d - length(p1 - l1, u2 - p2)).max(-1.0),
        (d + length(u1 - p1, p2 - l2)).min(1.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(both: usize, b: usize, c: usize, none: usize) -> Paired {
        let rows = [
            ((true, true), both),
            ((true, false), b),
            ((false, true), c),
            ((false, false), none),
        ];
        let (first, second): (Vec<bool>, Vec<bool>) = rows
            .iter()
            .flat_map(|&(pair, k)| std::iter::repeat_n(pair, k))
            .unzip();
        paired(&first, &second, 0.95)
    }

    #[test]
    fn the_interval_is_newcombes() {
        // The example of his paper: 36, 12, 2, 0.
        let p = table(36, 12, 2, 0);
        assert!((p.difference - 0.2).abs() < 1e-12);
        assert!(
            (p.interval.0 - 0.0569).abs() < 1e-4 && (p.interval.1 - 0.3404).abs() < 1e-4,
            "{p:?}"
        );
    }

    #[test]
    fn mcnemar_is_a_sign_test() {
        // 2 * (1 + 14 + 91) / 2^14
        assert!((table(36, 12, 2, 0).p - 212.0 / 16384.0).abs() < 1e-12);
        assert_eq!(table(5, 3, 3, 1).p, 1.0);
        assert_eq!(table(10, 0, 0, 0).p, 1.0);
        assert!((table(0, 6, 0, 0).p - 2.0 / 64.0).abs() < 1e-12);
    }

    #[test]
    fn the_same_predictions_do_not_differ() {
        let p = table(80, 0, 0, 20);
        assert!(
            !p.differs(0.95) && p.interval.0 < 0.0 && p.interval.1 > 0.0,
            "{p:?}"
        );
        assert!(table(50, 30, 5, 15).differs(0.95));
        assert!(table(50, 5, 30, 15).differs(0.95));
    }
}
