//! Two domains in the plane, and whole runs over them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tlkit_core::data::{Blob, Found, Resolve};
use tlkit_core::evaluate::Scores;
use tlkit_core::random::Stream;
use tlkit_core::recipe::Written;
use tlkit_core::registry::Registry;
use tlkit_core::run::{Directory, RunResult, Surroundings, execute};
use tlkit_core::train::{Event, Observer, Stop};
use tlkit_core::{Checked, Error, Result};

pub struct Files;

impl Resolve for Files {
    fn resolve(&self, name: &str, base: &Path) -> Result<Found> {
        let path = base.join(name);
        Ok(match path.is_dir() {
            true => Found::Folder(path),
            false => Found::File(Blob::Path(path)),
        })
    }
}

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    tlkit_data::register(&mut registry).expect("readers");
    tlkit_features::register(&mut registry).expect("tasks");
    tlkit_transductive::register(&mut registry).expect("strategies");
    registry
}

/// Two blobs in the plane, moved; `flip` exchanges the labels.
pub fn rows(n: usize, seed: u64, by: [f32; 2], flip: bool) -> String {
    let noise = Stream::new(seed).purpose("rows").normals(2 * n);
    let row = |i: usize| {
        let side = [-2.0, 2.0][i % 2];
        let name = ["left", "right"][(i + usize::from(flip)) % 2];
        let (x, y) = (
            side + 0.4 * noise[2 * i] + by[0],
            0.3 * noise[2 * i + 1] + by[1],
        );
        format!("{x},{y},{name}\n")
    };
    let rows: String = (0..n).map(row).collect();
    format!("x,y,label\n{rows}")
}

pub struct World(tempfile::TempDir);

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().expect("a folder");
        let by = [2.3, 2.0];
        for (name, text) in [
            ("source.csv", rows(200, 1, [0.0; 2], false)),
            ("target.csv", rows(300, 2, by, false)),
            ("flipped.csv", rows(300, 2, by, true)),
            ("some.csv", rows(40, 3, by, false)),
            ("test.csv", rows(150, 4, by, false)),
        ] {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        World(dir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn check(
        &self,
        source: &str,
        method: &str,
        sets: &[&str],
    ) -> std::result::Result<Checked, String> {
        let first = match source.starts_with("run") {
            true => "",
            false => "source_epochs = 5\n",
        };
        let text = format!(
            "[source]\n{source}\n[target]\ntask = \"classification\"\nunlabelled = \"target.csv\"\ntest = \"test.csv\"\n\
             [strategy]\nkind = \"transductive\"\nmethod = \"{method}\"\n[train]\nepochs = 6\n{first}learning_rate = 1e-2\n"
        );
        let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
        let name = self.path("recipe.toml").display().to_string();
        let written = Written::parse(&name, &text, &sets).map_err(|r| r.to_string())?;
        let resolve: Arc<dyn Resolve> = Arc::new(Files);
        Checked::new(&written, &registry(), &resolve).map_err(|r| r.to_string())
    }

    pub fn adapted(&self, method: &str, sets: &[&str]) -> Checked {
        self.check(SOURCE, method, sets)
            .unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn run(&self, checked: &Checked, to: &str, die: &[u64]) -> RunResult {
        for &at in die {
            assert!(
                go(checked, &self.path(to), Some(at)).is_none(),
                "it did not die"
            );
        }
        go(checked, &self.path(to), None).expect("a result")
    }

    /// Why a run failed.
    pub fn fails(&self, checked: &Checked, to: &str) -> String {
        let ended = tried(checked, &self.path(to), None).expect("it ended");
        ended.map(|_| ()).expect_err("an error")
    }

    pub fn metrics(&self, to: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(to).join("metrics.jsonl")).expect("metrics");
        let line = |line: &str| {
            let mut row: Value = serde_json::from_str(line).expect("JSON");
            if let Some(row) = row.as_object_mut() {
                row.remove("seconds");
            }
            row
        };
        text.lines().map(line).collect()
    }
}

pub const SOURCE: &str = "task = \"features\"\ntrain = \"source.csv\"\nhidden = [16]";

struct Watch {
    die: Option<u64>,
    steps: AtomicU64,
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        if let Event::Step { .. } = event
            && Some(self.steps.fetch_add(1, Ordering::SeqCst) + 1) == self.die
        {
            // As if the process died: nothing is written that was not written before.
            std::panic::resume_unwind(Box::new("killed"));
        }
    }
}

/// What came of a run; nothing where it was killed, or stopped.
fn tried(
    checked: &Checked,
    to: &Path,
    die: Option<u64>,
) -> Option<std::result::Result<RunResult, String>> {
    let watch = Watch {
        die,
        steps: AtomicU64::new(0),
    };
    let around = Surroundings {
        directory: Directory::at(to),
        name: "recipe".into(),
        observer: &watch,
        stop: Stop::default(),
        shared: None,
    };
    let run = std::panic::AssertUnwindSafe(|| execute(checked, &around));
    match std::panic::catch_unwind(run) {
        Err(_) => None,
        Ok(Err(Error::Stopped { .. })) => None,
        Ok(ended) => Some(ended.map_err(|e| e.to_string())),
    }
}

pub fn go(checked: &Checked, to: &Path, die: Option<u64>) -> Option<RunResult> {
    tried(checked, to, die).map(|ended| ended.unwrap_or_else(|e| panic!("{e}")))
}

pub fn accuracy(result: &RunResult) -> f64 {
    match &result.metrics["test"] {
        Scores::Classes(c) => c.accuracy,
        other => panic!("{other:?}"),
    }
}
