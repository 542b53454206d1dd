//! Standard output and standard error.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a result could not be written where it should go.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints a result. A reader that has gone away (`| head`) is no error; a full disk is one, and [`lost`] says so in the end.
pub fn out(text: &str) {
    if let Err(e) = write(text.as_bytes())
        && e.kind() != ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        let word = error_word(colour(&std::io::stderr()));
        err(&format!("{word} standard output: {e}\n"));
    }
}

/// Writes to standard output, wherever that is by now.
pub fn write(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match OWN.get() {
        Some(mut own) => own.write_all(bytes),
        None => out.write_all(bytes).and_then(|()| out.flush()),
    }
}

/// Whether a person reads standard output.
pub fn is_terminal() -> bool {
    OWN.get()
        .map_or_else(|| std::io::stdout().is_terminal(), IsTerminal::is_terminal)
}

/// Whether standard output shows colours.
pub fn colour_of_out() -> bool {
    OWN.get().map_or_else(|| colour(&std::io::stdout()), colour)
}

/// Standard output as it was, once the number 1 stands for another.
static OWN: OnceLock<File> = OnceLock::new();

/// Keeps standard output for what tlkit says: what a plugin prints would stand between the lines that programs read, and goes to standard
/// error from here on.
#[cfg(unix)]
pub fn keep() {
    use std::os::fd::AsFd;
    let mut out = std::io::stdout().lock();
    let _ = out.flush();
    let Ok(own) = out.as_fd().try_clone_to_owned() else {
        return;
    };
    if OWN.set(own.into()).is_ok() {
        // SAFETY: two descriptors of this process, which stay open; the lock keeps others from writing meanwhile.
        unsafe { dup2(2, 1) };
    }
}

#[cfg(not(unix))]
pub fn keep() {}

/// Gives standard output its number back, for a program that takes this one's place.
#[cfg(all(unix, not(feature = "cuda")))]
pub fn give_back() {
    use std::os::fd::AsRawFd;
    if let Some(own) = OWN.get() {
        // SAFETY: as above.
        unsafe { dup2(own.as_raw_fd(), 1) };
    }
}

#[cfg(unix)]
unsafe extern "C" {
    fn dup2(from: std::ffi::c_int, to: std::ffi::c_int) -> std::ffi::c_int;
}

/// Whether something that was printed did not arrive.
pub fn lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Prints a remark.
pub fn err(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Whether this stream shows colours: a terminal, and NO_COLOR is not set.
pub fn colour(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    stream.is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// `error:`, red where there are colours.
pub fn error_word(colour: bool) -> &'static str {
    if colour {
        "\x1b[1;31merror:\x1b[0m"
    } else {
        "error:"
    }
}
