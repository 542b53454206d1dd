//! L2 logistic regression on feature vectors, each column divided by its deviation on the training rows. Columns are not centred, so that the
//! zeros of counts stay zeros; the bias does it.

use tlkit_core::baseline::{Baseline, Fitted};
use tlkit_core::data::{Domain, Input, Labels, Samples};
use tlkit_core::logistic::{Logistic, Sparse};
use tlkit_core::random::Stream;
use tlkit_core::train::Observer;
use tlkit_core::{Error, Result};

use crate::strength;

/// A logistic regression on the features themselves.
pub struct OnFeatures;

struct Known {
    deviation: Vec<f32>,
    fit: Logistic,
    inverse: f64,
}

impl Baseline for OnFeatures {
    fn suits(&self, input: &Input<'_>) -> bool {
        matches!(input, Input::Features(_))
    }

    fn fit(
        &self,
        train: &Domain<Labels>,
        random: Stream,
        observer: &dyn Observer,
    ) -> Result<Box<dyn Fitted>> {
        let deviation = deviation(train.inputs.as_ref())?;
        let rows = scaled(train.inputs.as_ref(), &deviation)?;
        let (fit, inverse) = strength::fit(&rows, &train.labels, random, observer)?;
        Ok(Box::new(Known {
            deviation,
            fit,
            inverse,
        }))
    }
}

impl Fitted for Known {
    fn words(&self) -> String {
        format!(
            "logistic regression on {} features, C = {}",
            self.deviation.len(),
            self.inverse
        )
    }

    fn logits(&self, inputs: &dyn Samples) -> Result<Vec<Vec<f32>>> {
        Ok(strength::logits(
            &self.fit,
            &scaled(inputs, &self.deviation)?,
        ))
    }
}

fn each(inputs: &dyn Samples, mut row: impl FnMut(&[f32])) -> Result<()> {
    for r in 0..inputs.len() {
        match inputs.input(r)? {
            Input::Features(f) => row(&f),
            other => {
                return Err(Error::msg(format!(
                    "expected a feature vector, found {}",
                    other.kind()
                )));
            }
        }
    }
    Ok(())
}

/// Of each column; 1 for one that is constant.
fn deviation(inputs: &dyn Samples) -> Result<Vec<f32>> {
    let (mut sum, mut square) = (Vec::new(), Vec::new());
    each(inputs, |f| {
        sum.resize(f.len(), 0.0f64);
        square.resize(f.len(), 0.0f64);
        for (c, &v) in f.iter().enumerate() {
            sum[c] += f64::from(v);
            square[c] += f64::from(v).powi(2);
        }
    })?;
    let n = inputs.len().max(1) as f64;
    let of = |(s, q): (&f64, &f64)| {
        let variance = (q / n - (s / n).powi(2)).max(0.0);
        // What is left of a constant column is rounding.
        let constant = variance <= 1e-10 * (q / n);
        if constant {
            1.0
        } else {
            variance.sqrt() as f32
        }
    };
    Ok(sum.iter().zip(&square).map(of).collect())
}

fn scaled(inputs: &dyn Samples, deviation: &[f32]) -> Result<Sparse> {
    let mut rows = Sparse::new(deviation.len().max(1));
    each(inputs, |f| {
        let there = f.iter().zip(deviation).enumerate();
        let there = there.filter(|(_, (v, _))| **v != 0.0);
        rows.push(there.map(|(c, (v, d))| (c as u32, v / d)));
    })?;
    Ok(rows)
}
