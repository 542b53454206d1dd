//! Inception v3, after Szegedy et al. 2015 and torchvision's `inception.py`, whose names it keeps. The auxiliary head is left out.

use std::sync::Arc;

use tlkit_core::Result;
use tlkit_core::nn::{Scope, Stage};
use tlkit_ops::conv2d::Conv2d;
use tlkit_ops::pool::Window;

use crate::conv::{Conv, Plan};
use crate::node::Node;
use crate::resnet::shape;
use crate::stage::Piece;

/// Height and width.
type Pair = (usize, usize);

/// Convolution without bias, norm and ReLU: `name.conv`, `name.bn`.
fn unit(
    scope: &Scope<'_>,
    name: &str,
    (inputs, outputs): (usize, usize),
    kernel: Pair,
    stride: usize,
    padding: Pair,
) -> Result<Node> {
    let plan = Plan {
        conv: "conv",
        norm: Some(("bn", 1e-3)),
        bias: false,
        kernel,
        how: Conv2d {
            padding,
            ..Conv2d::new(stride, 0)
        },
        relu: true,
    };
    let conv = Conv::new(&scope.sub(name), inputs, outputs, plan)?;
    Ok(Node::Conv(Box::new(conv)))
}

/// Units one after another, all of stride 1 and with padding that keeps the size: name, outputs, kernel.
fn path(scope: &Scope<'_>, inputs: usize, units: &[(&str, usize, Pair)]) -> Result<Vec<Node>> {
    let mut inputs = inputs;
    let mut nodes = Vec::with_capacity(units.len());
    for &(name, outputs, kernel) in units {
        let padding = (kernel.0 / 2, kernel.1 / 2);
        nodes.push(unit(scope, name, (inputs, outputs), kernel, 1, padding)?);
        inputs = outputs;
    }
    Ok(nodes)
}

fn chain(scope: &Scope<'_>, inputs: usize, units: &[(&str, usize, Pair)]) -> Result<Node> {
    Ok(Node::Chain(path(scope, inputs, units)?))
}

/// Average of 3 x 3, then a 1 x 1 convolution.
fn pooled(scope: &Scope<'_>, inputs: usize, outputs: usize) -> Result<Node> {
    let mut nodes = vec![Node::Average(Window::new(3, 1, 1))];
    nodes.extend(path(scope, inputs, &[("branch_pool", outputs, (1, 1))])?);
    Ok(Node::Chain(nodes))
}

fn a(scope: &Scope<'_>, c: usize, pool: usize) -> Result<Node> {
    Ok(Node::Branches(vec![
        chain(scope, c, &[("branch1x1", 64, (1, 1))])?,
        chain(
            scope,
            c,
            &[("branch5x5_1", 48, (1, 1)), ("branch5x5_2", 64, (5, 5))],
        )?,
        chain(
            scope,
            c,
            &[
                ("branch3x3dbl_1", 64, (1, 1)),
                ("branch3x3dbl_2", 96, (3, 3)),
                ("branch3x3dbl_3", 96, (3, 3)),
            ],
        )?,
        pooled(scope, c, pool)?,
    ]))
}

fn b(scope: &Scope<'_>, c: usize) -> Result<Node> {
    let mut double = path(
        scope,
        c,
        &[
            ("branch3x3dbl_1", 64, (1, 1)),
            ("branch3x3dbl_2", 96, (3, 3)),
        ],
    )?;
    double.push(unit(scope, "branch3x3dbl_3", (96, 96), (3, 3), 2, (0, 0))?);
    Ok(Node::Branches(vec![
        unit(scope, "branch3x3", (c, 384), (3, 3), 2, (0, 0))?,
        Node::Chain(double),
        Node::Max(Window::new(3, 2, 0)),
    ]))
}

fn c(scope: &Scope<'_>, c: usize, narrow: usize) -> Result<Node> {
    let n = narrow;
    Ok(Node::Branches(vec![
        chain(scope, c, &[("branch1x1", 192, (1, 1))])?,
        chain(
            scope,
            c,
            &[
                ("branch7x7_1", n, (1, 1)),
                ("branch7x7_2", n, (1, 7)),
                ("branch7x7_3", 192, (7, 1)),
            ],
        )?,
        chain(
            scope,
            c,
            &[
                ("branch7x7dbl_1", n, (1, 1)),
                ("branch7x7dbl_2", n, (7, 1)),
                ("branch7x7dbl_3", n, (1, 7)),
                ("branch7x7dbl_4", n, (7, 1)),
                ("branch7x7dbl_5", 192, (1, 7)),
            ],
        )?,
        pooled(scope, c, 192)?,
    ]))
}

fn d(scope: &Scope<'_>, c: usize) -> Result<Node> {
    let mut three = path(scope, c, &[("branch3x3_1", 192, (1, 1))])?;
    three.push(unit(scope, "branch3x3_2", (192, 320), (3, 3), 2, (0, 0))?);
    let mut seven = path(
        scope,
        c,
        &[
            ("branch7x7x3_1", 192, (1, 1)),
            ("branch7x7x3_2", 192, (1, 7)),
            ("branch7x7x3_3", 192, (7, 1)),
        ],
    )?;
    seven.push(unit(scope, "branch7x7x3_4", (192, 192), (3, 3), 2, (0, 0))?);
    Ok(Node::Branches(vec![
        Node::Chain(three),
        Node::Chain(seven),
        Node::Max(Window::new(3, 2, 0)),
    ]))
}

fn e(scope: &Scope<'_>, c: usize) -> Result<Node> {
    let fork = |name: &str, inputs: usize| -> Result<Node> {
        let (first, second) = (format!("{name}a"), format!("{name}b"));
        Ok(Node::Branches(vec![
            chain(scope, inputs, &[(&first, 384, (1, 3))])?,
            chain(scope, inputs, &[(&second, 384, (3, 1))])?,
        ]))
    };
    let mut three = path(scope, c, &[("branch3x3_1", 384, (1, 1))])?;
    three.push(fork("branch3x3_2", 384)?);
    let mut double = path(
        scope,
        c,
        &[
            ("branch3x3dbl_1", 448, (1, 1)),
            ("branch3x3dbl_2", 384, (3, 3)),
        ],
    )?;
    double.push(fork("branch3x3dbl_3", 384)?);
    Ok(Node::Branches(vec![
        chain(scope, c, &[("branch1x1", 320, (1, 1))])?,
        Node::Chain(three),
        Node::Chain(double),
        pooled(scope, c, 192)?,
    ]))
}

/// The stages, and the width of the last one.
pub(crate) fn build(scope: &Scope<'_>) -> Result<(Vec<Arc<dyn Stage>>, usize)> {
    let k = (3, 3);
    let stem = vec![
        unit(scope, "Conv2d_1a_3x3", (3, 32), k, 2, (0, 0))?,
        unit(scope, "Conv2d_2a_3x3", (32, 32), k, 1, (0, 0))?,
        unit(scope, "Conv2d_2b_3x3", (32, 64), k, 1, (1, 1))?,
        Node::Max(Window::new(3, 2, 0)),
        unit(scope, "Conv2d_3b_1x1", (64, 80), (1, 1), 1, (0, 0))?,
        unit(scope, "Conv2d_4a_3x3", (80, 192), k, 1, (0, 0))?,
        Node::Max(Window::new(3, 2, 0)),
    ];
    let five = vec![
        a(&scope.sub("Mixed_5b"), 192, 32)?,
        a(&scope.sub("Mixed_5c"), 256, 64)?,
        a(&scope.sub("Mixed_5d"), 288, 64)?,
    ];
    let six = vec![
        b(&scope.sub("Mixed_6a"), 288)?,
        c(&scope.sub("Mixed_6b"), 768, 128)?,
        c(&scope.sub("Mixed_6c"), 768, 160)?,
        c(&scope.sub("Mixed_6d"), 768, 160)?,
        c(&scope.sub("Mixed_6e"), 768, 192)?,
    ];
    let seven = vec![
        d(&scope.sub("Mixed_7a"), 768)?,
        e(&scope.sub("Mixed_7b"), 1280)?,
        e(&scope.sub("Mixed_7c"), 2048)?,
    ];
    let piece = |name: &str, nodes: Vec<Node>, width: usize| -> Arc<dyn Stage> {
        Arc::new(Piece::new(name, Node::Chain(nodes), shape(width)))
    };
    let stages = vec![
        piece("stem", stem, 192),
        piece("mixed5", five, 288),
        piece("mixed6", six, 768),
        piece("mixed7", seven, 2048),
    ];
    Ok((stages, 2048))
}
