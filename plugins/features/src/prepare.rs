//! From feature vectors to batches.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use tlkit_core::data::{Example, Field, Input, Prepare, Samples, View};
use tlkit_core::nn::Batch;
use tlkit_core::{Error, Result};

use crate::scale::Scale;

/// Takes vectors as they are, or scaled; a batch is `(rows, width)`, f32.
pub struct Vectors {
    width: usize,
    scale: Scale,
}

impl Vectors {
    /// For vectors of this width.
    pub fn new(width: usize) -> Self {
        Vectors {
            width,
            scale: Scale::default(),
        }
    }

    /// The same, scaled.
    pub fn scaled(width: usize, scale: Scale) -> Self {
        Vectors { width, scale }
    }
}

impl Prepare for Vectors {
    fn digest(&self) -> String {
        format!("vectors 2, width {}, {}", self.width, self.scale.digest())
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        match input {
            Input::Features(f) if f.len() == self.width => {
                Ok(Example::new(1).with("input", Field::Floats(self.scale.row(f))))
            }
            Input::Features(f) => Err(Error::msg(format!(
                "a row has {} features, and the network takes {}; give every file the same features",
                f.len(),
                self.width
            ))),
            other => Err(Error::msg(format!(
                "`features` takes feature vectors, and this is {}",
                other.kind()
            ))),
        }
    }

    fn fitted(
        &self,
        own: &dyn Samples,
        source: Option<&dyn Samples>,
    ) -> Result<Option<Arc<dyn Prepare>>> {
        let fitted = self.scale.fitted(own, source)?;
        Ok(fitted.map(|scale| Arc::new(Vectors::scaled(self.width, scale)) as Arc<dyn Prepare>))
    }

    fn state(&self) -> Option<serde_json::Value> {
        self.scale.state()
    }

    fn restored(&self, state: &serde_json::Value) -> Result<Option<Arc<dyn Prepare>>> {
        let scale = self.scale.restored(state)?;
        Ok(Some(Arc::new(Vectors::scaled(self.width, scale))))
    }

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let mut values = Vec::with_capacity(examples.len() * self.width);
        for e in examples {
            values.extend_from_slice(e.floats("input"));
        }
        let input = Tensor::from_vec(values, (examples.len(), self.width), device)?;
        Ok(Batch::new(examples.len(), input))
    }
}
