//! How much of the way to the ceiling.

use super::Crossed;

/// `(A - S) / (T - S)` of an adaptation `A`, source-only `S` and a ceiling `T` (target-supervised): a ratio of means, and only
/// where the interval of `T - S` excludes 0; a ratio over nothing is noise. `gained` is `A - S`.
pub fn gap_closed(gained: f64, ceiling: &Crossed, level: f64) -> Option<f64> {
    let (low, high) = ceiling.interval(level);
    let apart = low > 0.0 || high < 0.0;
    apart.then(|| gained / ceiling.mean)
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
    }
}
