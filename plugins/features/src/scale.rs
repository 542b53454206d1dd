//! Scaling of feature vectors: `scale = ["sum", "zscore"]`, the steps in their order.
//!
//! | step | what becomes of a row |
//! |---|---|
//! | `binary` | 1 where there is anything but 0 |
//! | `sum` | divided by the sum of its absolute values: a histogram of any size |
//! | `l2` | divided by its length |
//! | `zscore` | each column less its mean, by its deviation (n - 1), **of the row's own domain**; of the training rows where there is one domain |
//! | `source-zscore` | the same with the source's mean and deviation, for both domains |
//!
//! Mean and deviation of a target domain are those of the rows adapted on, whose labels have no part in them; other target rows are scaled by them too, and a
//! saved model keeps them. A row of zeros stays one, and so does a column without any spread.

use serde_json::{Value, json};
use tlkit_core::data::{Input, Samples};
use tlkit_core::recipe::Keys;
use tlkit_core::{Error, Result};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// 1 or 0.
    Binary,
    /// By the sum.
    Sum,
    /// By the length.
    L2,
    /// By column, with the domain's own mean and deviation.
    ZScore,
    /// By column, with the source's.
    SourceZScore,
}

/// Names in a recipe.
const NAMES: [(&str, Step); 5] = [
    ("binary", Step::Binary),
    ("sum", Step::Sum),
    ("l2", Step::L2),
    ("zscore", Step::ZScore),
    ("source-zscore", Step::SourceZScore),
];

/// A column's mean and deviation, one of each a column.
#[derive(Clone, Debug, PartialEq)]
struct Standard {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

/// Steps, and what those that look at a domain found there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scale {
    steps: Vec<(Step, Option<Standard>)>,
}

impl Scale {
    /// From the key `scale`.
    pub fn read(keys: &Keys) -> Scale {
        let known: Vec<&str> = NAMES.iter().map(|(n, _)| *n).collect();
        let words = known.join(", ");
        let names = keys
            .one_or_more("scale")
            .help("what is done to each row, in order: binary, sum, l2, zscore (of its own domain), source-zscore")
            .example("zscore")
            .check(move |names| {
                match names.iter().find(|n| !known.contains(&n.as_str())) {
                    None => Ok(()),
                    Some(name) => Err(format!("steps out of {words}; `{name}` is none")),
                }
            })
            .unset("the numbers as they are")
            .optional()
            .unwrap_or_default();
        let step = |name: &String| {
            NAMES
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, s)| (*s, None))
        };
        Scale {
            steps: names.iter().filter_map(step).collect(),
        }
    }

    /// One row.
    pub fn row(&self, row: &[f32]) -> Vec<f32> {
        if self.steps.is_empty() {
            return row.to_vec();
        }
        let mut values: Vec<f64> = row.iter().map(|v| f64::from(*v)).collect();
        self.first(self.steps.len(), &mut values);
        values.into_iter().map(|v| v as f32).collect()
    }

    /// The first steps.
    fn first(&self, steps: usize, values: &mut [f64]) {
        for (step, standard) in &self.steps[..steps] {
            let by = match step {
                Step::Binary => {
                    values
                        .iter_mut()
                        .for_each(|v| *v = f64::from(u8::from(*v != 0.0)));
                    continue;
                }
                Step::ZScore | Step::SourceZScore => {
                    // Without a domain to look at (the audit's passes) there is nothing to take off.
                    if let Some(s) = standard {
                        let columns = values.iter_mut().zip(s.mean.iter().zip(&s.deviation));
                        columns.for_each(|(v, (m, d))| *v = (*v - m) / d);
                    }
                    continue;
                }
                Step::Sum => values.iter().map(|v| v.abs()).sum::<f64>(),
                Step::L2 => values.iter().map(|v| v * v).sum::<f64>().sqrt(),
            };
            if by > 0.0 {
                values.iter_mut().for_each(|v| *v /= by);
            }
        }
    }

    /// Whether a domain has a say.
    fn looks(&self) -> bool {
        let of_domain =
            |(s, _): &(Step, Option<Standard>)| matches!(s, Step::ZScore | Step::SourceZScore);
        self.steps.iter().any(of_domain)
    }

    /// For one domain. `source` is the source domain where this one is another.
    pub fn fitted(&self, own: &dyn Samples, source: Option<&dyn Samples>) -> Result<Option<Scale>> {
        if !self.looks() {
            return Ok(None);
        }
        let mut fitted = self.clone();
        // The source's rows pass through steps of their own: a `zscore` before a `source-zscore` is the source's there.
        let of_source = match source {
            Some(source) => self.fitted(source, None)?,
            None => None,
        };
        for i in 0..fitted.steps.len() {
            let found = match (fitted.steps[i].0, &of_source, source) {
                (Step::ZScore, ..) => fitted.standard(i, own)?,
                (Step::SourceZScore, Some(scale), _) => scale.steps[i].1.clone(),
                // Without the source's rows what a saved model brought is kept.
                (Step::SourceZScore, None, _) if fitted.steps[i].1.is_some() => continue,
                (Step::SourceZScore, ..) => fitted.standard(i, own)?,
                _ => continue,
            };
            fitted.steps[i].1 = found;
        }
        Ok(Some(fitted))
    }

    /// Mean and deviation after the first steps.
    fn standard(&self, steps: usize, rows: &dyn Samples) -> Result<Option<Standard>> {
        let n = rows.len();
        let mut mean: Vec<f64> = Vec::new();
        let mut square: Vec<f64> = Vec::new();
        let mut ends: Vec<(f64, f64)> = Vec::new();
        // Two passes, rows in order: the same bits each time.
        for pass in 0..2 {
            for row in 0..n {
                let mut values: Vec<f64> = match rows.input(row)? {
                    Input::Features(f) => f.iter().map(|v| f64::from(*v)).collect(),
                    other => {
                        return Err(Error::msg(format!(
                            "`scale` is of feature vectors, and this is {}",
                            other.kind()
                        )));
                    }
                };
                self.first(steps, &mut values);
                if mean.is_empty() {
                    mean = vec![0.0; values.len()];
                    square = vec![0.0; values.len()];
                    ends = vec![(f64::INFINITY, f64::NEG_INFINITY); values.len()];
                }
                match pass {
                    0 => {
                        for ((m, (low, high)), v) in mean.iter_mut().zip(&mut ends).zip(&values) {
                            *m += v / n as f64;
                            (*low, *high) = (low.min(*v), high.max(*v));
                        }
                    }
                    _ => square
                        .iter_mut()
                        .zip(values.iter().zip(&mean))
                        .for_each(|(s, (v, m))| *s += (v - m).powi(2)),
                }
            }
        }
        // A column of one value has no spread, and what rounding left of its mean is none.
        let of = |(s, (low, high)): (&f64, &(f64, f64))| match low == high {
            true => 1.0,
            false => (s / n.saturating_sub(1).max(1) as f64).sqrt(),
        };
        let deviation = square.iter().zip(&ends).map(of).collect();
        for (m, (low, high)) in mean.iter_mut().zip(&ends) {
            if low == high {
                *m = *low;
            }
        }
        Ok(Some(Standard { mean, deviation }))
    }

    /// A text that changes whenever the outcome does.
    pub fn digest(&self) -> String {
        format!("{:?}", self.steps)
    }

    /// What was found in a domain, for a saved model; none where nothing was looked for.
    pub fn state(&self) -> Option<Value> {
        let of = |(_, s): &(Step, Option<Standard>)| match s {
            Some(s) => json!({ "mean": s.mean, "deviation": s.deviation }),
            None => Value::Null,
        };
        self.looks().then(|| self.steps.iter().map(of).collect())
    }

    /// With what [`Scale::state`] gave.
    pub fn restored(&self, state: &Value) -> Result<Scale> {
        let wrong = || Error::msg("the saved scaling is not of these steps");
        let all = state
            .as_array()
            .filter(|a| a.len() == self.steps.len())
            .ok_or_else(wrong)?;
        let mut scale = self.clone();
        for ((_, standard), value) in scale.steps.iter_mut().zip(all) {
            let numbers = |name: &str| -> Result<Vec<f64>> {
                serde_json::from_value(value[name].clone()).map_err(|_| wrong())
            };
            *standard = match value {
                Value::Null => None,
                _ => Some(Standard {
                    mean: numbers("mean")?,
                    deviation: numbers("deviation")?,
                }),
            };
        }
        Ok(scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows(Vec<Vec<f32>>);

    impl Samples for Rows {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn id(&self, row: usize) -> String {
            row.to_string()
        }
        fn input(&self, row: usize) -> Result<Input<'_>> {
            Ok(Input::Features((&self.0[row]).into()))
        }
    }

    fn steps(steps: &[Step]) -> Scale {
        Scale {
            steps: steps.iter().map(|s| (*s, None)).collect(),
        }
    }

    #[test]
    fn rows_by_themselves() {
        assert_eq!(steps(&[Step::Sum]).row(&[1.0, -3.0]), [0.25, -0.75]);
        assert_eq!(steps(&[Step::L2]).row(&[3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(
            steps(&[Step::Binary, Step::Sum]).row(&[5.0, 0.0, 2.0]),
            [0.5, 0.0, 0.5]
        );
        // A row of zeros has nothing to be divided by.
        assert_eq!(steps(&[Step::Sum, Step::L2]).row(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn each_domain_by_its_own_mean_and_deviation() {
        let source = Rows(vec![vec![1.0, 7.0], vec![3.0, 7.0]]);
        let target = Rows(vec![vec![10.0, 1.0], vec![30.0, 3.0]]);
        let own = steps(&[Step::ZScore])
            .fitted(&target, Some(&source))
            .unwrap()
            .unwrap();
        let half = 0.5f32.sqrt();
        assert_eq!(own.row(&[10.0, 3.0]), [-half, half]);
        let of_source = steps(&[Step::SourceZScore]);
        let of_source = of_source.fitted(&target, Some(&source)).unwrap().unwrap();
        // The source's second column has no spread: its mean is taken off, and no more.
        assert_eq!(of_source.row(&[2.0, 9.0]), [0.0, 2.0]);
        assert_ne!(own.digest(), of_source.digest());
        assert_eq!(steps(&[Step::L2]).fitted(&target, None).unwrap(), None);
    }

    #[test]
    fn what_was_found_is_kept() {
        let rows = Rows(vec![vec![1.0, 0.3], vec![2.5, 0.1], vec![0.7, 0.9]]);
        let plain = steps(&[Step::Sum, Step::ZScore]);
        let fitted = plain.fitted(&rows, None).unwrap().unwrap();
        let again = plain.restored(&fitted.state().unwrap()).unwrap();
        assert_eq!(again, fitted);
        assert!(
            steps(&[Step::ZScore])
                .restored(&fitted.state().unwrap())
                .is_err()
        );
    }
}
