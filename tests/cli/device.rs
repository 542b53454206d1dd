//! Which binary computes: `tlkit` hands over to `tlkit-cuda` beside it, where that can be.
//!
//! The other binary and NVIDIA's driver are stand-ins, made here: a script that writes down how it was called, and a library of three functions.

#![cfg(all(unix, not(feature = "cuda")))]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::bench::Bench;

/// A folder with a copy of `tlkit`, and a recipe.
struct Beside {
    bench: Bench,
    binary: PathBuf,
}

impl Beside {
    fn new() -> Self {
        let bench = Bench::new();
        let binary = bench.path("bin/tlkit");
        std::fs::create_dir_all(binary.parent().expect("a folder")).expect("made");
        std::fs::copy(env!("CARGO_BIN_EXE_tlkit"), &binary).expect("copied");
        Beside { bench, binary }
    }

    /// A `tlkit-cuda` that starts, writes down how it was called and leaves with 7.
    fn with_another(self) -> Self {
        let script = "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho \"$TLKIT_HANDED_OVER $*\" > handed\nexit 7\n";
        self.another(script.as_bytes());
        self
    }

    fn another(&self, bytes: &[u8]) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.binary.with_file_name("tlkit-cuda");
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    }

    /// A driver for a version of CUDA, with so many devices; `None` where there is no C compiler.
    fn driver(&self, version: u32, devices: u32) -> Option<PathBuf> {
        let folder = self.bench.path("driver");
        std::fs::create_dir_all(&folder).expect("made");
        let source = folder.join("driver.c");
        let text = format!(
            "int cuInit(unsigned f) {{ return {}; }}\n\
             int cuDriverGetVersion(int* v) {{ *v = {version}; return 0; }}\n\
             int cuDeviceGetCount(int* n) {{ *n = {devices}; return 0; }}\n",
            if devices == 0 { 100 } else { 0 }
        );
        std::fs::write(&source, text).expect("written");
        let made = Command::new("cc")
            .arg("-shared")
            .arg(&source)
            .arg("-o")
            .arg(folder.join("libcuda.so.1"))
            .status();
        match made {
            Ok(status) if status.success() => Some(folder),
            _ => {
                println!("skipped: no C compiler");
                None
            }
        }
    }

    fn run(&self, driver: &Path, device: &str) -> Output {
        Command::new(&self.binary)
            .args(["run", "small.toml", "--out", "r", "--device", device])
            .current_dir(self.bench.path("."))
            .env("LD_LIBRARY_PATH", driver)
            .output()
            .expect("it starts")
    }

    /// What is said where a GPU was asked for and there is none; exit code 1.
    fn refused(&self, driver: &Path, device: &str) -> String {
        let out = self.run(driver, device);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(!self.bench.path("r").exists(), "{said}");
        said
    }
}

fn nowhere() -> &'static Path {
    Path::new("/nonexistent")
}

fn no_driver_here() -> bool {
    let there = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .iter()
        .any(|folder| Path::new(folder).join("libcuda.so.1").exists());
    if there {
        println!("skipped: this machine has NVIDIA's driver");
    }
    !there
}

#[test]
fn a_gpu_that_was_asked_for_and_cannot_be_used_is_an_error_that_says_what_is_missing() {
    let beside = Beside::new();
    let said = beside.refused(nowhere(), "cuda");
    assert!(said.contains("tlkit-cuda is not there"), "{said}");
    assert!(said.contains("--device cpu"), "{said}");
    let beside = beside.with_another();
    if no_driver_here() {
        let said = beside.refused(nowhere(), "cuda:1");
        assert!(
            said.contains("device `cuda:1`: there is no NVIDIA driver"),
            "{said}"
        );
    }
    let Some(driver) = beside.driver(12_040, 1) else {
        return;
    };
    let said = beside.refused(&driver, "cuda");
    assert!(
        said.contains("the NVIDIA driver is for CUDA 12.4"),
        "{said}"
    );
    let driver = beside.driver(13_000, 0).expect("as before");
    let said = beside.refused(&driver, "cuda");
    assert!(said.contains("no CUDA device"), "{said}");
    assert!(!beside.bench.path("handed").exists());
}

/// A word that nobody knows is no choice of instructions.
#[test]
fn instructions_are_those_that_are_asked_for_or_an_error() {
    let bench = Bench::new();
    let run =
        |said: &str| bench.tlkit_with(&["run", "small.toml", "--dry-run"], &[("TLKIT_CPU", said)]);
    let wrong = run("AVX2").code(2);
    assert!(
        wrong.err.contains("TLKIT_CPU is \"AVX2\", expected"),
        "{}",
        wrong.err
    );
    run("plain").code(0);
    run("").code(0);
}

/// A dry run says it too, and stays in this binary.
#[test]
fn a_dry_run_looks_for_the_device() {
    let beside = Beside::new();
    let dry = |device: &str, driver: &Path| {
        let out = Command::new(&beside.binary)
            .args(["run", "small.toml", "--dry-run", "--device", device])
            .current_dir(beside.bench.path("."))
            .env("LD_LIBRARY_PATH", driver)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.code(), said)
    };
    let (code, said) = dry("cuda", nowhere());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("tlkit-cuda is not there"), "{said}");
    for device in ["cpu", "auto"] {
        let (code, said) = dry(device, nowhere());
        assert_eq!(code, Some(0), "{said}");
    }
    let beside = Beside::new().with_another();
    let Some(driver) = beside.driver(13_000, 1) else {
        return;
    };
    let out = Command::new(&beside.binary)
        .args(["run", "small.toml", "--dry-run", "--device", "cuda"])
        .current_dir(beside.bench.path("."))
        .env("LD_LIBRARY_PATH", driver)
        .output()
        .expect("it starts");
    assert_eq!(out.status.code(), Some(0));
    assert!(!beside.bench.path("handed").exists());
}

#[test]
fn auto_runs_on_the_cpu_where_there_is_no_gpu() {
    let beside = Beside::new().with_another();
    let drivers = [beside.driver(12_040, 1), beside.driver(13_000, 0)];
    let driver = drivers[1].as_deref().unwrap_or(nowhere());
    let out = beside.run(driver, "auto");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert_eq!(beside.bench.json("r/result.json")["device"], "cpu");
    assert!(!beside.bench.path("handed").exists());
}

#[test]
fn the_other_binary_gets_the_whole_command_and_its_end_is_the_end() {
    for device in ["cuda", "cuda:1", "auto"] {
        let beside = Beside::new().with_another();
        let Some(driver) = beside.driver(13_000, 2) else {
            return;
        };
        let out = beside.run(&driver, device);
        assert_eq!(out.status.code(), Some(7));
        assert_eq!(
            beside.bench.read("handed").trim(),
            format!("1 run small.toml --out r --device {device}")
        );
        // The CPU is asked for: it stays.
        std::fs::remove_file(beside.bench.path("handed")).expect("there");
        assert_eq!(beside.run(&driver, "cpu").status.code(), Some(0));
        assert!(!beside.bench.path("handed").exists());
    }
}

#[test]
fn a_binary_whose_libraries_are_missing_is_an_error_and_auto_goes_on_with_the_cpu() {
    let beside = Beside::new();
    let Some(driver) = beside.driver(13_000, 1) else {
        return;
    };
    // As the loader ends it, whatever it is asked.
    let script = "#!/bin/sh\necho 'tlkit-cuda: libcublas.so.13: cannot open shared object file' >&2\nexit 127\n";
    beside.another(script.as_bytes());
    let said = beside.refused(&driver, "cuda");
    for part in [
        "tlkit-cuda does not start (tlkit-cuda: libcublas.so.13: cannot open",
        "are CUDA 13's libraries in LD_LIBRARY_PATH?",
        "--device cpu",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let out = beside.run(&driver, "auto");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert_eq!(beside.bench.json("r/result.json")["device"], "cpu");
}

#[test]
fn a_binary_for_the_cpu_under_the_other_name_is_found_out() {
    let beside = Beside::new();
    let Some(driver) = beside.driver(13_000, 1) else {
        return;
    };
    beside.another(&std::fs::read(&beside.binary).expect("read"));
    let said = beside.refused(&driver, "cuda");
    assert!(
        said.contains("was built without `--features cuda`"),
        "{said}"
    );
}
