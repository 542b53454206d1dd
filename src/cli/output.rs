//! Standard output and standard error.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a result could not be written where it should go.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints a result. A reader that has gone away (`| head`) is no error; a full disk is one, and [`lost`] says so in the end.
pub fn out(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(e) = written
        && e.kind() != ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        let word = error_word(colour(&std::io::stderr()));
        err(&format!("{word} standard output: {e}\n"));
    }
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
