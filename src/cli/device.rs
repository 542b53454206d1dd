//! Which binary computes. `tlkit` is for the CPU and starts anywhere; `tlkit-cuda`, the same program built with `--features cuda`, needs
//! NVIDIA's driver to start at all. The first hands over to the second, which lies beside it, where a recipe asks for a GPU.

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

/// The binary that a run on this device is handed over to; none where this one computes.
#[cfg(not(feature = "cuda"))]
fn other(device: &str) -> Result<Option<std::path::PathBuf>, Failure> {
    if device == "cpu" {
        return Ok(None);
    }
    match becoming() {
        Err(_) if device == "auto" => Ok(None),
        Err(missing) => Err(Failure::Failed(format!(
            "device `{device}`: {missing}\n  `--device cpu` runs without a GPU, `--device auto` where there is none"
        ))),
        Ok(binary) => Ok(Some(binary)),
    }
}

/// This binary is the one.
#[cfg(feature = "cuda")]
pub fn hand_over(_: &str) -> Result<(), Failure> {
    Ok(())
}

/// Whether the device is there: it is opened.
#[cfg(feature = "cuda")]
pub fn look(device: &str) -> Result<(), Failure> {
    match tlkit_core::device::Place::named(device) {
        Some(place) => Ok(place.open().map(drop)?),
        None => Ok(()),
    }
}

/// The other binary, or what is missing.
#[cfg(not(feature = "cuda"))]
fn becoming() -> Result<std::path::PathBuf, String> {
    let mut binary = std::env::current_exe().map_err(|e| e.to_string())?;
    binary.set_file_name(format!("tlkit-cuda{}", std::env::consts::EXE_SUFFIX));
    if handed_over() {
        return Err(format!(
            "{} was built without `--features cuda`",
            binary.display()
        ));
    }
    if !binary.is_file() {
        return Err(format!(
            "this binary is for the CPU, and {} is not there",
            binary.display()
        ));
    }
    match tlkit_host::cuda_devices()? {
        0 => Err("this machine has no CUDA device".into()),
        _ => starts(&binary).map(|()| binary),
    }
}

/// Whether a binary comes as far as its own code: it is linked to CUDA's libraries, and the loader ends it where one is missing.
#[cfg(not(feature = "cuda"))]
fn starts(binary: &std::path::Path) -> Result<(), String> {
    let mut command = std::process::Command::new(binary);
    command.arg("--version").env(HANDED, "1");
    let said = match command.stdin(std::process::Stdio::null()).output() {
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
fn become_it(binary: &std::path::Path) -> Result<(), Failure> {
    let mut command = std::process::Command::new(binary);
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
