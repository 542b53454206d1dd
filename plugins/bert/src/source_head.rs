//! The classification head that a checkpoint brings: what transformers' `BertForSequenceClassification` and this tool's `model/` save.

use std::sync::Arc;

use tlkit_core::nn::{Activation, Dense, Dropout, Linear, Scope, Stage};
use tlkit_core::task::Head;
use tlkit_core::{Error, Result};

use crate::checkpoint::Checkpoint;
use crate::pooling::{FirstToken, Max, Mean};

/// What transformers' head is made of.
const USUAL: [&str; 4] = ["first-token", "pooler", "head.dropout.0", "classifier"];

/// The head and its classes' names; `None` where the checkpoint has no classifier. `scope` is the one that holds the encoder, without `bert`.
pub(crate) fn read(
    checkpoint: &Checkpoint,
    scope: &Scope<'_>,
) -> Result<Option<(Head, Vec<String>)>> {
    // Everything of the file stands under one prefix; the classifier's tensors are no part of `bert`.
    let weights = checkpoint.weights(scope.prefix())?;
    let at = |name: &str| scope.sub(name).prefix().to_string();
    let Some(dims) = weights.dims(&format!("{}.weight", at("classifier"))) else {
        return Ok(None);
    };
    let &[outputs, inputs] = dims else {
        return Err(Error::msg(format!(
            "{}: classifier.weight is no matrix",
            checkpoint.name
        )));
    };
    let file = checkpoint
        .found
        .file("config.json")
        .ok_or_else(|| Error::msg(format!("{} has no config.json", checkpoint.name)))?;
    let config: serde_json::Value = serde_json::from_str(&file.text("config.json")?)
        .map_err(|e| Error::msg(format!("{}: config.json: {e}", checkpoint.name)))?;
    let own = config["tlkit"]["head"].as_array();
    let names: Vec<&str> = match own {
        Some(list) => list.iter().filter_map(|v| v.as_str()).collect(),
        None => USUAL.to_vec(),
    };
    let scope = scope.clone().with_weights(weights.clone());
    let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
    let mut pool = 0;
    for name in names {
        let dense = |outputs, activation| -> Result<Arc<dyn Stage>> {
            // transformers calls the pooler's map `pooler.dense`.
            let own = match name {
                "pooler" => scope.sub("pooler").sub("dense"),
                _ => scope.sub(name),
            };
            let linear = Linear::new(&own, inputs, outputs, 0.0)?;
            Ok(Arc::new(Dense::new(name, linear, activation)))
        };
        stages.push(match name {
            "first-token" => Arc::new(FirstToken),
            "mean" => Arc::new(Mean),
            "max" => Arc::new(Max),
            "pooler" => dense(inputs, Activation::Tanh)?,
            "classifier" => dense(outputs, Activation::None)?,
            _ if name.starts_with("head.dropout") => Arc::new(Dropout::new(name, 0.0)),
            _ => {
                return Err(Error::msg(format!(
                    "{}: a head with `{name}` cannot be read back",
                    checkpoint.name
                )));
            }
        });
        if matches!(name, "first-token" | "mean" | "max" | "pooler") {
            pool = stages.len();
        }
    }
    let report = weights.report();
    if !report.missing.is_empty() {
        return Err(Error::Missing {
            file: checkpoint.name.clone(),
            missing: report.missing,
            unexpected: Vec::new(),
        });
    }
    let named = |i: usize| {
        let name = config["id2label"][i.to_string()].as_str();
        name.map_or_else(|| format!("LABEL_{i}"), str::to_string)
    };
    Ok(Some((
        Head { stages, pool },
        (0..outputs).map(named).collect(),
    )))
}
