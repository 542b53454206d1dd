//! Times convolutions of ResNet-18 and 50 on 8 images: `cargo run --release -p tlkit-ops --example conv`.
//!
//! Processor time of the calling thread's pool, best of several runs; with `RAYON_NUM_THREADS=1` it is that of one core.

use candle_core::{Device, Result, Tensor};
use std::time::Instant;
use tlkit_ops::conv2d::{self, Conv2d};
use tlkit_ops::matmul;
use tlkit_ops::random::{Counter, fill_normal};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn drawn(shape: &[usize]) -> Result<Tensor> {
    let mut x = vec![0f32; shape.iter().product()];
    fill_normal(&mut x, Counter::named(1, "conv"), 0.0, 1.0);
    Tensor::from_vec(x, shape, &Device::Cpu)
}

/// Best seconds of one call.
fn best<T>(mut f: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        let start = Instant::now();
        std::hint::black_box(f());
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn main() -> Result<()> {
    println!(
        "{:?}, {} threads",
        tlkit_ops::Path::current(),
        rayon::current_num_threads()
    );
    let (a, b) = (drawn(&[2048, 1024])?, drawn(&[1024, 1024])?);
    let flop = 2.0 * 2048.0 * 1024.0 * 1024.0;
    let seconds = best(|| matmul::forward(&a, &b, false, false));
    println!("matmul 2048x1024x1024: {:.1} GFLOP/s", flop / seconds / 1e9);
    for (name, side, c, o, k, stride) in [
        ("stem 7x7/2", 224, 3, 64, 7, 2),
        ("layer1 3x3", 56, 64, 64, 3, 1),
        ("layer2 3x3/2", 56, 64, 128, 3, 2),
        ("layer2 3x3", 28, 128, 128, 3, 1),
        ("layer3 3x3", 14, 256, 256, 3, 1),
        ("layer4 3x3", 7, 512, 512, 3, 1),
        ("layer2 1x1/2", 56, 64, 128, 1, 2),
        ("bottleneck 1x1 up", 56, 64, 256, 1, 1),
        ("bottleneck 1x1 down", 14, 1024, 256, 1, 1),
        ("mixed 1x7-like", 17, 192, 192, 3, 1),
    ] {
        let conv = Conv2d::new(stride, k / 2);
        let x = drawn(&[8, side, side, c])?;
        let w = drawn(&[o, c, k, k])?;
        let y = conv2d::forward(&x, &w, None, &conv)?;
        let flop = 2.0 * (y.elem_count() * c * k * k) as f64;
        let forward = best(|| conv2d::forward(&x, &w, None, &conv));
        let dx = best(|| conv2d::backward_x(&w, &y, (side, side), &conv));
        let dw = best(|| conv2d::backward_weight(&x, &w, &y, &conv));
        println!(
            "{name:20} {:6.2} GFLOP: forward {:7.2} ms {:6.1}, input {:7.2} ms {:6.1}, weights {:7.2} ms {:6.1} GFLOP/s",
            flop / 1e9,
            forward * 1e3,
            flop / forward / 1e9,
            dx * 1e3,
            flop / dx / 1e9,
            dw * 1e3,
            flop / dw / 1e9,
        );
    }
    Ok(())
}
