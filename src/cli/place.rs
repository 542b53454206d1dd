//! Which directory a run goes to, and whether it may.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tlkit_core::run::{Directory, Identity};
use tlkit_report::{Run, Status};

use super::changed::changed;
use super::clock;
use super::exit::Failure;

/// Where runs go unless `--out` says otherwise.
pub const ROOT: &str = "runs";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A new run goes here.
    Start(PathBuf),
    /// The run here goes on.
    Resume(PathBuf),
    /// The run here is finished.
    NothingLeft(PathBuf),
}

/// What the command line says about it.
pub struct Wanted<'a> {
    /// `--out`.
    pub out: Option<&'a Path>,
    /// `--resume`.
    pub resume: bool,
    /// The recipe's file stem.
    pub recipe: &'a str,
    /// The run's seed.
    pub seed: u64,
    /// What would run.
    pub identity: &'a Identity,
}

/// Decides. Makes no directory but a new one under runs/.
pub fn choose(wanted: &Wanted<'_>) -> Result<Place, Failure> {
    match (wanted.out, wanted.resume) {
        (Some(out), false) => free(out),
        (Some(out), true) => go_on(&Run::read(out), wanted),
        (None, false) => Ok(Place::Start(fresh(wanted)?)),
        (None, true) => {
            let folder = Path::new(ROOT).join(wanted.recipe);
            let runs: Vec<Run> = Run::all(Path::new(ROOT))
                .into_iter()
                .filter(|r| r.path.starts_with(&folder))
                .collect();
            let open = || runs.iter().filter(|r| r.status != Status::Done);
            // Of several that are open the one that was asked for; of another the difference is said.
            let same = |r: &&Run| r.identity["identity"] == wanted.identity.identity.as_str();
            let asked = open().find(same).or_else(|| runs.iter().find(same));
            match asked.or_else(|| open().next()).or(runs.first()) {
                Some(run) => go_on(run, wanted),
                None => Err(Failure::Wrong(format!(
                    "there is no run of {} under {} to go on with\n  leave out `--resume` to start one",
                    wanted.recipe,
                    folder.display()
                ))),
            }
        }
    }
}

/// `--out` without `--resume`: nothing may stand there.
fn free(out: &Path) -> Result<Place, Failure> {
    let name = out.display();
    let what = match Run::read(out).status {
        Status::Done => "a finished run; choose another directory, or delete this one",
        Status::Failed | Status::Unfinished => {
            "an unfinished run; `--resume` goes on with it, or choose another directory"
        }
        Status::Running => "a run that another process works on",
        Status::None if out.exists() && !empty(out) => {
            "something else than a run; choose an empty or a new directory"
        }
        Status::None => return Ok(Place::Start(out.to_path_buf())),
    };
    Err(Failure::Wrong(format!("{name} holds {what}")))
}

/// Whether a directory holds nothing that matters: at most what a run that was killed at once leaves. That one began with its lock: a recipe without is a person's own.
fn empty(path: &Path) -> bool {
    let begun = [
        ".lock",
        "log.txt",
        "checkpoint",
        "recipe.toml",
        "recipe.toml.part",
        "identity.json.part",
    ];
    let ours = match path.join(".lock").exists() {
        true => &begun[..],
        false => &[],
    };
    fs::read_dir(path).is_ok_and(|entries| {
        entries
            .flatten()
            .all(|e| ours.iter().any(|o| e.file_name() == *o) && !checkpointed(&e.path()))
    })
}

fn checkpointed(path: &Path) -> bool {
    path.is_dir() && fs::read_dir(path).is_ok_and(|mut e| e.next().is_some())
}

/// `--resume`: the run there must be the one that the recipe says.
fn go_on(run: &Run, wanted: &Wanted<'_>) -> Result<Place, Failure> {
    let name = run.path.display();
    match run.status {
        Status::None => {
            return Err(Failure::Wrong(format!(
                "{name} holds no run to go on with\n  {}",
                match free(&run.path) {
                    Ok(_) => "leave out `--resume` to start one there",
                    Err(_) => "start one in an empty or a new directory",
                }
            )));
        }
        Status::Running => {
            return Err(Failure::Wrong(format!(
                "another process works on {name} right now"
            )));
        }
        _ => {}
    }
    let was: Identity = serde_json::from_value(run.identity.clone()).map_err(|e| {
        Failure::Wrong(format!(
            "{name}: its identity.json cannot be read ({e}), so nobody knows whether it is this run\n  start anew in \
             another directory"
        ))
    })?;
    let lines = changed(&was, wanted.identity);
    if !lines.is_empty() {
        let said = match run.status {
            Status::Done => "is finished, and was made with another recipe or other data",
            _ => "cannot go on: it would not be the same run",
        };
        let list: String = lines.iter().map(|l| format!("\n  {l}")).collect();
        let anew = match wanted.out {
            Some(_) => "start a new run in another directory",
            None => "leave out `--resume` to start a new run",
        };
        return Err(Failure::Wrong(format!(
            "{name} {said}{list}\n  undo the change to go on, or {anew}"
        )));
    }
    Ok(match run.status {
        Status::Done => Place::NothingLeft(run.path.clone()),
        _ => Place::Resume(run.path.clone()),
    })
}

/// Makes `runs/<recipe>/<time>-s<seed>`; two of one second are told apart by a number.
fn fresh(wanted: &Wanted<'_>) -> anyhow::Result<PathBuf> {
    let folder = Path::new(ROOT).join(wanted.recipe);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let id = format!("{}-s{}", clock::compact(), wanted.seed);
    for n in 1.. {
        let path = match n {
            1 => folder.join(&id),
            n => folder.join(format!("{id}-{n}")),
        };
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        }
    }
    unreachable!("a number is free")
}

/// Makes the directory and holds it: two processes on one run would mix their bits. Released when the process ends,
/// however it ends.
pub fn hold(directory: &Directory) -> Result<File, Failure> {
    directory.create()?;
    let path = directory.path().join(".lock");
    let name = path.display().to_string();
    let file = File::create(&path).with_context(|| name.clone())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::Wrong(format!(
            "another process works on {} right now",
            directory.path().display()
        ))),
        // A file system without locks: nothing to be done about it.
        Err(TryLockError::Error(_)) => Ok(file),
    }
}
