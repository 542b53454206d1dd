//! VGG, after Simonyan and Zisserman 2014 and torchvision's `vgg.py`.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::nn::{Dropout, Linear, Scope, Stage};
use tlkit_ops::conv2d::Conv2d;
use tlkit_ops::pool::Window;

use crate::conv::{Conv, Plan};
use crate::network::refuse;
use crate::node::Node;
use crate::resnet::shape;
use crate::stage::Piece;

/// Width of the dense layers.
const DENSE: usize = 4096;

/// The stages, and the width of the features.
pub(crate) fn build(
    scope: &Scope<'_>,
    depth: usize,
    norm: bool,
    dense: bool,
) -> Result<(Vec<Arc<dyn Stage>>, usize)> {
    let convolutions = match depth {
        16 => [2, 2, 3, 3, 3],
        19 => [2, 2, 4, 4, 4],
        _ => return Err(refuse(format!("VGG has 16 or 19 layers, not {depth}"))),
    };
    let features = scope.sub("features");
    let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
    // torchvision numbers convolution, norm, ReLU and pooling alike.
    let (mut inputs, mut index) = (3, 0);
    for (i, (n, outputs)) in convolutions
        .into_iter()
        .zip([64, 128, 256, 512, 512])
        .enumerate()
    {
        let mut nodes = Vec::with_capacity(n + 1);
        for _ in 0..n {
            let (conv, after) = (index.to_string(), (index + 1).to_string());
            let plan = Plan {
                conv: &conv,
                norm: norm.then_some((after.as_str(), 1e-5)),
                bias: true,
                kernel: (3, 3),
                how: Conv2d::new(1, 1),
                relu: true,
            };
            nodes.push(Node::Conv(Box::new(Conv::new(
                &features, inputs, outputs, plan,
            )?)));
            inputs = outputs;
            index += if norm { 3 } else { 2 };
        }
        nodes.push(Node::Max(Window::new(2, 2, 0)));
        index += 1;
        let name = format!("block{}", i + 1);
        stages.push(Arc::new(Piece::new(
            &name,
            Node::Chain(nodes),
            shape(outputs),
        )));
    }
    if !dense {
        return Ok((stages, inputs));
    }
    let classifier = scope.sub("classifier");
    let map = |index: &str, inputs: usize| {
        let std = (2.0 / inputs as f64).sqrt();
        Linear::new(&classifier.sub(index), inputs, DENSE, std)
    };
    let output = format!("({DENSE})");
    let first = Node::Chain(vec![
        Node::Adaptive(7, 7),
        Node::Flatten,
        Node::Dense(map("0", 7 * 7 * inputs)?),
    ]);
    let second = Node::Dense(map("3", DENSE)?);
    stages.push(Arc::new(Piece::new("fc6", first, output.clone())));
    stages.push(Arc::new(Dropout::new("fc6.dropout", 0.5)));
    stages.push(Arc::new(Piece::new("fc7", second, output)));
    stages.push(Arc::new(Dropout::new("fc7.dropout", 0.5)));
    Ok((stages, DENSE))
}
