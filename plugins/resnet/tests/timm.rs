//! `model/` loads in timm with the same logits, where a Python with timm is (`TLKIT_PYTHON`).

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use common::{folder, run};
use tlkit_core::nn::{Batch, Pass};
use tlkit_core::run::Saved;

const SCRIPT: &str = r#"
import json, sys
import numpy as np, timm, torch
name, classes, folder, side = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
config = json.load(open(folder + "/config.json"))
assert config["architecture"] == name and config["num_classes"] == classes
assert config["pretrained_cfg"]["input_size"] == [3, side, side]
m = timm.create_model(name, num_classes=classes, checkpoint_path=folder + "/model.safetensors").eval()
x = np.sin(np.arange(2 * side * side * 3, dtype=np.float64) * 0.37).astype(np.float32).reshape(2, side, side, 3)
with torch.no_grad():
    print(json.dumps(m(torch.from_numpy(x).permute(0, 3, 1, 2)).tolist()))
"#;

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TLKIT_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let has = Command::new(&python).args(["-c", "import timm"]).output();
    match has {
        Ok(out) if out.status.success() => Some(python),
        _ => {
            println!(
                "skipped: no timm for {} (set TLKIT_PYTHON)",
                python.display()
            );
            None
        }
    }
}

fn loads(name: &str, side: usize) {
    let Some(python) = python() else { return };
    let dir = folder();
    let recipe = format!(
        "[source]\ntask = \"image-network\"\narchitecture = \"{name}\"\nimage_size = {side}\nresize = {side}\n[target]\ntask = \"image-classification\"\n\
         train = \"slants.drawn\"\nlimit = 9\nsplit = {{ validation = 0.0 }}\n[strategy]\nkind = \"inductive\"\nmethod = \"from-scratch\"\n\
         [train]\nmax_steps = 1\nbatch_size = 4\nlearning_rate = 1e-4\n"
    );
    let ran = run(dir.path(), name, &recipe);
    let export = ran.result["model"].to_string();
    assert!(export.contains("timm.create_model"), "{export}");
    let model = ran.directory.join("model");
    let out = Command::new(python)
        .args(["-c", SCRIPT, name, "3"])
        .arg(&model)
        .arg(side.to_string())
        .output()
        .expect("it runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let theirs: Vec<Vec<f32>> = serde_json::from_slice(&out.stdout).expect("logits");
    let again = Saved::open(&model, &common::registry()).expect("it comes back");
    let n = 2 * side * side * 3;
    let x: Vec<f32> = (0..n).map(|i| (i as f64 * 0.37).sin() as f32).collect();
    let x = Tensor::from_vec(x, (2, side, side, 3), &Device::Cpu).unwrap();
    let batch = Arc::new(Batch::new(2, x));
    let (_, logits) = again.model.predict(&batch, &Pass::evaluation()).unwrap();
    let ours = logits.to_vec2::<f32>().unwrap();
    let scale = theirs.iter().flatten().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
        assert!((a - b).abs() < 1e-4 * scale.max(1.0), "{a} {b}");
    }
}

#[test]
fn resnet18_loads_in_timm() {
    loads("resnet18", 64);
}

#[test]
fn inception_loads_in_timm() {
    loads("inception_v3", 96);
}

#[test]
#[ignore = "takes 4 GB: VGG's dense layers are stored as convolutions"]
fn vgg16_loads_in_timm() {
    loads("vgg16", 32);
}
