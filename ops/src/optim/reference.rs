//! The update rules in f64, one element at a time, as they are written.

use super::{AdamW, RmsProp, Rule, Sgd};
use crate::tensors::Element;

/// One step, of any float type, computed in f64.
pub fn step<T: Element>(
    param: &mut [T],
    grad: &[T],
    state: &mut [&mut [T]],
    rule: &Rule,
    step: u64,
    grad_scale: f64,
) {
    for (i, (param, grad)) in param.iter_mut().zip(grad).enumerate() {
        let mut own = [0.0; 2];
        for (own, state) in own.iter_mut().zip(state.iter()) {
            *own = state[i].wide();
        }
        let (p, g) = (param.wide(), grad.wide() * grad_scale);
        let p = match rule {
            Rule::AdamW(h) => adamw(h, step, p, g, &mut own),
            Rule::Sgd(h) => sgd(h, step, p, g, &mut own),
            Rule::RmsProp(h) => rmsprop(h, p, g, &mut own),
        };
        *param = T::of(p);
        for (own, state) in own.iter().zip(state.iter_mut()) {
            state[i] = T::of(*own);
        }
    }
}

fn adamw(h: &AdamW, step: u64, p: f64, g: f64, [m, v]: &mut [f64; 2]) -> f64 {
    let p = p * (1.0 - h.lr * h.weight_decay);
    *m += (1.0 - h.beta1) * (g - *m);
    *v = h.beta2 * *v + (1.0 - h.beta2) * g * g;
    let correction1 = 1.0 - h.beta1.powf(step as f64);
    let correction2 = 1.0 - h.beta2.powf(step as f64);
    p - h.lr / correction1 * *m / (v.sqrt() / correction2.sqrt() + h.eps)
}

fn sgd(h: &Sgd, step: u64, p: f64, g: f64, [buffer, _]: &mut [f64; 2]) -> f64 {
    let g = g + h.weight_decay * p;
    if h.momentum == 0.0 {
        return p - h.lr * g;
    }
    *buffer = if step == 1 {
        g
    } else {
        h.momentum * *buffer + g
    };
    let g = if h.nesterov {
        g + h.momentum * *buffer
    } else {
        *buffer
    };
    p - h.lr * g
}

fn rmsprop(h: &RmsProp, p: f64, g: f64, [square, buffer]: &mut [f64; 2]) -> f64 {
    let g = g + h.weight_decay * p;
    *square = h.alpha * *square + (1.0 - h.alpha) * g * g;
    let g = g / (square.sqrt() + h.eps);
    if h.momentum == 0.0 {
        return p - h.lr * g;
    }
    *buffer = h.momentum * *buffer + g;
    p - h.lr * *buffer
}
