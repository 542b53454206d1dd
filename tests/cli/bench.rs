//! A folder with data and a recipe, and the binary run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Output, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own, and one for features that are kept; gone at the end.
pub struct Bench(TempDir, TempDir);

/// What a command left behind.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Fails unless the exit code is this one.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

/// Two classes of points, three numbers each; row after row the same on every machine.
pub fn rows(n: u64) -> String {
    let mut text = String::from("a,b,c,label\n");
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    for row in 0..n {
        let centre = if row % 2 == 0 { 0.35 } else { 0.65 };
        let mut number = || centre + next() - 0.5;
        let (a, b, c) = (number(), number(), number());
        let label = if row % 2 == 0 { "no" } else { "yes" };
        text.push_str(&format!("{a:.5},{b:.5},{c:.5},{label}\n"));
    }
    text
}

pub const RECIPE: &str = "\
[source]
task = \"features\"

[target]
task = \"classification\"
train = \"rows.csv\"
split = { validation = 0.1, test = 0.3 }

[strategy]
kind = \"inductive\"
method = \"from-scratch\"

[train]
epochs = 4
batch_size = 16
learning_rate = 1e-2
";

impl Bench {
    /// `small.toml` and its rows.
    pub fn new() -> Self {
        let folder = || TempDir::new().expect("a temporary folder");
        let bench = Bench(folder(), folder());
        bench.write("rows.csv", &rows(200));
        bench.write("small.toml", RECIPE);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect(name);
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Runs the binary here.
    pub fn tlkit(&self, arguments: &[&str]) -> Ended {
        self.tlkit_with(arguments, &[])
    }

    /// The same in an environment.
    pub fn tlkit_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_tlkit"))
            .args(arguments)
            // Features that other code has kept for the user are not this code's.
            .env("TLKIT_CACHE", self.1.path())
            .envs(environment.iter().copied())
            .current_dir(self.0.path())
            .output()
            .expect("the binary starts");
        Ended::of(&output)
    }

    /// Starts the binary here and does not wait.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.start_with(arguments, &[])
    }

    /// The same in an environment.
    pub fn start_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
        Process::new(env!("CARGO_BIN_EXE_tlkit"))
            .args(arguments)
            // Features that other code has kept for the user are not this code's.
            .env("TLKIT_CACHE", self.1.path())
            .envs(environment.iter().copied())
            .current_dir(self.0.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// The same, with a pipe to feed it.
    pub fn start_fed(&self, arguments: &[&str]) -> Child {
        Process::new(env!("CARGO_BIN_EXE_tlkit"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// The run directories of a recipe.
    pub fn runs(&self, recipe: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("runs").join(recipe)) else {
            return Vec::new();
        };
        entries.map(|e| e.expect("an entry").path()).collect()
    }
}

/// Waits for the end of what [`Bench::start`] started.
pub fn ended(child: Child) -> Ended {
    Ended::of(&child.wait_with_output().expect("it ends"))
}

/// `metrics.jsonl` without the seconds, which are others each time.
pub fn timeless(metrics: &str) -> Vec<Value> {
    let line = |line: &str| {
        let mut row: Value = serde_json::from_str(line).expect("JSON");
        if let Some(row) = row.as_object_mut() {
            row.remove("seconds");
        }
        row
    };
    metrics.lines().map(line).collect()
}

/// Optimizer steps in a run directory's checkpoint.
pub fn steps(run: &Path) -> Option<u64> {
    let bytes = fs::read(run.join("checkpoint/state.safetensors")).ok()?;
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?) as usize;
    let header: Value = serde_json::from_slice(bytes.get(8..8 + length)?).ok()?;
    let position = header["__metadata__"]["position"].as_str()?;
    let position: Value = serde_json::from_str(position).ok()?;
    position["total_steps"].as_u64()
}

/// Waits until a checkpoint has at least so many steps.
#[track_caller]
pub fn wait_for(run: &Path, at_least: u64) {
    let until = Instant::now() + Duration::from_secs(60);
    while steps(run).is_none_or(|s| s < at_least) {
        assert!(Instant::now() < until, "no checkpoint at step {at_least}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
