//! Which shares the classes would have on the target, if the classes looked alike in both domains and only their shares had changed.
//!
//! The source's own confusions are known by cross-validation, `c(said | true)`. The shares `w` under which the target's answers are
//! likeliest are the maximum of `sum said n(said) ln sum true c(said | true) w(true)`, found by expectation-maximisation: BBSE's equation (Lipton, Wang & Smola
//! 2018) without negative shares. Whether the answers are other than the source's shares explain is asked by a chi-squared test.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::{LEVEL, Table};
use crate::logistic::{Dense, Logistic, fit_rows};
use crate::random::Stream;

/// The penalty of the classifier on standardised features.
const STRENGTH: f64 = 0.03;
/// Rounds of expectation-maximisation.
const ROUNDS: usize = 2000;

/// A classifier's answers on rows that it did not learn from.
pub(super) struct Folds {
    /// One a source row.
    pub said: Vec<u32>,
    /// Share that is right.
    pub accuracy: f64,
}

fn fit(x: &[f64], y: &[u32], width: usize, classes: usize) -> Logistic {
    fit_rows(
        &Dense { values: x, width },
        y,
        classes,
        STRENGTH,
        1e-5,
        None,
    )
}

impl Folds {
    /// Five folds of the source.
    pub fn of(source: Table<'_>, labels: &[u32], classes: usize, random: Stream) -> Folds {
        let n = labels.len();
        let order = random.permutation(n);
        let mut said = vec![0; n];
        for k in 0..5.min(n) {
            let (mut x, mut y, mut held) = (Vec::new(), Vec::new(), Vec::new());
            for (i, &row) in order.iter().enumerate() {
                match i % 5 == k {
                    true => held.push(row as usize),
                    false => {
                        x.extend_from_slice(source.row(row as usize));
                        y.push(labels[row as usize]);
                    }
                }
            }
            let fitted = fit(&x, &y, source.width, classes);
            held.iter()
                .for_each(|&r| said[r] = fitted.predict(source.row(r)));
        }
        let right = said.iter().zip(labels).filter(|(a, b)| a == b).count();
        Folds {
            accuracy: right as f64 / n.max(1) as f64,
            said,
        }
    }
}

/// One class's share of the rows.
#[derive(Clone, Debug, Serialize)]
pub struct ClassShare {
    /// The class.
    pub class: String,
    /// Among the source's rows.
    pub source: f64,
    /// Estimated for the target's.
    pub target: f64,
}

/// Shares of classes.
#[derive(Clone, Debug, Serialize)]
pub struct LabelShift {
    /// By class.
    pub shares: Vec<ClassShare>,
    /// Half the sum of the shares' differences: the share of rows that would have to change class.
    pub distance: f64,
    /// Of the chi-squared test that the answers on the target are distributed as on the source.
    pub p: f64,
    /// Share of the target's answers that no shares of classes explain: the answers differ for another reason. 0 where all is explained.
    pub unexplained: f64,
}

/// Less of the rows than this is not worth a correction.
const WORTH: f64 = 0.05;
/// Less of the answers than this may be left to chance.
const UNEXPLAINED: f64 = 0.02;

impl LabelShift {
    /// Whether the answers lean to other classes, by more than chance and enough to matter.
    pub(super) fn leans(&self) -> bool {
        self.p < LEVEL && self.distance >= WORTH
    }

    /// Whether shares of classes explain the answers.
    pub(super) fn explains(&self) -> bool {
        self.unexplained < UNEXPLAINED
    }

    pub(super) fn of(
        folds: &Folds,
        source: Table<'_>,
        labels: &[u32],
        names: &[String],
        target: Table<'_>,
    ) -> LabelShift {
        let classes = names.len();
        let fitted = fit(source.values, labels, source.width, classes);
        let mut said = vec![0.0; classes];
        for row in 0..target.rows() {
            said[fitted.predict(target.row(row)) as usize] += 1.0;
        }
        let (n, m) = (labels.len().max(1) as f64, target.rows().max(1) as f64);
        // c(said | true), a little of everything everywhere so that no answer is impossible.
        let mut confusion = vec![vec![0.5 / classes as f64; classes]; classes];
        let (mut prior, mut answers) = (vec![0.0; classes], vec![0.0; classes]);
        for (&s, &t) in folds.said.iter().zip(labels) {
            confusion[t as usize][s as usize] += 1.0;
            prior[t as usize] += 1.0 / n;
            answers[s as usize] += 1.0;
        }
        for row in &mut confusion {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|v| *v /= sum);
        }
        let mut shares = vec![1.0 / classes as f64; classes];
        for _ in 0..ROUNDS {
            let mut next = vec![0.0; classes];
            for (s, count) in said.iter().enumerate() {
                let of = |t: usize| confusion[t][s] * shares[t];
                let all: f64 = (0..classes).map(of).sum();
                (0..classes).for_each(|t| next[t] += count / m * of(t) / all.max(1e-300));
            }
            shares = next;
        }
        let explained = |s: usize| -> f64 {
            (0..classes)
                .map(|t| confusion[t][s] * shares[t])
                .sum::<f64>()
        };
        let unexplained = 0.5
            * (0..classes)
                .map(|s| (said[s] / m - explained(s)).abs())
                .sum::<f64>();
        let distance = 0.5
            * prior
                .iter()
                .zip(&shares)
                .map(|(a, b)| (a - b).abs())
                .sum::<f64>();
        let class = |((name, source), target): ((&String, f64), f64)| ClassShare {
            class: name.clone(),
            source,
            target,
        };
        LabelShift {
            distance,
            p: alike(&answers, &said),
            unexplained,
            shares: names.iter().zip(prior).zip(shares).map(class).collect(),
        }
    }
}

/// The chi-squared test that two rows of counts come from one distribution.
fn alike(a: &[f64], b: &[f64]) -> f64 {
    let (n, m): (f64, f64) = (a.iter().sum(), b.iter().sum());
    let (mut statistic, mut cells) = (0.0, 0usize);
    for (x, y) in a.iter().zip(b) {
        let all = x + y;
        if all == 0.0 {
            continue;
        }
        cells += 1;
        let (e, f) = (all * n / (n + m), all * m / (n + m));
        statistic += (x - e).powi(2) / e + (y - f).powi(2) / f;
    }
    match ChiSquared::new(cells.saturating_sub(1) as f64) {
        Ok(chi) if cells > 1 => 1.0 - chi.cdf(statistic),
        _ => 1.0,
    }
}
