//! What `benches/gpu.sh` takes for granted, where no GPU would show it: that it runs every test of kernels, and that every crate which computes with
//! Candle's own layers turns their kernels on.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// The functions of a file that call `everywhere`, by their names within the crate.
fn callers(src: &Path, file: &Path) -> Vec<String> {
    let module = file.strip_prefix(src).unwrap().with_extension("");
    let module = module.to_string_lossy().replace('/', "::");
    let mut function = String::new();
    let mut out = Vec::new();
    for line in read(file).lines() {
        if let Some(rest) = line.trim_start().strip_prefix("fn ") {
            function = rest.chars().take_while(|&c| c != '(').collect();
        }
        if line.contains("emulated::everywhere(") {
            out.push(format!("{module}::{function}"));
        }
    }
    out
}

#[test]
fn the_one_call_runs_every_test_of_kernels() {
    let script = read(root().join("benches/gpu.sh"));
    let words = script
        .lines()
        .find_map(|line| line.strip_prefix("tests=\"")?.strip_suffix('"'))
        .expect("benches/gpu.sh says by which words it finds them: tests=\"..\"");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let all: Vec<String> = sources(&src)
        .iter()
        .flat_map(|f| callers(&src, f))
        .collect();
    assert!(all.len() > 10, "{all:?}");
    let missed: Vec<_> = all
        .iter()
        .filter(|name| !words.split(' ').any(|word| name.contains(word)))
        .collect();
    assert!(
        missed.is_empty(),
        "benches/gpu.sh does not run {missed:?}: put `gpu` into their names"
    );
}

/// Within `[features]`, what `cuda` turns on.
fn cuda(manifest: &str) -> &str {
    let line = manifest.lines().find(|line| line.starts_with("cuda = "));
    line.unwrap_or_default()
}

#[test]
fn the_feature_cuda_reaches_candles_own_layers() {
    let top = read(root().join("Cargo.toml"));
    let mut found = 0;
    for entry in fs::read_dir(root().join("plugins")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = folder.join("Cargo.toml");
        if !manifest.exists() {
            continue;
        }
        let manifest = read(manifest);
        for crate_of in ["candle-nn", "candle-transformers"] {
            if !manifest.contains(&format!("\n{crate_of}.workspace")) {
                continue;
            }
            found += 1;
            let wanted = format!("\"{crate_of}/cuda\"");
            assert!(cuda(&manifest).contains(&wanted), "{folder:?}: {wanted}");
            let name = folder.file_name().unwrap().to_string_lossy();
            let wanted = format!("\"tlkit-{name}/cuda\"");
            assert!(cuda(&top).contains(&wanted), "the root: {wanted}");
        }
    }
    assert_eq!(found, 2, "candle-nn and candle-transformers, of resnet");
}
