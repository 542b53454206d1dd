//! Times the kernels on shapes of MiniLM: `cargo run --release -p tlkit-ops --example speed`.
//!
//! Times are the best of several runs on whatever else the machine is doing: compare numbers of one run only.

use candle_core::{Device, Result, Tensor};
use std::time::Instant;
use tlkit_ops::attention::{self, KeyMask};
use tlkit_ops::dropout::{self, Dropout};
use tlkit_ops::gelu::{self, Kind};
use tlkit_ops::optim::{self, AdamW, Rule, Slot};
use tlkit_ops::random::{Counter, fill_normal};
use tlkit_ops::{layer_norm, linear, matmul};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn drawn(shape: &[usize]) -> Result<Tensor> {
    let mut x = vec![0f32; shape.iter().product()];
    fill_normal(&mut x, Counter::named(1, "speed"), 0.0, 1.0);
    Tensor::from_vec(x, shape, &Device::Cpu)
}

/// Best seconds of one call.
fn best<T>(mut f: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    let mut runs = 0;
    while runs < 5 || (begin.elapsed().as_secs_f64() < 0.6 && runs < 500) {
        let start = Instant::now();
        std::hint::black_box(f());
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}

/// `bytes` read and written from and to tensors.
fn bandwidth(name: &str, bytes: usize, seconds: f64) {
    println!(
        "{name:34} {:9.3} ms {:8.1} GB/s",
        seconds * 1e3,
        bytes as f64 / seconds / 1e9
    );
}

fn rate(name: &str, flop: usize, seconds: f64) {
    println!(
        "{name:34} {:9.3} ms {:8.1} GFLOP/s",
        seconds * 1e3,
        flop as f64 / seconds / 1e9
    );
}

fn main() -> Result<()> {
    println!(
        "{:?}, {} threads",
        tlkit_ops::Path::current(),
        rayon::current_num_threads()
    );
    let (rows, d, wide) = (2048, 384, 1536);
    let (x, h) = (drawn(&[rows, d])?, drawn(&[rows, wide])?);
    let (w, b) = (drawn(&[wide, d])?, drawn(&[wide])?);
    let (lw, lb) = (drawn(&[d])?, drawn(&[d])?);
    let flop = 2 * rows * d * wide;
    rate(
        "matmul 2048x384x1536",
        flop,
        best(|| matmul::forward(&x, &w, false, true)),
    );
    rate(
        "linear forward",
        flop,
        best(|| linear::forward(&x, &w, Some(&b))),
    );
    rate(
        "linear backward",
        2 * flop,
        best(|| linear::backward(&x, &w, &h, true)),
    );
    let n = 4 * rows * d;
    bandwidth(
        "layer norm forward",
        2 * n,
        best(|| layer_norm::forward(&x, &lw, &lb, 1e-12)),
    );
    let (y, saved) = layer_norm::forward(&x, &lw, &lb, 1e-12)?;
    bandwidth(
        "layer norm backward",
        3 * n,
        best(|| layer_norm::backward(&saved, &lw, &y)),
    );
    let drop = Dropout::new(0.1, Counter::new(1, 2))?;
    let residual = |d| best(|| layer_norm::residual_forward(&x, &y, &lw, &lb, 1e-12, d));
    bandwidth("residual layer norm", 4 * n, residual(None));
    bandwidth("residual layer norm, dropout", 4 * n, residual(Some(&drop)));
    let n = 4 * rows * wide;
    for kind in [Kind::Erf, Kind::Tanh] {
        let name = format!("bias + gelu {kind:?}");
        bandwidth(&name, 2 * n, best(|| gelu::forward(&h, Some(&b), kind)));
        let name = format!("bias + gelu {kind:?} backward");
        bandwidth(
            &name,
            3 * n,
            best(|| gelu::backward(&h, Some(&b), kind, &h)),
        );
    }
    bandwidth("dropout", 2 * n, best(|| dropout::forward(&h, &drop)));
    let (batch, length, heads, dim) = (16, 128, 12, 32);
    let qkv = drawn(&[batch, length, 3 * heads * dim])?;
    let part = |i: usize| qkv.narrow(2, i * heads * dim, heads * dim);
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let grad = drawn(&[batch, length, heads * dim])?;
    let flop = 4 * batch * heads * length * length * dim;
    for (name, d) in [("attention", None), ("attention, dropout", Some(&drop))] {
        let run = || attention::forward(&q, &k, &v, heads, &KeyMask::None, d);
        rate(name, flop, best(run));
        let (_, saved) = run()?;
        let seconds = best(|| attention::backward_packed(&saved, &grad));
        rate(&format!("{name} backward"), 2 * flop, seconds);
    }
    let half = KeyMask::Lengths(vec![length / 2; batch]);
    let seconds = best(|| attention::forward(&q, &k, &v, heads, &half, None));
    rate("attention, half padding", flop / 4, seconds);
    let n = 10_000_000;
    let mut state = [vec![0f32; n], vec![0f32; n], vec![0f32; n]];
    let g = vec![0.1f32; n];
    let seconds = best(|| {
        let [param, m, v] = &mut state;
        let slot = Slot {
            param: param.as_mut_slice(),
            grad: &g,
            state: vec![m, v],
            rule: Rule::AdamW(AdamW::default()),
            step: 7,
        };
        optim::step_all(vec![slot], 1.0);
    });
    bandwidth("AdamW, 10 M parameters", 28 * n, seconds);
    bandwidth(
        "global norm, 10 M",
        4 * n,
        best(|| optim::global_norm(&[g.as_slice()])),
    );
    Ok(())
}
