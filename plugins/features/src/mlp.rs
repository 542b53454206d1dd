//! The encoder: dense layers, each followed by an activation and, while training, dropout.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::nn::{Activation, Dense, Dropout, Flow, Linear, Param, Pass, Scope, Stage};
use tlkit_core::task::Encoder;

/// What determines the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// How wide the inputs are.
    pub inputs: usize,
    /// Widths of the hidden layers; none where the features are the inputs.
    pub hidden: Vec<usize>,
    /// After each of them.
    pub activation: Activation,
    /// Share of each layer's values that are dropped while training.
    pub dropout: f64,
}

/// A multi-layer perceptron without its classifier: stages `hidden.0`, `dropout.0`, `hidden.1`, ...
pub struct Mlp {
    stages: Vec<Arc<dyn Stage>>,
    width: usize,
}

impl Mlp {
    /// Fresh weights under a scope: normal with deviation `sqrt(gain / inputs)`, the gain 2 where the activation lets
    /// half of its input through (He et al. 2015) and 1 otherwise; biases 0.
    pub fn new(scope: &Scope<'_>, shape: &Shape) -> Result<Self> {
        let gain = match shape.activation {
            Activation::Relu | Activation::Gelu => 2.0,
            Activation::None | Activation::Tanh => 1.0,
        };
        let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
        let mut width = shape.inputs;
        for (i, &out) in shape.hidden.iter().enumerate() {
            let name = format!("hidden.{i}");
            let std = (gain / width.max(1) as f64).sqrt();
            let linear = Linear::new(&scope.sub(&name), width, out, std)?;
            stages.push(Arc::new(Dense::new(&name, linear, shape.activation)));
            if shape.dropout > 0.0 {
                stages.push(Arc::new(Dropout::new(
                    &format!("dropout.{i}"),
                    shape.dropout,
                )));
            }
            width = out;
        }
        if stages.is_empty() {
            stages.push(Arc::new(AsTheyAre));
        }
        Ok(Mlp { stages, width })
    }
}

/// No layer at all.
struct AsTheyAre;

impl Stage for AsTheyAre {
    fn name(&self) -> &str {
        "inputs"
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        Ok(x.with(x.hidden.clone()))
    }
}

impl Encoder for Mlp {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    fn width(&self) -> usize {
        self.width
    }
}
