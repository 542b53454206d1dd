//! `tlkit plugins check`: the conformance suite on a library, in a process of its own, so that a crash is a line of the table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tlkit_core::recipe::nearest;
use tlkit_host::conformance::{self, Line, Material};
use tlkit_host::{Host, Manifest, ManifestEntry};

use super::super::exit::{FAILED, Failure};
use super::super::output;
use super::arguments::CheckPlugin;
use super::find;

/// Probes, then runs this program again to do the rest.
pub fn check(host: &Host, arguments: &CheckPlugin) -> Result<(), Failure> {
    let named = find(host, &arguments.library, true)?;
    let manifest = named.found.map_err(|e| Failure::Wrong(e.to_string()))?;
    output::out(&format!(
        "{} {}, tlkit.h {}.{}\n",
        manifest.name, manifest.version, manifest.speaks.0, manifest.speaks.1
    ));
    let this = std::env::current_exe()
        .map_err(|e| Failure::Failed(format!("this program's own path: {e}")))?;
    // A slip of whoever types is none of the plugin's.
    known(&keys(arguments)?, &manifest)?;
    let mut command = Command::new(this);
    // As large as those of a run's threads.
    command.env("RUST_MIN_STACK", (256 << 20).to_string());
    command.args(["plugins", "check-inside"]).arg(&named.path);
    if let Some(file) = &arguments.file {
        command.arg("--file").arg(file);
    }
    for set in &arguments.keys {
        command.arg("--key").arg(set);
    }
    let ended = Ended::new();
    command.arg("--ended").arg(&ended.0);
    let started = |e: std::io::Error| Failure::Failed(format!("the check did not start: {e}"));
    let mut child = command.stdin(Stdio::null()).spawn().map_err(started)?;
    // A year is as long as anybody waits.
    let until = Instant::now() + Duration::from_secs(arguments.limit.min(31_536_000));
    let status = loop {
        if let Some(status) = child.try_wait().map_err(started)? {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            output::out(&format!(
                "FAILED  what comes next did not end within {} s\n",
                arguments.limit
            ));
            return Err(Failure::Said(FAILED));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    match (status.code(), ended.0.is_file()) {
        (Some(0), true) => Ok(()),
        // It has said so itself.
        (Some(1), true) => Err(Failure::Said(FAILED)),
        (Some(code), false) => {
            output::out(&format!(
                "FAILED  what comes next ended the process with exit code {code}. In a run it would take tlkit with it\n"
            ));
            Err(Failure::Said(FAILED))
        }
        _ => {
            output::out(&format!(
                "FAILED  what comes next crashed: {status}. In a run it would take tlkit with it\n"
            ));
            Err(Failure::Said(FAILED))
        }
    }
}

/// A file that is there once the process of its own came to its end: what a plugin ends has any exit code.
struct Ended(PathBuf);

impl Ended {
    fn new() -> Self {
        let name = format!("tlkit-check-{}", std::process::id());
        let file = Ended(std::env::temp_dir().join(name));
        // Of a process long gone that had the same number.
        let _ = std::fs::remove_file(&file.0);
        file
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The process of its own.
pub fn inside(arguments: &CheckPlugin, ended: &Path) -> Result<(), Failure> {
    let tried = all(arguments);
    std::fs::write(ended, "").map_err(|e| Failure::Failed(format!("{}: {e}", ended.display())))?;
    tried
}

/// `--key NAME=VALUE`.
fn keys(arguments: &CheckPlugin) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    let mut keys = serde_json::Map::new();
    for set in &arguments.keys {
        let Some((name, value)) = set.split_once('=') else {
            return Err(Failure::Wrong(format!(
                "`--key {set}`: a key is set as `NAME=VALUE`"
            )));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        keys.insert(name.to_string(), value);
    }
    Ok(keys)
}

/// Refuses a key that no entry has: it would change nothing of what is tried.
fn known(
    keys: &serde_json::Map<String, serde_json::Value>,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let properties = |e: &ManifestEntry| e.keys["properties"].as_object().cloned();
    let all: BTreeSet<String> = (manifest.entries.iter())
        .filter_map(properties)
        .flat_map(|p| p.into_iter().map(|(name, _)| name))
        .collect();
    let Some(name) = keys.keys().find(|k| !all.contains(*k)) else {
        return Ok(());
    };
    let known = all.iter().map(String::as_str);
    let there = match (nearest(name, known.clone()), all.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, true) => "they have none: leave it out".to_string(),
        (None, false) => format!("they have {}", known.collect::<Vec<_>>().join(", ")),
    };
    Err(Failure::Wrong(format!(
        "`--key {name}`: none of the entries of {} has such a key; {there}",
        manifest.name
    )))
}

fn all(arguments: &CheckPlugin) -> Result<(), Failure> {
    let keys = keys(arguments)?;
    let material = Material {
        file: arguments.file.clone(),
        keys,
    };
    let mut say = |line: &Line| {
        let (mark, words) = match &line.outcome {
            Ok(words) => ("ok    ", words),
            Err(words) => ("FAILED", words),
        };
        let words = match words.is_empty() {
            true => String::new(),
            false => format!(": {}", words.trim_end().replace('\n', "\n        ")),
        };
        output::out(&format!("{mark}  {}: {}{words}\n", line.entry, line.tried));
    };
    let wrong = conformance::check(&arguments.library, &material, &mut say)
        .map_err(|e| Failure::Failed(e.to_string()))?;
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::Said(FAILED)),
    }
}
