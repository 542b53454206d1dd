//! Which binary computes. `tlkit` is for the CPU and starts anywhere; `tlkit-cuda`, the same program built with `--features cuda`, needs
//! NVIDIA's driver to start at all. The first hands over to the second, which lies beside it, where a recipe asks for a GPU.

#[cfg(not(feature = "cuda"))]
use std::path::{Path, PathBuf};
#[cfg(not(feature = "cuda"))]
use std::process::{Command, Stdio};

use super::exit::Failure;

/// Set for the binary that was handed over to.
const HANDED: &str = "TLKIT_HANDED_OVER";

/// Whether another binary has read this recipe already, and said its warnings.
pub fn handed_over() -> bool {
    std::env::var_os(HANDED).is_some()
}

/// Becomes `tlkit-cuda` where `device` asks for a GPU; `auto` does where that can be, and goes on here where not.
#[cfg(not(feature = "cuda"))]
pub fn hand_over(device: &str) -> Result<(), Failure> {
    match other(device)? {
        Some(binary) => become_it(&binary),
        None => Ok(()),
    }
}

/// Whether a run could compute there: what [`hand_over`] says, for a dry run, which stays here.
#[cfg(not(feature = "cuda"))]
pub fn look(device: &str) -> Result<(), Failure> {
    other(device).map(drop)
}

/// Says what keeps `auto` from a GPU, for `compare`, which does not show what a cell says that ends well.
#[cfg(not(feature = "cuda"))]
pub fn look_for_auto() {
    // Nothing is an error of `auto`.
    let _ = other("auto");
}

/// What `tlkit-cuda plan --json` says of a recipe that is handed over; none where this binary computes.
#[cfg(not(feature = "cuda"))]
pub fn plan(device: &str, recipe: &str) -> Result<Option<serde_json::Value>, Failure> {
    use anyhow::Context;
    let Some(binary) = other(device)? else {
        return Ok(None);
    };
    let file = std::env::temp_dir().join(format!("tlkit-cell-{}.toml", std::process::id()));
    std::fs::write(&file, recipe).with_context(|| file.display().to_string())?;
    let mut command = Command::new(&binary);
    command
        .arg("plan")
        .arg(&file)
        .arg("--json")
        .env(HANDED, "1");
    let ended = command.stdin(Stdio::null()).output();
    let _ = std::fs::remove_file(&file);
    let ended = ended.with_context(|| binary.display().to_string())?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.trim().trim_start_matches("error: ");
        return Err(Failure::Failed(format!("{}: {said}", binary.display())));
    }
    let said = serde_json::from_slice(&ended.stdout);
    Ok(Some(said.with_context(|| binary.display().to_string())?))
}

/// The binary that a run on this device is handed over to; none where this one computes.
#[cfg(not(feature = "cuda"))]
fn other(device: &str) -> Result<Option<PathBuf>, Failure> {
    use tlkit_core::device::{Place, no_device};
    if device == "cpu" {
        return Ok(None);
    }
    let (binary, there) = match becoming() {
        Ok(found) => found,
        Err(missing) if device == "auto" => {
            missing.note();
            return Ok(None);
        }
        Err(Missing::NoGpu(why) | Missing::Broken(why)) => {
            return Err(Failure::Failed(format!(
                "device `{device}`: {why}\n  `--device cpu` runs without a GPU, `--device auto` where there is none"
            )));
        }
    };
    match Place::named(device) {
        Some(Place::Cuda(n)) if n >= there => Err(Failure::Failed(no_device(n, there))),
        _ => Ok(Some(binary)),
    }
}

/// Why there is no binary to hand over to.
#[cfg(not(feature = "cuda"))]
enum Missing {
    /// There is no such binary, no driver or no device.
    NoGpu(String),
    /// All three are there, as far as can be seen, and one does not work.
    Broken(String),
}

#[cfg(not(feature = "cuda"))]
impl Missing {
    /// Says, once a process, why `auto` computes on the CPU where somebody has set up a GPU.
    fn note(&self) {
        static SAID: std::sync::Once = std::sync::Once::new();
        if let Missing::Broken(why) = self {
            SAID.call_once(|| {
                super::output::err(&format!("note: `auto` computes on the CPU: {why}\n"));
            });
        }
    }
}

/// This binary is the one.
#[cfg(feature = "cuda")]
pub fn hand_over(_: &str) -> Result<(), Failure> {
    Ok(())
}

/// This binary is the one.
#[cfg(feature = "cuda")]
pub fn look_for_auto() {}

/// This binary is the one.
#[cfg(feature = "cuda")]
pub fn plan(_: &str, _: &str) -> Result<Option<serde_json::Value>, Failure> {
    Ok(None)
}

/// Whether the device is there: it is opened.
#[cfg(feature = "cuda")]
pub fn look(device: &str) -> Result<(), Failure> {
    match tlkit_core::device::Place::named(device) {
        Some(place) => Ok(place.open().map(drop)?),
        None => Ok(()),
    }
}

/// The other binary and how many devices there are for it, or what is missing.
#[cfg(not(feature = "cuda"))]
fn becoming() -> Result<(PathBuf, usize), Missing> {
    let mut binary = std::env::current_exe().map_err(|e| Missing::Broken(e.to_string()))?;
    binary.set_file_name(format!("tlkit-cuda{}", std::env::consts::EXE_SUFFIX));
    if handed_over() {
        return Err(Missing::Broken(format!(
            "{} was built without `--features cuda`",
            binary.display()
        )));
    }
    if !binary.is_file() {
        return Err(Missing::NoGpu(format!(
            "this binary is for the CPU, and {} is not there",
            binary.display()
        )));
    }
    match tlkit_host::cuda_devices().map_err(Missing::Broken)? {
        None => Err(Missing::NoGpu(
            "there is no NVIDIA driver (libcuda.so.1)".into(),
        )),
        Some(0) => Err(Missing::NoGpu("this machine has no CUDA device".into())),
        Some(n) => starts(&binary)
            .map(|()| (binary, n))
            .map_err(Missing::Broken),
    }
}

/// Whether a binary comes as far as its own code: it is linked to CUDA's libraries, and the loader ends it where one is missing.
#[cfg(not(feature = "cuda"))]
fn starts(binary: &Path) -> Result<(), String> {
    let mut command = Command::new(binary);
    command.arg("--version").env(HANDED, "1");
    let said = match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => output.stderr,
        Err(e) => e.to_string().into_bytes(),
    };
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().find(|line| !line.trim().is_empty());
    let why = first.map_or(String::new(), |line| format!(" ({})", line.trim()));
    Err(format!(
        "{} does not start{why}: are CUDA 13's libraries in LD_LIBRARY_PATH?",
        binary.display()
    ))
}

#[cfg(not(feature = "cuda"))]
fn become_it(binary: &Path) -> Result<(), Failure> {
    let mut command = Command::new(binary);
    command.args(std::env::args_os().skip(1)).env(HANDED, "1");
    #[cfg(unix)]
    super::output::give_back();
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let error = match command.status() {
        Ok(status) => return Err(Failure::Said(status.code().unwrap_or(1) as u8)),
        Err(e) => e,
    };
    Err(Failure::Failed(format!("{}: {error}", binary.display())))
}
