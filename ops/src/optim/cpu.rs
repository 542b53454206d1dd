//! f32 kernels of the update rules. What does not depend on the element is computed once, in f64.

use super::{AdamW, RmsProp, Rule, Sgd, Stepped};
use crate::math::fma;
use crate::path::{Path, per_path};

impl Stepped for f32 {
    fn step(
        path: Path,
        param: &mut [f32],
        grad: &[f32],
        state: &mut [&mut [f32]],
        rule: &Rule,
        step: u64,
        scale: f64,
    ) {
        let scale = scale as f32;
        match (rule, state) {
            (Rule::AdamW(h), [m, v]) => {
                adamw(path, param, grad, m, v, AdamWStep::of(h, step), scale)
            }
            (Rule::Sgd(h), []) => {
                sgd_plain(path, param, grad, h.lr as f32, h.weight_decay as f32, scale)
            }
            (Rule::Sgd(h), [buffer]) => sgd(path, param, grad, buffer, *h, step == 1, scale),
            (Rule::RmsProp(h), [square]) => rmsprop(path, param, grad, square, *h, scale),
            (Rule::RmsProp(h), [square, buffer]) => {
                rmsprop_momentum(path, param, grad, square, buffer, *h, scale);
            }
            _ => unreachable!("the number of state slices was checked"),
        }
    }

    fn square_sum(path: Path, x: &[f32]) -> f64 {
        square_sum(path, x)
    }

    fn still(path: Path, param: &mut [f32], rule: &Rule) -> bool {
        let Rule::AdamW(h) = rule else { return false };
        let h = AdamWStep::of(h, 1);
        // Without it nothing is divided by nothing.
        if h.eps == 0.0 {
            return false;
        }
        if h.shrink != 1.0 {
            decay(path, param, h.shrink);
        }
        true
    }
}

impl Stepped for f64 {
    fn step(
        _: Path,
        param: &mut [f64],
        grad: &[f64],
        state: &mut [&mut [f64]],
        rule: &Rule,
        step: u64,
        scale: f64,
    ) {
        super::reference::step(param, grad, state, rule, step, scale);
    }

    fn square_sum(path: Path, x: &[f64]) -> f64 {
        square_sum_f64(path, x)
    }
}

per_path! {
    fn square_sum(x: &[f32]) -> f64 {
        by_lanes(x, f64::from)
    }
}

per_path! {
    fn square_sum_f64(x: &[f64]) -> f64 {
        by_lanes(x, |x| x)
    }
}

/// Σ x², by 32 lanes: one chain of additions would wait for each.
#[inline(always)]
fn by_lanes<T: Copy>(x: &[T], wide: impl Fn(T) -> f64) -> f64 {
    let mut lanes = [0f64; 32];
    let (blocks, rest) = x.as_chunks::<32>();
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane += wide(x) * wide(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += wide(x) * wide(x);
    }
    lanes.into_iter().sum()
}

/// AdamW's factors at one step.
#[derive(Clone, Copy)]
pub(crate) struct AdamWStep {
    shrink: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    root: f32,
    eps: f32,
    size: f32,
}

impl AdamWStep {
    /// As the kernels of a GPU take them.
    pub(crate) fn numbers(&self) -> [f32; 8] {
        [
            self.shrink,
            self.one_minus_beta1,
            self.beta2,
            self.one_minus_beta2,
            self.root,
            self.eps,
            self.size,
            0.0,
        ]
    }

    pub(crate) fn of(h: &AdamW, step: u64) -> Self {
        let correction1 = 1.0 - h.beta1.powf(step as f64);
        let correction2 = 1.0 - h.beta2.powf(step as f64);
        AdamWStep {
            shrink: (1.0 - h.lr * h.weight_decay) as f32,
            one_minus_beta1: (1.0 - h.beta1) as f32,
            beta2: h.beta2 as f32,
            one_minus_beta2: (1.0 - h.beta2) as f32,
            root: (1.0 / correction2.sqrt()) as f32,
            eps: h.eps as f32,
            size: (h.lr / correction1) as f32,
        }
    }
}

per_path! {
    /// [`adamw`] where gradient and moments are zero.
    fn decay(param: &mut [f32], shrink: f32) {
        for p in param {
            *p *= shrink;
        }
    }
}

per_path! {
    pub(crate) fn adamw(param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32], h: AdamWStep, scale: f32) {
        let n = param.len();
        let (grad, m, v) = (&grad[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = grad[i] * scale;
            let mean = fma::<FMA>(h.one_minus_beta1, g - m[i], m[i]);
            let square = fma::<FMA>(h.one_minus_beta2 * g, g, h.beta2 * v[i]);
            m[i] = mean;
            v[i] = square;
            let denominator = fma::<FMA>(square.sqrt(), h.root, h.eps);
            param[i] = fma::<FMA>(param[i], h.shrink, -(h.size * mean / denominator));
        }
    }
}

per_path! {
    pub(crate) fn sgd_plain(param: &mut [f32], grad: &[f32], lr: f32, weight_decay: f32, scale: f32) {
        for (p, &g) in param.iter_mut().zip(grad) {
            let g = fma::<FMA>(weight_decay, *p, g * scale);
            *p = fma::<FMA>(-lr, g, *p);
        }
    }
}

per_path! {
    pub(crate) fn sgd(param: &mut [f32], grad: &[f32], buffer: &mut [f32], h: Sgd, first: bool, scale: f32) {
        let n = param.len();
        let (grad, buffer) = (&grad[..n], &mut buffer[..n]);
        let (lr, momentum, weight_decay) = (h.lr as f32, h.momentum as f32, h.weight_decay as f32);
        let (kept, ahead) = (if first { 0.0 } else { momentum }, if h.nesterov { momentum } else { 0.0 });
        for i in 0..n {
            let g = fma::<FMA>(weight_decay, param[i], grad[i] * scale);
            let b = fma::<FMA>(kept, buffer[i], g);
            buffer[i] = b;
            let direction = if h.nesterov { fma::<FMA>(ahead, b, g) } else { b };
            param[i] = fma::<FMA>(-lr, direction, param[i]);
        }
    }
}

per_path! {
    pub(crate) fn rmsprop(param: &mut [f32], grad: &[f32], square: &mut [f32], h: RmsProp, scale: f32) {
        let n = param.len();
        let (grad, square) = (&grad[..n], &mut square[..n]);
        let (lr, eps, weight_decay) = (h.lr as f32, h.eps as f32, h.weight_decay as f32);
        let (alpha, beta) = (h.alpha as f32, (1.0 - h.alpha) as f32);
        for i in 0..n {
            let g = fma::<FMA>(weight_decay, param[i], grad[i] * scale);
            let s = fma::<FMA>(beta * g, g, alpha * square[i]);
            square[i] = s;
            param[i] -= lr * (g / (s.sqrt() + eps));
        }
    }
}

per_path! {
    pub(crate) fn rmsprop_momentum(
        param: &mut [f32],
        grad: &[f32],
        square: &mut [f32],
        buffer: &mut [f32],
        h: RmsProp,
        scale: f32,
    ) {
        let n = param.len();
        let (grad, square, buffer) = (&grad[..n], &mut square[..n], &mut buffer[..n]);
        let (lr, eps, weight_decay) = (h.lr as f32, h.eps as f32, h.weight_decay as f32);
        let (alpha, beta, momentum) = (h.alpha as f32, (1.0 - h.alpha) as f32, h.momentum as f32);
        for i in 0..n {
            let g = fma::<FMA>(weight_decay, param[i], grad[i] * scale);
            let s = fma::<FMA>(beta * g, g, alpha * square[i]);
            square[i] = s;
            let b = fma::<FMA>(momentum, buffer[i], g / (s.sqrt() + eps));
            buffer[i] = b;
            param[i] = fma::<FMA>(-lr, b, param[i]);
        }
    }
}
