//! What the border costs for an encoder of MiniLM's size, 16 x 128: `cargo run --release -p tlkit-host --example border -- [STEP_MS]`
//!
//! Plugins whose stages compute nothing, one in C and one with the Rust SDK, are taken through forward and backward passes; the one in C once with
//! parameters that live in the plugin and once with the host's. What a pass takes
//! besides the time in the stages is the border. `STEP_MS` is what a whole training step takes; left out, it is measured on this machine
//! (`cargo run --release -p tlkit-bert --example bert-step`), in float32, which is what crosses. Fifteen passes of each, of which the last twelve count.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use tlkit_core::data::{Input, Prepare};
use tlkit_core::nn::{Batch, Chain, Flow, Gradients, Pass, Select, Store};
use tlkit_core::random::Stream;
use tlkit_host::conformance::source_of;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    fn mi_option_set(option: std::ffi::c_int, value: std::ffi::c_long);
}

const ROWS: usize = 16;
const LENGTH: usize = 128;

type Done<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Done<()> {
    // SAFETY: an option's number (`mi_option_purge_delay`) and its value; -1 keeps freed memory, as the binary does.
    unsafe { mi_option_set(15, -1) };
    let folder = tempfile::tempdir()?;
    let plugins = [
        ("c", "plugin", in_c(folder.path(), &["-DLENDS"])?),
        ("c", "host", in_c(folder.path(), &[])?),
        ("rust", "plugin", in_rust()?),
    ];
    let step = match std::env::args().nth(1) {
        Some(step) => step.parse()?,
        None => step_of_bert()?,
    };
    for (language, memory, library) in &plugins {
        let (border, pass, numbers) = measure(library)?;
        println!(
            "{{\"encoder\": \"minilm\", \"parameters\": {numbers}, \"plugin\": \"{language}\", \"memory\": \"{memory}\", \"border_ms\": {border:.2}, \"pass_ms\": {pass:.2}, \
             \"step_ms\": {step:.1}, \"share_percent\": {:.2}}}",
            100.0 * border / step
        );
    }
    Ok(())
}

fn in_c(folder: &Path, defines: &[&str]) -> Done<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = folder.join(format!("libborder{}.so", defines.concat()));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let compiled = Command::new(compiler)
        .args(["-std=gnu11", "-O2", "-shared", "-fPIC", "-I"])
        .arg(here.join("../sdk/include"))
        .args(defines)
        .arg("-o")
        .arg(&library)
        .arg(here.join("examples/border.c"))
        .status()?;
    match compiled.success() {
        true => Ok(library),
        false => Err("the C compiler failed".into()),
    }
}

/// What `cargo` says of an example of another crate, built for release.
fn cargo(arguments: &[&str]) -> Done<String> {
    let out = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(std::process::Stdio::inherit())
        .output()?;
    match out.status.success() {
        true => Ok(String::from_utf8(out.stdout)?),
        false => Err(format!("cargo {} failed", arguments.join(" ")).into()),
    }
}

fn in_rust() -> Done<PathBuf> {
    cargo(&[
        "build",
        "-q",
        "--release",
        "-p",
        "tlkit-plugin",
        "--example",
        "border_plugin",
    ])?;
    // Beside this program.
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = std::env::current_exe()?.with_file_name(format!("{prefix}border_plugin{suffix}"));
    match library.exists() {
        true => Ok(library),
        false => Err(format!("{} was not built; use --release", library.display()).into()),
    }
}

fn step_of_bert() -> Done<f64> {
    let said = cargo(&[
        "run",
        "-q",
        "--release",
        "-p",
        "tlkit-bert",
        "--example",
        "bert-step",
        "--",
        "f32",
        "16",
        "128",
    ])?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    Ok(said["step_ms"].as_f64().ok_or("a step without a time")?)
}

/// Milliseconds of the border and of a pass in all (medians), and how many numbers the parameters have.
fn measure(library: &Path) -> Done<(f64, f64, usize)> {
    let task = source_of(library, "minilm")?;
    let prepare = task.prepare()?;
    let store = Store::new(&Device::Cpu, DType::F32, 0);
    let encoder = task.fresh_encoder(&store.scope("model"))?;
    store.train_only(&Select::All);
    let stages = encoder.stages().to_vec();
    let last = stages.len() - 1;
    let chain = Chain::new(stages, last);
    let input = Tensor::zeros((ROWS, LENGTH), DType::F32, &Device::Cpu)?;
    let batch = Arc::new(Batch::new(ROWS, input));
    let inside = |prepare: &dyn Prepare| -> Done<f64> {
        let example = prepare.example(&Input::Features(vec![0.0; LENGTH].into()))?;
        Ok(f64::from(example.floats("input")[0]) * 1e3)
    };
    let mut border = Vec::new();
    for step in 0..15 {
        // As after an optimizer's step.
        store.touch();
        inside(prepare.as_ref())?;
        let start = Instant::now();
        let pass = Pass::training(Stream::new(0), step);
        let (taps, recording) = chain.record(0, Flow::start(&batch), &pass, &[])?;
        let grads = taps.features.sum_all()?.backward()?;
        let mut into = Gradients::default();
        recording.pull(&grads, &mut into)?;
        drop(into);
        let whole = start.elapsed().as_secs_f64() * 1e3;
        border.push((whole - inside(prepare.as_ref())?, whole));
    }
    let mut border = border.split_off(3);
    border.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, whole) = border[border.len() / 2];
    let numbers = store.all().iter().map(|p| p.count()).sum();
    Ok((median, whole, numbers))
}
