//! How much of the way to the ceiling.

use super::Crossed;

/// `(A - S) / (T - S)` of an adaptation `A`, source-only `S` and a ceiling `T` (target-supervised): a ratio of means, and only
/// where the interval of `T - S` is above 0: a ratio over nothing is noise, and on the way to what is worse than the source alone there is no share to have come.
/// `gained` is `A - S`.
pub fn gap_closed(gained: f64, ceiling: &Crossed, level: f64) -> Option<f64> {
    let (low, _) = ceiling.interval(level);
    (low > 0.0).then(|| gained / ceiling.mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_there_is_a_gap() {
        let wide = Crossed::of(&[
            vec![1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
            vec![1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        ])
        .expect("seeds");
        let share = gap_closed(0.3, &wide, 0.95).expect("a gap");
        assert!((share - 0.3 / wide.mean).abs() < 1e-12);
        let none = Crossed::of(&[vec![1.0, -1.0, 0.0, 0.0], vec![0.0, 1.0, -1.0, 0.0]]);
        assert_eq!(gap_closed(0.3, &none.expect("seeds"), 0.95), None);
        let below: Vec<Vec<f64>> = (0..3)
            .map(|s| (0..40).map(|i| -f64::from(u8::from(i % 7 != s))).collect())
            .collect();
        let below = Crossed::of(&below).expect("seeds");
        assert!(below.interval(0.95).1 < 0.0);
        assert_eq!(gap_closed(-0.3, &below, 0.95), None);
    }
}
