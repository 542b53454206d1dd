//! C to a library.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, Ended};

/// The repository.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Whether there is a C compiler; where there is none, says so.
pub fn compiler() -> Option<String> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    match Command::new(&compiler).arg("--version").output() {
        Ok(_) => Some(compiler),
        Err(_) => {
            println!("skipped: no C compiler ({compiler})");
            None
        }
    }
}

/// Compiles a file of C against tlkit.h.
pub fn library(compiler: &str, source: &Path, defines: &[&str], to: &Path) {
    let status = Command::new(compiler)
        .args(["-std=c11", "-O1", "-w", "-shared", "-fPIC", "-I"])
        .arg(Path::new(ROOT).join("plugins/sdk/include"))
        .args(defines.iter().map(|d| format!("-D{d}")))
        .arg("-o")
        .arg(to)
        .arg(source)
        .args(["-lm", "-lpthread"])
        .status();
    assert!(
        status.expect("the compiler runs").success(),
        "{} {defines:?}",
        source.display()
    );
}

/// `hostile.c` with one rule broken, as `libhostile.so` in the folder of a bench.
pub fn hostile(bench: &Bench, compiler: &str, broken: &str) -> PathBuf {
    let to = bench.path("libhostile.so");
    let source = Path::new(ROOT).join("tests/plugins/hostile.c");
    library(compiler, &source, &[broken], &to);
    to
}

/// A recipe of the strategy `hostile`.
pub const RECIPE: &str = "\
[source]
task = \"features\"

[target]
task = \"classification\"
train = \"rows.csv\"
split = { validation = 0.1, test = 0.3 }

[strategy]
kind = \"inductive\"
method = \"hostile\"

[train]
epochs = 1
batch_size = 32

[[plugins]]
path = \"libhostile.so\"
";

/// The binary in a bench, with nothing of the user's own: its cache and data folder are the bench's.
pub fn tlkit(bench: &Bench, arguments: &[&str]) -> Ended {
    bench.tlkit_with(arguments, &pairs(&own(bench, PATIENT)))
}

/// The same where a probe may take so many seconds.
pub fn tlkit_probing(bench: &Bench, arguments: &[&str], seconds: u64) -> Ended {
    bench.tlkit_with(arguments, &pairs(&own(bench, seconds)))
}

/// As long as a probe may take on a machine that does much else.
const PATIENT: u64 = 30;

/// The same, started and not waited for.
pub fn start(bench: &Bench, arguments: &[&str]) -> std::process::Child {
    bench.start_with(arguments, &pairs(&own(bench, PATIENT)))
}

fn own(bench: &Bench, seconds: u64) -> [(&'static str, String); 4] {
    let path = |name: &str| bench.path(name).display().to_string();
    [
        ("TLKIT_CACHE", path("cache")),
        ("XDG_DATA_HOME", path("data")),
        ("TLKIT_PLUGIN_PATH", String::new()),
        ("TLKIT_PROBE_SECONDS", seconds.to_string()),
    ]
}

fn pairs<'p>(own: &'p [(&'static str, String); 4]) -> [(&'static str, &'p str); 4] {
    own.each_ref().map(|(name, value)| (*name, value.as_str()))
}

/// What was broken in one way ended with these words and this code, and not as a fault of tlkit's own.
pub fn refused(ended: &Ended, broken: &str, words: &str, code: i32) {
    assert!(
        ended.err.contains(words),
        "{broken}: {:?}\n{}\n{}",
        ended.code,
        ended.out,
        ended.err
    );
    assert_eq!(ended.code, Some(code), "{broken}: {}", ended.err);
    assert!(
        !ended.err.contains("bug in tlkit"),
        "{broken}: {}",
        ended.err
    );
}
