//! Choosing an epoch without looking at a label of the target.
//!
//! A candidate is seen as features and logits: of labelled source rows that were not learned from, and of target rows without their labels
//! ([`Seen`]). Each score is a number of which more is better, on a scale of its own that does not depend on the run ([`LabelFree`]).
//! `auto` is the mean of those that the method does not minimise itself, among candidates that have not collapsed.
//!
//! A score that a method minimises says how well it was minimised, and nothing of whether that helped: MCC drives the entropy down
//! whether it is right or wrong. So each strategy says what it minimises ([`crate::strategy::Needs::minimises`]). DEV and SND are offered
//! and never part of `auto`: compared over methods they chose a model worse than the one that was not adapted in 18 and 20 of 20 cases.

mod auto;
mod density;
mod geometry;
mod seen;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use auto::{Choice, MARGIN, MARGIN_ON, Reference, adapted_stands};
pub use density::domain_weights;
pub use seen::{Look, Seen};

/// A score that looks at no label of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelFree {
    /// The mean of those that the method does not minimise, among candidates that have not collapsed.
    Auto,
    /// Accuracy on labelled source rows.
    SourceAccuracy,
    /// Minus the mean entropy of the predictions on the target, as a share of the largest (Morerio et al. 2018).
    Entropy,
    /// The entropy of the mean prediction less the mean entropy, as a share of the largest (Shi & Sha 2012).
    InfoMax,
    /// Accuracy on source rows, each weighted by how much it looks like a target row (Sugiyama et al. 2007); weights are clipped.
    ImportanceWeighted,
    /// The nuclear norm of the predictions as a share of the largest (Cui et al. 2020): sure and diverse.
    Bnm,
    /// The mean silhouette of the target's features by predicted class (Robbiano et al. 2021).
    ClassClustering,
    /// Deep embedded validation (You et al. 2019): the importance-weighted risk with its control variate, negative.
    Dev,
    /// Soft neighbourhood density (Saito et al. 2021), with a temperature of 0.05.
    Snd,
}

impl LabelFree {
    /// All of them.
    pub const ALL: [LabelFree; 9] = [
        LabelFree::Auto,
        LabelFree::SourceAccuracy,
        LabelFree::Entropy,
        LabelFree::InfoMax,
        LabelFree::ImportanceWeighted,
        LabelFree::Bnm,
        LabelFree::ClassClustering,
        LabelFree::Dev,
        LabelFree::Snd,
    ];

    /// As a recipe writes it.
    pub fn name(self) -> &'static str {
        match self {
            LabelFree::Auto => "auto",
            LabelFree::SourceAccuracy => "source-accuracy",
            LabelFree::Entropy => "entropy",
            LabelFree::InfoMax => "infomax",
            LabelFree::ImportanceWeighted => "importance-weighted",
            LabelFree::Bnm => "bnm",
            LabelFree::ClassClustering => "class-clustering",
            LabelFree::Dev => "dev",
            LabelFree::Snd => "snd",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Whether it is nothing without labelled rows of the source.
    pub fn of_source(self) -> bool {
        matches!(
            self,
            LabelFree::SourceAccuracy | LabelFree::ImportanceWeighted | LabelFree::Dev
        )
    }

    /// The score of a candidate; `None` where it asks for source rows and there are none. `Auto` has none of its own.
    pub fn of(self, seen: &Seen) -> Option<f64> {
        let value = match self {
            LabelFree::Auto => return None,
            LabelFree::SourceAccuracy => seen.source_accuracy()?,
            LabelFree::Entropy => -seen.entropy(),
            LabelFree::InfoMax => seen.diversity() - seen.entropy(),
            LabelFree::ImportanceWeighted => density::importance_weighted(seen)?,
            LabelFree::Bnm => geometry::nuclear_share(seen),
            LabelFree::ClassClustering => geometry::silhouette(seen),
            LabelFree::Dev => density::dev(seen)?,
            LabelFree::Snd => geometry::neighbourhood(seen),
        };
        value.is_finite().then_some(value)
    }

    /// The scores that an epoch is shown with: those of `auto`, and the one that is asked for.
    pub fn shown(self) -> impl Iterator<Item = LabelFree> {
        let extra = matches!(self, LabelFree::Dev | LabelFree::Snd).then_some(self);
        auto::EVIDENCE.into_iter().chain(extra)
    }
}

/// The scores of a candidate by name, with the effective number of classes.
pub fn scores(seen: &Seen, by: LabelFree) -> BTreeMap<LabelFree, f64> {
    let values = by.shown().filter_map(|s| Some((s, s.of(seen)?)));
    values.collect()
}
