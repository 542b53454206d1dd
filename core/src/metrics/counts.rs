//! The sums that precision, recall, F1 and MCC are made of: rows of a class, rows said to be of it, and rows that are both.

/// Rows by class. (A whole confusion matrix is not needed, and a bootstrap makes two thousand of these.)
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Rows of the class.
    pub truth: Vec<f64>,
    /// Rows said to be of it.
    pub said: Vec<f64>,
    /// Rows of it that were said to be.
    pub hits: Vec<f64>,
}

impl Counts {
    /// None yet.
    pub fn new(classes: usize) -> Self {
        let zeros = vec![0.0; classes];
        Counts {
            truth: zeros.clone(),
            said: zeros.clone(),
            hits: zeros,
        }
    }

    /// Of a confusion matrix, `[true][predicted]`.
    pub fn of(confusion: &[Vec<usize>]) -> Self {
        let mut counts = Counts::new(confusion.len());
        for (t, row) in confusion.iter().enumerate() {
            for (s, &n) in row.iter().enumerate() {
                counts.add(t, s, n as f64);
            }
        }
        counts
    }

    /// Adds rows of class `truth` that were said to be `said`.
    pub fn add(&mut self, truth: usize, said: usize, rows: f64) {
        self.truth[truth] += rows;
        self.said[said] += rows;
        if truth == said {
            self.hits[truth] += rows;
        }
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.truth.len()
    }

    /// Whether a class is there or was said.
    pub fn has(&self, class: usize) -> bool {
        self.truth[class] + self.said[class] > 0.0
    }

    /// Share of the rows said to be of a class that are; 0 where none was said, as scikit-learn has it.
    pub fn precision(&self, class: usize) -> f64 {
        share(self.hits[class], self.said[class])
    }

    /// Share of the rows of a class that were found; 0 where there is none.
    pub fn recall(&self, class: usize) -> f64 {
        share(self.hits[class], self.truth[class])
    }

    /// Harmonic mean of the two; 0 where the class is neither there nor said.
    pub fn f1(&self, class: usize) -> f64 {
        share(2.0 * self.hits[class], self.truth[class] + self.said[class])
    }

    /// Share of right predictions; also the micro averages of precision, recall and F1, which are one number where each row has one class.
    pub fn accuracy(&self) -> f64 {
        share(self.hits.iter().sum(), self.truth.iter().sum())
    }

    /// The mean of a score over the classes that `counted` names.
    pub fn mean(
        &self,
        score: impl Fn(&Self, usize) -> f64,
        counted: impl Fn(usize) -> bool,
    ) -> f64 {
        let (sum, n) = (0..self.classes())
            .filter(|&c| counted(c))
            .fold((0.0, 0.0), |(sum, n), c| (sum + score(self, c), n + 1.0));
        share(sum, n)
    }

    /// The mean over all classes.
    pub fn macro_mean(&self, score: impl Fn(&Self, usize) -> f64) -> f64 {
        self.mean(score, |_| true)
    }

    /// Matthews correlation, Gorodkin's (2004) for more than two classes; 0 where truth or prediction is one class throughout.
    pub fn mcc(&self) -> f64 {
        let n: f64 = self.truth.iter().sum();
        let right: f64 = self.hits.iter().sum();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let below = ((n * n - dot(&self.said, &self.said))
            * (n * n - dot(&self.truth, &self.truth)))
        .sqrt();
        share(right * n - dot(&self.truth, &self.said), below)
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_predictions_and_absent_classes_are_zero_not_nan() {
        // Class 2 is nowhere; all is said to be class 0.
        let c = Counts::of(&[vec![3, 0, 0], vec![2, 0, 0], vec![0, 0, 0]]);
        assert_eq!((c.precision(0), c.recall(0), c.f1(0)), (0.6, 1.0, 0.75));
        assert_eq!((c.precision(1), c.recall(1), c.f1(1)), (0.0, 0.0, 0.0));
        assert_eq!((c.precision(2), c.recall(2), c.f1(2)), (0.0, 0.0, 0.0));
        assert_eq!((c.mcc(), c.accuracy()), (0.0, 0.6));
        assert!((c.macro_mean(Counts::f1) - 0.25).abs() < 1e-12);
        assert_eq!(Counts::new(2).accuracy(), 0.0);
    }

    #[test]
    fn perfect_predictions_are_one() {
        let c = Counts::of(&[vec![3, 0], vec![0, 1]]);
        assert_eq!(
            (c.mcc(), c.macro_mean(Counts::f1), c.accuracy()),
            (1.0, 1.0, 1.0)
        );
    }
}
