//! Time of one training step of a BERT of MiniLM's or BERT-base's shape (forward, backward, AdamW; dropout on, every token kept):
//! `cargo run --release -p tlkit-bert --example bert-step -- [f32|bf16] [batch] [length] [minilm|bert-base] [cpu|cuda]`
//!
//! Twelve steps, of which the last nine count. Prints one line of JSON: the median, the fastest and the slowest in
//! milliseconds, the peak of resident memory, and the page faults of the last nine steps.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use tlkit_bert::{BertConfig, BertEncoder, FirstToken};
use tlkit_core::device::{Place, name_of};
use tlkit_core::model::Model;
use tlkit_core::nn::{
    Activation, Batch, Dense, Flow, Gradients, Linear, Pass, Select, Stage, Store,
};
use tlkit_core::random::Stream;
use tlkit_core::strategy::{Group, Objective, Step, Term, Update};
use tlkit_core::task::Head;
use tlkit_core::train::{Optimizer, OptimizerSpec, Schedule};
use tlkit_ops::Precision;
use tlkit_ops::cross_entropy::{CrossEntropy, cross_entropy};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    fn mi_option_set(option: std::ffi::c_int, value: std::ffi::c_long);
}

const MINILM: &str = r#"{"vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "max_position_embeddings": 512, "model_type": "bert"}"#;
const BERT_BASE: &str = r#"{"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 512, "model_type": "bert"}"#;

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
    let precision = args.first().map_or("f32", String::as_str);
    let precision = Precision::named(precision).ok_or("f32 or bf16")?;
    let number = |i: usize, default| args.get(i).map_or(Ok(default), |s| s.parse::<usize>());
    let (batch, length) = (number(1, 16)?, number(2, 128)?);
    let (name, config) = match args.get(3).map_or("minilm", String::as_str) {
        "minilm" => ("minilm", MINILM),
        "bert-base" => ("bert-base", BERT_BASE),
        other => return Err(format!("{other}: minilm or bert-base").into()),
    };
    let config = BertConfig::parse("config", config)?;
    let width = config.hidden_size;
    let store = Store::new(&device, DType::F32, 0);
    let scope = store.scope("model");
    let encoder = BertEncoder::new(&scope.sub("bert"), &config)?;
    let pooler = Linear::new(&scope.sub("pooler"), width, width, 0.02)?;
    let classifier = Linear::new(&scope.sub("classifier"), width, 2, 0.02)?;
    let stages: Vec<Arc<dyn Stage>> = vec![
        Arc::new(FirstToken),
        Arc::new(Dense::new("pooler", pooler, Activation::Tanh)),
        Arc::new(Dense::new("classifier", classifier, Activation::None)),
    ];
    let model = Model::new(Arc::new(encoder), Head { stages, pool: 1 });
    let draws = Stream::new(1).uniforms(batch * length);
    let ids: Vec<u32> = draws.iter().map(|u| 1000 + (u * 29000.0) as u32).collect();
    let shape = (batch, length);
    let labels: Vec<u32> = (0..batch as u32).map(|i| i % 2).collect();
    let labels = Tensor::new(labels, &device)?;
    let ids = Tensor::from_vec(ids, shape, &device)?;
    let rows = Batch::new(batch, ids.clone())
        .with("attention_mask", ids.ones_like()?)
        .with("type_ids", ids.zeros_like()?);
    // As a batch of training has it: where it is not there, each layer reads the mask back from the device.
    let whole = Tensor::ones(shape, DType::U32, &Device::Cpu)?;
    let batch = Arc::new(match device.is_cpu() {
        true => rows,
        false => rows.with("attention_mask_on_host", whole),
    });
    let spec = OptimizerSpec::named("adamw");
    let update = Update {
        name: "step".into(),
        trains: Select::All,
        groups: vec![Group::all(spec, 1e-5, Schedule::constant())],
        clip: None,
        repeat: 1,
        objective: Box::new(ByHand),
    };
    let mut optimizer = Optimizer::new(&update, &store)?;
    let chain = model.chain();
    let (mut times, mut before) = (Vec::new(), 0);
    for step in 0..12 {
        if step == 3 {
            before = faults();
        }
        let start = Instant::now();
        let pass = Pass {
            precision,
            ..Pass::training(Stream::new(0), step)
        };
        let (taps, recording) = chain.record(0, Flow::start(&batch), &pass, &[])?;
        let loss = cross_entropy(&taps.logits, &labels, &CrossEntropy::default())?;
        let grads = loss.backward()?;
        let mut into = Gradients::default();
        recording.pull(&grads, &mut into)?;
        optimizer.step(&mut into, step, 12)?;
        // A GPU is only asked so far: the step ends when it is done.
        device.synchronize()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let mut times = times.split_off(3);
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"model\": \"{name}\", \"precision\": \"{}\", \"step_ms\": {:.1}, \"min_ms\": {:.1}, \"max_ms\": {:.1}, \"peak_rss_mb\": {}, \"faults\": {}, \"device\": \"{}\", \"gpu_mb\": {}}}",
        precision.name(),
        times[times.len() / 2],
        times[0],
        times[times.len() - 1],
        peak_mb(),
        faults() - before,
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

/// Page faults so far, where the system tells.
fn faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after
        .split_whitespace()
        .nth(7)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}
