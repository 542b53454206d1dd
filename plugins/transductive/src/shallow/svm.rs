//! A linear support vector machine by dual coordinate descent (Hsieh, Chang, Lin, Keerthi & Sundararajan 2008), a class against the rest.
//!
//! For each class, with `y = 1` for its rows and `-1` for all others, what is minimised is `|w|^2 / 2 + C sum max(0, 1 - y (w x + b))`,
//! the hinge loss. The bias is the weight of a column of ones, as in LIBLINEAR, and so belongs to `|w|`. One coordinate of the dual,
//! `min a Q a / 2 - sum a` with `0 <= a <= C`, is solved at a time, in an order drawn anew each round by the seed. It ends when the largest
//! and the smallest projected gradient of a round are within `0.01`, or after 1,000 rounds.

use rayon::prelude::*;
use tlkit_core::random::Stream;

/// Weights of every class.
#[derive(Clone, Debug)]
pub(crate) struct Svm {
    /// `(classes, width)`, row after row.
    pub weights: Vec<f64>,
    /// One a class.
    pub bias: Vec<f64>,
}

/// Rounds over all rows, at most.
const ROUNDS: u64 = 1000;
/// How far the projected gradients of a round may be apart in the end.
const TOLERANCE: f64 = 0.01;

/// Fits one. `x` is `(rows, width)`, row after row.
pub(crate) fn fit(
    x: &[f64],
    y: &[u32],
    width: usize,
    classes: usize,
    c: f64,
    random: Stream,
) -> Svm {
    let squares: Vec<f64> = x.chunks_exact(width).map(|r| 1.0 + dot(r, r)).collect();
    // With two classes the one is the other's opposite.
    let wanted = if classes == 2 { 1 } else { classes };
    let one = |class: usize| {
        let of = if classes == 2 { 1 } else { class };
        let side = |row: usize| if y[row] as usize == of { 1.0 } else { -1.0 };
        binary(x, &side, &squares, width, c, random.at(class as u64))
    };
    let fitted: Vec<(Vec<f64>, f64)> = (0..wanted).into_par_iter().map(one).collect();
    let mut svm = Svm {
        weights: Vec::with_capacity(classes * width),
        bias: Vec::with_capacity(classes),
    };
    if let (2, [(w, b)]) = (classes, &fitted[..]) {
        svm.weights.extend(w.iter().map(|v| -v));
        svm.bias.push(-b);
    }
    for (w, b) in fitted {
        svm.weights.extend(w);
        svm.bias.push(b);
    }
    svm
}

fn binary(
    x: &[f64],
    side: &dyn Fn(usize) -> f64,
    squares: &[f64],
    width: usize,
    c: f64,
    random: Stream,
) -> (Vec<f64>, f64) {
    let rows = squares.len();
    let mut alpha = vec![0.0; rows];
    let (mut w, mut b) = (vec![0.0; width], 0.0);
    for round in 0..ROUNDS {
        let (mut high, mut low) = (f64::NEG_INFINITY, f64::INFINITY);
        for row in random.at(round).permutation(rows) {
            let i = row as usize;
            let (v, y) = (&x[i * width..(i + 1) * width], side(i));
            let gradient = y * (dot(&w, v) + b) - 1.0;
            // What is left of it within the box.
            let projected = match alpha[i] {
                a if a <= 0.0 => gradient.min(0.0),
                a if a >= c => gradient.max(0.0),
                _ => gradient,
            };
            high = high.max(projected);
            low = low.min(projected);
            if projected != 0.0 {
                let before = alpha[i];
                alpha[i] = (before - gradient / squares[i]).clamp(0.0, c);
                let by = (alpha[i] - before) * y;
                w.iter_mut().zip(v).for_each(|(w, v)| *w += by * v);
                b += by;
            }
        }
        if high - low < TOLERANCE {
            break;
        }
    }
    (w, b)
}

impl Svm {
    /// The class with the largest score.
    pub fn predict(&self, x: &[f64]) -> u32 {
        let width = x.len();
        let score = |k: usize| self.bias[k] + dot(&self.weights[k * width..(k + 1) * width], x);
        let best = (0..self.bias.len()).map(score).enumerate();
        best.fold((0, f64::NEG_INFINITY), |best, (k, s)| {
            if s > best.1 { (k, s) } else { best }
        })
        .0 as u32
    }
}

/// In four sums, which a processor adds side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0f64; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4
        .remainder()
        .iter()
        .zip(b4.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a4.zip(b4) {
        for k in 0..4 {
            sums[k] += x[k] * y[k];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}
