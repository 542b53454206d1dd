//! The stages: `frames` and `context`, each a dense layer over a frame and its two neighbours, then `pool`: mean and spread over time.

use std::sync::Arc;

use tlkit_plugin::candle_core::Tensor;
use tlkit_plugin::core::Result;
use tlkit_plugin::core::nn::{Flow, Linear, Param, Pass, Scope, Stage};
use tlkit_plugin::core::task::Encoder;

/// The encoder.
pub struct Frames {
    stages: Vec<Arc<dyn Stage>>,
    width: usize,
}

impl Frames {
    /// Under a scope.
    pub fn new(scope: &Scope<'_>, bands: usize, width: usize) -> Result<Self> {
        let beside = |name: &'static str, inputs: usize| -> Result<Arc<dyn Stage>> {
            let linear = Linear::new(&scope.sub(name), inputs * 3, width, (2.0 / (inputs * 3) as f64).sqrt())?;
            Ok(Arc::new(Beside { name, linear }))
        };
        Ok(Frames { stages: vec![beside("frames", bands)?, beside("context", width)?, Arc::new(Pool)], width: width * 2 })
    }
}

impl Encoder for Frames {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// `(rows, frames, n)` to `(rows, frames, width)`.
struct Beside {
    name: &'static str,
    linear: Linear,
}

impl Stage for Beside {
    fn name(&self) -> &str {
        self.name
    }

    fn params(&self) -> Vec<Param> {
        self.linear.params()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        let frames = x.hidden.dim(1)?;
        let wide = x.hidden.pad_with_zeros(1, 1, 1)?;
        let shifted: Vec<Tensor> = (0..3).map(|by| Ok(wide.narrow(1, by, frames)?)).collect::<Result<_>>()?;
        let beside = Tensor::cat(&shifted, 2)?.contiguous()?;
        Ok(x.with(self.linear.forward(&beside)?.gelu_erf()?))
    }
}

/// `(rows, frames, width)` to `(rows, 2 * width)`.
struct Pool;

impl Stage for Pool {
    fn name(&self) -> &str {
        "pool"
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        let mean = x.hidden.mean_keepdim(1)?;
        let spread = (x.hidden.broadcast_sub(&mean)?.sqr()?.mean(1)? + 1e-5)?.sqrt()?;
        Ok(x.with(Tensor::cat(&[&mean.squeeze(1)?, &spread], 1)?))
    }
}
