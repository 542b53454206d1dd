//! What the end of a run adds to the scores of an epoch: averages, classes one by one, calibration, and intervals.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Draws, draw, mean_area, ranked};
use super::calibration::{Reliability, ece, reliability, scaled, temperature};
use super::classification::Classification;
use super::counts::Counts;
use super::interval::{bias_corrected, percentile};
use super::softmax;
use crate::random::Stream;
use tlkit_statistics::{Interval, normal_quantile, wilson};

/// How results are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judge {
    /// Of every interval: 0.95.
    pub level: f64,
    /// Draws of a bootstrap.
    pub draws: usize,
    /// Of the bootstrap. Fixed: the same predictions have the same intervals.
    pub seed: u64,
    /// Views of each row that a prediction is averaged over: 1, the plain one, or [`crate::data::CUTS`].
    pub crops: usize,
}

impl Default for Judge {
    fn default() -> Self {
        Judge {
            level: 0.95,
            draws: 2000,
            seed: 0,
            crops: 1,
        }
    }
}

/// Fewer rows than this are no population to draw from.
const LEAST_ROWS: usize = 20;

/// Scores beyond those of [`Classification`]. Intervals that are not there could not be had: of fewer than 20 rows, or without a single
/// error in them; those of areas under the curve also where rows times classes are more than 1,000,000.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// Of every interval.
    pub level: f64,
    /// Mean over classes of precision.
    pub macro_precision: f64,
    /// Mean over classes of recall.
    pub macro_recall: f64,
    /// F1 of all decisions together. Where each row has one class it is the accuracy.
    pub micro_f1: f64,
    /// Area under the ROC curve; of more than two classes the mean over each against the rest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auroc: Option<f64>,
    /// Wilson.
    pub micro_f1_interval: Interval,
    /// Bootstrap, as all below.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub macro_f1_interval: Option<Interval>,
    /// Of the mean precision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub macro_precision_interval: Option<Interval>,
    /// Of the mean recall.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub macro_recall_interval: Option<Interval>,
    /// Of Matthews correlation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mcc_interval: Option<Interval>,
    /// Of the area.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auroc_interval: Option<Interval>,
    /// Of the calibration error.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ece_interval: Option<Interval>,
    /// Of the loss.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss_interval: Option<Interval>,
    /// One by one.
    pub per_class: Vec<ClassScores>,
    /// Logits divided by this are calibrated, as far as validation rows tell; not there without them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub temperature: Option<f64>,
    /// The calibration error after that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ece_calibrated: Option<f64>,
    /// What a reliability diagram draws.
    pub reliability: Reliability,
}

/// Scores of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Its name.
    pub label: String,
    /// Share of the rows said to be of it that are.
    pub precision: f64,
    /// Share of its rows that were found.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Its rows.
    pub support: usize,
    /// It against the rest; not there where no row is of it, or every one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auroc: Option<f64>,
    /// Bootstrap.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub precision_interval: Option<Interval>,
    /// Wilson.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recall_interval: Option<Interval>,
    /// Bootstrap.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub f1_interval: Option<Interval>,
    /// Bootstrap.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auroc_interval: Option<Interval>,
}

impl Classification {
    /// The scores with all detail, from logits `(rows, classes)`. `calibration` is a temperature that other rows gave.
    pub fn judged(
        logits: &[Vec<f32>],
        truth: &[u32],
        names: &[String],
        calibration: Option<f64>,
        judge: &Judge,
    ) -> Self {
        let probabilities = softmax(logits);
        let mut scores = Classification::of(&probabilities, truth, names.len());
        let z = normal_quantile(judge.level);
        let right = (0..names.len()).map(|c| scores.confusion[c][c]).sum();
        scores.accuracy_interval = wilson(right, scores.n, z);
        let mut detail = Detail::of(&probabilities, truth, names, judge);
        if let Some(t) = calibration {
            let bins = reliability(&scaled(logits, t), truth);
            detail.temperature = Some(t);
            detail.ece_calibrated = Some(ece(&bins));
            detail.reliability.calibrated = Some(bins);
        }
        scores.detail = Some(Box::new(detail));
        scores
    }

    /// The same for validation rows, which the temperature is fitted on: their own calibrated error flatters.
    pub fn judged_and_fitted(
        logits: &[Vec<f32>],
        truth: &[u32],
        names: &[String],
        judge: &Judge,
    ) -> Self {
        let t = temperature(logits, truth);
        Self::judged(logits, truth, names, Some(t), judge)
    }

    /// The temperature that these scores were calibrated with.
    pub fn temperature(&self) -> Option<f64> {
        self.detail.as_ref()?.temperature
    }
}

impl Detail {
    /// From probabilities and true classes.
    pub fn of(probabilities: &[Vec<f32>], truth: &[u32], names: &[String], judge: &Judge) -> Self {
        let (n, classes) = (truth.len(), names.len());
        let z = normal_quantile(judge.level);
        let mut counts = Counts::new(classes);
        for (p, &t) in probabilities.iter().zip(truth) {
            counts.add(t as usize, super::argmax(p).0, 1.0);
        }
        let ranked = ranked(probabilities, truth, classes);
        let areas: Vec<Option<f64>> = ranked.iter().map(|r| r.area(|_| 1.0)).collect();
        let draws = if n < LEAST_ROWS {
            Draws::default()
        } else {
            let random = Stream::new(judge.seed).purpose("bootstrap");
            draw(probabilities, truth, classes, &ranked, random, judge.draws)
        };
        let interval = |values: &Vec<f64>| percentile(values.clone(), judge.level);
        let of_class = |values: &[Vec<f64>], c: usize| interval(values.get(c)?);
        let corrected =
            |values: &Vec<f64>, score: f64| bias_corrected(values.clone(), score, judge.level);
        let [macro_f1, macro_precision, macro_recall] =
            [Counts::f1, Counts::precision, Counts::recall].map(|of| counts.macro_mean(of));
        // Two classes have one area.
        let area = |c: usize| if areas.len() == 1 { 0 } else { c };
        let class = |c: usize| {
            let support = counts.truth[c] as usize;
            let auroc = areas.get(area(c)).copied().flatten();
            ClassScores {
                label: names[c].clone(),
                precision: counts.precision(c),
                recall: counts.recall(c),
                f1: counts.f1(c),
                support,
                auroc,
                precision_interval: of_class(&draws.precision, c),
                recall_interval: (support > 0).then(|| wilson(counts.hits[c] as usize, support, z)),
                f1_interval: of_class(&draws.f1, c),
                auroc_interval: auroc.and_then(|_| of_class(&draws.class_auroc, area(c))),
            }
        };
        let auroc = Some(mean_area(areas.iter().copied())).filter(|a| a.is_finite());
        Detail {
            level: judge.level,
            macro_precision,
            macro_recall,
            micro_f1: counts.accuracy(),
            auroc,
            micro_f1_interval: wilson(counts.hits.iter().sum::<f64>() as usize, n, z),
            macro_f1_interval: corrected(&draws.macro_f1, macro_f1),
            macro_precision_interval: corrected(&draws.macro_precision, macro_precision),
            macro_recall_interval: corrected(&draws.macro_recall, macro_recall),
            mcc_interval: interval(&draws.mcc),
            auroc_interval: auroc.and_then(|_| interval(&draws.auroc)),
            ece_interval: interval(&draws.ece),
            loss_interval: interval(&draws.loss),
            per_class: (0..classes).map(class).collect(),
            temperature: None,
            ece_calibrated: None,
            reliability: Reliability {
                bins: reliability(probabilities, truth),
                calibrated: None,
            },
        }
    }
}
