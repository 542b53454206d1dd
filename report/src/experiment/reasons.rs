//! Why a cell is blank.

use super::notes::names;
use super::read::Experiment;
use super::rows::Metric;
use super::seeds::complete;
use crate::statistics::BOOTSTRAP_SEEDS;

impl Experiment {
    /// In two or three words, why nothing is said of the difference of two arms whose runs are all there; none where it is said, or runs are missing.
    pub(super) fn unsaid(&self, arm: usize, other: usize) -> Option<&'static str> {
        [arm, other]
            .iter()
            .find_map(|&a| self.undefined(a))
            .or_else(|| {
                let all = self.every_pair();
                let there = |a: &usize| {
                    all.iter()
                        .all(|&p| complete(&self.arms[*a].trials[p], &[]).is_some())
                };
                let apart = self.shared(&[arm, other], &all).is_empty();
                ([arm, other].iter().all(there) && apart).then_some("no seed in common")
            })
    }

    /// Why an arm whose runs are all there has no score.
    pub(super) fn undefined(&self, arm: usize) -> Option<&'static str> {
        let trials = || self.arms[arm].trials.iter().flatten();
        if self.metric == Metric::Accuracy || trials().any(|t| t.rows.is_none()) {
            return None;
        }
        let without = trials().find(|t| self.score(t).is_none())?;
        let rows = without.rows.as_ref()?;
        Some(match rows.probabilities.is_empty() {
            true => "no probabilities",
            false => "one class alone",
        })
    }

    /// Sentences on what has no score, no interval or no difference.
    pub(super) fn reasons(&self, without_interval: &[usize]) -> Vec<String> {
        let mut notes = Vec::new();
        let score = self.metric.words();
        let of = |why: &str| -> Vec<String> {
            let arms = (0..self.arms.len()).filter(|&a| self.undefined(a) == Some(why));
            arms.map(|a| self.arms[a].method.clone()).collect()
        };
        let (silent, one) = (of("no probabilities"), of("one class alone"));
        if !silent.is_empty() {
            notes.push(format!(
                "Without probabilities there is no {score}: {} left none for its test rows.",
                names(silent)
            ));
        }
        if !one.is_empty() {
            notes.push(format!(
                "All test rows are of one class, and {score} takes two: {}.",
                names(one)
            ));
        }
        let trials = || self.arms.iter().flat_map(|a| &a.trials).flatten();
        if trials().any(|t| t.cross_validated()) {
            notes.push(
                "A cross-validation is a model for each fold, and folds share what they learn from: intervals and p are of the corrected resampled t over the \
                 folds, where both sides have the same ones; else there are none."
                    .into(),
            );
            if trials().any(|t| t.pooled(self.metric).is_some()) {
                notes.push(format!(
                    "Where a fold's test lacks a class, {score} is of all rows together and has no interval."
                ));
            }
            return notes;
        }
        if self.metric.is_mean() {
            return notes;
        }
        let seeds = self.arms.iter().flat_map(|a| &a.trials).map(Vec::len).max();
        if self.pairs.len() > 1 && seeds >= Some(BOOTSTRAP_SEEDS) {
            notes.push(format!(
                "{score} is no mean over rows, and over several pairs no rows are drawn again: the mean over the pairs has no interval, each pair's difference \
                 has its own (--format csv)."
            ));
        } else if !without_interval.is_empty() {
            let list = without_interval
                .iter()
                .map(|&a| self.arms[a].method.clone());
            notes.push(format!(
                "Seeds and rows drawn again are all alike or mostly lack a class, which shows nothing of others, so there is no interval: {}.",
                names(list.collect())
            ));
        }
        notes
    }

    /// Why a gate finds no interval.
    pub(super) fn no_interval(&self, arm: usize, other: Option<usize>) -> String {
        let all = self.every_pair();
        let arms: Vec<usize> = [Some(arm), other].into_iter().flatten().collect();
        let trials = || {
            arms.iter()
                .flat_map(|&a| self.arms[a].trials.iter().flatten())
        };
        if let Some(why) = match other {
            Some(other) => self.unsaid(arm, other),
            None => self.undefined(arm),
        } {
            return format!(": {why}");
        }
        let failed = trials().filter(|t| t.failed()).count();
        if failed > 0 {
            return format!(": {failed} of {} runs failed", trials().count());
        }
        if self.shared(&arms, &all).is_empty() {
            return " yet".into();
        }
        match self.metric {
            _ if trials().any(|t| t.cross_validated()) => {
                ", which takes the same folds on both sides, and folds that are not all alike"
                    .into()
            }
            Metric::Accuracy => " yet".into(),
            _ => ", which takes five runs on one pair, and draws of them that differ".into(),
        }
    }
}
