//! A stranger's metric.

use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use serde_json::{Map, Value};
use tlkit_abi as abi;
use tlkit_core::metrics::Metric;
use tlkit_core::{Error, Result};

use crate::call::call;
use crate::lend::lend;

/// One made with its keys.
pub(crate) struct CMetric {
    table: &'static abi::Metric,
    this: Mutex<This>,
    who: String,
}

/// The plugin's own pointer.
struct This(*mut c_void);

// SAFETY: tlkit.h: calls may come from any thread, one at a time for one `self`; the mutex around it sees to that.
unsafe impl Send for This {}

impl CMetric {
    /// Makes one. `who` begins its errors.
    pub fn make(table: &'static abi::Metric, who: &str, keys: &Map<String, Value>) -> Result<Self> {
        let make = table
            .make
            .ok_or_else(|| Error::msg("the metric has no function `make`"))?;
        let mut this = std::ptr::null_mut();
        // SAFETY: as tlkit.h says: what is lent lives for the call.
        call(who, Some(keys), |c| unsafe { make(c, &raw mut this) })?;
        Ok(CMetric {
            table,
            this: Mutex::new(This(this)),
            who: who.to_string(),
        })
    }
}

impl Metric for CMetric {
    fn score(&self, probabilities: &[Vec<f32>], truth: &[u32]) -> Result<f64> {
        let score = self
            .table
            .score
            .ok_or_else(|| Error::msg("the metric has no function `score`"))?;
        let (rows, classes) = (
            probabilities.len(),
            probabilities.first().map_or(0, Vec::len),
        );
        if rows != truth.len() || probabilities.iter().any(|p| p.len() != classes) {
            return Err(Error::msg(format!(
                "{}: probabilities of {rows} rows, and {} labels",
                self.who,
                truth.len()
            )));
        }
        let values: Vec<f32> = probabilities.iter().flatten().copied().collect();
        let table = Tensor::from_vec(values, (rows, classes), &Device::Cpu)?;
        let mut value = f64::NAN;
        lend(&[table], |all| {
            let this = self.this.lock().unwrap_or_else(PoisonError::into_inner);
            let value = &raw mut value;
            // SAFETY: as tlkit.h says: a tensor and as many labels as it has rows, lent for the call; a place for a number.
            call(&self.who, None, |c| unsafe {
                score(this.0, c, *all, truth.as_ptr(), value)
            })
        })??;
        match value.is_finite() {
            true => Ok(value),
            false => Err(Error::msg(format!("{} gave the value {value}", self.who))),
        }
    }
}

impl Drop for CMetric {
    fn drop(&mut self) {
        let this = self.this.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(drop) = self.table.drop {
            // SAFETY: tlkit.h: what `make` left, given back once.
            unsafe { drop(this.0) };
        }
    }
}
