//! A linear probe: a logistic regression on features that are computed once is the model's classifier. The penalty's strength is chosen by five-fold
//! cross-validation on the training rows (Kornblith et al. 2019 use the same head).
//!
//! It is all of `feature-extraction`, and under `train.linear_probe` where a fine-tuning begins: a head of random weights sends noise through the encoder
//! before it knows anything, and spoils features that were good (Kumar et al., Fine-tuning can distort pretrained features and underperform
//! out-of-distribution, ICLR 2022).

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use crate::data::From;
use crate::folds::{Stiffer, choose};
use crate::logistic::{Logistic, fit_logistic};
use crate::model::Model;
use crate::nn::Store;
use crate::strategy::{Fit, Infer};
use crate::{Error, Result};

/// The strengths that are tried, of the penalty on standardised features.
const STRENGTHS: [f64; 9] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0];

/// A logistic regression as the model's classifier: on features that stay, all there is to learn (a linear probe).
pub struct Probe {
    /// Whose labelled rows it is fitted on.
    pub rows: From,
    /// Of the penalty; none: the best of nine over five folds.
    pub strength: Option<f64>,
    /// Classes.
    pub classes: usize,
    /// What the names of its report begin with.
    pub called: &'static str,
}

impl Fit for Probe {
    fn shared(&self) -> Option<String> {
        let Probe {
            rows,
            strength,
            classes,
            ..
        } = self;
        Some(format!("{rows:?} {strength:?} {classes}"))
    }

    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        model: &mut Model,
        _: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        let features = infer.features(self.rows)?.to_dtype(DType::F64)?;
        let labels = infer.labels(self.rows)?.classes;
        let (rows, width) = features.dims2()?;
        let mut x = features.flatten_all()?.to_vec1::<f64>()?;
        let (mean, deviation) = standardise(&mut x, rows, width);
        let (strength, score) = match self.strength {
            Some(s) => (s, f64::NAN),
            None => choose(
                &STRENGTHS,
                Stiffer::Larger,
                &x,
                &labels,
                width,
                &infer.random("folds").permutation(rows),
                &|x, y, s| {
                    let fitted = fit_logistic(x, y, width, self.classes, s);
                    Box::new(move |row: &[f64]| fitted.predict(row))
                },
            ),
        };
        let fit = fit_logistic(&x, &labels, width, self.classes, strength);
        write(&fit, &mean, &deviation, width, model)?;
        let name = |what: &str| format!("{}{what}", self.called);
        let mut report: BTreeMap<String, f64> = [
            (name("strength"), strength),
            (name("iterations"), fit.iterations as f64),
        ]
        .into();
        if score.is_finite() {
            report.insert(name("cross_validation_accuracy"), score);
        }
        Ok(report)
    }
}

/// Whether the classifier is a linear map on the features: nothing between them has weights.
pub fn plain_head(model: &Model) -> bool {
    let chain = model.chain();
    let behind = &chain.stages()[chain.features() + 1..];
    behind.iter().rev().skip(1).all(|s| s.params().is_empty())
}

/// Makes every column's mean 0 and deviation 1; a constant column stays 0. Constant is what has one value: what a mean's rounding leaves of a large one is no
/// deviation, and that of values near 0 is one however small.
fn standardise(x: &mut [f64], rows: usize, width: usize) -> (Vec<f64>, Vec<f64>) {
    let mut mean = vec![0.0; width];
    let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); width];
    x.chunks_exact(width).for_each(|r| {
        for ((m, (low, high)), v) in mean.iter_mut().zip(&mut ends).zip(r) {
            *m += v / rows as f64;
            (*low, *high) = (low.min(*v), high.max(*v));
        }
    });
    for (m, (low, high)) in mean.iter_mut().zip(&ends) {
        if low == high {
            *m = *low;
        }
    }
    let mut square = vec![0.0; width];
    x.chunks_exact(width).for_each(|r| {
        square
            .iter_mut()
            .zip(r.iter().zip(&mean))
            .for_each(|(s, (v, m))| *s += (v - m).powi(2) / rows as f64)
    });
    let deviation: Vec<f64> = square
        .iter()
        .map(|s| if *s > 0.0 { s.sqrt() } else { 1.0 })
        .collect();
    x.chunks_exact_mut(width).for_each(|r| {
        r.iter_mut()
            .zip(mean.iter().zip(&deviation))
            .for_each(|(v, (m, d))| *v = (*v - m) / d)
    });
    (mean, deviation)
}

/// Puts the weights into the model's classifier, the standardisation folded in.
fn write(
    fit: &Logistic,
    mean: &[f64],
    deviation: &[f64],
    width: usize,
    model: &Model,
) -> Result<()> {
    let last = model
        .chain()
        .stages()
        .last()
        .map(|s| s.params())
        .unwrap_or_default();
    let [weight, bias] = &last[..] else {
        return Err(Error::msg("the classifier is not a linear map"));
    };
    let mut w = fit.weights.clone();
    let mut b = fit.bias.clone();
    for (row, b) in w.chunks_exact_mut(width).zip(&mut b) {
        for ((w, m), d) in row.iter_mut().zip(mean).zip(deviation) {
            *w /= d;
            *b -= *w * m;
        }
    }
    let like = |v: Vec<f64>, p: &crate::nn::Param| -> Result<Tensor> {
        Ok(Tensor::from_vec(v, p.dims(), p.var().device())?.to_dtype(p.var().dtype())?)
    };
    weight.var().set(&like(w, weight)?)?;
    bias.var().set(&like(b, bias)?)?;
    Ok(())
}
