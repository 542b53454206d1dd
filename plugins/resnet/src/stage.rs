//! A named stage around a node.

use candle_core::{DType, Tensor};
use tlkit_core::Result;
use tlkit_core::nn::{Flow, Gradients, Param, Pass, Pullback, Role, Stage, segment};
use tlkit_ops::Precision;

use crate::conv::{Ask, Norms};
use crate::node::{Back, Node};

/// Batches of so few images are computed in f64 where their own statistics normalise them.
const FEW_IMAGES: usize = 4;

/// One stage of an image network: `stem`, `layer1`, ..
pub(crate) struct Piece {
    name: String,
    node: Node,
    output: String,
}

impl Piece {
    /// `output` is how the summary shows its output's shape.
    pub(crate) fn new(name: &str, node: Node, output: String) -> Self {
        Piece {
            name: name.to_string(),
            node,
            output,
        }
    }

    fn norms(&self, pass: &Pass) -> Norms {
        Norms::of(pass, self.params().iter().any(Param::trains))
    }

    /// Whether roundings would be magnified beyond use: the last norms of a batch of so few images are of a handful of values, and each divides
    /// what the ones below it rounded by a small deviation. Such a stage is computed in f64, which is slow, and nothing that one does often.
    fn delicate(&self, x: &Flow, pass: &Pass) -> bool {
        let rows = x.hidden.dims().first().copied().unwrap_or(0);
        x.hidden.dtype() == DType::F32
            && rows <= FEW_IMAGES
            && self.norms(pass).batch
            && self.params().iter().any(|p| p.role() == Role::Statistic)
    }
}

impl Stage for Piece {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        self.node.params()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        if self.delicate(x, pass) {
            let wide = x.hidden.to_dtype(DType::F64)?;
            let y = self.node.graph(&wide, self.norms(pass))?;
            return Ok(x.with(y.to_dtype(DType::F32)?));
        }
        let tracked = x.hidden.track_op() || self.params().iter().any(Param::trains);
        if !(pass.graph && tracked) && x.hidden.dtype() == DType::F32 {
            // Nothing to differentiate: the fused passes, with the bits of a recorded one.
            return Ok(x.with(self.node.run(x.hidden.clone(), self.norms(pass))?));
        }
        Ok(x.with(self.node.graph(&x.hidden, self.norms(pass))?))
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        // A GPU keeps activations of bf16: half the memory and half the traffic. (On a CPU, factors of convolutions
        // are rounded as they are packed.)
        let halved = pass.precision == Precision::Bf16 && !x.hidden.device().is_cpu();
        if x.hidden.dtype() != DType::F32 && !halved || self.delicate(x, pass) {
            return segment(self, x, pass);
        }
        let hidden = match halved {
            true => x.hidden.detach().to_dtype(DType::BF16)?,
            false => x.hidden.detach(),
        };
        let (y, back) = self.node.record(hidden, self.norms(pass))?;
        let need = pass.input_gradient;
        Ok((x.with(y), Box::new(Way { back, need })))
    }

    fn output(&self) -> String {
        self.output.clone()
    }
}

struct Way {
    back: Back,
    need: bool,
}

impl Pullback for Way {
    fn pull(self: Box<Self>, grad: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        let ask = Ask {
            need: self.need,
            ..Ask::default()
        };
        self.back.pull(grad.detach(), false, ask, into)
    }
}
