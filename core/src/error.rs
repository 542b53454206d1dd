//! One error type for core: what went wrong, and what to do next.

use std::path::{Path, PathBuf};

/// Result with core's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong below a checked recipe.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed.
    #[error("{0}")]
    Candle(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Tensors that a model needs are not in its checkpoint.
    #[error("{}", missing_tensors(.file, .missing, .unexpected))]
    Missing {
        /// The checkpoint.
        file: String,
        /// Needed and absent.
        missing: Vec<String>,
        /// Present and not needed.
        unexpected: Vec<String>,
    },
    /// A loss, gradient or weight stopped being a number.
    #[error("{0}")]
    NonFinite(Box<NonFinite>),
    /// The gradient check failed: at the first step, or after the warm-up.
    #[error("{text}")]
    Liveness {
        /// What was found, in words.
        text: String,
        /// The tensors that it was found of, all of them.
        tensors: Vec<String>,
    },
    /// The run was stopped from outside, after a checkpoint was written.
    #[error("stopped after a checkpoint at step {step}")]
    Stopped {
        /// Optimizer steps done in the phase.
        step: u64,
    },
    /// The recipe is wrong; the report says where.
    #[error("the recipe is wrong")]
    Recipe(Box<crate::recipe::Report>),
    /// A name stands for something that is not on this machine, and nothing was to be downloaded.
    #[error("{0}")]
    NotHere(String),
    /// Anything else, said in words.
    #[error("{0}")]
    Message(String),
}

/// Where numbers ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}; {rest}", at_step(*.step))]
pub struct NonFinite {
    /// Optimizer steps of all phases, this one included; 0 where nothing was being trained.
    pub step: u64,
    /// `the loss is NaN`, `a gradient is not finite`.
    pub what: String,
    /// The first tensor that was not finite: `the weight classifier.bias`.
    pub first: String,
    /// The rest of the sentence, with what helps.
    pub rest: String,
}

fn at_step(step: u64) -> String {
    match step {
        0 => String::new(),
        step => format!(" at step {step}"),
    }
}

impl Error {
    /// The same, where numbers ended in a pass that does not know after how many steps it is made.
    pub(crate) fn after(self, steps: u64) -> Self {
        match self {
            Error::NonFinite(mut n) if n.step == 0 => {
                n.step = steps;
                Error::NonFinite(n)
            }
            other => other,
        }
    }

    /// What a failed run's `result.json` keeps of it besides the words, as `failure`.
    pub fn evidence(&self) -> Option<serde_json::Value> {
        match self {
            Error::NonFinite(n) => Some(serde_json::json!({
                "kind": "non-finite", "step": n.step, "what": n.what, "first": n.first
            })),
            Error::Liveness { tensors, .. } => {
                Some(serde_json::json!({ "kind": "liveness", "tensors": tensors }))
            }
            _ => None,
        }
    }

    /// An error in words.
    pub fn msg(text: impl Into<String>) -> Self {
        Error::Message(text.into())
    }

    /// For `map_err`: an I/O error with the path it happened at.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }
}

/// Prefixes an error with what was being done.
pub trait Context<T> {
    /// `what` is read as "what: the error".
    fn context(self, what: impl std::fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl std::fmt::Display) -> Result<T> {
        self.map_err(|e| match e.into() {
            // These are told apart by the caller, so they keep their kind.
            keep @ (Error::Stopped { .. } | Error::Recipe(_) | Error::NotHere(_)) => keep,
            e => Error::Message(format!("{what}: {e}")),
        })
    }
}

fn missing_tensors(file: &str, missing: &[String], unexpected: &[String]) -> String {
    let list = |names: &[String]| {
        let mut text = names
            .iter()
            .take(12)
            .map(|n| format!("\n  {n}"))
            .collect::<String>();
        if names.len() > 12 {
            text.push_str(&format!("\n  ... and {} more", names.len() - 12));
        }
        text
    };
    let mut text = format!(
        "{file}: {} tensors that this model needs are missing:{}",
        missing.len(),
        list(missing)
    );
    if !unexpected.is_empty() {
        text.push_str(&format!("\nin the file, but not used:{}", list(unexpected)));
    }
    text
}
