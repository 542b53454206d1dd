//! A bootstrap over rows (Efron 1979): the scores of many draws of as many rows, with replacement.

use rayon::prelude::*;

use super::argmax;
use super::auroc::Ranked;
use super::calibration::{BINS, bin_of};
use super::classification::floored;
use super::counts::Counts;
use crate::random::Stream;

/// Beyond so many scores (rows x classes) the areas under the curves are not drawn again: the time would be minutes.
const MOST_AREAS: usize = 1_000_000;

/// Scores of the draws, a list each, in the order of the draws. What a draw leaves undefined is NaN.
#[derive(Clone, Debug, Default)]
pub(super) struct Draws {
    pub macro_f1: Vec<f64>,
    pub macro_precision: Vec<f64>,
    pub macro_recall: Vec<f64>,
    pub mcc: Vec<f64>,
    pub ece: Vec<f64>,
    pub loss: Vec<f64>,
    pub auroc: Vec<f64>,
    /// By class.
    pub precision: Vec<Vec<f64>>,
    pub f1: Vec<Vec<f64>>,
    pub class_auroc: Vec<Vec<f64>>,
}

/// What of a row the scores need.
struct Row {
    truth: usize,
    said: usize,
    sure: f64,
    bin: usize,
    loss: f64,
}

/// The areas that are asked for: by class, or for the second of two classes alone, which is both.
pub(super) fn ranked(probabilities: &[Vec<f32>], truth: &[u32], classes: usize) -> Vec<Ranked> {
    let of = |class: usize| {
        Ranked::new(
            truth.len(),
            |r| probabilities[r][class],
            |r| truth[r] as usize == class,
        )
    };
    match classes {
        2 => vec![of(1)],
        n => (0..n).into_par_iter().map(of).collect(),
    }
}

/// The mean over the areas that are defined; NaN where none is.
pub(super) fn mean_area(areas: impl Iterator<Item = Option<f64>>) -> f64 {
    let (sum, n) = areas
        .flatten()
        .fold((0.0, 0.0), |(sum, n), a| (sum + a, n + 1.0));
    sum / n
}

/// Draws. A function of its arguments alone: each draw has a stream of its own, whatever the number of threads.
pub(super) fn draw(
    probabilities: &[Vec<f32>],
    truth: &[u32],
    classes: usize,
    ranked: &[Ranked],
    random: Stream,
    times: usize,
) -> Draws {
    let n = truth.len();
    let rows: Vec<Row> = probabilities
        .iter()
        .zip(truth)
        .map(|(p, &t)| {
            let (said, sure) = argmax(p);
            Row {
                truth: t as usize,
                said,
                sure: f64::from(sure),
                bin: bin_of(sure),
                loss: -floored(p[t as usize]).ln(),
            }
        })
        .collect();
    let mut whole = Counts::new(classes);
    rows.iter().for_each(|r| whole.add(r.truth, r.said, 1.0));
    let areas = if n * classes <= MOST_AREAS {
        ranked
    } else {
        &[]
    };
    let one = |b: usize| -> (Counts, [f64; 2], Vec<Option<f64>>) {
        let stream = random.at(b as u64);
        let mut weight = vec![0u32; n];
        for i in 0..n as u64 {
            weight[stream.below(i, n as u64) as usize] += 1;
        }
        let mut counts = Counts::new(classes);
        let mut bins = [0.0f64; BINS];
        let mut loss = 0.0;
        for (row, &w) in rows.iter().zip(&weight).filter(|&(_, &w)| w > 0) {
            let w = f64::from(w);
            counts.add(row.truth, row.said, w);
            bins[row.bin] += w * (row.sure - f64::from(u8::from(row.truth == row.said)));
            loss += w * row.loss;
        }
        let ece = bins.iter().map(|b| b.abs()).sum::<f64>() / n as f64;
        let area = |r: &Ranked| r.area(|row| f64::from(weight[row]));
        (
            counts,
            [ece, loss / n as f64],
            areas.iter().map(area).collect(),
        )
    };
    let drawn: Vec<_> = (0..times).into_par_iter().map(one).collect();
    // A class that rows are of, yet none in a draw, has no score in that draw, whatever was taken for it; one that no row is of counts 0 in all.
    let mean = |c: &Counts, score: fn(&Counts, usize) -> f64| {
        c.mean(score, |class| {
            c.truth[class] > 0.0 || whole.truth[class] == 0.0
        })
    };
    let by_class = |score: fn(&Counts, usize) -> f64, defined: fn(&Counts, usize) -> bool| {
        let values = |class: usize| {
            let value = |(c, ..): &(Counts, [f64; 2], Vec<Option<f64>>)| match defined(c, class) {
                true => score(c, class),
                false => f64::NAN,
            };
            drawn.iter().map(value).collect()
        };
        (0..classes).map(values).collect()
    };
    let area = |i: usize| {
        drawn
            .iter()
            .map(|(.., a)| a[i].unwrap_or(f64::NAN))
            .collect()
    };
    Draws {
        macro_f1: drawn.iter().map(|(c, ..)| mean(c, Counts::f1)).collect(),
        macro_precision: drawn
            .iter()
            .map(|(c, ..)| mean(c, Counts::precision))
            .collect(),
        macro_recall: drawn
            .iter()
            .map(|(c, ..)| mean(c, Counts::recall))
            .collect(),
        mcc: drawn.iter().map(|(c, ..)| c.mcc()).collect(),
        ece: drawn.iter().map(|(_, [ece, _], _)| *ece).collect(),
        loss: drawn.iter().map(|(_, [_, loss], _)| *loss).collect(),
        auroc: drawn
            .iter()
            .map(|(.., a)| mean_area(a.iter().copied()))
            .collect(),
        precision: by_class(Counts::precision, |c, k| c.said[k] > 0.0),
        f1: by_class(Counts::f1, |c, k| c.truth[k] > 0.0),
        class_auroc: (0..areas.len()).map(area).collect(),
    }
}
