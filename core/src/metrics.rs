//! Scores of class predictions. Probabilities are `(rows, classes)`, row after row.

use serde::{Deserialize, Serialize};

/// Scores on one set of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// Rows.
    pub n: usize,
    /// Share of right predictions.
    pub accuracy: f64,
    /// Wilson's 95 % interval of the accuracy.
    pub accuracy_interval: (f64, f64),
    /// Mean over classes of F1.
    pub macro_f1: f64,
    /// Matthews correlation (Gorodkin's for more than two classes), -1 to 1.
    pub mcc: f64,
    /// Expected calibration error, 15 bins of equal width (Guo et al. 2017).
    pub ece: f64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// `confusion[true][predicted]`.
    pub confusion: Vec<Vec<usize>>,
}

impl Classification {
    /// From probabilities and true classes.
    pub fn of(probabilities: &[Vec<f32>], truth: &[u32], classes: usize) -> Self {
        let n = truth.len();
        let mut confusion = vec![vec![0usize; classes]; classes];
        let mut loss = 0.0;
        let mut bins = [(0usize, 0.0f64, 0usize); 15];
        for (p, &t) in probabilities.iter().zip(truth) {
            let (guess, sure) = argmax(p);
            confusion[t as usize][guess] += 1;
            loss -= f64::from(p[t as usize]).max(1e-12).ln();
            let bin = &mut bins[((f64::from(sure) * 15.0).ceil() as usize).clamp(1, 15) - 1];
            bin.0 += 1;
            bin.1 += f64::from(sure);
            bin.2 += usize::from(guess == t as usize);
        }
        let right: usize = (0..classes).map(|c| confusion[c][c]).sum();
        let total = n.max(1) as f64;
        let ece = bins
            .iter()
            .map(|&(_, sure, right)| (sure - right as f64).abs())
            .sum::<f64>()
            / total;
        Classification {
            n,
            accuracy: right as f64 / total,
            accuracy_interval: wilson(right, n, 1.959_963_984_540_054),
            macro_f1: macro_f1(&confusion),
            mcc: mcc(&confusion),
            ece,
            loss: loss / total,
            confusion,
        }
    }
}

/// Index and value of the largest; the first among equals.
pub fn argmax(p: &[f32]) -> (usize, f32) {
    p.iter()
        .copied()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, v)| {
            if v > best.1 { (i, v) } else { best }
        })
}

/// Softmax of each row of logits, in f64.
pub fn softmax(logits: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let row = |l: &Vec<f32>| {
        let top = l.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let e: Vec<f64> = l.iter().map(|&v| f64::from(v - top).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|v| (v / sum) as f32).collect()
    };
    logits.iter().map(row).collect()
}

/// Wilson's score interval for a proportion (Wilson 1927); `z` = 1.96 for 95 %.
pub fn wilson(right: usize, n: usize, z: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, right as f64 / n as f64);
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    )
}

fn macro_f1(confusion: &[Vec<usize>]) -> f64 {
    let classes = confusion.len();
    let f1 = |c: usize| {
        let hit = confusion[c][c] as f64;
        let truth: usize = confusion[c].iter().sum();
        let guessed: usize = confusion.iter().map(|row| row[c]).sum();
        // A class that is neither there nor guessed counts as 0, as scikit-learn does.
        if truth + guessed == 0 {
            0.0
        } else {
            2.0 * hit / (truth + guessed) as f64
        }
    };
    (0..classes).map(f1).sum::<f64>() / classes.max(1) as f64
}

fn mcc(confusion: &[Vec<usize>]) -> f64 {
    let classes = confusion.len();
    let n: f64 = confusion.iter().flatten().map(|&v| v as f64).sum();
    let right: f64 = (0..classes).map(|c| confusion[c][c] as f64).sum();
    let truth: Vec<f64> = confusion
        .iter()
        .map(|r| r.iter().map(|&v| v as f64).sum())
        .collect();
    let guess: Vec<f64> = (0..classes)
        .map(|c| confusion.iter().map(|r| r[c] as f64).sum())
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let below = ((n * n - dot(&guess, &guess)) * (n * n - dot(&truth, &truth))).sqrt();
    if below == 0.0 {
        0.0
    } else {
        (right * n - dot(&truth, &guess)) / below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // scikit-learn 1.5: y = [0,0,0,1,1,1,1,1], p = [0,0,1,1,1,1,0,0] gives macro F1 0.6190, MCC 0.2582.
        let truth = [0, 0, 0, 1, 1, 1, 1, 1];
        let guess = [0, 0, 1, 1, 1, 1, 0, 0];
        let p: Vec<Vec<f32>> = guess
            .iter()
            .map(|&g| {
                if g == 0 {
                    vec![0.8, 0.2]
                } else {
                    vec![0.2, 0.8]
                }
            })
            .collect();
        let m = Classification::of(&p, &truth, 2);
        assert_eq!(m.confusion, [[2, 1], [2, 3]]);
        assert!((m.accuracy - 0.625).abs() < 1e-12);
        assert!((m.macro_f1 - 0.619_047_6).abs() < 1e-6, "{}", m.macro_f1);
        assert!((m.mcc - 0.258_198_9).abs() < 1e-6, "{}", m.mcc);
        assert!((m.ece - 0.175).abs() < 1e-6, "{}", m.ece);
    }

    #[test]
    fn wilson_is_inside_zero_and_one_and_matches_a_table() {
        let (lo, hi) = wilson(8, 10, 1.959_963_984_540_054);
        assert!(
            (lo - 0.490_2).abs() < 1e-3 && (hi - 0.943_3).abs() < 1e-3,
            "{lo} {hi}"
        );
        assert_eq!(wilson(0, 10, 1.96).0, 0.0);
    }

    #[test]
    fn softmax_survives_large_logits() {
        assert_eq!(softmax(&[vec![1000.0, 0.0]])[0], [1.0, 0.0]);
    }
}
