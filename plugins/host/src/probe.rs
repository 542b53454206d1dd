//! What a library brings, found out in a child process: it may crash there, hang there, or leave. What was found is kept, for as long as
//! the file is the same.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Cause, LoadError};
use crate::file::Stamp;
use crate::library;
use crate::manifest::Manifest;
use crate::tables;

/// What the child writes down, and what is cached.
#[derive(Serialize, Deserialize)]
struct Found {
    /// Of tlkit: what an older one understood is found out anew.
    tlkit: String,
    stamp: Stamp,
    outcome: Result<Manifest, LoadError>,
}

/// How to probe.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    /// The program and its arguments, before the library and the file to write to.
    pub command: Vec<OsString>,
    /// How long it may take.
    pub limit: Duration,
    /// Where findings are kept.
    pub cache: Option<PathBuf>,
}

impl Prober {
    /// What the library brings.
    pub fn probe(&self, stamp: &Stamp) -> Result<Manifest, LoadError> {
        let kept = self.cache.as_ref().map(|folder| {
            let id = tlkit_core::hex(&<sha2::Sha256 as sha2::Digest>::digest(
                stamp.path.to_string_lossy().as_bytes(),
            ));
            folder.join(format!("{}.json", &id[..32]))
        });
        if let Some(found) = kept.as_deref().and_then(read)
            && found.tlkit == env!("CARGO_PKG_VERSION")
            && found.stamp == *stamp
        {
            return found.outcome;
        }
        let outcome = self.ask(stamp);
        // What failed may do better next time (a missing library of the system, a slow disk): only manifests are kept.
        if let (Some(file), Ok(manifest)) = (&kept, &outcome) {
            let found = Found {
                tlkit: env!("CARGO_PKG_VERSION").into(),
                stamp: stamp.clone(),
                outcome: Ok(manifest.clone()),
            };
            keep(file, &found);
        }
        outcome
    }

    fn ask(&self, stamp: &Stamp) -> Result<Manifest, LoadError> {
        let name = stamp.path.display();
        let system = |e: std::io::Error| {
            LoadError::new(Cause::System, format!("{name} was not probed: {e}"))
        };
        let answer = tempfile::NamedTempFile::new().map_err(system)?;
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(LoadError::new(
                Cause::System,
                "nothing to probe plugins with",
            ));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .arg(&stamp.path)
            .arg(answer.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(system)?;
        let until = Instant::now() + self.limit.min(Duration::from_secs(31_536_000));
        let status = loop {
            if let Some(status) = child.try_wait().map_err(system)? {
                break status;
            }
            if Instant::now() > until {
                // It may have ended in between; what remains of it is waited for.
                let _ = child.kill();
                let _ = child.wait();
                return Err(LoadError::new(
                    Cause::Hung,
                    format!("{name} did not answer within {} s while it was probed, and was ended", self.limit.as_secs()),
                ).help("nothing of it was loaded here; it must not wait or compute in its initialisers or in `tlkit_plugin_v1`"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        match read(answer.path()) {
            Some(found) => found.outcome,
            None => Err(LoadError::new(
                Cause::Crashed,
                format!(
                    "{name} {} while it was probed in a process of its own",
                    ended(status)
                ),
            )
            .help(
                "nothing of it was loaded here; look at its initialisers and at `tlkit_plugin_v1`",
            )),
        }
    }
}

/// The child's side: loads the library, reads its tables, writes down what it brings. Exits by itself, whatever the library does.
pub fn answer(library: &Path, to: &Path) {
    let outcome = library::open(library).and_then(tables::manifest);
    let stamp = Stamp {
        path: library.to_path_buf(),
        size: 0,
        modified: 0,
        sha256: String::new(),
    };
    keep(
        to,
        &Found {
            tlkit: env!("CARGO_PKG_VERSION").into(),
            stamp,
            outcome,
        },
    );
}

fn read(file: &Path) -> Option<Found> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// Whole or not at all. That it cannot be kept is no error: it is found out again.
fn keep(file: &Path, found: &Found) {
    let _ = (|| -> std::io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut beside, found)?;
        beside.persist(file)?;
        Ok(())
    })();
}

fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            4 => "SIGILL",
            6 => "SIGABRT",
            7 | 10 => "SIGBUS",
            8 => "SIGFPE",
            9 => "SIGKILL",
            11 => "SIGSEGV",
            _ => return format!("crashed (signal {signal})"),
        };
        return format!("crashed ({name})");
    }
    match status.code() {
        Some(code) => format!("ended the process with exit code {code}"),
        None => "crashed".into(),
    }
}
