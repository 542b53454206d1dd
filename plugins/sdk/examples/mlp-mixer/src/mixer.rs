//! The stages: `stem`, `block.0`, ..., `pool`. Each is ordinary Candle code on kernels whose gradient is known (`tlkit_plugin::ops`).

use std::sync::Arc;

use tlkit_plugin::candle_core::Tensor;
use tlkit_plugin::core::Result;
use tlkit_plugin::core::nn::{Flow, Init, Linear, Param, Pass, Role, Scope, Stage};
use tlkit_plugin::core::task::Encoder;
use tlkit_plugin::ops::layer_norm::layer_norm;

/// What determines the network.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Pixels a side of the image.
    pub side: usize,
    /// Pixels a side of a patch.
    pub patch: usize,
    /// Channels.
    pub width: usize,
    /// Mixer layers.
    pub blocks: usize,
}

impl Shape {
    fn tokens(self) -> usize {
        (self.side / self.patch).pow(2)
    }
}

/// The encoder; the features are the mean over tokens.
pub struct Mixer {
    stages: Vec<Arc<dyn Stage>>,
    width: usize,
}

fn dense(scope: &Scope<'_>, inputs: usize, outputs: usize) -> Result<Linear> {
    Linear::new(scope, inputs, outputs, (1.0 / inputs as f64).sqrt())
}

impl Mixer {
    /// Under a scope.
    pub fn new(scope: &Scope<'_>, shape: Shape) -> Result<Self> {
        let (width, tokens) = (shape.width, shape.tokens());
        let stem = scope.sub("stem");
        let mut stages: Vec<Arc<dyn Stage>> = vec![Arc::new(Stem { shape, linear: dense(&stem, shape.patch * shape.patch * 3, width)? })];
        for i in 0..shape.blocks {
            let name = format!("block.{i}");
            let scope = scope.sub(&name);
            stages.push(Arc::new(Block {
                before_tokens: Norm::new(&scope.sub("before_tokens"), width)?,
                tokens: Mlp::new(&scope.sub("tokens"), tokens, width / 2)?,
                before_channels: Norm::new(&scope.sub("before_channels"), width)?,
                channels: Mlp::new(&scope.sub("channels"), width, width * 2)?,
                name,
            }));
        }
        stages.push(Arc::new(Pool { norm: Norm::new(&scope.sub("pool"), width)? }));
        Ok(Mixer { stages, width })
    }
}

impl Encoder for Mixer {
    fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// `(rows, side, side, 3)` to `(rows, tokens, width)`.
struct Stem {
    shape: Shape,
    linear: Linear,
}

impl Stage for Stem {
    fn name(&self) -> &str {
        "stem"
    }

    fn params(&self) -> Vec<Param> {
        self.linear.params()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        let rows = x.hidden.dim(0)?;
        let (patch, along) = (self.shape.patch, self.shape.side / self.shape.patch);
        let patches = x.hidden.reshape((rows, along, patch, along, patch, 3))?.permute((0, 1, 3, 2, 4, 5))?;
        let patches = patches.contiguous()?.reshape((rows, along * along, patch * patch * 3))?;
        Ok(x.with(self.linear.forward(&patches)?))
    }
}

/// Layer normalisation over channels.
struct Norm {
    weight: Param,
    bias: Param,
}

impl Norm {
    fn new(scope: &Scope<'_>, width: usize) -> Result<Self> {
        Ok(Norm {
            weight: scope.param("norm_weight", &[width], Role::NormWeight, Init::Ones)?,
            bias: scope.param("norm_bias", &[width], Role::NormBias, Init::Zeros)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(&x.contiguous()?, &self.weight.tensor(), &self.bias.tensor(), 1e-6)?)
    }

    fn params(&self) -> Vec<Param> {
        vec![self.weight.clone(), self.bias.clone()]
    }
}

/// Two dense layers with GELU between them, over the last dimension.
struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    fn new(scope: &Scope<'_>, width: usize, hidden: usize) -> Result<Self> {
        Ok(Mlp { first: dense(&scope.sub("first"), width, hidden)?, second: dense(&scope.sub("second"), hidden, width)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.second.forward(&self.first.forward(x)?.gelu_erf()?)
    }

    fn params(&self) -> Vec<Param> {
        [self.first.params(), self.second.params()].concat()
    }
}

/// `x + tokens(norm(x)^T)^T`, then `x + channels(norm(x))`.
struct Block {
    name: String,
    before_tokens: Norm,
    tokens: Mlp,
    before_channels: Norm,
    channels: Mlp,
}

impl Stage for Block {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        [self.before_tokens.params(), self.tokens.params(), self.before_channels.params(), self.channels.params()].concat()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        let turned = self.before_tokens.forward(&x.hidden)?.transpose(1, 2)?.contiguous()?;
        let mixed = self.tokens.forward(&turned)?.transpose(1, 2)?.contiguous()?;
        let hidden = (&x.hidden + mixed)?;
        let channels = self.channels.forward(&self.before_channels.forward(&hidden)?)?;
        Ok(x.with((hidden + channels)?))
    }
}

/// The mean over tokens of what is normalised.
struct Pool {
    norm: Norm,
}

impl Stage for Pool {
    fn name(&self) -> &str {
        "pool"
    }

    fn params(&self) -> Vec<Param> {
        self.norm.params()
    }

    fn forward(&self, x: &Flow, _: &Pass) -> Result<Flow> {
        Ok(x.with(self.norm.forward(&x.hidden)?.mean(1)?))
    }
}
