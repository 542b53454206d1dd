//! A hub on loopback, a home folder, and what was heard of both.

pub(crate) use std::fs;
pub(crate) use std::path::{Path, PathBuf};
pub(crate) use std::sync::{Arc, Mutex};
pub(crate) use std::time::Duration;

pub(crate) use crate::common::{Fault, Server, git, sha256};
pub(crate) use tlkit_core::Error;
pub(crate) use tlkit_core::data::{Found, Resolve};
pub(crate) use tlkit_hub::{Event, Hub, Patience, Settings};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// Weights that are large enough to lie on the second host.
pub(crate) fn weights() -> Vec<u8> {
    (0..200_000u32)
        .flat_map(|i| (i * 7919).to_le_bytes())
        .collect()
}

pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) notes: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench {
            server: Server::start(),
            dir: tempfile::tempdir().expect("a folder"),
            notes: Arc::default(),
        }
    }

    /// With a small BERT, and what nobody needs beside it.
    pub(crate) fn with_model() -> Bench {
        let bench = Bench::new();
        bench.server.add(
            "models/o/n",
            COMMIT,
            &[
                ("README.md", b"# A model"),
                ("config.json", b"{\"model_type\": \"bert\"}"),
                ("tokenizer.json", b"{}"),
                (
                    "1_Pooling/config.json",
                    b"{\"pooling_mode_mean_tokens\": true}",
                ),
                ("model.safetensors", &weights()),
                ("pytorch_model.bin", &weights()[1..]),
                ("onnx/model.onnx", &weights()[2..]),
            ],
        );
        bench
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("hub")
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::from(&|_| None);
        settings.endpoint = self.server.address.clone();
        settings.cache = self.cache();
        settings.patience = Patience {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(5),
            attempts: 3,
            pause: Duration::from_millis(2),
            longest_pause: Duration::from_secs(2),
            lock: Duration::from_millis(300),
        };
        settings
    }

    pub(crate) fn hub(&self) -> Hub {
        self.hub_with(self.settings())
    }

    pub(crate) fn hub_with(&self, settings: Settings) -> Hub {
        let notes = self.notes.clone();
        Hub::new(settings).heard_by(move |event| {
            let text = match event {
                Event::Note(text) => text.to_string(),
                Event::Begin { file, done, .. } => format!("begin {file} at {done}"),
                _ => return,
            };
            notes.lock().expect("notes").push(text);
        })
    }

    pub(crate) fn notes(&self) -> String {
        std::mem::take(&mut *self.notes.lock().expect("notes")).join("\n")
    }

    pub(crate) fn get(&self, name: &str) -> Result<Found, String> {
        self.hub()
            .resolve(name, Path::new(""))
            .map_err(|e| e.to_string())
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        match self.get(name) {
            Ok(Found::Folder(path)) => path,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub(crate) fn rows(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Ok(Found::Files(files)) => files
                .iter()
                .map(|(name, path)| format!("{name} {}", fs::read_to_string(path).expect("read")))
                .collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Every file in the cache, relative, locks left out.
    pub(crate) fn there(&self) -> Vec<String> {
        fn walk(dir: &Path, root: &Path, out: &mut Vec<String>) {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                let name = path
                    .strip_prefix(root)
                    .expect("below")
                    .display()
                    .to_string();
                match fs::symlink_metadata(&path).expect("there").is_dir() {
                    true if name == ".locks" => {}
                    true => walk(&path, root, out),
                    false => out.push(name),
                }
            }
        }
        let mut out = Vec::new();
        walk(&self.cache(), &self.cache(), &mut out);
        out.sort();
        out
    }
}
