//! The encoder: dense layers, each followed by an activation and, while training, dropout; with batch norm between the two where asked for.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::nn::{
    Activation, Dense, Dropout, Flow, Init, Linear, Param, Pass, Role, Scope, Stage,
};
use tlkit_core::task::Encoder;

use crate::norm::Normed;

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
    /// Whether batch norm stands between each layer and its activation.
    pub batch_norm: bool,
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
            Activation::None | Activation::Tanh | Activation::Sigmoid => 1.0,
        };
        let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
        let mut width = shape.inputs;
        for (i, &out) in shape.hidden.iter().enumerate() {
            let name = format!("hidden.{i}");
            let std = (gain / width.max(1) as f64).sqrt();
            let linear = match shape.batch_norm {
                false => Linear::new(&scope.sub(&name), width, out, std)?,
                // The batch's mean takes the bias out again.
                true => {
                    let scope = scope.sub(&name);
                    let init = Init::Normal(std);
                    Linear {
                        weight: scope.param("weight", &[out, width], Role::Weight, init)?,
                        bias: scope.param("bias", &[out], Role::InvariantBias, Init::Zeros)?,
                    }
                }
            };
            match shape.batch_norm {
                false => stages.push(Arc::new(Dense::new(&name, linear, shape.activation))),
                true => {
                    let scope = scope.sub(&format!("norm.{i}"));
                    stages.push(Arc::new(Normed::new(
                        &name,
                        linear,
                        &scope,
                        shape.activation,
                    )?));
                }
            }
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
