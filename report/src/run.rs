//! A run directory as it stands.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Ended well.
    Done,
    /// Ended with an error.
    Failed,
    /// Somebody works on it right now.
    Running,
    /// Stopped or killed; can be resumed.
    Unfinished,
    /// Not a run directory.
    None,
}

impl Status {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Failed => "failed",
            Status::Running => "running",
            Status::Unfinished => "unfinished",
            Status::None => "no run",
        }
    }
}

/// A run directory and what stands in it.
#[derive(Clone, Debug)]
pub struct Run {
    /// The folder.
    pub path: PathBuf,
    /// How far it is.
    pub status: Status,
    /// `result.json`; null where there is none.
    pub result: Value,
    /// `identity.json`; null where there is none.
    pub identity: Value,
    /// When something was last written.
    pub touched: Option<SystemTime>,
}

impl Run {
    /// Reads a directory. What is not there is null; what is no run has [`Status::None`].
    pub fn read(path: &Path) -> Run {
        let (mut result, identity) = (json(path, "result.json"), json(path, "identity.json"));
        // What is there and says nothing is no run that was stopped.
        if result.is_null() && path.join("result.json").exists() {
            let error = "result.json is there and cannot be read; `--resume` writes it anew";
            result = serde_json::json!({ "status": "failed", "error": error });
        }
        let status = match result["status"].as_str() {
            _ if held(path) => Status::Running,
            Some("done") => Status::Done,
            Some(_) => Status::Failed,
            None if !identity.is_null() => Status::Unfinished,
            None => Status::None,
        };
        let touched = ["result.json", "metrics.jsonl", "identity.json"]
            .iter()
            .filter_map(|n| fs::metadata(path.join(n)).ok()?.modified().ok())
            .max();
        Run {
            path: path.to_path_buf(),
            status,
            result,
            identity,
            touched,
        }
    }

    /// Every run under a folder `runs/<recipe>/<id>`, newest first.
    pub fn all(root: &Path) -> Vec<Run> {
        let folders = |path: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|e| e.path()).filter(|p| p.is_dir()).collect()
        };
        let mut runs: Vec<Run> = folders(root)
            .iter()
            .flat_map(|recipe| folders(recipe))
            .map(|path| Run::read(&path))
            .filter(|run| run.status != Status::None)
            .collect();
        // Ids begin with the time; runs of one second are told apart by when they were last written.
        runs.sort_by(|a, b| {
            let key = |r: &Run| (r.id().chars().take(15).collect::<String>(), r.touched);
            key(b).cmp(&key(a)).then_with(|| b.path.cmp(&a.path))
        });
        runs
    }

    /// Another file of the directory; null where there is none.
    pub fn json(&self, name: &str) -> Value {
        json(&self.path, name)
    }

    /// The directory's name.
    pub fn id(&self) -> String {
        self.path
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    }

    /// The recipe's file stem.
    pub fn recipe(&self) -> &str {
        let named = self.result["recipe"].as_str();
        named
            .or_else(|| self.identity["recipe"].as_str())
            .unwrap_or("?")
    }

    /// Whether it was tested on the rows that it was adapted on.
    pub fn tested_as_adapted(&self) -> bool {
        let test = &self.identity["values"]["target"]["test"];
        test == "unlabelled" || self.result["audit"]["tests_adapted"] == true
    }

    /// The accuracy on the test rows.
    pub fn test_accuracy(&self) -> Option<f64> {
        self.result["metrics"]["test"]["accuracy"].as_f64()
    }
}

fn json(path: &Path, name: &str) -> Value {
    fs::read_to_string(path.join(name))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or(Value::Null)
}

/// Whether a process holds the run's lock.
fn held(path: &Path) -> bool {
    fs::File::open(path.join(".lock")).is_ok_and(|file| {
        matches!(
            file.try_lock_shared(),
            Err(std::fs::TryLockError::WouldBlock)
        )
    })
}
