//! The model of a checked recipe, as its strategy arranges it, and its summary.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::{DType, Device};
use serde::Serialize;

use super::movement::{Movement, movement};
use super::saved;
use crate::check::Checked;
use crate::data::From;
use crate::model::Model;
use crate::nn::{Param, Stage, Store};
use crate::probe::{Probe, plain_head};
use crate::registry::Kind;
use crate::strategy::{Phase, Transfer};
use crate::task::Scoring;
use crate::{Error, Result};

/// A row of the model summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The stage.
    pub stage: String,
    /// Its output.
    pub output: String,
    /// Numbers it holds.
    pub parameters: usize,
    /// Numbers that train in some phase.
    pub trainable: usize,
}

/// Builds the model and hands the transfer to `with`.
pub(super) fn arranged<T>(
    c: &Checked,
    store: &Store,
    with: impl FnOnce(&mut Transfer<'_>) -> Result<T>,
) -> Result<T> {
    let needs = c.strategy.needs();
    let scope = store.scope("model");
    let encoder = if needs.scratch {
        c.source.fresh_encoder(&scope)?
    } else {
        c.source.encoder(&scope)?
    };
    let width = encoder.width();
    let finished = c.source.finished();
    let frozen = finished.map_or(needs.frozen, |f| f.frozen);
    let head = c.target.head(&scope, c.source.as_ref(), width, frozen)?;
    let classes = match c.target.scoring() {
        Scoring::Classes(names) => names.len(),
        Scoring::Tokens | Scoring::Vectors => 0,
    };
    let mut model = Model::new(encoder, head);
    model.norm = c.norm;
    if let Some(finished) = finished {
        saved::take(c.source.as_ref(), finished, &model, store)?;
    }
    let mut transfer = Transfer {
        source: c.source.as_ref(),
        target: c.target.as_ref(),
        store,
        model,
        others: BTreeMap::new(),
        heads: BTreeMap::new(),
        classes,
        settings: c.settings.clone(),
    };
    c.strategy.arrange(&mut transfer)?;
    with(&mut transfer)
}

/// The model summary: stages, shapes, parameters, what trains.
pub fn summary(c: &Checked) -> Result<Vec<Layer>> {
    let store = Store::new(&Device::Cpu, DType::F32, c.seed);
    arranged(c, &store, |transfer| {
        let (by_gradient, fitted) = trained(c, transfer)?;
        Ok(layers(transfer, &(&by_gradient | &fitted)))
    })
}

/// The phases of a recipe: those of its strategy, and the probe that the source's, or all of them, may begin with.
pub(super) fn phases(c: &Checked, transfer: &Transfer<'_>) -> Result<Vec<Phase>> {
    let mut phases = c.strategy.phases(transfer)?;
    if !c.settings.linear_probe {
        return Ok(phases);
    }
    if !plain_head(&transfer.model) {
        return Err(Error::msg(
            "`train.linear_probe` fits a plain classifier, and this head has dense layers: leave one or the other out",
        ));
    }
    let adapts = c.kind == Kind::Transductive;
    let source = |p: &Phase| adapts && matches!(p, Phase::Train(t) if t.name == "source");
    let at = phases.iter().position(source).unwrap_or(0);
    let probe = Probe {
        rows: match c.kind {
            Kind::Transductive => From::Source,
            Kind::Inductive => From::Target,
        },
        strength: None,
        classes: transfer.classes,
        called: "probe_",
    };
    let fit = Phase::Fit {
        name: "linear probe".into(),
        fit: Box::new(probe),
    };
    phases.insert(at, fit);
    Ok(phases)
}

/// When training is over: the model summary, and how far each tensor is from where it started. The start is made once more, by the
/// seed, so that nothing has to be kept for it while training.
pub(super) fn looked_back(c: &Checked, store: &Store) -> Result<(Vec<Layer>, Vec<Movement>)> {
    let start = Store::new(store.device(), store.dtype(), c.seed);
    arranged(c, &start, |transfer| {
        let (by_gradient, fitted) = trained(c, transfer)?;
        let moved = movement(transfer, &start, store, &by_gradient)?;
        Ok((layers(transfer, &(&by_gradient | &fitted)), moved))
    })
}

/// Names of the parameters that train in some phase by their gradients, and of those that a closed-form phase may write.
fn trained(
    c: &Checked,
    transfer: &mut Transfer<'_>,
) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut trained, mut fitted) = (BTreeSet::new(), BTreeSet::new());
    let names =
        |params: &[Param]| -> Vec<String> { params.iter().map(|p| p.name().to_string()).collect() };
    for phase in phases(c, transfer)? {
        match phase {
            Phase::Train(t) | Phase::Twin(t) => {
                for update in &t.updates {
                    trained.extend(names(&transfer.store.select(&update.trains)));
                }
            }
            // A closed-form phase writes the classifier.
            Phase::Fit { .. } => {
                if let Some(last) = transfer.model.chain().stages().last() {
                    fitted.extend(names(&last.params()));
                }
            }
        }
    }
    Ok((trained, fitted))
}

fn layers(transfer: &Transfer<'_>, trained: &BTreeSet<String>) -> Vec<Layer> {
    let row = |s: &Arc<dyn Stage>| Layer {
        stage: s.name().to_string(),
        output: s.output(),
        parameters: s.params().iter().map(Param::count).sum(),
        trainable: s
            .params()
            .iter()
            .filter(|p| trained.contains(p.name()))
            .map(Param::count)
            .sum(),
    };
    transfer.model.chain().stages().iter().map(row).collect()
}
