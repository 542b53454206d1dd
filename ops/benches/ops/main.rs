//! One group an operation, beside what the machine can do in the same run: `cargo bench -p tlkit-ops`, or `-- conv2d` for one group.
//!
//! An "element" is a floating-point operation where the throughput is in elements, so that Gelem/s are GFLOP/s; bytes are what is read from and
//! written to tensors. `RAYON_NUM_THREADS=1` measures one core, `TLKIT_CPU=avx2` another instruction set.

mod images;
mod text;

use candle_core::{Device, Tensor};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use tlkit_ops::matmul;
use tlkit_ops::random::{Counter, fill_normal};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Normal numbers, the same in every run.
fn drawn(shape: &[usize]) -> Tensor {
    let mut x = vec![0f32; shape.iter().product()];
    fill_normal(&mut x, Counter::named(1, "bench"), 0.0, 1.0);
    Tensor::from_vec(x, shape, &Device::Cpu).expect("as many numbers as the shape has")
}

/// The benchmarks of one operation.
struct Group<'a>(BenchmarkGroup<'a, WallTime>);

impl<'a> Group<'a> {
    fn new(c: &'a mut Criterion, name: &str) -> Self {
        Group(c.benchmark_group(name))
    }

    /// Something that computes.
    fn flop<T>(&mut self, name: &str, flop: usize, mut f: impl FnMut() -> T) {
        self.0.throughput(Throughput::Elements(flop as u64));
        self.0.bench_function(name, |b| b.iter(&mut f));
    }

    /// Something that moves memory.
    fn bytes<T>(&mut self, name: &str, bytes: usize, mut f: impl FnMut() -> T) {
        self.0.throughput(Throughput::Bytes(bytes as u64));
        self.0.bench_function(name, |b| b.iter(&mut f));
    }
}

/// What the others are to be compared with: a large product, a large copy.
fn machine(c: &mut Criterion) {
    let mut group = Group::new(c, "machine");
    let (a, b) = (drawn(&[2048, 1024]), drawn(&[1024, 1024]));
    group.flop("matmul 2048 x 1024 x 1024", 2 * 2048 * 1024 * 1024, || {
        matmul::forward(&a, &b, false, false)
    });
    let from = vec![1u8; 256 << 20];
    let mut to = vec![0u8; 256 << 20];
    group.bytes("copy of 256 MiB", 2 * from.len(), || {
        to.copy_from_slice(&from)
    });
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(15).without_plots();
    targets = machine, text::linear, text::layer_norm, text::gelu, text::dropout, text::attention, text::softmax, text::embedding,
        text::cross_entropy, text::optim, images::conv2d, images::batch_norm, images::pool, images::relu
}
criterion_main!(all);
