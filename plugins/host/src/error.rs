//! Why a plugin was not loaded: one cause each, so that nobody has to guess.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kept a library from being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// There is no such file.
    NotFound,
    /// It is no shared library, or it has no `tlkit_plugin_v1`, or its tables are not what the header says.
    NotAPlugin,
    /// It speaks another major version.
    Version,
    /// It is a library of another system or processor.
    Platform,
    /// It crashed, or left, while it was probed.
    Crashed,
    /// It did not come back while it was probed.
    Hung,
    /// A name that it brings is taken.
    Taken,
    /// Others than its owner may change the file.
    Writable,
    /// It is not the file that `sha256` pins.
    Digest,
    /// Anything of the system.
    System,
}

/// Why, in words that say what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadError {
    /// Which cause.
    pub cause: Cause,
    /// What happened.
    pub words: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl LoadError {
    pub(crate) fn new(cause: Cause, words: impl Into<String>) -> Self {
        LoadError {
            cause,
            words: words.into(),
            help: String::new(),
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.help.is_empty() {
            true => f.write_str(&self.words),
            false => write!(f, "{}; {}", self.words, self.help),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<LoadError> for tlkit_core::Error {
    fn from(e: LoadError) -> Self {
        tlkit_core::Error::msg(e.to_string())
    }
}
