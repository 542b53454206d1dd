//! Logistic regression whose penalty is chosen by five-fold cross-validation on the training rows.

use rayon::prelude::*;
use tlkit_core::data::{Fold, Labels};
use tlkit_core::logistic::{Logistic, Rows, Sparse, fit_rows};
use tlkit_core::random::Stream;
use tlkit_core::train::Observer;
use tlkit_core::{Error, Result};

/// The inverse strengths that are tried, in scikit-learn's units (`C`: against the sum of the losses), from strong penalties to weak ones: each
/// fit begins where the last one ended.
const INVERSE: [f64; 8] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];

/// Slopes that the fits of the folds stop at, and the last one.
const ROUGH: f64 = 1e-4;
const FINE: f64 = 1e-6;

/// The fit, and the `C` that was chosen.
pub(crate) fn fit(
    x: &Sparse,
    labels: &Labels,
    random: Stream,
    observer: &dyn Observer,
) -> Result<(Logistic, f64)> {
    let classes = labels.names.len();
    let of = 5.min(labels.classes.len());
    let seed = random.purpose("folds").key();
    let mut best = INVERSE[3];
    if of >= 2 {
        let folds: Vec<Vec<(usize, f64)>> = (0..of)
            .into_par_iter()
            .map(|index| path(x, labels, Fold { index, of }, seed, observer))
            .collect::<Result<_>>()?;
        let total = |i: usize| {
            folds
                .iter()
                .fold((0, 0.0), |(right, loss), f| (right + f[i].0, loss + f[i].1))
        };
        let scores: Vec<(usize, f64)> = (0..INVERSE.len()).map(total).collect();
        // The most rows right; the stronger penalty among equals.
        let most = scores.iter().map(|s| s.0).max().unwrap_or(0);
        let at = scores.iter().position(|s| s.0 == most).unwrap_or(3);
        best = INVERSE[at];
    }
    let strength = strength(best, x.len(), classes);
    Ok((
        fit_rows(x, &labels.classes, classes, strength, FINE, None),
        best,
    ))
}

/// The penalty of core's mean loss. scikit-learn fits two classes as one vector, which halves it.
fn strength(inverse: f64, rows: usize, classes: usize) -> f64 {
    let halved = if classes == 2 { 2.0 } else { 1.0 };
    halved / (inverse * rows as f64)
}

/// Right predictions and log-loss of one fold for each strength.
fn path(
    x: &Sparse,
    labels: &Labels,
    fold: Fold,
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<(usize, f64)>> {
    let parts = fold.part(labels, seed);
    let rows = |part: &[u32]| x.pick(&part.iter().map(|&r| r as usize).collect::<Vec<_>>());
    let (train, held) = (rows(&parts.train), rows(&parts.test));
    let (y, truth) = (labels.pick(&parts.train), labels.pick(&parts.test));
    let classes = labels.names.len();
    let mut last: Option<Logistic> = None;
    let mut scores = Vec::with_capacity(INVERSE.len());
    for inverse in INVERSE {
        if observer.stopping() {
            return Err(Error::Stopped { step: 0 });
        }
        let s = strength(inverse, train.len(), classes);
        let fit = fit_rows(&train, &y.classes, classes, s, ROUGH, last.as_ref());
        let mut score = (0, 0.0);
        for (row, &t) in truth.classes.iter().enumerate() {
            let logits = fit.scores(&held, row);
            let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|l| (l - top).exp()).sum();
            score.0 += usize::from(fit.predict_row(&held, row) == t);
            score.1 += sum.ln() + top - logits[t as usize];
        }
        scores.push(score);
        last = Some(fit);
    }
    Ok(scores)
}

/// The scores of rows as logits.
pub(crate) fn logits(fit: &Logistic, rows: &Sparse) -> Vec<Vec<f32>> {
    (0..rows.len())
        .map(|row| {
            fit.scores(rows, row)
                .into_iter()
                .map(|s| s as f32)
                .collect()
        })
        .collect()
}
