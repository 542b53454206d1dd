//! Rows through a network without gradients, as they come out: nothing is held but one batch.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::event::{Event, Observer};
use super::infer::EVALUATION_BATCH;
use crate::cache::Sink;
use crate::data::{Example, Prepare};
use crate::nn::Batch;
use crate::{Error, Result};

/// Rows that can be prepared one by one.
pub(crate) struct Rows<'a> {
    pub len: usize,
    /// Prepares a row. It is called twice, for its length and for its batch; once where all have one length.
    pub example: &'a (dyn Fn(u32) -> Result<Arc<Example>> + Sync),
    pub prepare: &'a dyn Prepare,
    pub device: &'a Device,
}

impl Rows<'_> {
    /// Batches of like length, a function of the rows alone. What `network` makes of them, `(batch, width)`, goes to the sink by row.
    pub fn through(
        &self,
        what: &str,
        observer: &dyn Observer,
        sink: &mut Sink,
        network: &dyn Fn(&Arc<Batch>) -> Result<Tensor>,
    ) -> Result<()> {
        let length = |row: u32| match self.prepare.length() {
            Some(all) => Ok((all, row)),
            None => Ok(((self.example)(row)?.length(), row)),
        };
        let rows = (0..self.len as u32).into_par_iter().map(length);
        let mut rows: Vec<(usize, u32)> = rows.collect::<Result<_>>()?;
        rows.sort_unstable();
        let mut done = 0;
        for batch in rows.chunks(EVALUATION_BATCH) {
            if observer.stopping() {
                return Err(Error::Stopped { step: 0 });
            }
            let batch: Vec<u32> = batch.iter().map(|&(_, row)| row).collect();
            let examples = batch.par_iter().map(|&row| (self.example)(row));
            let examples: Vec<Arc<Example>> = examples.collect::<Result<_>>()?;
            let refs: Vec<&Example> = examples.iter().map(AsRef::as_ref).collect();
            let made = Arc::new(self.prepare.collate(&refs, self.device)?);
            let out = network(&made)?;
            let (n, _) = out.dims2()?;
            if n != batch.len() {
                return Err(Error::msg(format!("{n} outputs for {} rows", batch.len())));
            }
            let values = out.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            sink.put(&batch, &values)?;
            done += batch.len();
            observer.event(&Event::Pass {
                what,
                done,
                of: self.len,
            });
        }
        Ok(())
    }
}
