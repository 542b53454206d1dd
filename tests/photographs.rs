//! Real photographs and a real ImageNet network, where they are there: frozen features of webcam pictures, tested on those of another camera.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// What `../shared/bench/torch_probe.py` reaches with the same trunk, rows and crops.
const PYTORCH: f64 = 0.90;

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")
}

/// The folder of the trunk, as a recipe names it; none, and said so, where it is not there.
fn trunk() -> Option<String> {
    let trunk = shared().join("checkpoints/resnet18-imagenet-trunk");
    let there = trunk.canonicalize().ok();
    if there.is_none() {
        println!("skipped: no {}", trunk.display());
    }
    Some(there?.display().to_string())
}

/// What `validate` says of a recipe, and its exit code.
fn validated(text: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let recipe = dir.path().join("recipe.toml");
    std::fs::write(&recipe, text).expect("written");
    let output = Command::cargo_bin("tlkit")
        .expect("the binary is built")
        .arg("validate")
        .arg(&recipe)
        .output()
        .expect("it runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// The trunk's batch norm is folded into its convolutions; by its architecture alone it would seem to have one.
#[test]
fn methods_of_batch_norm_refuse_a_network_whose_norms_are_folded() {
    let Some(trunk) = trunk() else {
        return;
    };
    for method in ["tent", "adabn"] {
        let said = |checkpoint: &str| {
            let text = format!(
                "[source]\ncheckpoint = {checkpoint:?}\ntrain = \"builtin:scenes/day/train#40\"\n[target]\ntask = \"image-classification\"\n\
                 unlabelled = \"builtin:scenes/night/train#40\"\ntest = \"builtin:scenes/night/test#40\"\nscene_size = 32\n\
                 [strategy]\nkind = \"transductive\"\nmethod = {method:?}\n",
            );
            validated(&text)
        };
        let (code, text) = said(&trunk);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("folded into its weights"), "{text}");
        let (code, text) = said("builtin:resnet-mini");
        assert_eq!(code, Some(0), "{text}");
    }
}

/// Statistics of a batch are warned of where the checkpoint has none of its own left, and not where it has.
#[test]
fn batch_norm_that_trains_is_warned_of_where_it_was_folded() {
    let Some(trunk) = trunk() else {
        return;
    };
    for (checkpoint, method, norm, warned) in [
        (trunk.as_str(), "fine-tune", "train", true),
        (&trunk, "fine-tune", "adapt", true),
        (&trunk, "fine-tune", "frozen", false),
        (&trunk, "from-scratch", "train", false),
        ("builtin:resnet-mini", "fine-tune", "train", false),
    ] {
        let text = format!(
            "[source]\ncheckpoint = {checkpoint:?}\n[target]\ntask = \"image-classification\"\ntrain = \"builtin:scenes/day/train#40\"\n\
             test = \"builtin:scenes/day/test#40\"\n[strategy]\nkind = \"inductive\"\nmethod = {method:?}\nbatch_norm = {norm:?}\n",
        );
        let (code, said) = validated(&text);
        assert_eq!(code, Some(0), "{said}");
        let folded = said.contains("were folded into its weights");
        assert_eq!(folded, warned, "{checkpoint} {method} {norm}: {said}");
    }
}

#[test]
fn frozen_features_of_webcam_pictures_know_those_of_a_camera() {
    let shared = shared();
    let (images, trunk) = (
        shared.join("images/office-caltech10"),
        shared.join("checkpoints/resnet18-imagenet-trunk"),
    );
    if !images.is_dir() || !trunk.is_dir() {
        println!("skipped: no photographs in {}", shared.display());
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let recipe = dir.path().join("photographs.toml");
    let text = format!(
        "[source]\ncheckpoint = {:?}\n[target]\ntask = \"image-classification\"\ntrain = {:?}\ntest = {:?}\nsplit = {{ validation = 0.0 }}\n\
         [strategy]\nkind = \"inductive\"\nmethod = \"feature-extraction\"\n",
        trunk.canonicalize().expect("a path"),
        images.join("webcam").canonicalize().expect("a path"),
        images.join("dslr").canonicalize().expect("a path"),
    );
    std::fs::write(&recipe, text).expect("written");
    let run = |out: &str| -> serde_json::Value {
        let output = Command::cargo_bin("tlkit")
            .expect("the binary is built")
            .arg("run")
            .arg(&recipe)
            .arg("--out")
            .arg(dir.path().join(out))
            .arg("--json")
            .env("TLKIT_CACHE", dir.path().join("cache"))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        serde_json::from_slice(&output.stdout).expect("result.json")
    };
    let first = run("first");
    let accuracy = first["metrics"]["test"]["accuracy"]
        .as_f64()
        .expect("an accuracy");
    println!("webcam to dslr: {accuracy:.4} in {:.1} s", first["seconds"]);
    assert_eq!(first["metrics"]["test"]["n"], 157);
    assert!(accuracy >= PYTORCH - 0.02, "{accuracy}");
    // Features are kept: the same numbers, and the trunk does not run again.
    let again = run("again");
    println!("the same again: {:.1} s", again["seconds"]);
    assert_eq!(first["metrics"]["test"], again["metrics"]["test"]);
    let read = |out: &str| {
        std::fs::read(dir.path().join(out).join("predictions.jsonl")).expect("predictions")
    };
    assert_eq!(read("first"), read("again"));
}
