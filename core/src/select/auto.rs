//! `auto`, and the check for collapse.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LabelFree, Seen, scores};
use crate::data::{OFFICE_CALTECH, SCENES};

/// What `auto` is a mean of. Each lies between -1 and 1 whatever the network.
pub(super) const EVIDENCE: [LabelFree; 6] = [
    LabelFree::SourceAccuracy,
    LabelFree::Entropy,
    LabelFree::InfoMax,
    LabelFree::ImportanceWeighted,
    LabelFree::Bnm,
    LabelFree::ClassClustering,
];

/// A candidate with fewer effective classes than this share of what the source model predicts has collapsed.
const CLASSES: f64 = 0.5;
/// Nobody predicts less than one class, so of two that share is never missed: there it is this share of the way from one class to what the source
/// model predicts. (From three on the other asks for more.)
const BEYOND_ONE: f64 = 0.25;
/// As has one whose accuracy on the source is so much lower.
const SOURCE: f64 = 0.1;

/// The source model before adaptation, which a collapse is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Effective number of predicted classes on the target.
    pub effective_classes: f64,
    /// Accuracy on the source, where there are source rows.
    pub source_accuracy: Option<f64>,
    /// Its rank as a candidate.
    #[serde(default)]
    pub rank: f64,
}

impl Reference {
    /// Of the source model.
    pub fn of(seen: &Seen) -> Self {
        Reference {
            effective_classes: seen.effective_classes(),
            source_accuracy: seen.source_accuracy(),
            rank: f64::MIN,
        }
    }

    /// Of a model that was given the target's statistics, where `before` is of the source model before that. Those make it say fewer classes, if it goes wrong;
    /// that they make it worse on the source is only what they are for.
    pub fn after(before: Option<Self>, seen: &Seen) -> Self {
        let now = Reference::of(seen);
        let was = before.map_or(0.0, |b| b.effective_classes);
        Reference {
            effective_classes: now.effective_classes.max(was),
            ..now
        }
    }

    /// What can be said of an adaptation without labels of the target: of its last epoch, and of the candidate that was kept.
    pub fn signs(&self, last_collapsed: bool, kept: Option<(u64, f64)>) -> &'static str {
        match kept {
            _ if last_collapsed => "signs of collapse",
            Some((epoch, rank)) if epoch > 0 && rank > self.rank => "no sign of harm",
            _ => "cannot tell",
        }
    }

    /// Whether a candidate says too few classes. (Predictions of a model whose outputs are no numbers are none.)
    pub fn few(&self, seen: &Seen) -> bool {
        let was = self.effective_classes;
        let least = (CLASSES * was).max(1.0 + BEYOND_ONE * (was - 1.0));
        let classes = seen.effective_classes();
        classes.is_nan() || classes < least
    }

    /// Whether a candidate has collapsed: it says too few classes, or has forgotten the source.
    pub fn collapsed(&self, seen: &Seen) -> bool {
        let few = self.few(seen);
        let forgot = match (self.source_accuracy, seen.source_accuracy()) {
            // Shares of rows: what is ten points lower to the digit is not more.
            (Some(was), Some(is)) => is < was - SOURCE - 1e-9,
            _ => false,
        };
        few || forgot
    }
}

/// What an adapted candidate's mean of scores must have over its twin's to be kept.
pub const MARGIN: f64 = 0.01;
/// The data sets that it was chosen on.
pub const MARGIN_ON: &[&str] = &[OFFICE_CALTECH, SCENES];

/// Whether an adapted candidate is kept, where the best of its twin stands beside it: the model that learned on from the source alone. Both are
/// judged by what the method does not minimise. `by` one score alone: by that.
pub fn adapted_stands(
    by: LabelFree,
    minimises: &[LabelFree],
    adapted: &BTreeMap<LabelFree, f64>,
    twin: &BTreeMap<LabelFree, f64>,
    margin: f64,
) -> bool {
    match by {
        LabelFree::Auto => mean(adapted, minimises) > mean(twin, minimises) + margin,
        one => match (adapted.get(&one), twin.get(&one)) {
            (Some(a), Some(t)) => *a > t + margin,
            (a, _) => a.is_some(),
        },
    }
}

/// The mean of the scores that are evidence for a method.
fn mean(scores: &BTreeMap<LabelFree, f64>, minimises: &[LabelFree]) -> f64 {
    let evidence: Vec<f64> = EVIDENCE
        .iter()
        .filter(|s| !minimises.contains(s))
        .filter_map(|s| scores.get(s).copied())
        .collect();
    evidence.iter().sum::<f64>() / evidence.len().max(1) as f64
}

/// What a selector says of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// More is better; the least of all for one that has collapsed.
    pub rank: f64,
    /// Whether it has.
    pub collapsed: bool,
    /// The scores behind it.
    pub scores: BTreeMap<LabelFree, f64>,
}

impl Choice {
    /// Judges a candidate. `minimises`: what the method brings down itself, which is no evidence for it.
    pub fn of(
        seen: &Seen,
        by: LabelFree,
        minimises: &[LabelFree],
        reference: Option<&Reference>,
    ) -> Self {
        let scores = scores(seen, by);
        let mean = mean(&scores, minimises);
        let collapsed = reference.is_some_and(|r| r.collapsed(seen));
        let rank = match by {
            LabelFree::Auto if collapsed => f64::MIN,
            LabelFree::Auto => mean,
            one => scores.get(&one).copied().unwrap_or(f64::MIN),
        };
        Choice {
            rank,
            collapsed,
            scores,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(target: &[[f64; 2]], right: usize) -> Seen {
        Seen {
            width: 1,
            classes: 2,
            source_features: (0..10).map(f64::from).collect(),
            source_right: (0..10).map(|i| i < right).collect(),
            target_features: target.iter().map(|p| p[0]).collect(),
            target: target.as_flattened().to_vec(),
        }
    }

    #[test]
    fn a_candidate_that_says_one_class_or_forgot_the_source_has_collapsed() {
        let even = [[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.2, 0.8]];
        let one = [[0.99, 0.01]; 4];
        let reference = Reference::of(&seen(&even, 9));
        assert!(!reference.collapsed(&seen(&even, 9)));
        assert!(!reference.collapsed(&seen(&even, 8)));
        assert!(reference.collapsed(&seen(&even, 7)));
        // exp(entropy) of (0.99, 0.01) is 1.06, of (0.9, 0.1) 1.38, of even predictions 2: half of it is 1, a quarter beyond one 1.25.
        assert!(reference.collapsed(&seen(&one, 9)));
        assert!(!reference.collapsed(&seen(&[[0.9, 0.1]; 4], 9)));
        assert!(reference.collapsed(&seen(&[[f64::NAN; 2]; 4], 9)));
        let choice = Choice::of(&seen(&one, 9), LabelFree::Auto, &[], Some(&reference));
        assert!(choice.collapsed && choice.rank == f64::MIN);
        // Of three classes or more half of them decides.
        let many = Reference {
            effective_classes: 2.5,
            ..reference
        };
        assert!(many.collapsed(&seen(&one, 9)));
        let choice = Choice::of(&seen(&one, 9), LabelFree::Auto, &[], Some(&many));
        assert!(choice.collapsed && choice.rank == f64::MIN);
    }

    /// The target's statistics made three of four classes disappear: that is what a collapse is, although the adaptation had not begun.
    #[test]
    fn classes_that_the_statistics_took_away_are_missed() {
        let even = [[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.2, 0.8]];
        let one = [[0.99, 0.01]; 4];
        let before = Reference {
            effective_classes: 4.0,
            source_accuracy: Some(0.9),
            rank: 0.3,
        };
        let reference = Reference::after(Some(before), &seen(&one, 5));
        assert_eq!(reference.effective_classes, 4.0);
        assert_eq!(reference.source_accuracy, seen(&one, 5).source_accuracy());
        assert!(reference.collapsed(&seen(&one, 5)));
        let alone = Reference::after(None, &seen(&even, 9));
        assert_eq!(alone, Reference::of(&seen(&even, 9)));
    }

    #[test]
    fn words_without_labels() {
        let even = [[0.9, 0.1], [0.1, 0.9]];
        let reference = Reference {
            rank: 0.5,
            ..Reference::of(&seen(&even, 9))
        };
        assert_eq!(reference.signs(true, Some((3, 0.9))), "signs of collapse");
        assert_eq!(reference.signs(false, Some((3, 0.9))), "no sign of harm");
        assert_eq!(reference.signs(false, Some((0, 0.5))), "cannot tell");
        assert_eq!(reference.signs(false, Some((3, 0.4))), "cannot tell");
        assert_eq!(reference.signs(false, None), "cannot tell");
    }

    #[test]
    fn an_adaptation_must_be_better_than_its_twin_by_the_margin() {
        use LabelFree::{Auto, Entropy, SourceAccuracy};
        let of = |source: f64, entropy: f64| {
            BTreeMap::from([(SourceAccuracy, source), (Entropy, entropy)])
        };
        let twin = of(0.8, -0.4);
        let stands = |adapted, minimises: &[LabelFree], margin| {
            adapted_stands(Auto, minimises, &adapted, &twin, margin)
        };
        // The means are 0.2 and 0.25.
        assert!(stands(of(0.8, -0.3), &[], 0.04));
        assert!(!stands(of(0.8, -0.3), &[], 0.06));
        assert!(!stands(of(0.8, -0.4), &[], 0.0), "no better");
        // Sure predictions are no evidence for a method that makes them so.
        assert!(!stands(of(0.8, 0.0), &[Entropy], 0.0));
        assert!(stands(of(0.9, -0.9), &[Entropy], 0.05));
        // One score alone.
        let one = |entropy| adapted_stands(Entropy, &[], &of(0.1, entropy), &twin, 0.05);
        assert!(one(-0.3) && !one(-0.38));
    }

    #[test]
    fn what_a_method_minimises_does_not_count() {
        let sure = [[0.99, 0.01], [0.98, 0.02], [0.01, 0.99], [0.03, 0.97]];
        let seen = seen(&sure, 9);
        let all = Choice::of(&seen, LabelFree::Auto, &[], None);
        let but = Choice::of(&seen, LabelFree::Auto, &[LabelFree::Entropy], None);
        let n = all.scores.len() as f64;
        let without = (all.rank * n - all.scores[&LabelFree::Entropy]) / (n - 1.0);
        assert!((but.rank - without).abs() < 1e-12);
    }
}
