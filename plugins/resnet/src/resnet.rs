//! ResNets, after He et al. 2015 and torchvision's `resnet.py`; the small ones of section 4.2 with shortcut A.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::nn::{Scope, Stage};
use tlkit_ops::conv2d::Conv2d;
use tlkit_ops::pool::Window;

use crate::conv::{Conv, Plan};
use crate::network::refuse;
use crate::node::{Node, Shortcut};
use crate::stage::Piece;

const EPS: f64 = 1e-5;

fn unit(
    scope: &Scope<'_>,
    names: (&str, &str),
    (inputs, outputs): (usize, usize),
    kernel: usize,
    stride: usize,
    relu: bool,
) -> Result<Conv> {
    let plan = Plan {
        conv: names.0,
        norm: Some((names.1, EPS)),
        bias: false,
        kernel: (kernel, kernel),
        how: Conv2d::new(stride, kernel / 2),
        relu,
    };
    Conv::new(scope, inputs, outputs, plan)
}

/// A block from `inputs` to `outputs` channels: its convolutions.
fn block(
    scope: &Scope<'_>,
    inputs: usize,
    outputs: usize,
    stride: usize,
    bottleneck: bool,
) -> Result<Vec<Conv>> {
    if !bottleneck {
        return Ok(vec![
            unit(scope, ("conv1", "bn1"), (inputs, outputs), 3, stride, true)?,
            unit(scope, ("conv2", "bn2"), (outputs, outputs), 3, 1, true)?,
        ]);
    }
    let narrow = outputs / 4;
    Ok(vec![
        unit(scope, ("conv1", "bn1"), (inputs, narrow), 1, 1, true)?,
        unit(scope, ("conv2", "bn2"), (narrow, narrow), 3, stride, true)?,
        unit(scope, ("conv3", "bn3"), (narrow, outputs), 1, 1, true)?,
    ])
}

/// The stages of an ImageNet ResNet, and the width of the last one.
pub(crate) fn imagenet(
    scope: &Scope<'_>,
    blocks: &[usize],
    bottleneck: bool,
) -> Result<(Vec<Arc<dyn Stage>>, usize)> {
    if blocks.is_empty() || blocks.len() > 4 || blocks.contains(&0) {
        return Err(refuse(format!(
            "a ResNet has one to four layers of one or more blocks, not {blocks:?}"
        )));
    }
    let stem = Node::Chain(vec![
        Node::Conv(Box::new(unit(
            scope,
            ("conv1", "bn1"),
            (3, 64),
            7,
            2,
            true,
        )?)),
        Node::Max(Window::new(3, 2, 1)),
    ]);
    let mut stages: Vec<Arc<dyn Stage>> = vec![Arc::new(Piece::new("stem", stem, shape(64)))];
    let mut inputs = 64;
    for (i, &n) in blocks.iter().enumerate() {
        let outputs = (64 << i) * if bottleneck { 4 } else { 1 };
        let name = format!("layer{}", i + 1);
        let mut nodes = Vec::with_capacity(n);
        for b in 0..n {
            let scope = scope.sub(&name).sub(&b.to_string());
            let stride = if b == 0 && i > 0 { 2 } else { 1 };
            let main = block(&scope, inputs, outputs, stride, bottleneck)?;
            let shortcut = match stride != 1 || inputs != outputs {
                true => {
                    let names = ("downsample.0", "downsample.1");
                    let conv = unit(&scope, names, (inputs, outputs), 1, stride, false)?;
                    Shortcut::Conv(Box::new(conv))
                }
                false => Shortcut::Identity,
            };
            nodes.push(Node::Residual(main, shortcut));
            inputs = outputs;
        }
        stages.push(Arc::new(Piece::new(
            &name,
            Node::Chain(nodes),
            shape(outputs),
        )));
    }
    Ok((stages, inputs))
}

/// The stages of a ResNet for 32 pixels with `n` blocks a layer, the first of them `width` channels wide.
pub(crate) fn cifar(
    scope: &Scope<'_>,
    n: usize,
    width: usize,
) -> Result<(Vec<Arc<dyn Stage>>, usize)> {
    if n == 0 {
        return Err(refuse("a ResNet has one or more blocks a layer".into()));
    }
    let stem = Node::Conv(Box::new(unit(
        scope,
        ("conv1", "bn1"),
        (3, width),
        3,
        1,
        true,
    )?));
    let mut stages: Vec<Arc<dyn Stage>> = vec![Arc::new(Piece::new("stem", stem, shape(width)))];
    let mut inputs = width;
    for (i, outputs) in [width, 2 * width, 4 * width].into_iter().enumerate() {
        let name = format!("layer{}", i + 1);
        let mut nodes = Vec::with_capacity(n);
        for b in 0..n {
            let scope = scope.sub(&name).sub(&b.to_string());
            let stride = if inputs == outputs { 1 } else { 2 };
            let main = block(&scope, inputs, outputs, stride, false)?;
            let shortcut = match inputs == outputs {
                true => Shortcut::Identity,
                false => Shortcut::Subsample {
                    stride,
                    pad: (outputs - inputs) / 2,
                },
            };
            nodes.push(Node::Residual(main, shortcut));
            inputs = outputs;
        }
        stages.push(Arc::new(Piece::new(
            &name,
            Node::Chain(nodes),
            shape(outputs),
        )));
    }
    Ok((stages, inputs))
}

/// How the summary shows an activation's shape.
pub(crate) fn shape(channels: usize) -> String {
    format!("(height, width, {channels})")
}
