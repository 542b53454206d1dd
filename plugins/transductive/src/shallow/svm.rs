//! A linear support vector machine by dual coordinate descent (Hsieh, Chang, Lin, Keerthi & Sundararajan 2008): a class against the rest, or each
//! class against each other ([`pairs`]).
//!
//! For each class, with `y = 1` for its rows and `-1` for all others, what is minimised is `|w|^2 / 2 + C sum max(0, 1 - y (w x + b))`,
//! the hinge loss. The bias is the weight of a column of ones, as in LIBLINEAR, and so belongs to `|w|`. One coordinate of the dual,
//! `min a Q a / 2 - sum a` with `0 <= a <= C`, is solved at a time, in an order drawn anew each round by the seed. It ends when the largest
//! and the smallest projected gradient of a round are within `0.01`, or after 1,000 rounds.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use tlkit_core::Result;
use tlkit_core::model::Map;
use tlkit_core::random::Stream;
use tlkit_core::strategy::State;
use tlkit_ops::vectors::{add_scaled, dot};

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
                add_scaled(&mut w, by, v);
                b += by;
            }
        }
        if high - low < TOLERANCE {
            break;
        }
    }
    (w, b)
}

/// Each class against each other, as LIBSVM and Knerr, Personnaz & Dreyfus 1990 have it: a machine for each pair of classes `a < b`, fitted on the
/// rows of these two alone, whose positive side is `a`. Classes without rows stand against nobody. `bias` and `weights` are one a pair.
pub(crate) fn pairs(
    x: &[f64],
    y: &[u32],
    width: usize,
    classes: usize,
    c: f64,
    random: Stream,
) -> Pairs {
    let of = |class: usize| -> Vec<usize> {
        let rows = y.iter().enumerate();
        rows.filter(|(_, k)| **k as usize == class)
            .map(|(row, _)| row)
            .collect()
    };
    let rows: Vec<Vec<usize>> = (0..classes).map(of).collect();
    let there = |k: &usize| !rows[*k].is_empty();
    let between: Vec<(usize, usize)> = (0..classes)
        .filter(there)
        .flat_map(|a| (a + 1..classes).filter(there).map(move |b| (a, b)))
        .collect();
    let one = |&(a, b): &(usize, usize)| {
        let both: Vec<usize> = rows[a].iter().chain(&rows[b]).copied().collect();
        let x: Vec<f64> = both
            .iter()
            .flat_map(|&r| &x[r * width..(r + 1) * width])
            .copied()
            .collect();
        let squares: Vec<f64> = x.chunks_exact(width).map(|r| 1.0 + dot(r, r)).collect();
        let first = rows[a].len();
        let side = |row: usize| if row < first { 1.0 } else { -1.0 };
        let stream = random.at((a * classes + b) as u64);
        binary(&x, &side, &squares, width, c, stream)
    };
    let fitted: Vec<(Vec<f64>, f64)> = between.par_iter().map(one).collect();
    let (weights, bias): (Vec<_>, Vec<_>) = fitted.into_iter().unzip();
    Pairs {
        classes,
        between,
        machines: Svm {
            weights: weights.concat(),
            bias,
        },
    }
}

/// A machine for each pair of classes; they vote.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    classes: usize,
    /// The classes of each machine: the positive side, the negative.
    between: Vec<(usize, usize)>,
    machines: Svm,
}

impl Pairs {
    /// What a class has: a vote from each machine that says it; among equals the sum of what its machines say, brought below a third, decides, as in
    /// scikit-learn. `said` is one number a pair.
    fn tally(&self, said: &[f64]) -> Vec<f64> {
        let (mut votes, mut sums) = (vec![0.0; self.classes], vec![0.0; self.classes]);
        for (&(a, b), &v) in self.between.iter().zip(said) {
            votes[if v > 0.0 { a } else { b }] += 1.0;
            sums[a] += v;
            sums[b] -= v;
        }
        let all = votes.iter().zip(sums);
        all.map(|(vote, sum)| vote + sum / (3.0 * (sum.abs() + 1.0)))
            .collect()
    }

    /// What each machine says of a row: above 0 for its first class.
    pub fn said(&self, x: &[f64]) -> Vec<f64> {
        let machines = self.machines.weights.chunks_exact(x.len());
        let all = self.machines.bias.iter().zip(machines);
        all.map(|(bias, weights)| bias + dot(weights, x)).collect()
    }

    /// The class with the most votes.
    pub fn predict(&self, x: &[f64]) -> u32 {
        let tally = self.tally(&self.said(x));
        let best = tally.iter().enumerate();
        best.fold((0, f64::NEG_INFINITY), |best, (k, &s)| {
            if s > best.1 { (k, s) } else { best }
        })
        .0 as u32
    }

    /// A map by this name.
    pub const KIND: &str = "one-vs-one";

    /// The inverse of [`Map::save`].
    pub fn load(state: &State) -> Result<Arc<dyn Map>> {
        let read = |name: &str| -> Result<Vec<f64>> {
            let t = state.tensor(name)?.to_dtype(DType::F64)?;
            Ok(t.flatten_all()?.to_vec1()?)
        };
        let between = read("between")?;
        Ok(Arc::new(Pairs {
            classes: state.tensor("classes")?.to_vec1::<u32>()?[0] as usize,
            between: between
                .chunks_exact(2)
                .map(|p| (p[0] as usize, p[1] as usize))
                .collect(),
            machines: Svm {
                weights: read("weights")?,
                bias: read("bias")?,
            },
        }))
    }
}

impl Map for Pairs {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let width = x.dim(1)?;
        let weights = Tensor::from_slice(
            &self.machines.weights,
            (self.machines.bias.len(), width),
            x.device(),
        )?;
        let bias = Tensor::new(self.machines.bias.as_slice(), x.device())?;
        let said = x.detach().to_dtype(DType::F64)?.matmul(&weights.t()?)?;
        let said = said.broadcast_add(&bias)?.to_vec2::<f64>()?;
        let all: Vec<f64> = said.iter().flat_map(|row| self.tally(row)).collect();
        let shape = (said.len(), self.classes);
        Ok(Tensor::from_vec(all, shape, x.device())?.to_dtype(x.dtype())?)
    }

    fn kind(&self) -> &str {
        Pairs::KIND
    }

    fn save(&self) -> State {
        let between: Vec<u32> = self
            .between
            .iter()
            .flat_map(|&(a, b)| [a as u32, b as u32])
            .collect();
        let classes = self.classes as u32;
        // A vector becomes a tensor on the CPU without fail.
        let made = [
            (
                "weights",
                Tensor::new(self.machines.weights.as_slice(), &Device::Cpu),
            ),
            (
                "bias",
                Tensor::new(self.machines.bias.as_slice(), &Device::Cpu),
            ),
            ("between", Tensor::new(between.as_slice(), &Device::Cpu)),
            ("classes", Tensor::new(&[classes], &Device::Cpu)),
        ];
        let tensors = made.into_iter();
        State {
            tensors: tensors
                .filter_map(|(name, t)| Some((name.to_string(), t.ok()?)))
                .collect(),
            json: String::new(),
        }
    }
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
