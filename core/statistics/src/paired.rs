//! Two models on the same rows: which one to keep. Nothing here speaks of a method.

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
        interval: paired_interval(both, b, c, none, level),
        p: mcnemar(b, c),
    }
}

/// The exact p-value of McNemar's test (1947): of the rows that only one model has right, `one` and `other`, as many on one side or more would be there
/// by the toss of a coin. Twice the smaller tail.
pub fn mcnemar(one: usize, other: usize) -> f64 {
    match Binomial::new(0.5, (one + other) as u64) {
        Ok(coin) if one + other > 0 => (2.0 * coin.cdf(one.min(other) as u64)).min(1.0),
        _ => 1.0,
    }
}

/// The interval of the difference of two accuracies on the same rows, by Newcombe's tenth method (1998): Wilson's intervals of both, put together with their
/// correlation. The counts are rows that both have right, only the first, only the second, none.
pub fn paired_interval(both: usize, b: usize, c: usize, none: usize, level: f64) -> Interval {
    let z = normal_quantile(level);
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

    /// SplitMix64 (Steele, Lea & Flood 2014), as a number from 0 to 1.
    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    #[test]
    fn exact_values() {
        // R 4.3: binom.test(2, 12)$p.value is 0.03857422; binom.test(5, 10)$p.value is 1.
        assert!((mcnemar(2, 10) - 0.038_574_218_75).abs() < 1e-12);
        assert_eq!((mcnemar(5, 5), mcnemar(0, 0)), (1.0, 1.0));
        assert_eq!(mcnemar(10, 2), mcnemar(2, 10));
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        // Both right 0.6, only one 0.12, only the other 0.08, none 0.2: the true difference is 0.04.
        let mut state = 3u64;
        let times = 4000;
        let held = (0..times).filter(|_| {
            let mut cells = [0usize; 4];
            for _ in 0..150 {
                let u = uniform(&mut state);
                let cell = [0.6, 0.72, 0.8].iter().filter(|&&edge| u >= edge).count();
                cells[cell] += 1;
            }
            let (low, high) = paired_interval(cells[0], cells[1], cells[2], cells[3], 0.95);
            (low..=high).contains(&0.04)
        });
        let share = held.count() as f64 / f64::from(times);
        println!("the interval holds the truth in {:.1} %", 100.0 * share);
        assert!((0.93..=0.975).contains(&share), "{share}");
    }

    #[test]
    fn equal_models_have_an_interval_around_zero() {
        let (low, high) = paired_interval(80, 0, 0, 20, 0.95);
        assert!(
            low <= 0.0 && high >= 0.0 && high - low < 0.1,
            "{low} {high}"
        );
    }
}
