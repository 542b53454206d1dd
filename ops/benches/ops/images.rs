//! Operations of image networks, on eight images of 224 pixels.

use criterion::Criterion;
use tlkit_ops::batch_norm::{self as norm, After, Statistics};
use tlkit_ops::conv2d::{self as conv, Conv2d};
use tlkit_ops::pool::{self as pooling, Window};

use crate::{Group, drawn};

pub(crate) fn conv2d(c: &mut Criterion) {
    let mut group = Group::new(c, "conv2d");
    for (name, side, inputs, outputs, kernel, stride) in [
        ("stem 7x7, stride 2", 224, 3, 64, 7, 2),
        ("layer1 3x3", 56, 64, 64, 3, 1),
        ("layer2 3x3, stride 2", 56, 64, 128, 3, 2),
        ("layer2 3x3", 28, 128, 128, 3, 1),
        ("layer3 3x3", 14, 256, 256, 3, 1),
        ("layer4 3x3", 7, 512, 512, 3, 1),
        ("bottleneck 1x1, wider", 56, 64, 256, 1, 1),
        ("bottleneck 1x1, narrower", 14, 1024, 256, 1, 1),
    ] {
        let how = Conv2d::new(stride, kernel / 2);
        let x = drawn(&[8, side, side, inputs]);
        let w = drawn(&[outputs, inputs, kernel, kernel]);
        let y = conv::forward(&x, &w, None, &how).expect("shapes fit");
        let flop = 2 * y.elem_count() * inputs * kernel * kernel;
        group.flop(&format!("{name}, forward"), flop, || {
            conv::forward(&x, &w, None, &how)
        });
        group.flop(&format!("{name}, input"), flop, || {
            conv::backward_x(&w, &y, (side, side), &how)
        });
        group.flop(&format!("{name}, weights"), flop, || {
            conv::backward_weight(&x, &w, &y, &how)
        });
    }
}

pub(crate) fn batch_norm(c: &mut Criterion) {
    let mut group = Group::new(c, "batch norm");
    let x = drawn(&[8, 56, 56, 64]);
    let (w, b) = (drawn(&[64]), drawn(&[64]));
    let bytes = 4 * x.elem_count();
    let after = After {
        residual: Some(&x),
        relu: true,
    };
    let forward = || norm::forward(&x, &w, &b, Statistics::Batch, 1e-5, after);
    group.bytes("forward, the batch's, residual, relu", 4 * bytes, forward);
    let (_, saved, _) = forward().expect("shapes fit");
    group.bytes("backward", 4 * bytes, || norm::backward(&saved, &w, &x));
}

pub(crate) fn pool(c: &mut Criterion) {
    let mut group = Group::new(c, "pooling");
    let x = drawn(&[8, 112, 112, 64]);
    let bytes = 4 * x.elem_count();
    let window = Window::new(3, 2, 1);
    group.bytes("maximum 3x3, stride 2", bytes + bytes / 4, || {
        pooling::max_forward(&x, &window)
    });
    let (y, saved) = pooling::max_forward(&x, &window).expect("windows fit");
    group.bytes("its backward", bytes + bytes / 4, || {
        pooling::max_backward(&saved, &y)
    });
    let last = drawn(&[8, 7, 7, 512]);
    group.bytes("global average", 4 * last.elem_count(), || {
        pooling::adaptive_forward(&last, (1, 1))
    });
}

pub(crate) fn relu(c: &mut Criterion) {
    let mut group = Group::new(c, "relu");
    let x = drawn(&[8, 56, 56, 64]);
    let bytes = 4 * x.elem_count();
    group.bytes("forward", 2 * bytes, || tlkit_ops::relu::forward(&x));
    group.bytes("backward", 3 * bytes, || tlkit_ops::relu::backward(&x, &x));
}
