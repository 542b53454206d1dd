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
        let arguments = ["run", "small.toml", "--out", "r", "--device", device];
        self.tlkit(driver, &arguments)
    }

    fn tlkit(&self, driver: &Path, arguments: &[&str]) -> Output {
        Command::new(&self.binary)
            .args(arguments)
            .current_dir(self.bench.path("."))
            .env("LD_LIBRARY_PATH", driver)
            .output()
            .expect("it starts")
    }

    /// `cells.toml`: one cell, on this device.
    fn with_an_experiment(self, device: &str) -> Self {
        let text = format!(
            "[experiment]\nbase = \"small.toml\"\nseeds = 1\n[experiment.set]\n\"train.device\" = \"{device}\"\n"
        );
        self.bench.write("cells.toml", &text);
        self
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
    let dry = |device: &str| {
        let arguments = ["run", "small.toml", "--dry-run", "--device", device];
        beside.tlkit(&driver, &arguments)
    };
    assert_eq!(dry("cuda").status.code(), Some(0));
    let third = dry("cuda:3");
    assert_eq!(third.status.code(), Some(1));
    assert_eq!(
        text(&third.stderr),
        "error: there is no device `cuda:3`: there is one, `cuda:0`\n"
    );
    assert!(!beside.bench.path("handed").exists());
}

/// A dry run of an experiment asks the binary that its cells are handed over to.
#[test]
fn an_experiments_dry_run_has_its_times_from_where_it_would_run() {
    let beside = Beside::new().with_an_experiment("cuda");
    let dry = |driver: &Path| {
        let out = beside.tlkit(driver, &["compare", "cells.toml", "--dry-run"]);
        let (said, warned) = (text(&out.stdout), text(&out.stderr));
        assert_eq!(out.status.code(), Some(0), "{warned}");
        (said, warned)
    };
    let (said, warned) = dry(nowhere());
    assert!(
        warned.contains("not measured: device `cuda`: this binary"),
        "{warned}"
    );
    assert!(said.contains("for how long is not known"), "{said}");
    assert!(!said.contains("0.0 s"), "{said}");
    let Some(driver) = beside.driver(13_000, 1) else {
        return;
    };
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n\
        [ \"$1 $3 $TLKIT_HANDED_OVER\" = 'plan --json 1' ] && grep -q 'device = \"cuda\"' \"$2\" && \
        echo '{\"seconds\": 7200.0, \"shared\": 0.0}' && exit 0\nexit 7\n";
    beside.another(script.as_bytes());
    let (said, warned) = dry(&driver);
    assert!(
        said.contains("1 of 1 cells would run, about 2.0 h (from a few steps"),
        "{said}{warned}"
    );
    let script =
        "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho 'error: no memory' >&2\nexit 1\n";
    beside.another(script.as_bytes());
    let (said, warned) = dry(&driver);
    assert!(warned.contains("tlkit-cuda: no memory"), "{warned}");
    assert!(said.contains("for how long is not known"), "{said}");
}

/// A recipe's warnings are said before it is handed over, and not again.
#[test]
fn a_plan_that_was_handed_over_repeats_no_warning() {
    let bench = Bench::new();
    let arguments =
        "plan small.toml --set strategy.method=knn --set train.clip=0.5 --set train.device=cpu";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let said = |handed: &[(&str, &str)]| bench.tlkit_with(&arguments, handed).code(0).err;
    assert!(said(&[]).contains("say nothing here"));
    let again = said(&[("TLKIT_HANDED_OVER", "1")]);
    assert!(!again.contains("say nothing here"), "{again}");
}

#[test]
fn auto_runs_on_the_cpu_where_there_is_no_gpu() {
    let beside = Beside::new().with_another();
    let none = beside.driver(13_000, 0);
    let out = beside.run(none.as_deref().unwrap_or(nowhere()), "auto");
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(!said.contains("note:"), "{said}");
    assert_eq!(beside.bench.json("r/result.json")["device"], "cpu");
    assert!(!beside.bench.path("handed").exists());
}

/// Who has set up a GPU would take a run on the CPU for one on it.
#[test]
fn auto_says_what_is_wrong_with_a_gpu_that_is_set_up() {
    let beside = Beside::new().with_another().with_an_experiment("auto");
    let Some(old) = beside.driver(12_040, 1) else {
        return;
    };
    let note = "note: `auto` computes on the CPU: the NVIDIA driver is for CUDA 12.4";
    for arguments in [
        &["run", "small.toml", "--out", "r"][..],
        &["plan", "small.toml"],
        &["compare", "cells.toml", "--dry-run"],
        &["compare", "cells.toml"],
    ] {
        let out = beside.tlkit(&old, arguments);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{said}");
        assert_eq!(said.matches(note).count(), 1, "{arguments:?}: {said}");
    }
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
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(
        said.contains("`auto` computes on the CPU: ") && said.contains("does not start"),
        "{said}"
    );
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
