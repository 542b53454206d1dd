//! A stranger's metric.

use candle_core::{Device, Tensor};
use serde_json::{Map, Value};
use tlkit_abi as abi;
use tlkit_core::metrics::Metric;
use tlkit_core::{Error, Result};

use crate::lend::lend;
use crate::library::Plugin;
use crate::made::{Made, function};
use crate::manifest::ManifestEntry;

/// One made with its keys.
pub(crate) struct CMetric {
    table: &'static abi::Metric,
    made: Made,
    sha256: String,
}

impl CMetric {
    /// Makes one.
    pub fn make(plugin: &Plugin, entry: &ManifestEntry, keys: &Map<String, Value>) -> Result<Self> {
        let table: &'static abi::Metric = plugin.table(entry)?;
        let who = format!("{}: the metric `{}`", plugin.name(), entry.name);
        let make = function!(table, make, "metric");
        let made = Made::with_keys(&who, keys, make, table.drop)?;
        Ok(CMetric {
            table,
            made,
            sha256: plugin.stamp.sha256.clone(),
        })
    }
}

impl Metric for CMetric {
    fn digest(&self) -> String {
        format!("plugin {}", self.sha256)
    }

    fn score(&self, probabilities: &[Vec<f32>], truth: &[u32]) -> Result<f64> {
        let score = function!(self.table, score, "metric");
        let (rows, classes) = (
            probabilities.len(),
            probabilities.first().map_or(0, Vec::len),
        );
        if rows != truth.len() || probabilities.iter().any(|p| p.len() != classes) {
            return Err(Error::msg(format!(
                "{}: probabilities of {rows} rows, and {} labels",
                self.made.who(),
                truth.len()
            )));
        }
        let values: Vec<f32> = probabilities.iter().flatten().copied().collect();
        let table = Tensor::from_vec(values, (rows, classes), &Device::Cpu)?;
        let mut value = f64::NAN;
        lend(&[table], |all| {
            let value = &raw mut value;
            // SAFETY: as tlkit.h says: a tensor and as many labels as it has rows, lent for the call; a place for a number.
            self.made
                .ask(|this, c| unsafe { score(this, c, *all, truth.as_ptr(), value) })
        })??;
        match value.is_finite() {
            true => Ok(value),
            false => Err(Error::msg(format!(
                "{} gave the value {value}",
                self.made.who()
            ))),
        }
    }
}
