//! The small convolutional network for digits of 28 pixels of PyTorch's `examples/mnist`, which skada-bench adapts between MNIST and USPS.
//!
//! ```text
//! conv1   3 x 3 convolution to 32 channels, no padding, ReLU
//! conv2   3 x 3 convolution to 64 channels, no padding, ReLU, maximum of 2 x 2
//! dropout 0.25
//! fc1     12 x 12 x 64 values to 128, ReLU: the features
//! ```
//!
//! The dropout of 0.5 before its classifier belongs to the head: `head = [{ dropout = 0.5 }, "classifier"]`. Colour images, so that one network reads
//! both; on a grey image the three channels of a first kernel add up to one. With batch norm (`shallow_cnn_bn`) one stands behind each convolution:
//! the original has none, and `adabn` and `tent` ask for it.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::nn::{Dropout, Linear, Scope, Stage};
use tlkit_ops::conv2d::Conv2d;
use tlkit_ops::pool::Window;

use crate::conv::{Conv, Plan};
use crate::node::Node;
use crate::resnet::shape;
use crate::stage::Piece;

/// Width of the features.
pub(crate) const WIDTH: usize = 128;
/// Side of the map that is laid out flat: what is left of 28 pixels.
const SIDE: usize = 12;

/// The stages, and the width of the features.
pub(crate) fn build(scope: &Scope<'_>, norm: bool) -> Result<(Vec<Arc<dyn Stage>>, usize)> {
    let unit = |conv: &str, bn: &str, inputs: usize, outputs: usize| -> Result<Node> {
        let plan = Plan {
            conv,
            norm: norm.then_some((bn, 1e-5)),
            bias: !norm,
            kernel: (3, 3),
            how: Conv2d::new(1, 0),
            relu: true,
        };
        Ok(Node::Conv(Box::new(Conv::new(
            scope, inputs, outputs, plan,
        )?)))
    };
    let second = Node::Chain(vec![
        unit("conv2", "bn2", 32, 64)?,
        Node::Max(Window::new(2, 2, 0)),
    ]);
    let inputs = SIDE * SIDE * 64;
    let dense = Linear::new(
        &scope.sub("fc1"),
        inputs,
        WIDTH,
        (2.0 / inputs as f64).sqrt(),
    )?;
    let third = Node::Chain(vec![
        Node::Adaptive(SIDE, SIDE),
        Node::Flatten,
        Node::Dense(dense),
    ]);
    Ok((
        vec![
            Arc::new(Piece::new("conv1", unit("conv1", "bn1", 3, 32)?, shape(32))),
            Arc::new(Piece::new("conv2", second, shape(64))),
            Arc::new(Dropout::new("dropout", 0.25)),
            Arc::new(Piece::new("fc1", third, format!("({WIDTH})"))),
        ],
        WIDTH,
    ))
}
