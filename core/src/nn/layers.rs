//! Layers that several rooms use: a linear map and dropout, on `ops`.

use candle_core::Tensor;
use tlkit_ops::dropout::{self, Dropout as Mask};

use super::adapter::{Adaptable, Slot};
use super::gradients::Gradients;
use super::param::{Init, Param, Role};
use super::stage::{Flow, Pass, Pullback, Stage};
use super::store::Scope;
use crate::Result;

/// `y = x W^T + b`, with `W` as `(out, in)`.
#[derive(Clone)]
pub struct Linear {
    /// `(out, in)`.
    pub weight: Param,
    /// `(out,)`.
    pub bias: Param,
}

impl Linear {
    /// Under the scope's names `weight` and `bias`; normal weights of the given deviation, zero bias.
    pub fn new(scope: &Scope<'_>, inputs: usize, outputs: usize, std: f64) -> Result<Self> {
        let weight = scope.param(
            "weight",
            &[outputs, inputs],
            Role::Weight,
            Init::Normal(std),
        )?;
        let bias = scope.param("bias", &[outputs], Role::Bias, Init::Zeros)?;
        Ok(Linear { weight, bias })
    }

    /// Applies it to the last dimension.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(tlkit_ops::linear::linear(
            x,
            &self.weight.tensor(),
            Some(&self.bias.tensor()),
        )?)
    }

    /// Both parameters.
    pub fn params(&self) -> Vec<Param> {
        vec![self.weight.clone(), self.bias.clone()]
    }
}

/// What follows a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`.
    Relu,
    /// Gaussian error linear unit, exact (erf).
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
    /// The logistic function, `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Activation {
    /// The names a recipe may write.
    pub const NAMES: [&'static str; 5] = ["none", "relu", "gelu", "tanh", "sigmoid"];

    /// By its name in a recipe.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Activation::None,
            "relu" => Activation::Relu,
            "gelu" => Activation::Gelu,
            "tanh" => Activation::Tanh,
            "sigmoid" => Activation::Sigmoid,
            _ => return None,
        })
    }

    /// Of every number.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Activation::None => x.clone(),
            Activation::Relu => tlkit_ops::relu::relu(x)?,
            Activation::Gelu => x.gelu_erf()?,
            Activation::Tanh => x.tanh()?,
            Activation::Sigmoid => x.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)?,
        })
    }
}

/// A dense layer as a stage: linear, activation.
pub struct Dense {
    name: String,
    linear: Linear,
    activation: Activation,
    slot: Slot,
}

impl Dense {
    /// A stage of this name around a linear map.
    pub fn new(name: &str, linear: Linear, activation: Activation) -> Self {
        Dense {
            name: name.to_string(),
            linear,
            activation,
            slot: Slot::default(),
        }
    }
}

impl Stage for Dense {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        let mut all = self.linear.params();
        all.extend(self.slot.params());
        all
    }

    fn linears(&self) -> Vec<Adaptable> {
        vec![Adaptable {
            name: self.name.clone(),
            weight: self.linear.weight.clone(),
            slot: self.slot.clone(),
        }]
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let y = self.linear.forward(&x.hidden)?;
        let y = self.slot.graph(&x.hidden, y, pass)?;
        Ok(x.with(self.activation.apply(&y)?))
    }

    fn output(&self) -> String {
        format!("({})", self.linear.weight.dims()[0])
    }
}

/// Dropout as a stage.
pub struct Dropout {
    name: String,
    rate: f32,
}

/// The way back through dropout: the mask again, or nothing where nothing was dropped.
struct Dropped(Option<Mask>);

impl Pullback for Dropped {
    fn pull(self: Box<Self>, grad: &Tensor, _: &mut Gradients) -> Result<Option<Tensor>> {
        Ok(Some(match self.0 {
            Some(mask) => dropout::backward(grad, &mask)?,
            None => grad.detach(),
        }))
    }
}

impl Dropout {
    /// `rate` of the values become zero while training, the others grow by `1 / (1 - rate)`.
    pub fn new(name: &str, rate: f64) -> Self {
        Dropout {
            name: name.to_string(),
            rate: rate as f32,
        }
    }

    /// The mask of this pass; none where nothing is dropped.
    fn mask(&self, pass: &Pass) -> Result<Option<Mask>> {
        if !pass.training || self.rate == 0.0 {
            return Ok(None);
        }
        Ok(Some(Mask::new(self.rate, pass.counter(&self.name))?))
    }
}

impl Stage for Dropout {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        Ok(match self.mask(pass)? {
            Some(mask) => x.with(dropout::dropout(&x.hidden, &mask)?),
            None => x.clone(),
        })
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        let mask = self.mask(pass)?;
        let y = match &mask {
            Some(mask) => dropout::forward(&x.hidden, mask)?,
            None => x.hidden.detach(),
        };
        Ok((x.with(y), Box::new(Dropped(mask))))
    }
}
