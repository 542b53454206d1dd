//! Which source to carry over, without training: how well features and labels go together.
//!
//! - [`log_me`]: the logarithm of the maximum evidence of a Bayesian linear regression from features to each class, a row (You et al. 2021)
//! - [`h_score`]: how much of the features' variance lies between the classes (Bao et al. 2019), with a shrunk covariance (Ibrahim et al.
//!   2021), so that it also means something where there are fewer rows than features
//!
//! Both are compared between sources on the same rows. How sure the order is comes from halves of the rows ([`halves`]).

mod eigen;

use crate::data::Labels;
use crate::random::Stream;
use eigen::symmetric;

/// Features of some rows, `(rows, width)`, row by row, and their classes.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Row by row.
    pub features: Vec<f64>,
    /// How wide a row is.
    pub width: usize,
    /// Class indices.
    pub labels: Vec<u32>,
    /// How many classes there are.
    pub classes: usize,
}

impl Labelled {
    fn row(&self, i: usize) -> &[f64] {
        &self.features[i * self.width..(i + 1) * self.width]
    }

    fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Only these rows.
    pub fn pick(&self, rows: &[u32]) -> Labelled {
        let features = rows.iter().flat_map(|&r| self.row(r as usize));
        Labelled {
            features: features.copied().collect(),
            width: self.width,
            labels: rows.iter().map(|&r| self.labels[r as usize]).collect(),
            classes: self.classes,
        }
    }
}

/// `X X^T` or `X^T X`, whichever is smaller, and whether it is the first.
fn gram(x: &[f64], rows: usize, width: usize) -> (Vec<f64>, usize, bool) {
    let by_rows = rows <= width;
    let n = rows.min(width);
    let mut out = vec![0.0; n * n];
    if by_rows {
        for i in 0..n {
            for j in 0..=i {
                let (a, b) = (&x[i * width..][..width], &x[j * width..][..width]);
                let sum: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                (out[i * n + j], out[j * n + i]) = (sum, sum);
            }
        }
    } else {
        for row in x.chunks_exact(width) {
            for (i, a) in row.iter().enumerate() {
                let line = &mut out[i * n..][..n];
                line.iter_mut().zip(row).for_each(|(o, b)| *o += a * b);
            }
        }
    }
    (out, n, by_rows)
}

/// Squares of the singular values of the rows, those above rounding, and for each the inner products of its left singular vector
/// with given vectors of one value a row.
fn spectrum(x: &[f64], rows: usize, width: usize, with: &[Vec<f64>]) -> Vec<(f64, Vec<f64>)> {
    let (matrix, n, by_rows) = gram(x, rows, width);
    let (values, vectors) = symmetric(matrix, n);
    let largest = values.iter().copied().fold(0.0, f64::max);
    let mut out = Vec::new();
    // F^T y, where the small matrix is of columns.
    let back: Vec<Vec<f64>> = match by_rows {
        true => Vec::new(),
        false => with
            .iter()
            .map(|y| {
                let mut sum = vec![0.0; width];
                for (row, y) in x.chunks_exact(width).zip(y) {
                    sum.iter_mut().zip(row).for_each(|(s, v)| *s += v * y);
                }
                sum
            })
            .collect(),
    };
    for (k, &value) in values.iter().enumerate() {
        if value <= largest * 1e-12 {
            continue;
        }
        let v = &vectors[k * n..][..n];
        let inner = |y: &[f64]| -> f64 { v.iter().zip(y).map(|(a, b)| a * b).sum() };
        let products = match by_rows {
            true => with.iter().map(|y| inner(y)).collect(),
            false => back.iter().map(|y| inner(y) / value.sqrt()).collect(),
        };
        out.push((value, products));
    }
    out
}

/// LogME (You et al. 2021): for each class its indicator is regressed on the features, weights and noise Gaussian; the two precisions are those that
/// make the evidence largest. The mean over the classes of the log evidence a row; larger is better.
pub fn log_me(data: &Labelled) -> f64 {
    let (n, width) = (data.rows(), data.width);
    let indicator = |c: usize| -> Vec<f64> {
        let labels = data.labels.iter();
        labels
            .map(|&l| f64::from(u8::from(l as usize == c)))
            .collect()
    };
    let targets: Vec<Vec<f64>> = (0..data.classes).map(indicator).collect();
    let spectrum = spectrum(&data.features, n, width, &targets);
    let (n, width) = (n as f64, width as f64);
    let evidence = |c: usize| -> f64 {
        let square: f64 = targets[c].iter().map(|y| y * y).sum();
        let inside: f64 = spectrum.iter().map(|(_, x)| x[c] * x[c]).sum();
        let outside = (square - inside).max(0.0);
        let (mut alpha, mut beta) = (1.0, 1.0);
        let mut residue = 0.0;
        let mut weights = 0.0;
        for _ in 0..200 {
            let t: f64 = alpha / beta;
            let gamma: f64 = spectrum.iter().map(|(s, _)| s / (s + t)).sum();
            let m = |(s, x): &(f64, Vec<f64>)| s * x[c] * x[c] / (s + t).powi(2);
            weights = spectrum.iter().map(m).sum();
            let r = |(s, x): &(f64, Vec<f64>)| x[c] * x[c] / (1.0 + s / t).powi(2);
            residue = spectrum.iter().map(r).sum::<f64>() + outside;
            // Without an error or without weights the evidence has no maximum.
            let new = (
                gamma / f64::max(weights, 1e-12),
                (n - gamma) / f64::max(residue, 1e-12),
            );
            let step = (new.0 / new.1 - t).abs() / t;
            (alpha, beta) = new;
            if step < 1e-9 {
                break;
            }
        }
        let logs: f64 = spectrum.iter().map(|(s, _)| (alpha + beta * s).ln()).sum();
        // What has no singular value contributes the prior alone.
        let rest = (width - spectrum.len() as f64) * alpha.ln();
        let tau = 2.0 * std::f64::consts::PI;
        let all = width * alpha.ln() + n * beta.ln() - logs - rest;
        let found = (all - beta * residue - alpha * weights - n * tau.ln()) / (2.0 * n);
        // Features that can hold any labels, as wide as there are rows or wider: the evidence may be largest without any noise, where the
        // iteration only creeps to. There it is a closed form.
        if spectrum.len() as f64 == n {
            let fit: f64 = spectrum.iter().map(|(s, x)| x[c] * x[c] / s).sum();
            let logs: f64 = spectrum.iter().map(|(s, _)| s.ln()).sum();
            let exact = -(logs - n * (n / fit).ln() + n + n * tau.ln()) / (2.0 * n);
            return found.max(exact);
        }
        found
    };
    let seen: Vec<usize> = (0..data.classes)
        .filter(|&c| data.labels.iter().any(|&l| l as usize == c))
        .collect();
    seen.iter().map(|&c| evidence(c)).sum::<f64>() / seen.len().max(1) as f64
}

/// H-score: the trace of `(1 - a) C_a^-1 B`, with `B` the covariance of the class means, `C_a = (1 - a) C + a m 1` the covariance of the features
/// shrunk to its mean variance `m`, and `a` by Ledoit and Wolf (2004). Larger is better; at most classes - 1.
pub fn h_score(data: &Labelled) -> f64 {
    let (n, width) = (data.rows(), data.width);
    if n == 0 {
        return 0.0;
    }
    let mut x = data.features.clone();
    let mut mean = vec![0.0; width];
    for row in x.chunks_exact(width) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(m, v)| *m += v / n as f64);
    }
    for row in x.chunks_exact_mut(width) {
        row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m);
    }
    let share = |c: usize| data.labels.iter().filter(|&&l| l as usize == c).count();
    let counts: Vec<usize> = (0..data.classes).map(share).collect();
    let indicator = |c: usize| -> Vec<f64> {
        let labels = data.labels.iter();
        labels
            .map(|&l| f64::from(u8::from(l as usize == c)))
            .collect()
    };
    let targets: Vec<Vec<f64>> = (0..data.classes).map(indicator).collect();
    let spectrum = spectrum(&x, n, width, &targets);
    let (rows, all) = (n as f64, width as f64);
    let trace: f64 = spectrum.iter().map(|(s, _)| s / rows).sum();
    let squares: f64 = spectrum.iter().map(|(s, _)| (s / rows).powi(2)).sum();
    let middle = trace / all;
    // Ledoit and Wolf: how far the covariance is from its target, and how far single rows are from it.
    let far = squares - trace * trace / all;
    let fourth: f64 = x
        .chunks_exact(width)
        .map(|r| r.iter().map(|v| v * v).sum::<f64>().powi(2))
        .sum();
    let spread = (fourth / rows - squares) / rows;
    let a = if far > 0.0 {
        (spread / far).clamp(0.0, 1.0)
    } else {
        1.0
    };
    let mut score = 0.0;
    for (s, products) in &spectrum {
        let value = s / rows;
        for (c, p) in products.iter().enumerate().filter(|(c, _)| counts[*c] > 0) {
            // The class mean along this direction: sqrt(s) u y / n_c.
            let along = s.sqrt() * p / counts[c] as f64;
            let between = counts[c] as f64 / rows * along * along;
            score += (1.0 - a) * between / ((1.0 - a) * value + a * middle);
        }
    }
    score
}

/// `times` random halves of every class, rows in order.
pub fn halves(labels: &Labels, times: usize, random: Stream) -> Vec<Vec<u32>> {
    let mut by_class: Vec<Vec<u32>> = vec![Vec::new(); labels.names.len()];
    for (row, &class) in labels.classes.iter().enumerate() {
        by_class[class as usize].push(row as u32);
    }
    let half = |t: usize| {
        let mut rows = Vec::new();
        for (c, all) in by_class.iter().enumerate() {
            let order = random.at(t as u64).at(c as u64).permutation(all.len());
            rows.extend(
                order
                    .iter()
                    .take(all.len().div_ceil(2))
                    .map(|&i| all[i as usize]),
            );
        }
        rows.sort_unstable();
        rows
    };
    (0..times).map(half).collect()
}
