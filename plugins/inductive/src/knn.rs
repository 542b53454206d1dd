//! k nearest neighbours (Fix & Hodges 1951; Cover & Hart 1967) on the features of the frozen encoder: a row has the class that most of the training rows nearest
//! to it have.
//!
//! Nothing is minimised. Distance is by angle between features from which the training rows' mean was taken off (frozen text features share a large common part), or
//! `distance = "euclidean"`. `k` is, unless it is given, the one of 1, 3, 5, ... 51 that is right most often when each training row is left out in turn (on at
//! most 2,000 of them, drawn by the run's seed); the larger among equals. Class `c` with `v` of `k` votes has the probability `(v + 1 / classes) / (k + 1)`,
//! so that no answer is impossible.
//!
//! The encoder runs once a row, and its features are kept in the cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::DType;
use tlkit_core::data::From;
use tlkit_core::model::Model;
use tlkit_core::neighbours::Neighbours;
use tlkit_core::nn::Store;
use tlkit_core::probe::plain_head;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Fit, Infer, Needs, Phase, Strategy, Transfer};
use tlkit_core::task::Head;
use tlkit_core::{Error, Result};

/// Rows left out in turn to choose `k`, at most.
const LEFT_OUT: usize = 2000;

/// One closed-form phase.
pub struct Nearest {
    k: Option<usize>,
    euclidean: bool,
}

impl Nearest {
    /// From the keys of `[strategy]`.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        let k = keys
            .usize("k")
            .range(1..)
            .help("how many neighbours vote")
            .unset("chosen by leaving each training row out in turn")
            .optional();
        let distance = keys
            .string("distance")
            .one_of(["cosine", "euclidean"])
            .default("cosine", "lengths of features say little")
            .help("between features, their mean taken off")
            .read();
        Some(Box::new(Nearest {
            k,
            euclidean: distance == "euclidean",
        }))
    }
}

impl Strategy for Nearest {
    fn needs(&self) -> Needs {
        Needs {
            frozen: true,
            plain: true,
            plain_loss: Some((
                "counts the votes of all rows alike",
                "take out class_weights and label_smoothing",
            )),
            plain_head: Some((
                "finds neighbours by the encoder's features",
                "take the dense layers out of target.head",
            )),
            ..Needs::default()
        }
    }

    /// Neighbours take the place of the classifier.
    fn arrange(&self, transfer: &mut Transfer<'_>) -> Result<()> {
        if transfer.classes == 0 {
            return Err(Error::msg(
                "strategy.method: knn answers with a class, and this target task has none",
            ));
        }
        if !transfer.target.plain_loss() {
            return Err(Error::msg(
                "strategy.method: the votes of knn count all rows alike; take out class_weights and label_smoothing",
            ));
        }
        if !plain_head(&transfer.model) {
            return Err(Error::msg(
                "strategy.method: neighbours are those of the encoder's features; take the dense layers out of target.head",
            ));
        }
        let head = &transfer.model.head;
        let stages = head.stages[..head.pool].to_vec();
        let pool = head.pool;
        transfer.model = Model::new(transfer.model.encoder.clone(), Head { stages, pool });
        Ok(())
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        Ok(vec![Phase::Fit {
            name: "nearest neighbours".into(),
            fit: Box::new(Vote {
                k: self.k,
                euclidean: self.euclidean,
                classes: transfer.classes,
            }),
        }])
    }
}

struct Vote {
    k: Option<usize>,
    euclidean: bool,
    classes: usize,
}

impl Fit for Vote {
    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        model: &mut Model,
        _: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        let features = infer.features(From::Target)?.to_dtype(DType::F32)?;
        let labels = infer.labels(From::Target)?.classes;
        let knn = Neighbours::new(&features, labels, self.classes, self.euclidean)?;
        let rows = knn.rows();
        let mut report = BTreeMap::new();
        let k = match self.k {
            Some(k) => k.min(rows),
            None => {
                let mut asked = infer.random("left out").permutation(rows);
                asked.truncate(LEFT_OUT);
                asked.sort_unstable();
                let (k, right) = knn.choose(&asked)?;
                report.insert("leave_one_out_accuracy".to_string(), right);
                k
            }
        };
        report.insert("k".into(), k as f64);
        model.add_adjust(Arc::new(knn.with_votes(k)));
        Ok(report)
    }
}
