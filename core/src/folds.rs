//! Five-fold cross-validation: how the closed forms choose a constant, on labelled rows that they learn from.

use rayon::prelude::*;

/// A fitted classifier: one row's features to its class.
pub type Predict = Box<dyn Fn(&[f64]) -> u32>;

/// Which of two constants bends the classifier less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stiffer {
    /// The larger: a penalty's strength.
    Larger,
    /// The smaller: what a mistake costs.
    Smaller,
}

/// The constant with the best accuracy over five folds, and that accuracy; among equals the stiffest one. `tried` rises, `x` is `(rows, width)` by rows,
/// `order` deals the rows to the folds.
pub fn choose(
    tried: &[f64],
    stiffer: Stiffer,
    x: &[f64],
    y: &[u32],
    width: usize,
    order: &[u32],
    fit: &(dyn Fn(&[f64], &[u32], f64) -> Predict + Sync),
) -> (f64, f64) {
    let folds = y.len().clamp(1, 5);
    let right = |constant: f64, k: usize| -> usize {
        let (mut tx, mut ty, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for (i, &row) in order.iter().enumerate() {
            let row = row as usize;
            if i % folds == k {
                held.push(row);
            } else {
                tx.extend_from_slice(&x[row * width..(row + 1) * width]);
                ty.push(y[row]);
            }
        }
        let predict = fit(&tx, &ty, constant);
        let hit = |r: &&usize| predict(&x[**r * width..(**r + 1) * width]) == y[**r];
        held.iter().filter(hit).count()
    };
    // Each fold by itself: a loose constant takes far longer than a stiff one.
    let each = (0..tried.len() * folds).into_par_iter();
    let each: Vec<usize> = each.map(|i| right(tried[i / folds], i % folds)).collect();
    let scores: Vec<usize> = each.chunks(folds).map(|f| f.iter().sum()).collect();
    let best = scores.iter().copied().max().unwrap_or(0);
    let at = match stiffer {
        Stiffer::Larger => scores.iter().rposition(|&s| s == best),
        Stiffer::Smaller => scores.iter().position(|&s| s == best),
    };
    (tried[at.unwrap_or(0)], best as f64 / y.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A classifier that is right where its constant is above the row's number.
    fn above(_: &[f64], _: &[u32], constant: f64) -> Predict {
        Box::new(move |row| u32::from(constant > row[0]))
    }

    #[test]
    fn the_best_is_taken_and_the_stiffest_among_equals() {
        let x: Vec<f64> = (0..10).map(f64::from).collect();
        let order: Vec<u32> = (0..10).rev().collect();
        // Right on the rows below the constant: 3, 8, 10 and 10 of ten.
        let tried = [3.0, 8.0, 20.0, 30.0];
        let all = [1; 10];
        assert_eq!(
            choose(&tried, Stiffer::Larger, &x, &all, 1, &order, &above),
            (30.0, 1.0)
        );
        assert_eq!(
            choose(&tried, Stiffer::Smaller, &x, &all, 1, &order, &above),
            (20.0, 1.0)
        );
        assert_eq!(
            choose(&tried[..2], Stiffer::Larger, &x, &all, 1, &order, &above),
            (8.0, 0.8)
        );
    }

    #[test]
    fn a_row_is_never_among_those_that_its_answer_was_fitted_on() {
        // One that knows its rows by heart, and says 1 for those alone.
        let by_heart = |x: &[f64], _: &[u32], _: f64| -> Predict {
            let seen = x.to_vec();
            Box::new(move |row| u32::from(seen.contains(&row[0])))
        };
        let x: Vec<f64> = (0..13).map(f64::from).collect();
        let order: Vec<u32> = (0..13).collect();
        let (_, right) = choose(&[1.0], Stiffer::Larger, &x, &[0; 13], 1, &order, &by_heart);
        assert_eq!(right, 1.0);
    }
}
