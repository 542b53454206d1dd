//! What a library brings, as data: what the probe writes down, the cache keeps and the registry is filled from.

use serde::{Deserialize, Serialize};
use tlkit_abi as abi;

/// What a library brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What it is called.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One line.
    pub about: String,
    /// The version of `tlkit.h` that it was built with.
    pub speaks: (u32, u32),
    /// Its entries, in its order.
    pub entries: Vec<ManifestEntry>,
}

/// One thing that a library brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Its place in the library's list.
    pub index: usize,
    /// What it is.
    pub kind: EntryKind,
    /// As a recipe writes it.
    pub name: String,
    /// One line.
    pub about: String,
    /// Its keys, a JSON Schema; null where it has none.
    pub keys: serde_json::Value,
    /// A reader's endings.
    pub extensions: Vec<String>,
    /// Whether a reader opens folders.
    #[serde(default)]
    pub folders: bool,
    /// A strategy's kind of transfer.
    pub transductive: bool,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// Opens data files.
    Reader,
    /// A part of a loss.
    LossTerm,
    /// How knowledge is carried over.
    Strategy,
    /// An encoder.
    SourceTask,
    /// Data, head, loss, metrics.
    TargetTask,
    /// A number of class predictions.
    Metric,
}

impl EntryKind {
    /// As tlkit.h has it.
    pub(crate) fn number(self) -> u32 {
        match self {
            EntryKind::Reader => abi::READER,
            EntryKind::LossTerm => abi::LOSS_TERM,
            EntryKind::Strategy => abi::STRATEGY,
            EntryKind::SourceTask => abi::SOURCE_TASK,
            EntryKind::TargetTask => abi::TARGET_TASK,
            EntryKind::Metric => abi::METRIC,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            EntryKind::Reader => "reader",
            EntryKind::LossTerm => "loss term",
            EntryKind::Strategy => "strategy",
            EntryKind::SourceTask => "source task",
            EntryKind::TargetTask => "target task",
            EntryKind::Metric => "metric",
        }
    }
}
