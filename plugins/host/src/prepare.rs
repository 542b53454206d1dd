//! How a stranger's encoder prepares its inputs.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use tlkit_core::Result;
use tlkit_core::data::{Example, Field, Input, Prepare, View};
use tlkit_core::nn::Batch;

use crate::network::Network;

/// Examples of one shape; a batch is `(rows, ..)`, f32.
pub(crate) struct CPrepare {
    pub network: Arc<Network>,
    /// Of the library and the keys.
    pub digest: String,
}

impl Prepare for CPrepare {
    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn length(&self) -> Option<usize> {
        Some(1)
    }

    fn slow(&self) -> bool {
        true
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        let values = self.network.prepare(input)?;
        Ok(Example::new(1).with("input", Field::Floats(values)))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let shape = [&[examples.len()], &self.network.about.input[..]].concat();
        let mut values = Vec::with_capacity(shape.iter().product());
        for e in examples {
            values.extend_from_slice(e.floats("input"));
        }
        let input = Tensor::from_vec(values, shape, device)?;
        Ok(Batch::new(examples.len(), input))
    }
}
