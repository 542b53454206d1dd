//! The verbs of `tlkit plugins` and their flags.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `tlkit plugins`.
#[derive(Debug, Subcommand)]
pub enum Plugins {
    /// Lists those in your own folder and in TLKIT_PLUGIN_PATH.
    #[command(after_help = "\
Examples:
  tlkit plugins list
  TLKIT_PLUGIN_PATH=target/release tlkit plugins list
  tlkit plugins list | grep reader")]
    List,
    /// What a library brings: entries, keys, its sha256.
    #[command(after_help = "\
Examples:
  tlkit plugins info target/release/mine         prefix and suffix of the platform may be left out
  tlkit plugins info ./libcentroid.so
  tlkit plugins info centroid                    in your own folder, or in TLKIT_PLUGIN_PATH")]
    Info {
        /// The library.
        library: PathBuf,
        /// Loads a file that everybody may write.
        #[arg(long)]
        allow_writable: bool,
    },
    /// Tries out what a library must hold to, in a process of its own.
    Check(CheckPlugin),
    /// Writes a plugin that builds, tests and runs as it stands, into a folder of its own.
    New(NewPlugin),
    /// Answers a probe.
    #[command(hide = true)]
    Probe {
        /// The library.
        library: PathBuf,
        /// Where to write what it brings.
        to: PathBuf,
    },
    /// The process that `check` starts.
    #[command(hide = true, name = "check-inside")]
    Inside {
        /// What to try.
        #[command(flatten)]
        check: CheckPlugin,
        /// The file that says that it came to its end.
        #[arg(long)]
        ended: PathBuf,
    },
}

/// `tlkit plugins new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit plugins new mine --kind strategy
  tlkit plugins new mine --kind strategy --lang c
  tlkit plugins new my-format --kind reader
  tlkit plugins new my-encoder --kind source-task")]
pub struct NewPlugin {
    /// Its name, and that of the folder.
    pub name: String,
    /// What it brings.
    #[arg(long, value_enum)]
    pub kind: NewKind,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// Where the crate tlkit-plugin is, a folder or the address of a git repository (with the tag of this version). By default the
    /// source tree that this binary was built from, or, where that is gone, the repository that its manifest names.
    #[arg(long, value_name = "DIR|URL")]
    pub sdk: Option<String>,
}

/// What a new plugin brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NewKind {
    /// A strategy, with a loss term.
    Strategy,
    /// A reader of data files.
    Reader,
    /// An encoder.
    SourceTask,
    /// A target task, with a loss.
    TargetTask,
    /// A metric.
    Metric,
}

/// What a new plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// A crate on the SDK.
    Rust,
    /// A file of C, tlkit.h and a Makefile: a strategy or a reader.
    C,
}

/// `tlkit plugins check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tlkit plugins check target/release/mine
  tlkit plugins check ./libtsv_zip.so --file reviews.tsv.zip
  tlkit plugins check ./libcentroid.so --key weight=0.5")]
pub struct CheckPlugin {
    /// The library.
    pub library: PathBuf,
    /// A file for its readers to read.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Sets a key of its entries, where the default will not do; may be repeated.
    #[arg(long = "key", value_name = "NAME=VALUE")]
    pub keys: Vec<String>,
    /// How many seconds it may take in all.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub limit: u64,
}
