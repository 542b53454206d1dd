//! What the border costs for an encoder of MiniLM's size, 16 x 128: `cargo run --release -p tlkit-host --example border -- [STEP_MS]`
//!
//! A plugin in C whose functions compute nothing is taken through forward and backward passes; what a pass takes besides the time in the
//! plugin is the border. `STEP_MS` is what a whole step takes (`cargo run --release -p tlkit-bert --example step` prints it on this
//! machine); with it the share is printed too. Twelve passes, of which the last nine count.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use tlkit_core::data::{Input, Prepare};
use tlkit_core::nn::{Batch, Chain, Flow, Gradients, Pass, Select, Store};
use tlkit_core::random::Stream;
use tlkit_host::conformance::source_of;

const ROWS: usize = 16;
const LENGTH: usize = 128;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let step: Option<f64> = std::env::args().nth(1).map(|s| s.parse()).transpose()?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir()?;
    let library = folder.path().join("libborder.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let compiled = Command::new(compiler)
        .args(["-std=gnu11", "-O2", "-shared", "-fPIC", "-I"])
        .arg(here.join("../sdk/include"))
        .arg("-o")
        .arg(&library)
        .arg(here.join("examples/border.c"))
        .status()?;
    if !compiled.success() {
        return Err("the C compiler failed".into());
    }
    let task = source_of(&library, "minilm")?;
    let prepare = task.prepare()?;
    let store = Store::new(&Device::Cpu, DType::F32, 0);
    let encoder = task.fresh_encoder(&store.scope("model"))?;
    store.train_only(&Select::All);
    let stages = encoder.stages().to_vec();
    let last = stages.len() - 1;
    let chain = Chain::new(stages, last);
    let input = Tensor::zeros((ROWS, LENGTH), DType::F32, &Device::Cpu)?;
    let batch = Arc::new(Batch::new(ROWS, input));
    let inside = |prepare: &dyn Prepare| -> Result<f64, Box<dyn std::error::Error>> {
        let example = prepare.example(&Input::Features(vec![0.0; LENGTH].into()))?;
        Ok(f64::from(example.floats("input")[0]) * 1e3)
    };
    let mut border = Vec::new();
    for step in 0..12 {
        inside(prepare.as_ref())?;
        // As after an optimizer's step.
        store.touch();
        let start = Instant::now();
        let pass = Pass::training(Stream::new(0), step);
        let (taps, recording) = chain.record(0, Flow::start(&batch), &pass, &[])?;
        let grads = taps.features.sum_all()?.backward()?;
        let mut into = Gradients::default();
        recording.pull(&grads, &mut into)?;
        let whole = start.elapsed().as_secs_f64() * 1e3;
        border.push((whole - inside(prepare.as_ref())?, whole));
    }
    let mut border = border.split_off(3);
    border.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, whole) = border[border.len() / 2];
    let numbers: usize = store.all().iter().map(|p| p.count()).sum();
    let share = step.map(|ms| {
        format!(
            ", \"step_ms\": {ms:.1}, \"share_percent\": {:.2}",
            100.0 * median / ms
        )
    });
    println!(
        "{{\"encoder\": \"minilm\", \"parameters\": {numbers}, \"plugin\": \"c\", \"border_ms\": {median:.2}, \"pass_ms\": {whole:.2}{}}}",
        share.unwrap_or_default()
    );
    Ok(())
}
