//! What a run said of each test row, and the scores of it.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A score that a table can be of. Shares of 1, but for MCC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// Share of right predictions: a mean over rows.
    #[default]
    Accuracy,
    /// Mean over classes of F1.
    MacroF1,
    /// Matthews correlation (Gorodkin 2004).
    Mcc,
    /// Area under the ROC curve; over more than two classes the mean of one against the rest.
    Auroc,
}

impl Metric {
    /// By the name it has in recipes and `result.json`.
    pub fn named(name: &str) -> Option<Metric> {
        [
            Metric::Accuracy,
            Metric::MacroF1,
            Metric::Mcc,
            Metric::Auroc,
        ]
        .into_iter()
        .find(|m| m.name() == name)
    }

    /// In recipes and `result.json`.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::MacroF1 => "macro_f1",
            Metric::Mcc => "mcc",
            Metric::Auroc => "auroc",
        }
    }

    /// In tables.
    pub fn words(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::MacroF1 => "macro F1",
            Metric::Mcc => "MCC",
            Metric::Auroc => "AUROC",
        }
    }

    /// Whether it is a mean over rows, so that the crossed test applies.
    pub fn is_mean(self) -> bool {
        self == Metric::Accuracy
    }
}

/// The test rows of a run, and what it said of them. Classes are numbers, by their names in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Names of the rows.
    pub ids: Vec<String>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The true class of each row.
    pub labels: Vec<u32>,
    /// The class that the run said.
    pub predictions: Vec<u32>,
    /// By class, where the run says them: `(rows, classes)`.
    pub probabilities: Vec<Vec<f64>>,
    /// Where each row stood in the file, once they are [sorted](Self::sort).
    pub stood: Vec<usize>,
}

impl Rows {
    /// Whether two runs say the same, as far as a score looks: that of ranks looks at probabilities too.
    pub(super) fn alike(&self, other: &Rows, metric: Metric) -> bool {
        let looks = metric == Metric::Auroc;
        self.predictions == other.predictions
            && (!looks || self.probabilities == other.probabilities)
    }

    /// Reads `predictions.jsonl`; `classes` are the run's, in the order of the probabilities.
    ///
    /// # Errors
    /// The file is not there, or a line is not what a run writes.
    pub fn read(path: &Path, classes: &[String]) -> Result<Rows, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut rows = Rows {
            ids: Vec::new(),
            classes: classes.to_vec(),
            labels: Vec::new(),
            predictions: Vec::new(),
            probabilities: Vec::new(),
            stood: Vec::new(),
        };
        for (i, line) in text.lines().enumerate() {
            let place = || format!("{}:{}", path.display(), i + 1);
            let row: Value = serde_json::from_str(line).map_err(|e| format!("{}: {e}", place()))?;
            let (Some(id), Some(label), Some(prediction)) = (
                row["id"].as_str(),
                row["label"].as_str(),
                row["prediction"].as_str(),
            ) else {
                return Err(format!("{}: no id, label and prediction", place()));
            };
            rows.ids.push(id.to_string());
            let (label, prediction) = (rows.class(label), rows.class(prediction));
            rows.labels.push(label);
            rows.predictions.push(prediction);
            if let Some(list) = row["probabilities"].as_array() {
                // Near 0 and 1 single precision would take what differs for a tie.
                rows.probabilities
                    .push(list.iter().map(|p| p.as_f64().unwrap_or(0.0)).collect());
            }
        }
        if rows.probabilities.len() != rows.ids.len() {
            rows.probabilities.clear();
        }
        Ok(rows)
    }

    /// The number of a class; a new one at the end where it is not known.
    fn class(&mut self, name: &str) -> u32 {
        let at = self.classes.iter().position(|c| c == name);
        at.unwrap_or_else(|| {
            self.classes.push(name.to_string());
            self.classes.len() - 1
        }) as u32
    }

    /// Sorts the rows by their names: cross-validations have them fold by fold.
    pub fn sort(&mut self) {
        fn picked<T: Clone>(list: &[T], order: &[usize]) -> Vec<T> {
            order.iter().map(|&i| list[i].clone()).collect()
        }
        let mut order: Vec<usize> = (0..self.ids.len()).collect();
        order.sort_by(|&a, &b| self.ids[a].cmp(&self.ids[b]));
        self.ids = picked(&self.ids, &order);
        self.labels = picked(&self.labels, &order);
        self.predictions = picked(&self.predictions, &order);
        if !self.probabilities.is_empty() {
            self.probabilities = picked(&self.probabilities, &order);
        }
        self.stood = order;
    }

    /// The line of the file that a row stood in, from 0.
    pub(super) fn line(&self, row: usize) -> usize {
        self.stood.get(row).copied().unwrap_or(row)
    }

    /// Whether the rows of `other` stood in the same order, before both were sorted: of cross-validations, whether they were dealt alike.
    pub(super) fn stood_as(&self, other: &Rows) -> bool {
        self.stood == other.stood
    }

    /// 1 where the run was right, 0 where not.
    pub fn right(&self) -> Vec<f64> {
        self.labels
            .iter()
            .zip(&self.predictions)
            .map(|(l, p)| f64::from(u8::from(l == p)))
            .collect()
    }

    /// The first row that is another one, or has another label, than in `other`: in words.
    pub fn first_difference(&self, other: &Rows) -> Option<String> {
        let row = |r: &Rows, i: usize| match (r.ids.get(i), r.labels.get(i)) {
            (Some(id), Some(&label)) => {
                format!("`{id}` with the label `{}`", r.classes[label as usize])
            }
            _ => "no row".to_string(),
        };
        let n = self.ids.len().max(other.ids.len());
        (0..n)
            .find(|&i| row(self, i) != row(other, i))
            .map(|i| format!("row {} is {} and {}", i + 1, row(self, i), row(other, i)))
    }

    /// Whether these are the rows of `other`, with their labels, in their order.
    pub(super) fn same(&self, other: &Rows) -> bool {
        let label = |r: &'_ Rows, i: usize| r.classes[r.labels[i] as usize].clone();
        self.ids == other.ids
            && (self.labels == other.labels && self.classes == other.classes
                || (0..self.ids.len()).all(|i| label(self, i) == label(other, i)))
    }

    /// The score over all rows. `None` for an AUROC without probabilities, or of one class alone.
    pub fn score(&self, metric: Metric) -> Option<f64> {
        self.scorer(metric)
            .of(&(0..self.ids.len()).collect::<Vec<_>>())
    }

    /// What scores draws of the rows.
    pub(super) fn scorer(&self, metric: Metric) -> Scorer<'_> {
        let mut there = vec![false; self.classes.len()];
        for &class in &self.labels {
            there[class as usize] = true;
        }
        Scorer {
            rows: self,
            metric,
            there,
            rankings: match metric {
                Metric::Auroc => self.rankings(),
                _ => Vec::new(),
            },
        }
    }

    fn counts(&self, rows: &[usize]) -> Counts {
        let k = self.classes.len();
        let [mut hits, mut truth, mut said] = [0; 3].map(|_| vec![0.0; k]);
        for &i in rows {
            let (label, prediction) = (self.labels[i] as usize, self.predictions[i] as usize);
            truth[label] += 1.0;
            said[prediction] += 1.0;
            hits[label] += f64::from(u8::from(label == prediction));
        }
        Counts { hits, truth, said }
    }

    /// How probable a class was on a row.
    fn probability(&self, row: usize, class: usize) -> f64 {
        self.probabilities[row].get(class).copied().unwrap_or(0.0)
    }

    /// The rows by each class that an AUROC is of; none without probabilities.
    fn rankings(&self) -> Vec<Ranking> {
        let classes = match (self.probabilities.is_empty(), self.classes.len()) {
            (true, _) => 0..0,
            (_, 2) => 1..2,
            (_, k) => 0..k,
        };
        let by = |class: usize| {
            let mut rows: Vec<usize> = (0..self.ids.len()).collect();
            let p = |row: &usize| self.probability(*row, class);
            rows.sort_by(|a, b| p(a).total_cmp(&p(b)));
            Ranking { class, rows }
        };
        classes.map(by).collect()
    }
}

/// What scores need of a confusion, by class. The whole of many classes has more cells than a draw has rows.
struct Counts {
    hits: Vec<f64>,
    truth: Vec<f64>,
    said: Vec<f64>,
}

/// All rows, from the one that is least probably of a class. Draws have the same order, so it is made once.
struct Ranking {
    class: usize,
    rows: Vec<usize>,
}

/// A score of a run over some of its rows.
pub(super) struct Scorer<'a> {
    rows: &'a Rows,
    metric: Metric,
    /// By class, whether any row is of it.
    there: Vec<bool>,
    /// Of an AUROC.
    rankings: Vec<Ranking>,
}

impl Scorer<'_> {
    /// Over these rows (numbers may repeat); `None` where they leave it undefined.
    pub fn of(&self, rows: &[usize]) -> Option<f64> {
        let all = self.rows;
        match self.metric {
            Metric::Accuracy => {
                let right = |i: &&usize| all.labels[**i] == all.predictions[**i];
                Some(rows.iter().filter(right).count() as f64 / rows.len().max(1) as f64)
            }
            Metric::MacroF1 => macro_f1(&all.counts(rows), &self.there),
            Metric::Mcc => Some(mcc(&all.counts(rows))),
            Metric::Auroc => self.auroc(rows),
        }
    }

    fn auroc(&self, rows: &[usize]) -> Option<f64> {
        let mut times = vec![0.0; self.rows.ids.len()];
        for &i in rows {
            times[i] += 1.0;
        }
        let areas = self.rankings.iter().filter_map(|r| self.area(r, &times));
        let values: Vec<f64> = areas.collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Of one class against the rest, where each row is there so many times.
    fn area(&self, ranking: &Ranking, times: &[f64]) -> Option<f64> {
        let all = self.rows;
        let of_class = |i: &&usize| all.labels[**i] as usize == ranking.class;
        let tied = |a: &usize, b: &usize| {
            all.probability(*a, ranking.class) == all.probability(*b, ranking.class)
        };
        // Mann and Whitney: the sum of the positives' ranks, ties sharing theirs.
        let (mut sum, mut before, mut positives) = (0.0, 0.0, 0.0);
        for tie in ranking.rows.chunk_by(tied) {
            let count: f64 = tie.iter().map(|&i| times[i]).sum();
            let own: f64 = tie.iter().filter(of_class).map(|&i| times[i]).sum();
            sum += (before + (count + 1.0) / 2.0) * own;
            before += count;
            positives += own;
        }
        let negatives = before - positives;
        (positives > 0.0 && negatives > 0.0)
            .then(|| (sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
    }
}

/// A class that no row is of (`there` is false) counts as 0, as scikit-learn does, whether it was guessed or not. One that is missing from these rows alone has
/// no score in them: a draw without a rare class says nothing of it, whatever was taken for it.
fn macro_f1(counts: &Counts, there: &[bool]) -> Option<f64> {
    let f1 = |c: usize| match (counts.truth[c] > 0.0, there[c]) {
        (true, _) => Some(2.0 * counts.hits[c] / (counts.truth[c] + counts.said[c])),
        (false, true) => None,
        (false, false) => Some(0.0),
    };
    let scores: Vec<f64> = (0..there.len()).filter_map(f1).collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

fn mcc(counts: &Counts) -> f64 {
    let Counts { hits, truth, said } = counts;
    let n: f64 = truth.iter().sum();
    let right: f64 = hits.iter().sum();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let below = ((n * n - dot(said, said)) * (n * n - dot(truth, truth))).sqrt();
    if below == 0.0 {
        0.0
    } else {
        (right * n - dot(truth, said)) / below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(labels: &[u32], predictions: &[u32], positive: &[f64]) -> Rows {
        Rows {
            ids: (0..labels.len()).map(|i| i.to_string()).collect(),
            classes: vec!["no".into(), "yes".into()],
            labels: labels.to_vec(),
            predictions: predictions.to_vec(),
            probabilities: positive.iter().map(|p| vec![1.0 - p, *p]).collect(),
            stood: Vec::new(),
        }
    }

    #[test]
    fn scores_as_scikit_learn_has_them() {
        // scikit-learn 1.5 on these: macro F1 0.6190, MCC 0.2582, roc_auc_score 0.7333.
        let r = rows(
            &[0, 0, 0, 1, 1, 1, 1, 1],
            &[0, 0, 1, 1, 1, 1, 0, 0],
            &[0.1, 0.4, 0.7, 0.8, 0.6, 0.9, 0.3, 0.4],
        );
        let near = |m: Metric, want: f64| {
            let got = r.score(m).expect("a score");
            assert!((got - want).abs() < 1e-4, "{}: {got}", m.name());
        };
        near(Metric::Accuracy, 0.625);
        near(Metric::MacroF1, 0.6190);
        near(Metric::Mcc, 0.2582);
        // Of 15 pairs of a yes and a no, 10 are in order and one is a tie.
        near(Metric::Auroc, 0.7);
    }

    #[test]
    fn a_class_that_a_draw_lacks_has_no_f1_in_it_and_one_that_is_nowhere_counts_0() {
        let mut r = rows(&[0, 0, 1, 2], &[0, 1, 1, 2], &[]);
        r.classes = ["a", "b", "c", "d"].map(String::from).to_vec();
        // F1 of a and b is 2/3, of c 1; d is nowhere.
        let third = 2.0 / 3.0;
        let near = |got: Option<f64>, want: f64| {
            assert!((got.expect("a score") - want).abs() < 1e-12, "{got:?}")
        };
        near(r.score(Metric::MacroF1), (2.0 * third + 1.0) / 4.0);
        near(r.scorer(Metric::MacroF1).of(&[0, 1, 2]), 2.0 * third / 3.0);
    }

    /// What a draw is scored by is counted and ranked for all draws at once: a draw is rows like any others.
    #[test]
    fn a_draw_has_the_scores_of_its_rows_written_out() {
        let n = 60;
        let of = |k: usize, i: usize| ((i * 37 + k * 11) % 17 % 4) as u32;
        let r = Rows {
            ids: (0..n).map(|i| i.to_string()).collect(),
            classes: ["a", "b", "c", "d"].map(String::from).to_vec(),
            labels: (0..n).map(|i| of(0, i)).collect(),
            predictions: (0..n).map(|i| of(1, i)).collect(),
            // With ties.
            probabilities: (0..n)
                .map(|i| {
                    (0..4)
                        .map(|c| ((i * 7 + c * 5) % 13) as f64 / 13.0)
                        .collect()
                })
                .collect(),
            stood: Vec::new(),
        };
        let drawn: Vec<usize> = (0..n).map(|i| i * i % 53).collect();
        let written = Rows {
            ids: r.ids.clone(),
            classes: r.classes.clone(),
            labels: drawn.iter().map(|&i| r.labels[i]).collect(),
            predictions: drawn.iter().map(|&i| r.predictions[i]).collect(),
            probabilities: drawn.iter().map(|&i| r.probabilities[i].clone()).collect(),
            stood: Vec::new(),
        };
        for metric in [
            Metric::Accuracy,
            Metric::MacroF1,
            Metric::Mcc,
            Metric::Auroc,
        ] {
            let score = written.score(metric);
            assert!(score.is_some(), "{}", metric.name());
            assert_eq!(r.scorer(metric).of(&drawn), score, "{}", metric.name());
        }
        // Pairs of a positive and a negative that are in order, one by one; a tie is half of one.
        let mut areas = 0.0;
        for class in 0..4 {
            let p = |i: &usize| r.probabilities[*i][class];
            let (yes, no): (Vec<usize>, Vec<usize>) =
                drawn.iter().partition(|&&i| r.labels[i] as usize == class);
            let order = |y: &usize, n: &usize| {
                f64::from(u8::from(p(y) > p(n))) + 0.5 * f64::from(u8::from(p(y) == p(n)))
            };
            let sum: f64 = yes
                .iter()
                .flat_map(|y| no.iter().map(move |n| order(y, n)))
                .sum();
            areas += sum / (yes.len() * no.len()) as f64 / 4.0;
        }
        let auroc = r.scorer(Metric::Auroc).of(&drawn).expect("all classes");
        assert!((auroc - areas).abs() < 1e-12, "{auroc} {areas}");
    }

    #[test]
    fn areas_tell_probabilities_apart_that_single_precision_does_not() {
        let p = [1.0 - 3e-10, 1.0 - 2e-10, 1.0 - 1e-10, 1.0 - 5e-11];
        let r = rows(&[0, 1, 0, 1], &[1, 1, 1, 1], &p);
        assert_eq!(r.score(Metric::Auroc), Some(0.75));
        // Without one of the classes there is none.
        assert_eq!(r.scorer(Metric::Auroc).of(&[0, 2]), None);
        assert!(p.iter().all(|p| *p as f32 == 1.0));
    }

    #[test]
    fn the_first_row_that_differs_is_named() {
        let a = rows(&[0, 1, 1], &[0, 1, 0], &[]);
        let mut b = a.clone();
        assert_eq!(a.first_difference(&b), None);
        b.labels[1] = 0;
        assert_eq!(
            a.first_difference(&b).as_deref(),
            Some("row 2 is `1` with the label `yes` and `1` with the label `no`")
        );
        b.ids.truncate(1);
        b.labels.truncate(1);
        assert_eq!(
            a.first_difference(&b).as_deref(),
            Some("row 2 is `1` with the label `yes` and no row")
        );
    }
}
