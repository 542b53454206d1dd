//! Baselines beside a result, and whether it was worth it.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::Prediction;
use crate::baseline::Baseline;
use crate::data::{Domain, Labels, Reading, Sealed};
use crate::metrics::{Classification, Interval, Judge, argmax, paired};
use crate::random::Stream;
use crate::train::{Event, Observer};
use crate::{Context, Error, Result};

/// A baseline's scores on the test rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Beside {
    /// As the recipe names it.
    pub name: String,
    /// What it is.
    pub words: String,
    /// On the test rows.
    pub test: Classification,
    /// To learn and to predict.
    pub seconds: f64,
}

/// The result against the best of the baselines, on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worth {
    /// The baseline.
    pub against: String,
    /// Accuracy of the model less that of the baseline.
    pub difference: f64,
    /// Of the difference: Newcombe's for paired proportions.
    pub interval: Interval,
    /// Exact McNemar, two-sided.
    pub p: f64,
    /// Rows that only the model has right, and rows that only the baseline has.
    pub only: (usize, usize),
    /// A sentence.
    pub words: String,
}

/// Fits the baselines on the training rows and scores them on the test rows.
pub fn beside(
    baselines: &[(String, Arc<dyn Baseline>)],
    train: &Domain<Labels>,
    test: &Domain<Sealed<Labels>>,
    predictions: &[Prediction],
    judge: &Judge,
    random: Stream,
    observer: &dyn Observer,
) -> Result<(Vec<Beside>, Option<Worth>)> {
    let labels = test.labels.open(&Reading::new());
    let ours: Vec<bool> = predictions
        .iter()
        .map(|p| p.label == p.prediction)
        .collect();
    let mut all = Vec::new();
    let mut best: Option<(usize, Vec<bool>)> = None;
    for (name, baseline) in baselines {
        if observer.stopping() {
            return Err(Error::Stopped { step: 0 });
        }
        observer.event(&Event::Note(&format!("baseline {name}")));
        let began = Instant::now();
        let doing = || format!("the baseline `{name}`");
        let fitted = baseline
            .fit(train, random.purpose(name), observer)
            .context(doing())?;
        let logits = fitted.logits(test.inputs.as_ref()).context(doing())?;
        let seconds = began.elapsed().as_secs_f64();
        let scores = Classification::judged(&logits, &labels.classes, &labels.names, None, judge);
        let right: Vec<bool> = logits
            .iter()
            .zip(&labels.classes)
            .map(|(l, &t)| argmax(l).0 == t as usize)
            .collect();
        // The best on these very rows, the first among equals: whoever chooses so flatters the baseline, not the model.
        let accuracy = |b: &Beside| b.test.accuracy;
        if best
            .as_ref()
            .is_none_or(|(i, _)| scores.accuracy > accuracy(&all[*i]))
        {
            best = Some((all.len(), right));
        }
        all.push(Beside {
            name: name.clone(),
            words: fitted.words(),
            test: scores,
            seconds,
        });
    }
    let worth = best
        .filter(|_| ours.len() == labels.classes.len())
        .map(|(i, right)| worth(&all[i].name, &ours, &right, judge.level));
    Ok((all, worth))
}

/// The source model beside the one that was adapted from it: its scores on the test rows by what it said of them, and how the two compare.
pub fn before(
    logits: &[Vec<f32>],
    test: &Domain<Sealed<Labels>>,
    predictions: &[Prediction],
    judge: &Judge,
) -> (Classification, Worth) {
    let labels = test.labels.open(&Reading::new());
    let scores = Classification::judged(logits, &labels.classes, &labels.names, None, judge);
    let ours: Vec<bool> = predictions
        .iter()
        .map(|p| p.label == p.prediction)
        .collect();
    let theirs: Vec<bool> = logits
        .iter()
        .zip(&labels.classes)
        .map(|(l, &t)| argmax(l).0 == t as usize)
        .collect();
    (
        scores,
        worth("the source model", &ours, &theirs, judge.level),
    )
}

fn worth(against: &str, ours: &[bool], theirs: &[bool], level: f64) -> Worth {
    let pair = paired(ours, theirs, level);
    Worth {
        against: against.to_string(),
        difference: pair.difference,
        interval: pair.interval,
        p: pair.p,
        only: (pair.first_only, pair.second_only),
        words: words(
            against,
            pair.difference,
            pair.interval,
            pair.differs(level),
            level,
            &match pair.n {
                1 => "on this one row".to_string(),
                n => format!("on these {n} rows"),
            },
        ),
    }
}

/// "this model is 3.1 points better than tf-idf (95 %: 0.4 to 5.8)"; not distinguishable where it is not. `on` says on what.
pub fn words(
    against: &str,
    difference: f64,
    interval: Interval,
    differs: bool,
    level: f64,
    on: &str,
) -> String {
    // 57 and not 56.99999999999999.
    let percent = (level * 1e8).round() / 1e6;
    let (low, high) = (100.0 * interval.0, 100.0 * interval.1);
    let points = 100.0 * difference;
    // The interval is Newcombe's and the test McNemar's, which is exact and says less: near the edge they need not agree.
    if !differs && (low > 0.0 || high < 0.0) {
        return format!(
            "this model against {against} is inconclusive {on}: {points:+.1} points, {percent} %: {low:.1} to {high:.1}, which leaves 0 out, while the test does not reject equality at that level"
        );
    }
    if !differs {
        return format!(
            "this model and {against} are not distinguishable {on} ({points:+.1} points, {percent} %: {low:.1} to {high:.1})"
        );
    }
    if difference > 0.0 {
        format!(
            "this model is {points:.1} points better than {against} ({percent} %: {low:.1} to {high:.1})"
        )
    } else {
        format!(
            "this model is {:.1} points worse than {against} ({percent} %: {:.1} to {:.1})",
            -points, -high, -low
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_verdicts_in_words() {
        let say = |d, i, differs| words("tf-idf", d, i, differs, 0.95, "on these 300 rows");
        assert_eq!(
            say(0.031, (0.004, 0.058), true),
            "this model is 3.1 points better than tf-idf (95 %: 0.4 to 5.8)"
        );
        assert_eq!(
            say(-0.031, (-0.058, -0.004), true),
            "this model is 3.1 points worse than tf-idf (95 %: 0.4 to 5.8)"
        );
        assert_eq!(
            say(0.012, (-0.021, 0.045), false),
            "this model and tf-idf are not distinguishable on these 300 rows (+1.2 points, 95 %: -2.1 to 4.5)"
        );
    }

    #[test]
    fn an_interval_and_a_test_that_disagree_are_inconclusive() {
        // 5 rows against none of 60: the exact test says 0.0625, the interval begins above 0.
        let ours: Vec<bool> = (0..60).map(|i| i < 50).collect();
        let theirs: Vec<bool> = (0..60).map(|i| i < 45).collect();
        let found = worth("majority", &ours, &theirs, 0.95);
        assert!(found.p > 0.05 && found.interval.0 > 0.0, "{found:?}");
        assert!(found.words.contains("is inconclusive"), "{}", found.words);
        assert!(found.words.contains("leaves 0 out"), "{}", found.words);
    }

    #[test]
    fn a_level_is_said_as_it_was_written() {
        let said = words("majority", 0.04, (0.018, 0.052), true, 0.57, "here");
        assert!(said.ends_with("(57 %: 1.8 to 5.2)"), "{said}");
    }

    #[test]
    fn the_words_follow_the_rows() {
        let rows = |right: usize, n: usize| (0..n).map(|i| i < right).collect::<Vec<bool>>();
        let better = worth("majority", &rows(180, 200), &rows(100, 200), 0.95);
        assert_eq!(better.only, (80, 0));
        assert!(
            better.words.starts_with("this model is 40.0 points better"),
            "{}",
            better.words
        );
        let same = worth("majority", &rows(101, 200), &rows(100, 200), 0.95);
        assert!(same.words.contains("not distinguishable"), "{}", same.words);
        assert!((same.p - 1.0).abs() < 1e-12, "{}", same.p);
    }
}
