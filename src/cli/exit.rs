//! How a command can end, and the exit code of each.

use tlkit_core::Error;
use tlkit_core::recipe::Report;

use super::output;

/// The run failed.
pub const FAILED: u8 = 1;
/// Recipe or command line wrong.
pub const WRONG: u8 = 2;
/// A gate was not met, or is undecided.
pub const GATE: u8 = 3;
/// Stopped by a signal.
pub const STOPPED: u8 = 130;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The run failed, and how.
    Failed(String),
    /// The command line is wrong, or asks for what cannot be.
    Wrong(String),
    /// The recipe is wrong.
    Recipe(Box<Report>),
    /// Everything is said already.
    Said(u8),
}

impl Failure {
    /// What was asked for cannot be, and why.
    pub fn wrong(e: Error) -> Self {
        match e {
            Error::Recipe(report) => Failure::Recipe(report),
            e => Failure::Wrong(e.to_string()),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) => FAILED,
            Failure::Wrong(_) | Failure::Recipe(_) => WRONG,
            Failure::Said(code) => *code,
        }
    }

    /// Says it on standard error.
    pub fn say(&self) {
        match self {
            Failure::Failed(text) | Failure::Wrong(text) => {
                let colour = output::colour(&std::io::stderr());
                output::err(&format!("{} {text}\n", output::error_word(colour)));
            }
            Failure::Recipe(report) => {
                output::err(&report.to_text(output::colour(&std::io::stderr())));
            }
            Failure::Said(_) => {}
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        match e {
            Error::Recipe(report) => Failure::Recipe(report),
            e => Failure::Failed(e.to_string()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(e: anyhow::Error) -> Self {
        Failure::Failed(format!("{e:#}"))
    }
}

/// A panic is a bug of ours: asks for a report besides what Rust prints.
pub fn report_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        output::err(&format!(
            "\nThis is a bug in tlkit {}, not in your recipe. Please report it with the command, the recipe and the lines \
             above. What was checkpointed is safe: `--resume` goes on from there.\n",
            env!("CARGO_PKG_VERSION")
        ));
    }));
}
