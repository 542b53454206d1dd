//! From a name in a recipe to files: what `checkpoint = "..."` and `train = "..."` stand for.
//!
//! | name | what it is |
//! |---|---|
//! | `builtin:bert-mini`, `builtin:reviews/films/train` | in the binary, so that a recipe runs without a network |
//! | `books.csv`, `../checkpoints/minilm`, `/data/books.csv` | a file or a folder; relative to the recipe's folder |
//! | `hf:owner/name@revision` | a checkpoint on the Hugging Face hub: a folder in the cache with the files that are needed |
//! | `hf:datasets/owner/name@revision#split` | a split of a data set there (`#config/split` where it has several configurations): its files |
//!
//! [`Hub`] implements core's `Resolve`; only the binary names this crate. A name that stands for nothing is an error that
//! lists what there is, and the nearest.
//!
//! ```
//! use std::path::Path;
//! use tlkit_core::data::Resolve;
//!
//! let hub = tlkit_hub::Hub::from_env();
//! let error = hub.resolve("builtin:reviews/film/train", Path::new(".")).unwrap_err();
//! assert!(error.to_string().contains("did you mean `builtin:reviews/films/train`?"), "{error}");
//! ```
//!
//! What is built in is whatever lies under `assets/` when this crate is compiled: each `.tsv` is a table of rows, each folder with
//! a `config.json` a checkpoint with all its files. Safetensors are embedded as they are.
//!
//! # The hub
//!
//! ```text
//! name -> repository (commit and files: one request, kept) -> model | dataset (which files) -> fetch (each: whole, checked, linked)
//! ```
//!
//! `settings` reads the variables of huggingface_hub, `cache` is its layout on disk, `http` knows redirects, retries and who may see
//! the token. What is downloaded has the checksum that the hub names, or it is not kept.
//!
//! Why not the crate hf-hub 1.0, whose name says it. Over plain HTTP it compares no checksum (`stream_response_to_file_with_progress`
//! writes what comes, and the caller renames it); it does not look at the status of the answer whose body it keeps
//! (`download_file_to_cache_network`: `retry` hands back the last answer whatever it says, so the page of a 503 becomes the blob); it
//! begins an interrupted file anew (`File::create`); it waits ten seconds for another process's lock, which no caller can change; and
//! nothing in it reads `HF_HUB_OFFLINE`. A layer around it could not mend this, since a file has its final name before the caller sees
//! it. It also brings 224 crates (`cargo tree -e normal`), tokio and a C library for TLS among them; ureq brings 27.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tlkit_core::data::{Blob, Found, Resolve};
use tlkit_core::recipe::nearest;
use tlkit_core::{Error, Result};

mod cache;
mod card;
mod dataset;
mod event;
mod fetch;
mod http;
mod local;
mod model;
mod name;
mod repository;
mod settings;

pub use event::{Event, Listener};
pub use settings::{Patience, Settings};

use name::{Kind, Name, is_commit};
use repository::{Repository, State};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What `builtin:` names stand for, in order: `bert-mini`, `reviews/films/test`, ... (without the prefix).
pub fn builtins() -> Vec<&'static str> {
    let tables = TABLES.iter().map(|(name, _)| *name);
    let mut names: Vec<&str> = tables
        .chain(FOLDERS.iter().map(|(name, _)| *name))
        .collect();
    names.sort_unstable();
    names
}

/// Finds what a recipe names, and downloads what is on the hub.
pub struct Hub {
    settings: Settings,
    listener: Box<Listener>,
    downloads: bool,
    /// What was resolved already: a branch means one commit for as long as this lives.
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    states: BTreeMap<String, std::result::Result<State, Refusal>>,
    found: BTreeMap<String, (Found, Name)>,
}

/// Why a repository cannot be had. It is not asked for again: each time would take as many attempts.
#[derive(Clone)]
struct Refusal {
    /// The name that asked.
    name: String,
    why: String,
    not_here: bool,
}

impl Refusal {
    fn of(name: &Name, error: &Error) -> Refusal {
        Refusal {
            name: name.to_string(),
            why: error.to_string(),
            not_here: matches!(error, Error::NotHere(_)),
        }
    }

    /// For another name of the same repository.
    fn to(&self, name: &Name) -> Error {
        let why = self
            .why
            .replace(&format!("`{}`", self.name), &format!("`{name}`"));
        match self.not_here {
            true => Error::NotHere(why),
            false => Error::Message(why),
        }
    }
}

impl Hub {
    /// As the environment says.
    pub fn from_env() -> Hub {
        Hub::new(Settings::from_env())
    }

    /// With these settings.
    pub fn new(settings: Settings) -> Hub {
        Hub {
            settings,
            listener: Box::new(|_| {}),
            downloads: true,
            memory: Mutex::default(),
        }
    }

    /// Looks into the cache and nowhere else: what is not there is [`Error::NotHere`].
    pub fn without_downloads(self) -> Hub {
        Hub {
            downloads: false,
            ..self
        }
    }

    /// Says what happens.
    pub fn heard_by(self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Hub {
        Hub {
            listener: Box::new(listener),
            ..self
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The repository's state, asked for once.
    fn state(&self, repository: &Repository<'_>) -> Result<State> {
        let key = format!(
            "{}@{}",
            repository.name.address(),
            repository.name.revision()
        );
        let known = self.memory().states.get(&key).cloned();
        let state = known.unwrap_or_else(|| {
            let asked = repository.state();
            let asked = asked.map_err(|e| Refusal::of(&repository.name, &e));
            self.memory().states.insert(key, asked.clone());
            asked
        });
        state.map_err(|refusal| refusal.to(&repository.name))
    }

    fn on_the_hub(&self, text: &str) -> Result<Found> {
        let name = Name::parse(text)?;
        let key = name.to_string();
        if let Some((found, _)) = self.memory().found.get(&key) {
            return Ok(found.clone());
        }
        let repository = Repository::new(self, name.clone());
        let state = self.state(&repository)?;
        let (found, pinned) = match name.kind {
            Kind::Model => (
                Found::Folder(repository.checkpoint(&state)?),
                name.at(&state.commit),
            ),
            Kind::Dataset => {
                let rows = match repository.converted(&state)? {
                    None => repository.rows(&state)?,
                    Some(copy) => {
                        let text = format!(
                            "`{name}` has no files of rows; the hub's Parquet copy is taken, `{copy}`"
                        );
                        (self.listener)(&Event::Note(&text));
                        let copied = Repository::new(self, copy);
                        copied.rows(&self.state(&copied)?)?
                    }
                };
                (Found::Files(rows.files), rows.pinned)
            }
        };
        self.memory().found.insert(key, (found.clone(), pinned));
        Ok(found)
    }
}

impl Resolve for Hub {
    fn resolve(&self, name: &str, base: &Path) -> Result<Found> {
        if let Some(builtin) = name.strip_prefix("builtin:") {
            return embedded(builtin);
        }
        if let Some(rest) = name.strip_prefix("hf:") {
            return self.on_the_hub(rest);
        }
        if name.starts_with("http://") || name.starts_with("https://") {
            return Err(address(name));
        }
        local::local(name, base)
    }

    fn pinned(&self, name: &str) -> Option<String> {
        let name = Name::parse(name.strip_prefix("hf:")?).ok()?;
        if is_commit(name.revision()) {
            return None;
        }
        let memory = self.memory();
        let (_, pinned) = memory.found.get(&name.to_string())?;
        Some(pinned.to_string())
    }
}

/// An address is no name; one of the hub can be written as one.
fn address(address: &str) -> Error {
    let hub = ["https://huggingface.co/", "https://hf.co/"];
    let rest = hub.into_iter().find_map(|h| address.strip_prefix(h));
    let name = rest.and_then(|rest| {
        let (datasets, rest) = match rest.strip_prefix("datasets/") {
            Some(rest) => ("datasets/", rest),
            None => ("", rest),
        };
        let mut parts = rest.split(['/', '?', '#']);
        let name = format!("{datasets}{}/{}", parts.next()?, parts.next()?);
        Name::parse(&name).ok()
    });
    Error::msg(match name {
        Some(name) => {
            format!("`{address}` is an address; a repository of the hub is written `{name}`")
        }
        None => format!("`{address}` is an address; download the file and write its path"),
    })
}

fn embedded(name: &str) -> Result<Found> {
    if let Some((_, bytes)) = TABLES.iter().find(|(n, _)| *n == name) {
        return Ok(Found::File(Blob::Embedded(bytes)));
    }
    if let Some((_, files)) = FOLDERS.iter().find(|(n, _)| *n == name) {
        return Ok(Found::Embedded(files));
    }
    let there = builtins();
    let meant = nearest(name, there.iter().copied())
        .map_or_else(String::new, |n| format!("; did you mean `builtin:{n}`?"));
    let list: Vec<String> = there.iter().map(|n| format!("`builtin:{n}`")).collect();
    let list = if list.is_empty() {
        "nothing".to_string()
    } else {
        list.join(", ")
    };
    Err(Error::msg(format!(
        "nothing is built in as `builtin:{name}`{meant}\nbuilt in: {list}"
    )))
}
