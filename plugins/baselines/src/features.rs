//! L2 logistic regression on feature vectors, each column divided by its deviation on the training rows. Columns are not centred unless they lie far from
//! 0, so that the zeros of counts stay zeros; the bias does it.

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
    columns: Vec<Column>,
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
        let columns = columns(train.inputs.as_ref())?;
        let rows = scaled(train.inputs.as_ref(), &columns)?;
        let (fit, inverse) = strength::fit(&rows, &train.labels, random, observer)?;
        Ok(Box::new(Known {
            columns,
            fit,
            inverse,
        }))
    }
}

impl Fitted for Known {
    fn words(&self) -> String {
        format!(
            "logistic regression on {} features, C = {}",
            self.columns.len(),
            self.inverse
        )
    }

    fn logits(&self, inputs: &dyn Samples) -> Result<Vec<Vec<f32>>> {
        Ok(strength::logits(&self.fit, &scaled(inputs, &self.columns)?))
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

/// How a column is brought to size.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// What is taken off: the mean where the values lie far from 0 and close together, such as numbers of orders or seconds since 1970. Else nothing, so that a 0
    /// stays a 0.
    off: f32,
    /// What it is divided by: the deviation; 1 of a constant one.
    by: f32,
}

/// Means that are so many deviations from 0 are taken off.
const FAR: f64 = 1e3;

fn columns(inputs: &dyn Samples) -> Result<Vec<Column>> {
    let n = inputs.len().max(1) as f64;
    let (mut mean, mut ends) = (Vec::new(), Vec::new());
    each(inputs, |f| {
        mean.resize(f.len(), 0.0f64);
        ends.resize(f.len(), (f32::INFINITY, f32::NEG_INFINITY));
        for ((m, (low, high)), v) in mean.iter_mut().zip(&mut ends).zip(f) {
            *m += f64::from(*v) / n;
            (*low, *high) = (low.min(*v), high.max(*v));
        }
    })?;
    let mut square = vec![0.0f64; mean.len()];
    each(inputs, |f| {
        for ((s, m), v) in square.iter_mut().zip(&mean).zip(f) {
            *s += (f64::from(*v) - m).powi(2);
        }
    })?;
    let of = |((m, s), (low, high)): ((&f64, &f64), &(f32, f32))| {
        let deviation = (s / n).sqrt();
        match low == high {
            // Equal values say nothing, and what rounding left of their mean is no deviation.
            true => Column { off: 0.0, by: 1.0 },
            false => Column {
                off: if m.abs() > FAR * deviation {
                    *m as f32
                } else {
                    0.0
                },
                by: deviation as f32,
            },
        }
    };
    Ok(mean.iter().zip(&square).zip(&ends).map(of).collect())
}

fn scaled(inputs: &dyn Samples, columns: &[Column]) -> Result<Sparse> {
    let mut rows = Sparse::new(columns.len().max(1));
    each(inputs, |f| {
        let there = f.iter().zip(columns).enumerate();
        let there = there.map(|(i, (v, c))| (i as u32, (v - c.off) / c.by));
        rows.push(there.filter(|(_, v)| *v != 0.0));
    })?;
    Ok(rows)
}
