//! From feature vectors to batches.

use candle_core::{Device, Tensor};
use tlkit_core::data::{Example, Field, Input, Prepare, View};
use tlkit_core::nn::Batch;
use tlkit_core::{Error, Result};

/// Takes vectors as they are; a batch is `(rows, width)`, f32.
pub struct Vectors {
    width: usize,
}

impl Vectors {
    /// For vectors of this width.
    pub fn new(width: usize) -> Self {
        Vectors { width }
    }
}

impl Prepare for Vectors {
    fn digest(&self) -> String {
        format!("vectors 1, width {}", self.width)
    }

    fn views(&self) -> &[View] {
        &[View::Plain]
    }

    fn example(&self, input: &Input<'_>) -> Result<Example> {
        match input {
            Input::Features(f) if f.len() == self.width => {
                Ok(Example::new(1).with("input", Field::Floats(f.to_vec())))
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

    fn collate(&self, examples: &[&Example], device: &Device) -> Result<Batch> {
        let mut values = Vec::with_capacity(examples.len() * self.width);
        for e in examples {
            values.extend_from_slice(e.floats("input"));
        }
        let input = Tensor::from_vec(values, (examples.len(), self.width), device)?;
        Ok(Batch::new(examples.len(), input))
    }
}
