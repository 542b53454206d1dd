//! Time of one training step of a ResNet (forward, backward, AdamW; batch norm frozen, every weight trains):
//! `cargo run --release -p tlkit-resnet --example resnet-step -- [resnet18|resnet50|..] [batch] [side] [steps] [f32|bf16] [cpu|cuda]`
//!
//! Prints one line of JSON: the median, the fastest and the slowest step in milliseconds without the first quarter of the steps,
//! the processor time of a step on all threads, and the peak of resident memory.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Tensor};
use tlkit_core::device::{Place, name_of};
use tlkit_core::model::Model;
use tlkit_core::nn::{Activation, Batch, Dense, Flow, Gradients, Pass, Select, Stage, Store};
use tlkit_core::random::Stream;
use tlkit_core::strategy::{Group, Objective, Step, Term, Update};
use tlkit_core::task::Head;
use tlkit_core::train::{Optimizer, OptimizerSpec, Schedule};
use tlkit_ops::Precision;
use tlkit_ops::cross_entropy::{CrossEntropy, cross_entropy};
use tlkit_resnet::{Architecture, Network};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    fn mi_option_set(option: std::ffi::c_int, value: std::ffi::c_long);
}

/// Stands where an update wants an objective; the steps here are made by hand.
struct ByHand;

impl Objective for ByHand {
    fn terms(&mut self, _: &mut dyn Step) -> tlkit_core::Result<Vec<Term>> {
        Ok(Vec::new())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: an option's number (`mi_option_purge_delay`) and its value; -1 keeps freed memory, as the binary does.
    unsafe { mi_option_set(15, -1) };
    // On a thread of the pool, as the binary works.
    Ok(rayon::scope(|_| steps().map_err(|e| e.to_string()))?)
}

fn steps() -> Result<(), Box<dyn std::error::Error>> {
    let (places, args): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|a| Place::named(a).is_some());
    let place = places.first().and_then(|a| Place::named(a));
    let device = place.unwrap_or(Place::Cpu).open()?;
    let free = tlkit_ops::gpu::memory(&device).map(|(free, _)| free);
    let name = args.first().map_or("resnet18", String::as_str);
    let number = |i: usize, default| args.get(i).map_or(Ok(default), |s| s.parse::<usize>());
    let (rows, side, steps) = (number(1, 8)?, number(2, 224)?, number(3, 12)?);
    let precision = args.get(4).map_or("f32", String::as_str);
    let precision = Precision::named(precision).ok_or("f32 or bf16")?;
    let architecture = Architecture::named(name)
        .ok_or_else(|| format!("one of {}", Architecture::NAMES.join(", ")))?;
    let store = Store::new(&device, DType::F32, 0);
    let scope = store.scope("model");
    let network = Network::new(&scope, &architecture)?;
    let mut stages = network.pooling();
    let pool = stages.len();
    let linear = network.classifier(&scope, 10)?;
    stages.push(Arc::new(Dense::new("head", linear, Activation::None)) as Arc<dyn Stage>);
    let model = Model::new(Arc::new(network), Head { stages, pool });
    let pixels = Stream::new(1).normals(rows * side * side * 3);
    let images = Tensor::from_vec(pixels, (rows, side, side, 3), &device)?;
    let batch = Arc::new(Batch::new(rows, images));
    let labels: Vec<u32> = (0..rows as u32).map(|i| i % 10).collect();
    let labels = Tensor::new(labels, &device)?;
    let update = Update {
        name: "step".into(),
        trains: Select::All,
        groups: vec![Group::all(
            OptimizerSpec::named("adamw"),
            1e-5,
            Schedule::constant(),
        )],
        clip: None,
        repeat: 1,
        objective: Box::new(ByHand),
    };
    let mut optimizer = Optimizer::new(&update, &store)?;
    let chain = model.chain();
    let (mut times, mut before, warm) = (Vec::new(), 0.0, steps / 4);
    for step in 0..steps {
        if step == warm {
            before = processor_seconds();
        }
        let start = Instant::now();
        let pass = Pass {
            precision,
            ..Pass::training(Stream::new(0), step as u64)
        };
        let (taps, recording) = chain.record(0, Flow::start(&batch), &pass, &[])?;
        let loss = cross_entropy(&taps.logits, &labels, &CrossEntropy::default())?;
        let grads = loss.backward()?;
        let mut into = Gradients::default();
        recording.pull(&grads, &mut into)?;
        optimizer.step(&mut into, step as u64, steps as u64)?;
        // A GPU is only asked so far: the step ends when it is done.
        device.synchronize()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let cpu = (processor_seconds() - before) * 1e3 / (steps - warm) as f64;
    let mut times = times.split_off(warm);
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"model\": \"{name}\", \"precision\": \"{}\", \"batch\": {rows}, \"step_ms\": {:.1}, \"min_ms\": {:.1}, \"max_ms\": {:.1}, \"cpu_ms\": {cpu:.1}, \"threads\": {}, \"peak_rss_mb\": {}, \"device\": \"{}\", \"gpu_mb\": {}}}",
        precision.name(),
        times[times.len() / 2],
        times[0],
        times[times.len() - 1],
        rayon::current_num_threads(),
        peak_mb(),
        name_of(&device),
        gpu_mb(&device, free),
    );
    Ok(())
}

/// Memory of a GPU that was taken since it had `free` bytes: its pool gives nothing back, so that it is the peak.
fn gpu_mb(device: &candle_core::Device, free: Option<u64>) -> u64 {
    let now = tlkit_ops::gpu::memory(device).map(|(now, _)| now);
    free.zip(now)
        .map_or(0, |(then, now)| then.saturating_sub(now) >> 20)
}

/// Peak resident memory, where the system tells.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map_or(0, |kb| kb / 1024)
}

/// Processor time of all threads so far, where the system tells: in clock ticks of 10 ms.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let words = after.split_whitespace().skip(11).take(2);
    words.filter_map(|w| w.parse::<f64>().ok()).sum::<f64>() / 100.0
}
