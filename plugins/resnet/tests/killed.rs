//! A run whose batch norms train, killed between two checkpoints and taken up again, ends with the bits of one that was not: weights, running
//! statistics and all.

mod common;

use std::path::Path;
use std::process::Command;

use common::{folder, recipe, run, run_watched, source};
use tlkit_core::train::{Event, Observer};

const DIR: &str = "TLKIT_KILLED_DIR";
const AT: &str = "TLKIT_KILLED_AT";

/// Dies at a step, as if it had been killed: nothing is written, nothing runs on the way out.
struct Dies(u64);

impl Observer for Dies {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Step { step, .. } if *step == self.0) {
            std::process::abort();
        }
    }
}

fn trained() -> String {
    let train = "epochs = 6\nbatch_size = 8\nlearning_rate = 0.01\ncheckpoint_every = 5";
    recipe(
        "augment = \"strong\"",
        "method = \"fine-tune\"\nbatch_norm = \"train\"\ntrain_from = \"layer2\"",
        train,
    )
}

/// Not a test: what the process that is killed runs.
#[test]
#[ignore = "runs as a child process of the test beside it"]
fn child() {
    let (Ok(dir), Ok(at)) = (std::env::var(DIR), std::env::var(AT)) else {
        return;
    };
    let observer = Dies(at.parse().expect("a step"));
    let _ = run_watched(Path::new(&dir), "killed", &trained(), &observer);
}

#[test]
fn killed_between_checkpoints_it_ends_with_the_same_bits() {
    let dir = folder();
    source(dir.path());
    let whole = run(dir.path(), "whole", &trained());
    for at in ["13", "29"] {
        let status = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "child", "--ignored", "--quiet"])
            .env(DIR, dir.path())
            .env(AT, at)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .status()
            .expect("it runs");
        assert!(!status.success(), "it died");
        assert!(
            dir.path()
                .join("killed/checkpoint/state.safetensors")
                .exists()
        );
        assert!(!dir.path().join("killed/result.json").exists());
    }
    let resumed = run(dir.path(), "killed", &trained());
    assert_eq!(resumed.weights(), whole.weights());
    // The statistics moved: batch norm did train, in the stages that do.
    let tensors = |bytes: &[u8]| {
        candle_core::safetensors::load_buffer(bytes, &candle_core::Device::Cpu).expect("tensors")
    };
    let before =
        std::fs::read(dir.path().join("stripes/model/model.safetensors")).expect("weights");
    let (before, after) = (tensors(&before), tensors(&whole.weights()));
    let same = |name: &str| {
        let flat = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        flat(&before[name]) == flat(&after[name])
    };
    assert!(same("layer1.0.bn1.running_mean") && same("bn1.running_var"));
    assert!(!same("layer3.0.bn1.running_mean") && !same("layer2.0.bn2.running_var"));
}
