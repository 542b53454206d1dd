//! Kills runs and takes them up again, beside runs that are not killed. What a crate with methods of its own needs beside this file and
//! `world.rs`: a list `METHODS`, each with a `name` and a function `make`.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tlkit_core::Result;
use tlkit_core::random::Stream;
use tlkit_core::run::weights_sha256;

use crate::METHODS;
use crate::world::{Setup, train};

const METHOD: &str = "TLKIT_GATE_METHOD";
const DIR: &str = "TLKIT_GATE_DIR";
const SLOW: &str = "TLKIT_GATE_SLOW_MS";

/// Not a test: what the processes that are killed run.
#[test]
#[ignore = "runs as a child process of the tests beside it"]
fn child() -> Result<()> {
    let (Ok(name), Ok(dir)) = (std::env::var(METHOD), std::env::var(DIR)) else {
        return Ok(());
    };
    let method = METHODS.iter().find(|m| m.name == name).expect("a method");
    let (world, strategy) = (method.make)();
    let slow = std::env::var(SLOW).map_or(0, |ms| ms.parse().expect("milliseconds"));
    let setup = Setup {
        dir: Some(dir.clone().into()),
        max_steps: Some(25),
        slow: Duration::from_millis(slow),
        ..Setup::default()
    };
    let trained = train(&world, strategy.as_ref(), &setup)?;
    let line = format!(
        "{} {} {:?}",
        weights_sha256(&trained.store)?,
        trained.target,
        trained.outcome.fits
    );
    std::fs::write(Path::new(&dir).join("result"), line).expect("the result");
    Ok(())
}

fn start(method: &str, dir: &Path, slow: u64) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "killed::child", "--ignored", "--quiet"])
        .env(METHOD, method)
        .env(DIR, dir)
        .env(SLOW, slow.to_string())
        .stdout(Stdio::null())
        .spawn()
        .expect("a child process")
}

/// A folder of this process's own.
pub fn folder(name: &str) -> PathBuf {
    let dir =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gate-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    dir
}

/// The result, and the record without the seconds, which are others each time.
fn kept(dir: &Path) -> (String, Vec<serde_json::Value>) {
    let line = |line: &str| {
        let mut row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if let Some(row) = row.as_object_mut() {
            row.remove("seconds");
        }
        row
    };
    let metrics = std::fs::read_to_string(dir.join("metrics.jsonl")).expect("metrics");
    (
        std::fs::read_to_string(dir.join("result")).expect("a result"),
        metrics.lines().map(line).collect(),
    )
}

/// Kills a run again and again, at moments that differ from method to method, each after a further checkpoint, until it comes to its end
/// between two of them.
pub fn killed_and_not(method: &str) {
    let whole = folder(&format!("{method}-whole"));
    assert!(start(method, &whole, 0).wait().unwrap().success());
    let cut = folder(&format!("{method}-cut"));
    let written = || std::fs::metadata(cut.join("state.safetensors")).and_then(|m| m.modified());
    let moments = Stream::new(1).purpose(method);
    let mut kills = 0;
    loop {
        let before = written().ok();
        let mut run = start(method, &cut, 4);
        let mut ended = None;
        while written().ok() == before && ended.is_none() {
            std::thread::sleep(Duration::from_millis(1));
            ended = run.try_wait().unwrap();
        }
        // The first time soon: a short run has at least one kill.
        let longest = if kills == 0 { 40 } else { 90 };
        std::thread::sleep(Duration::from_millis(moments.below(kills, longest)));
        // Does nothing to a run that has ended.
        run.kill().expect("SIGKILL");
        let status = run.wait().unwrap();
        if status.success() {
            break;
        }
        assert_eq!(status.signal(), Some(9), "{method} failed of its own");
        kills += 1;
    }
    assert!(kills > 0, "{method} was never killed");
    assert_eq!(kept(&whole), kept(&cut), "{method}, killed {kills} times");
    println!("killed {kills} times");
    for dir in [whole, cut] {
        std::fs::remove_dir_all(dir).expect("my own folder");
    }
}
