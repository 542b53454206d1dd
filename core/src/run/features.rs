//! The features that a frozen encoder makes of a recipe's training rows, from the cache where they are there.

use std::sync::Arc;

use candle_core::{DType, Device};

use super::arrange::arranged;
use super::given::Given;
use crate::cache::Cache;
use crate::check::Checked;
use crate::data::{Labels, Loaded};
use crate::nn::Store;
use crate::rank::Labelled;
use crate::strategy::TargetData;
use crate::train::{Observer, frozen_features};
use crate::{Error, Result};

/// Features of the training rows, in their order, and their labels.
///
/// # Errors
/// The recipe is transductive, or its rows have no labels.
pub fn features(
    c: &Checked,
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<(Labelled, Labels)> {
    let given = Given::read(c)?;
    let TargetData::Labelled(domain) = &given.target else {
        return Err(Error::msg(
            "sources are ranked by the labels of the target's training rows, and these are not to be seen",
        ));
    };
    let loaded = Arc::new(Loaded::labelled(domain, c.source.prepare()?));
    let store = Store::new(&Device::Cpu, DType::F32, c.seed);
    arranged(c, &store, |transfer| {
        let features = frozen_features(transfer, &loaded, cache, observer)?;
        let (_, width) = features.dims2()?;
        let labels = domain.labels.clone();
        let features = features.to_dtype(DType::F64)?.flatten_all()?;
        let data = Labelled {
            features: features.to_vec1::<f64>()?,
            width,
            labels: labels.classes.clone(),
            classes: labels.names.len(),
        };
        Ok((data, labels))
    })
}
