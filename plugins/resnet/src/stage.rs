//! A named stage around a node.

use candle_core::{DType, Tensor};
use tlkit_core::Result;
use tlkit_core::nn::{Flow, Gradients, Param, Pass, Pullback, Stage, segment};

use crate::conv::{Ask, Norms};
use crate::node::{Back, Node};

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
}

impl Stage for Piece {
    fn name(&self) -> &str {
        &self.name
    }

    fn params(&self) -> Vec<Param> {
        self.node.params()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        let tracked = x.hidden.track_op() || self.params().iter().any(Param::trains);
        if !(pass.graph && tracked) && x.hidden.dtype() == DType::F32 {
            // Nothing to differentiate: the fused passes, with the bits of a recorded one.
            return Ok(x.with(self.node.run(x.hidden.clone(), self.norms(pass))?));
        }
        Ok(x.with(self.node.graph(&x.hidden, self.norms(pass))?))
    }

    fn record(&self, x: &Flow, pass: &Pass) -> Result<(Flow, Box<dyn Pullback>)> {
        if x.hidden.dtype() != DType::F32 {
            return segment(self, x, pass);
        }
        let (y, back) = self.node.record(x.hidden.detach(), self.norms(pass))?;
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
