//! What answers on aligned features: a classifier fitted in closed form on the source's rows and labels.
//!
//! | head | what it is | its constant |
//! |---|---|---|
//! | `logistic` | multinomial logistic regression with an L2 penalty, on standardised features | `strength` |
//! | `1-nn` | the class of the nearest source row; nothing is chosen | |
//! | `svm` | a linear support vector machine, a class against the rest or each against each ([`super::svm`]) | `C` |
//!
//! A constant that is not given is chosen by five-fold cross-validation on the aligned *source* rows: target labels have no say.

use std::collections::BTreeMap;
use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::folds::{Predict, Stiffer, choose};
use tlkit_core::logistic::fit_logistic;
use tlkit_core::model::Map;
use tlkit_core::neighbours::Neighbours;
use tlkit_core::random::Stream;
use tlkit_core::recipe::Keys;

use super::matrix::{Mat, affine, centred, mean, row_major, tensor};
use super::svm;

/// Strengths of the logistic penalty that are tried.
const STRENGTHS: [f64; 7] = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0];
/// What is tried for `C`.
const COSTS: [f64; 6] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// The keys that [`Head::read`] reads.
pub(crate) const KEYS: [&str; 6] = [
    "head",
    "strength",
    "standardise",
    "cost",
    "classes",
    "distance",
];

/// A head as the recipe asks for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Head {
    /// Logistic regression.
    Logistic {
        strength: Option<f64>,
        standardise: bool,
    },
    /// The nearest row; by angle or by distance.
    Nearest { cosine: bool },
    /// Linear support vector machine.
    Svm { cost: Option<f64>, pairs: bool },
}

/// A head that was fitted.
pub(crate) struct Fitted {
    /// Aligned features to logits.
    pub map: Arc<dyn Map>,
    /// What was chosen.
    pub report: BTreeMap<String, f64>,
}

impl Head {
    /// From the keys of `[strategy]`.
    pub fn read(keys: &Keys) -> Head {
        let head = keys
            .string("head")
            .one_of(["logistic", "1-nn", "svm"])
            .default("logistic", "the usual one on frozen features")
            .help("what answers, fitted on the aligned source rows")
            .read();
        let strength = keys
            .f64("strength")
            .above(0.0)
            .help("of the logistic head's L2 penalty, on standardised features")
            .unset("chosen by five-fold cross-validation on the source")
            .optional();
        let standardise = keys
            .bool("standardise")
            .default(true, "the penalty is then the same for every feature")
            .help("whether the logistic head brings the source's features to mean 0 and deviation 1 (directions that a method made: to one deviation for all); words that are rare then count as much as others")
            .read();
        let cost = keys
            .f64("cost")
            .above(0.0)
            .help("the svm's C")
            .unset("chosen by five-fold cross-validation on the source")
            .optional();
        let classes = keys
            .string("classes")
            .one_of(["one-vs-rest", "one-vs-one"])
            .default("one-vs-rest", "as in LIBLINEAR; LIBSVM has one-vs-one")
            .help("of the svm with more than two classes")
            .read();
        let distance = keys
            .string("distance")
            .one_of(["euclidean", "cosine"])
            .default("euclidean", "the usual one")
            .help("of the 1-nn head")
            .read();
        let only = [
            ("strength", "logistic", strength.is_some()),
            ("standardise", "logistic", !standardise),
            ("cost", "svm", cost.is_some()),
            // The default stands in every recipe that was written out.
            ("classes", "svm", classes == "one-vs-one"),
            ("distance", "1-nn", distance == "cosine"),
        ];
        for (key, of, there) in only {
            if there && of != head {
                let this = format!("is of `head = \"{of}\"`");
                keys.conflict(
                    &[
                        (keys.at(key), this.as_str()),
                        (keys.at("head"), "which this is not"),
                    ],
                    format!("`{key}` does nothing here"),
                )
                .help(format!("take it out, or write `head = \"{of}\"`"));
            }
        }
        match head.as_str() {
            "1-nn" => Head::Nearest {
                cosine: distance == "cosine",
            },
            "svm" => Head::Svm {
                cost,
                pairs: classes == "one-vs-one",
            },
            _ => Head::Logistic {
                strength,
                standardise,
            },
        }
    }

    /// Fits it on aligned source rows; `made` where their columns are directions that a method made.
    pub fn fit(
        &self,
        (x, made): (&Mat, bool),
        y: &[u32],
        classes: usize,
        random: Stream,
    ) -> Result<Fitted> {
        let width = x.ncols();
        let mut report = BTreeMap::new();
        let order = random.purpose("folds").permutation(x.nrows());
        let map: Arc<dyn Map> = match self {
            Head::Nearest { cosine } => Arc::new(Neighbours::nearest(
                &tensor(x)?,
                y.to_vec(),
                classes,
                !cosine,
            )?),
            Head::Logistic {
                strength,
                standardise,
            } => {
                let (from, scale) = match (standardise, made) {
                    // Directions that a method made differ in how far they spread, and that is what it found: brought to one deviation each, those that
                    // hardly spread, which are noise, would count as much as the others.
                    (true, true) => (mean(x), vec![common(x); width]),
                    (true, false) => (mean(x), deviations(x)),
                    (false, _) => (vec![0.0; width], vec![1.0; width]),
                };
                let even = row_major(&divided(&centred(x, &from), &scale));
                let fit = |x: &[f64], y: &[u32], s: f64| fit_logistic(x, y, width, classes, s);
                let chosen = strength.unwrap_or_else(|| {
                    let (s, right) = choose(
                        &STRENGTHS,
                        Stiffer::Larger,
                        &even,
                        y,
                        width,
                        &order,
                        &|x, y, s| {
                            let fitted = fit(x, y, s);
                            Box::new(move |row: &[f64]| fitted.predict(row))
                        },
                    );
                    report.insert("cross_validation_accuracy".to_string(), right);
                    s
                });
                report.insert("strength".into(), chosen);
                let fitted = fit(&even, y, chosen);
                let weights = Mat::from_row_slice(classes, width, &fitted.weights);
                let a = divided(&weights, &scale).transpose();
                Arc::new(affine(&a, &from, &fitted.bias)?)
            }
            Head::Svm { cost, pairs } => {
                let flat = row_major(x);
                let random = random.purpose("svm");
                let rest = |x: &[f64], y: &[u32], c| svm::fit(x, y, width, classes, c, random);
                let each = |x: &[f64], y: &[u32], c| svm::pairs(x, y, width, classes, c, random);
                let chosen = cost.unwrap_or_else(|| {
                    let fit = |x: &[f64], y: &[u32], c: f64| -> Predict {
                        match pairs {
                            true => {
                                let fitted = each(x, y, c);
                                Box::new(move |row: &[f64]| fitted.predict(row))
                            }
                            false => {
                                let fitted = rest(x, y, c);
                                Box::new(move |row: &[f64]| fitted.predict(row))
                            }
                        }
                    };
                    let (c, right) =
                        choose(&COSTS, Stiffer::Smaller, &flat, y, width, &order, &fit);
                    report.insert("cross_validation_accuracy".to_string(), right);
                    c
                });
                report.insert("cost".into(), chosen);
                match pairs {
                    true => Arc::new(each(&flat, y, chosen)),
                    false => {
                        let fitted = rest(&flat, y, chosen);
                        let a = Mat::from_row_slice(classes, width, &fitted.weights).transpose();
                        Arc::new(affine(&a, &vec![0.0; width], &fitted.bias)?)
                    }
                }
            }
        };
        Ok(Fitted { map, report })
    }
}

/// Every column divided.
fn divided(x: &Mat, by: &[f64]) -> Mat {
    let mut x = x.clone();
    for (mut column, by) in x.column_iter_mut().zip(by) {
        column /= *by;
    }
    x
}

/// The deviation of every column; 1 for one that is constant: what rounding left of its mean is none.
fn deviations(x: &Mat) -> Vec<f64> {
    let (n, mean) = (x.nrows().max(1) as f64, mean(x));
    let of = |(column, m): (nalgebra::DVectorView<'_, f64>, &f64)| {
        let variance = column.iter().map(|v| (v - m).powi(2)).sum::<f64>() / n;
        match column.iter().all(|v| *v == column[0]) {
            true => 1.0,
            false => variance.sqrt(),
        }
    };
    x.column_iter().zip(&mean).map(of).collect()
}

/// One deviation for all columns, so that their mean square is 1.
fn common(x: &Mat) -> f64 {
    let all = deviations(x);
    let square = all.iter().map(|d| d * d).sum::<f64>() / all.len().max(1) as f64;
    match square > 0.0 {
        true => square.sqrt(),
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clouds that a line each tells apart, by a fixed formula.
    fn clouds() -> (Mat, Vec<u32>) {
        let noise = Stream::new(6).normals(180);
        let y: Vec<u32> = (0..90).map(|i| i % 3).collect();
        let at = [[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]];
        let x = Mat::from_fn(90, 2, |r, c| {
            at[r % 3][c] + 0.4 * f64::from(noise[2 * r + c])
        });
        (x, y)
    }

    #[test]
    fn every_head_learns_the_source() {
        let (x, y) = clouds();
        for head in [
            Head::Logistic {
                strength: None,
                standardise: true,
            },
            Head::Logistic {
                strength: None,
                standardise: false,
            },
            Head::Nearest { cosine: false },
            Head::Nearest { cosine: true },
            Head::Svm {
                cost: None,
                pairs: false,
            },
            Head::Svm {
                cost: None,
                pairs: true,
            },
        ] {
            let fitted = head.fit((&x, false), &y, 3, Stream::new(1)).unwrap();
            let logits = fitted.map.apply(&tensor(&x).unwrap()).unwrap();
            let answers = logits.argmax(1).unwrap().to_vec1::<u32>().unwrap();
            let right = answers.iter().zip(&y).filter(|(a, b)| a == b).count();
            assert!(right >= 88, "{head:?}: {right}");
        }
    }

    /// Of directions that a method made the ones that hardly spread are noise, and stay so.
    #[test]
    fn directions_that_hardly_spread_are_not_blown_up() {
        let (x, y) = clouds();
        let noise = Stream::new(7).normals(90 * 60);
        let wide = |rows: std::ops::Range<usize>| {
            Mat::from_fn(rows.len(), 62, |r, c| match c < 2 {
                true => x[(rows.start + r, c)],
                false => 1e-3 * f64::from(noise[60 * (rows.start + r) + c - 2]),
            })
        };
        let head = Head::Logistic {
            strength: Some(1e-2),
            standardise: true,
        };
        let (learned, asked) = (wide(0..30), wide(30..90));
        let right = |made: bool| {
            let fitted = head
                .fit((&learned, made), &y[..30], 3, Stream::new(1))
                .unwrap();
            let logits = fitted.map.apply(&tensor(&asked).unwrap()).unwrap();
            let answers = logits.argmax(1).unwrap().to_vec1::<u32>().unwrap();
            answers.iter().zip(&y[30..]).filter(|(a, b)| a == b).count()
        };
        let (made, plain) = (right(true), right(false));
        assert!(made >= 58 && plain < made, "{made} {plain}");
    }

    #[test]
    fn the_svm_is_where_its_dual_and_primal_meet() {
        // At the optimum the gap between primal and dual is zero: w = sum a y x, so the primal value is what says it.
        let (x, y) = clouds();
        let two: Vec<u32> = y.iter().map(|&c| u32::from(c == 0)).collect();
        let flat = row_major(&x);
        let svm = svm::fit(&flat, &two, 2, 2, 0.5, Stream::new(2));
        let objective = |w: &[f64], b: f64| {
            let hinge = |(row, &label): (&[f64], &u32)| {
                let side = if label == 1 { 1.0 } else { -1.0 };
                (1.0 - side * (w[0] * row[0] + w[1] * row[1] + b)).max(0.0)
            };
            let loss: f64 = flat.chunks(2).zip(&two).map(hinge).sum();
            0.5 * (w[0] * w[0] + w[1] * w[1] + b * b) + 0.5 * loss
        };
        let (w, b) = (&svm.weights[2..4], svm.bias[1]);
        let here = objective(w, b);
        // No step in any direction is better by more than the tolerance allows.
        for k in 0..16 {
            let angle = f64::from(k) * std::f64::consts::PI / 8.0;
            for length in [0.01, 0.1] {
                let (dw, db) = ([angle.cos() * length, angle.sin() * length], 0.3 * length);
                let there = objective(&[w[0] + dw[0], w[1] + dw[1]], b + db);
                assert!(there > here - 2e-3, "{k} {length}: {there} {here}");
            }
        }
        assert!((svm.weights[0] + svm.weights[2]).abs() < 1e-12);
    }
}
