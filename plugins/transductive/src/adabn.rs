//! `adabn`: adaptive batch normalisation (Li, Wang, Shi, Hou & Liu 2018; arXiv 1603.04779). Nothing trains: the statistics of every batch norm are
//! those of the target's rows instead of the source's: of all that are adapted on, by one pass in batches, in which each batch is normalised by its own. No source row is needed once the source model is there.
//!
//! Of a network without batch norm, or with one that is folded into its weights, there is nothing to change, and the recipe is refused.

use std::collections::BTreeMap;

use tlkit_core::Result;
use tlkit_core::data::From;
use tlkit_core::model::Model;
use tlkit_core::nn::Store;
use tlkit_core::recipe::Keys;
use tlkit_core::registry::Context;
use tlkit_core::strategy::{Fit, Infer, Needs, Phase, Strategy, Transfer};

use crate::phases::{after_source, source_only};

/// The target's statistics in place of the source's.
pub struct AdaBn;

impl AdaBn {
    /// It has no keys.
    pub fn make(keys: &Keys, _: &Context) -> Option<Box<dyn Strategy>> {
        (!keys.is_blank()).then(|| Box::new(AdaBn) as Box<dyn Strategy>)
    }
}

impl Strategy for AdaBn {
    fn needs(&self) -> Needs {
        Needs {
            trained: true,
            learns_source: true,
            batch_norm: true,
            ..Needs::default()
        }
    }

    fn phases(&self, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
        let fit = statistics(transfer);
        if transfer.source.finished().is_some() {
            return Ok(vec![fit]);
        }
        // The source is learned as `source-only` learns it.
        let on = source_only(transfer);
        Ok(after_source(transfer, on)
            .into_iter()
            .chain([fit])
            .collect())
    }
}

/// The phase that takes the statistics over the target's rows.
pub(crate) fn statistics(transfer: &Transfer<'_>) -> Phase {
    Phase::Fit {
        name: "statistics".into(),
        fit: Box::new(Statistics {
            batch: transfer.settings.batch_size.max(2),
        }),
    }
}

struct Statistics {
    batch: usize,
}

impl Fit for Statistics {
    fn fit(
        &mut self,
        infer: &mut dyn Infer,
        _: &mut Model,
        _: &Store,
    ) -> Result<BTreeMap<String, f64>> {
        // Two of each: mean and variance.
        let statistics = infer.renew_statistics(From::Target, self.batch)?;
        Ok([("batch_norms".to_string(), (statistics / 2) as f64)].into())
    }
}
