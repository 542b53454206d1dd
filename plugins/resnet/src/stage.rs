//! A named stage around a node.

use candle_core::{DType, Tensor};
use tlkit_core::Result;
use tlkit_core::nn::{Flow, Gradients, Param, Pass, Pullback, Role, Stage, segment};
use tlkit_ops::Precision;

use crate::conv::{Ask, Norms};
use crate::node::{Back, Node};

/// Batches of so few images are computed in f64 on a CPU where their own statistics normalise them.
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
        // On a GPU, f64 for a piece of a batch that was cut would take the memory that cutting was to save.
        x.hidden.device().is_cpu()
            && x.hidden.dtype() == DType::F32
            && rows <= FEW_IMAGES
            && self.norms(pass).batch
            && self.params().iter().any(|p| p.role() == Role::Statistic)
    }

    /// Recorded, with maps in bf16 where they are `halved`; its input and features stay of the types that the stages around it know.
    fn recorded(&self, x: &Flow, pass: &Pass, halved: bool) -> Result<(Flow, Box<dyn Pullback>)> {
        let hidden = match halved {
            true => x.hidden.detach().to_dtype(DType::BF16)?,
            false => x.hidden.detach(),
        };
        let (y, back) = self.node.record(hidden, self.norms(pass))?;
        let inner = y.dtype();
        // Features `(batch, width)` are f32, for heads and losses; maps are what is large.
        let y = match halved && y.rank() == 2 {
            true => y.to_dtype(DType::F32)?,
            false => y,
        };
        let way = Way {
            back,
            need: pass.input_gradient,
            inner,
            outer: x.hidden.dtype(),
        };
        Ok((x.with(y), Box::new(way)))
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
        self.recorded(x, pass, halved)
    }

    fn output(&self) -> String {
        self.output.clone()
    }
}

struct Way {
    back: Back,
    need: bool,
    /// The type that it was computed in.
    inner: DType,
    /// That of the input, and thus of its gradient.
    outer: DType,
}

impl Pullback for Way {
    fn pull(self: Box<Self>, grad: &Tensor, into: &mut Gradients) -> Result<Option<Tensor>> {
        let ask = Ask {
            need: self.need,
            ..Ask::default()
        };
        let grad = grad.detach().to_dtype(self.inner)?;
        let below = self.back.pull(grad, false, ask, into)?;
        Ok(below.map(|g| g.to_dtype(self.outer)).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Architecture, POOLINGS};
    use candle_core::Device;
    use std::sync::Arc;
    use tlkit_core::nn::Batch;

    type Record<'a> = &'a dyn Fn(&Flow, &Pass) -> Result<(Flow, Box<dyn Pullback>)>;

    /// What a pooling makes of two maps of 2 x 2 pixels and three channels, whose numbers and means bf16 has, and its input's gradient.
    fn pooled(dtype: DType, record: Record<'_>) -> [Tensor; 2] {
        let x: Vec<f32> = (0..24u8).map(|i| f32::from(i * 7 % 24)).collect();
        let x = Tensor::from_vec(x, (2, 2, 2, 3), &Device::Cpu).unwrap();
        let x = x.to_dtype(dtype).unwrap();
        let x = Flow::start(&Arc::new(Batch::new(2, x)));
        let pass = Pass {
            input_gradient: true,
            ..Pass::evaluation()
        };
        let (y, back) = record(&x, &pass).unwrap();
        let grad = y.hidden.ones_like().unwrap();
        let below = back.pull(&grad, &mut Gradients::default()).unwrap();
        [y.hidden, below.expect("a gradient")]
    }

    #[test]
    fn features_of_maps_in_bf16_are_f32_and_a_gradient_has_its_inputs_type() {
        let network = Architecture::named("cifar_resnet20").unwrap();
        for name in POOLINGS {
            let stage = network.pooling(name, 3).remove(0);
            let whole = |x: &Flow, pass: &Pass| stage.record(x, pass);
            let nodes = match name {
                "flatten" => vec![Node::Flatten],
                _ => vec![Node::Adaptive(1, 1), Node::Flatten],
            };
            let piece = Piece::new(name, Node::Chain(nodes), String::new());
            let halved = |x: &Flow, pass: &Pass| piece.recorded(x, pass, true);
            // As on a GPU; the largest of a map is no piece.
            let record: Record<'_> = match name {
                "global-max-pool" => &whole,
                _ => &halved,
            };
            let exact = pooled(DType::F32, &whole);
            for dtype in [DType::BF16, DType::F32] {
                let got = pooled(dtype, record);
                assert_eq!(got[0].dtype(), DType::F32, "{name}");
                assert_eq!(got[1].dtype(), dtype, "{name}");
                for (got, exact) in got.iter().zip(&exact) {
                    let flat = |t: &Tensor| {
                        let t = t.to_dtype(DType::F32).unwrap();
                        t.flatten_all().unwrap().to_vec1::<f32>().unwrap()
                    };
                    assert_eq!(got.dims(), exact.dims(), "{name}");
                    assert_eq!(flat(got), flat(exact), "{name}");
                }
            }
        }
    }

    #[test]
    fn maps_in_bf16_stay_so() {
        let piece = Piece::new("maps", Node::Adaptive(1, 1), String::new());
        let [y, below] = pooled(DType::F32, &|x, pass| piece.recorded(x, pass, true));
        assert_eq!(y.dtype(), DType::BF16);
        assert_eq!(below.dtype(), DType::F32);
    }
}
