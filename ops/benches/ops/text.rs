//! Operations of a transformer, on the shapes of MiniLM: 16 texts of 128 tokens.

use candle_core::{Device, Tensor};
use criterion::Criterion;
use tlkit_ops::attention::KeyMask;
use tlkit_ops::cross_entropy::CrossEntropy;
use tlkit_ops::dropout::Dropout;
use tlkit_ops::gelu::Kind;
use tlkit_ops::optim::{AdamW, Rule, Slot};
use tlkit_ops::random::Counter;
use tlkit_ops::{Precision, cross_entropy as xent, matmul};

use crate::{Group, drawn};

const ROWS: usize = 2048;
const WIDTH: usize = 384;
const HIDDEN: usize = 1536;
/// Bytes of an activation.
const NARROW: usize = 4 * ROWS * WIDTH;
const WIDE: usize = 4 * ROWS * HIDDEN;

fn mask() -> Dropout {
    Dropout::new(0.1, Counter::new(1, 2)).expect("a probability")
}

pub(crate) fn linear(c: &mut Criterion) {
    let mut group = Group::new(c, "linear");
    let (x, grad) = (drawn(&[ROWS, WIDTH]), drawn(&[ROWS, HIDDEN]));
    let (w, b) = (drawn(&[HIDDEN, WIDTH]), drawn(&[HIDDEN]));
    let flop = 2 * ROWS * WIDTH * HIDDEN;
    group.flop("forward", flop, || {
        tlkit_ops::linear::forward(&x, &w, Some(&b))
    });
    group.flop("backward", 2 * flop, || {
        tlkit_ops::linear::backward(&x, &w, &grad, true)
    });
    group.flop("product, bf16", flop, || {
        matmul::forward_in(Precision::Bf16, &x, &w, false, true)
    });
}

pub(crate) fn layer_norm(c: &mut Criterion) {
    use tlkit_ops::layer_norm::{backward, forward, residual_forward};
    let mut group = Group::new(c, "layer norm");
    let (x, y) = (drawn(&[ROWS, WIDTH]), drawn(&[ROWS, WIDTH]));
    let (w, b) = (drawn(&[WIDTH]), drawn(&[WIDTH]));
    group.bytes("forward", 2 * NARROW, || forward(&x, &w, &b, 1e-12));
    let (_, saved) = forward(&x, &w, &b, 1e-12).expect("shapes fit");
    group.bytes("backward", 3 * NARROW, || backward(&saved, &w, &y));
    group.bytes("residual", 4 * NARROW, || {
        residual_forward(&x, &y, &w, &b, 1e-12, None)
    });
    let drop = mask();
    group.bytes("residual, dropout", 4 * NARROW, || {
        residual_forward(&x, &y, &w, &b, 1e-12, Some(&drop))
    });
}

pub(crate) fn gelu(c: &mut Criterion) {
    use tlkit_ops::gelu::{backward, forward};
    let mut group = Group::new(c, "bias and gelu");
    let (x, b) = (drawn(&[ROWS, HIDDEN]), drawn(&[HIDDEN]));
    for kind in [Kind::Erf, Kind::Tanh] {
        group.bytes(&format!("forward, {kind:?}"), 2 * WIDE, || {
            forward(&x, Some(&b), kind)
        });
        group.bytes(&format!("backward, {kind:?}"), 3 * WIDE, || {
            backward(&x, Some(&b), kind, &x)
        });
    }
}

pub(crate) fn dropout(c: &mut Criterion) {
    let mut group = Group::new(c, "dropout");
    let (x, drop) = (drawn(&[ROWS, HIDDEN]), mask());
    group.bytes("forward", 2 * WIDE, || {
        tlkit_ops::dropout::forward(&x, &drop)
    });
}

pub(crate) fn softmax(c: &mut Criterion) {
    use tlkit_ops::softmax::{backward, forward};
    let mut group = Group::new(c, "softmax");
    let x = drawn(&[16 * 12 * 128, 128]);
    let y = forward(&x, None).expect("a matrix");
    let bytes = 4 * x.elem_count();
    group.bytes("forward", 2 * bytes, || forward(&x, None));
    group.bytes("backward", 3 * bytes, || backward(&y, &x));
}

pub(crate) fn attention(c: &mut Criterion) {
    use tlkit_ops::attention::{backward_packed, forward};
    let mut group = Group::new(c, "attention");
    let (batch, length, heads, dim) = (16, 128, 12, 32);
    let qkv = drawn(&[batch, length, 3 * heads * dim]);
    let part = |i: usize| {
        qkv.narrow(2, i * heads * dim, heads * dim)
            .expect("a third")
    };
    let (q, k, v) = (part(0), part(1), part(2));
    let grad = drawn(&[batch, length, heads * dim]);
    let flop = 4 * batch * heads * length * length * dim;
    let drop = mask();
    for (name, d) in [("", None), (", dropout", Some(&drop))] {
        let run = || forward(&q, &k, &v, heads, &KeyMask::None, d);
        group.flop(&format!("forward{name}"), flop, run);
        let (_, saved) = run().expect("shapes fit");
        group.flop(&format!("backward{name}"), 2 * flop, || {
            backward_packed(&saved, &grad)
        });
    }
    let half = KeyMask::Lengths(vec![length / 2; batch]);
    group.flop("forward, half padding", flop / 4, || {
        forward(&q, &k, &v, heads, &half, None)
    });
}

pub(crate) fn embedding(c: &mut Criterion) {
    use tlkit_ops::embedding::{forward, sparse_backward};
    let mut group = Group::new(c, "embedding");
    let table = drawn(&[30522, WIDTH]);
    let ids: Vec<u32> = (0..ROWS as u32).map(|i| i * 7919 % 30522).collect();
    let ids = Tensor::from_vec(ids, ROWS, &Device::Cpu).expect("as many");
    let grad = drawn(&[ROWS, WIDTH]);
    group.bytes("forward", 2 * NARROW, || forward(&table, &ids));
    group.bytes("sparse backward", 2 * NARROW, || {
        sparse_backward(&ids, &grad, None)
    });
}

pub(crate) fn cross_entropy(c: &mut Criterion) {
    let mut group = Group::new(c, "cross-entropy");
    let logits = drawn(&[256, 30522]);
    let labels: Vec<u32> = (0..256).map(|i| i * 101 % 30522).collect();
    let labels = Tensor::from_vec(labels, 256, &Device::Cpu).expect("as many");
    let options = CrossEntropy::default();
    group.bytes(
        "forward, with the gradient",
        8 * logits.elem_count(),
        || xent::forward(&logits, &labels, &options),
    );
}

pub(crate) fn optim(c: &mut Criterion) {
    use tlkit_ops::optim::{global_norm, step_all};
    let mut group = Group::new(c, "optimizer");
    let n = 10_000_000;
    let mut state = [vec![0f32; n], vec![0f32; n], vec![0f32; n]];
    let grad = vec![0.1f32; n];
    group.bytes("AdamW, 10 M parameters", 28 * n, || {
        let [param, m, v] = &mut state;
        let slot = Slot {
            param: param.as_mut_slice(),
            grad: &grad,
            state: vec![m, v],
            rule: Rule::AdamW(AdamW::default()),
            step: 7,
        };
        step_all(vec![slot], 1.0);
    });
    group.bytes("norm of 10 M gradients", 4 * n, || {
        global_norm(&[grad.as_slice()])
    });
}
