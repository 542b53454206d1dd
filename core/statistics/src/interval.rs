//! The interval of a share.

use statrs::distribution::{ContinuousCDF, Normal};

/// Low and high end.
pub type Interval = (f64, f64);

/// How many standard deviations either side hold `level` of a normal distribution: 1.96 for 0.95.
pub fn normal_quantile(level: f64) -> f64 {
    Normal::standard().inverse_cdf(0.5 + level / 2.0)
}

/// Wilson's score interval for a proportion (Wilson 1927); `z` = 1.96 for 95 %.
pub fn wilson(right: usize, n: usize, z: f64) -> Interval {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, right as f64 / n as f64);
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_inside_zero_and_one_and_matches_a_table() {
        let (lo, hi) = wilson(8, 10, normal_quantile(0.95));
        assert!(
            (lo - 0.490_2).abs() < 1e-3 && (hi - 0.943_3).abs() < 1e-3,
            "{lo} {hi}"
        );
        assert_eq!(wilson(0, 10, 1.96).0, 0.0);
        assert_eq!(wilson(0, 0, 1.96), (0.0, 1.0));
        assert!((normal_quantile(0.95) - 1.959_963_984_540_054).abs() < 1e-9);
    }
}
