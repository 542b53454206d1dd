//! With the feature `cuda`, compiles the kernels of `src/*/kernel.cu` to PTX with nvcc. Without it, does nothing.

use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    println!("cargo::rerun-if-changed=src");
    for name in ["NVCC", "CUDA_HOME", "CUDA_COMPUTE_CAP", "TLKIT_CUDA_ARCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let nvcc = match (env::var_os("NVCC"), env::var_os("CUDA_HOME")) {
        (Some(nvcc), _) => PathBuf::from(nvcc),
        (None, Some(home)) => PathBuf::from(home).join("bin/nvcc"),
        (None, None) => PathBuf::from("nvcc"),
    };
    // PTX for the oldest processor that multiplies bf16; the driver compiles it for its own, and keeps what it made.
    let arch = env::var("TLKIT_CUDA_ARCH").unwrap_or_else(|_| "compute_80".into());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for (name, define) in [("tlkit_f32", None), ("tlkit_bf16", Some("-DTLKIT_BF16"))] {
        let status = Command::new(&nvcc)
            .args(["-std=c++17", "--ptx", &format!("-arch={arch}")])
            .args(define)
            .arg("src/gpu/all.cu")
            .arg("-o")
            .arg(out.join(name).with_extension("ptx"))
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                return Err(io::Error::other(format!("{}: {status}", nvcc.display())));
            }
            Err(e) => {
                return Err(io::Error::other(format!(
                    "{}: {e}; scripts/cuda-toolkit.sh installs it",
                    nvcc.display()
                )));
            }
        }
    }
    Ok(())
}
