//! Two models on the same rows: which one to keep. Nothing here speaks of a method.

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// The exact p-value of McNemar's test (1947): of the rows that only one model has right, `one` and `other`, as many on one
/// side or more would be there by the toss of a coin.
pub fn mcnemar(one: u64, other: u64) -> f64 {
    let n = one + other;
    if n == 0 {
        return 1.0;
    }
    // A half and a whole number are parameters of a binomial.
    Binomial::new(0.5, n).map_or(1.0, |b| (2.0 * b.cdf(one.min(other))).min(1.0))
}

/// The interval of the difference of two accuracies on the same rows, by Newcombe's tenth method (1998): Wilson's intervals of
/// both, put together with their correlation. The counts are rows that both have right, only the first, only the second, none.
pub fn paired_interval(both: u64, first: u64, second: u64, none: u64, level: f64) -> (f64, f64) {
    let n = (both + first + second + none) as f64;
    if n == 0.0 {
        return (-1.0, 1.0);
    }
    let z = Normal::standard().inverse_cdf(0.5 + level / 2.0);
    let wilson = |right: f64| {
        let p = right / n;
        let middle = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        (
            ((middle - half) / scale).max(0.0),
            ((middle + half) / scale).min(1.0),
        )
    };
    let [a, b, c, d] = [both, first, second, none].map(|k| k as f64);
    let (p1, p2) = ((a + b) / n, (a + c) / n);
    let ((l1, u1), (l2, u2)) = (wilson(a + b), wilson(a + c));
    let below = ((a + b) * (c + d) * (a + c) * (b + d)).sqrt();
    let cross = a * d - b * c;
    let phi = match (below > 0.0, cross > 0.0) {
        (false, _) => 0.0,
        (true, true) => (cross - n / 2.0).max(0.0) / below,
        (true, false) => cross / below,
    };
    let reach = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let d = p1 - p2;
    (
        (d - reach(p1 - l1, u2 - p2)).max(-1.0),
        (d + reach(u1 - p1, p2 - l2)).min(1.0),
    )
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

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
        let mut random = Random::new(3);
        let times = 4000;
        let held = (0..times).filter(|_| {
            let mut cells = [0u64; 4];
            for _ in 0..150 {
                let u = random.uniform();
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
