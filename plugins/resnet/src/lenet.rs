//! LeNet with a normalised bottleneck, the network for digits of SHOT (Liang, Hu & Feng, ICML 2020; LeNet is LeCun et al. 1998, in Caffe's widths).
//!
//! ```text
//! conv1     5 x 5 convolution to 20 channels, no padding, ReLU, maximum of 2 x 2
//! conv2     5 x 5 convolution to 50 channels, no padding, ReLU, maximum of 2 x 2
//! dropout2  0.5, of whole channels
//! fc1       4 x 4 x 50 values to 256, batch norm: the features
//! dropout   0.5
//! ```
//!
//! Dropout of channels commutes with a maximum and with a ReLU, so it stands behind them; a dense layer of a map is a convolution as large as the map. Colour
//! images, so that one network reads both; on a grey image the three channels of a first kernel add up to one.

use std::sync::Arc;

use candle_core::Tensor;
use tlkit_core::Result;
use tlkit_core::nn::{Dropout, Flow, Param, Pass, Scope, Stage};
use tlkit_ops::conv2d::Conv2d;
use tlkit_ops::dropout;
use tlkit_ops::pool::Window;

use crate::conv::{Conv, Plan};
use crate::node::Node;
use crate::resnet::shape;
use crate::stage::Piece;

/// Width of the features.
pub(crate) const WIDTH: usize = 256;
/// Side of the map that the features are made of: what is left of 28 pixels.
pub(crate) const SIDE: usize = 4;
/// Channels of the two convolutions.
pub(crate) const CHANNELS: [usize; 2] = [20, 50];

/// The stages, and the width of the features.
pub(crate) fn build(scope: &Scope<'_>) -> Result<(Vec<Arc<dyn Stage>>, usize)> {
    let [first, second] = CHANNELS;
    let unit = |conv: &str, kernel: usize, inputs: usize, outputs: usize| -> Result<Node> {
        let last = outputs == WIDTH;
        let plan = Plan {
            conv,
            norm: last.then_some(("bn", 1e-5)),
            bias: !last,
            kernel: (kernel, kernel),
            how: Conv2d::new(1, 0),
            relu: !last,
        };
        Ok(Node::Conv(Box::new(Conv::new(
            scope, inputs, outputs, plan,
        )?)))
    };
    let halved = |node: Node| Node::Chain(vec![node, Node::Max(Window::new(2, 2, 0))]);
    let third = Node::Chain(vec![
        Node::Adaptive(SIDE, SIDE),
        unit("fc1", SIDE, second, WIDTH)?,
        Node::Flatten,
    ]);
    Ok((
        vec![
            Arc::new(Piece::new(
                "conv1",
                halved(unit("conv1", 5, 3, first)?),
                shape(first),
            )),
            Arc::new(Piece::new(
                "conv2",
                halved(unit("conv2", 5, first, second)?),
                shape(second),
            )),
            Arc::new(ChannelDropout {
                name: "dropout2",
                rate: 0.5,
            }),
            Arc::new(Piece::new("fc1", third, format!("({WIDTH})"))),
            Arc::new(Dropout::new("dropout", 0.5)),
        ],
        WIDTH,
    ))
}

/// Zeroes whole channels of an image while training (Tompson et al. 2015).
struct ChannelDropout {
    name: &'static str,
    rate: f32,
}

impl Stage for ChannelDropout {
    fn name(&self) -> &str {
        self.name
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn forward(&self, x: &Flow, pass: &Pass) -> Result<Flow> {
        if !pass.training {
            return Ok(x.clone());
        }
        let (n, _, _, c) = x.hidden.dims4()?;
        let ones = Tensor::ones((n, 1, 1, c), x.hidden.dtype(), x.hidden.device())?;
        let drop = dropout::Dropout::new(self.rate, pass.counter(self.name))?;
        let factors = dropout::forward(&ones, &drop)?;
        Ok(x.with(x.hidden.broadcast_mul(&factors)?))
    }
}
