//! The features of a checked recipe's domains.

use std::sync::Arc;

use candle_core::{DType, Device};

use super::{Diagnosis, Table};
use crate::check::Checked;
use crate::data::Loaded;
use crate::model::Model;
use crate::nn::Store;
use crate::random::Stream;
use crate::registry::{Kind, Registry};
use crate::run::Given;
use crate::strategy::TargetData;
use crate::task::{Head, Scoring};
use crate::train::{self, Observer};
use crate::{Error, Result};

/// Fewer rows of a domain say nothing of it: any difference would be chance, and so would none.
const LEAST_ROWS: usize = 20;

/// Looks at the domains of a transductive recipe before anything is trained.
///
/// # Errors
/// The recipe is inductive, has no labelled source rows, or no classes.
pub fn diagnose(c: &Checked, registry: &Registry, observer: &dyn Observer) -> Result<Diagnosis> {
    if c.kind != Kind::Transductive {
        return Err(Error::msg(
            "diagnose looks at a source and a target domain, and an inductive recipe has one: write `kind = \"transductive\"`, `source.train` and `target.unlabelled`",
        ));
    }
    let Scoring::Classes(classes) = c.target.scoring() else {
        return Err(Error::msg("diagnose needs a target task with classes"));
    };
    let given = Given::read(c)?;
    let Some(source) = &given.source else {
        return Err(Error::msg(
            "diagnose needs labelled source rows: name them, `train = \"FILE\"` under [source]",
        ));
    };
    let prepares = given.prepares(c.source.prepare()?)?;
    let source = Loaded::labelled(source, prepares.source);
    let target = match &given.target {
        TargetData::Unlabelled(d) => Loaded::unlabelled(d, prepares.target),
        TargetData::Labelled(d) => Loaded::unlabelled(d, prepares.target),
        TargetData::None => return Err(Error::msg("diagnose needs target rows")),
    };
    for (name, n) in [
        (&source.name, source.inputs.len()),
        (&target.name, target.inputs.len()),
    ] {
        if n < LEAST_ROWS {
            let rows = if n == 1 { "row" } else { "rows" };
            return Err(Error::msg(format!(
                "{name} has {n} {rows}, of which nothing can be said: diagnose takes {LEAST_ROWS} of each domain"
            )));
        }
    }
    let store = Store::new(&Device::Cpu, DType::F32, c.seed);
    let scope = store.scope("model");
    let encoder = c.source.encoder(&scope)?;
    let finished = c.source.finished();
    let untrained = match finished {
        Some(_) => None,
        None => c.source.untrained(),
    };
    let frozen = finished.is_none_or(|f| f.frozen);
    let head = c
        .target
        .head(&scope, c.source.as_ref(), encoder.width(), frozen)?;
    let whole = Model::new(encoder.clone(), head);
    if let Some(finished) = finished {
        crate::run::take_weights(c.source.as_ref(), finished, &whole, &store)?;
    }
    // The features and no classifier.
    let (pool, stages) = (
        whole.head.pool,
        whole.head.stages[..whole.head.pool].to_vec(),
    );
    let model = Model::new(encoder, Head { stages, pool });
    let features = |loaded: &Loaded| -> Result<(Vec<f64>, usize)> {
        let (x, _) = train::predict(&model, loaded, &store, "features", observer)?;
        let width = x.dim(1)?;
        Ok((x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?, width))
    };
    let (s, width) = features(&source)?;
    let (t, _) = features(&target)?;
    let labels = source.labels.as_ref().map(|l| l.classes.clone());
    let methods: Vec<String> = registry.strategies().keys().cloned().collect();
    let names: Arc<Vec<String>> = Arc::new(classes);
    let found = Diagnosis::of(
        (&source.name, &target.name),
        Table { values: &s, width },
        &labels.unwrap_or_default(),
        &names,
        Table { values: &t, width },
        &methods,
        Stream::new(c.seed).purpose("diagnose"),
    );
    Ok(Diagnosis { untrained, ..found })
}
