//! The cache is huggingface_hub's own: what either downloads, the other finds. Needs a Python that has it (`TLKIT_PYTHON`, or
//! `python3`); prints `skipped` otherwise.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Fault, Server};
use tlkit_core::data::{Found, Resolve};
use tlkit_hub::{Hub, Settings};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

fn python() -> Option<String> {
    let name = std::env::var("TLKIT_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&name)
        .args(["-c", "import huggingface_hub"])
        .output();
    let there = has.is_ok_and(|o| o.status.success());
    if !there {
        println!("skipped: no Python with huggingface_hub ({name})");
    }
    there.then_some(name)
}

/// The folder that hf_hub_download finds or makes.
fn with_python(python: &str, server: &Server, cache: &Path, offline: bool) -> PathBuf {
    let script = "import sys\nfrom huggingface_hub import hf_hub_download\nfor f in sys.argv[1:]:\n    print(hf_hub_download('o/n', f))";
    let output = Command::new(python)
        .args(["-c", script])
        .args(FILES)
        .env("HF_ENDPOINT", &server.address)
        .env("HF_HUB_CACHE", cache)
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("text");
    let paths: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    assert_eq!(paths.len(), FILES.len(), "{text}");
    paths[0].parent().expect("a folder").to_path_buf()
}

fn server() -> Server {
    let server = Server::start();
    let weights = vec![3u8; 50_000];
    let files: &[(&str, &[u8])] = &[(FILES[0], b"{}"), (FILES[1], b"{ }"), (FILES[2], &weights)];
    server.add("models/o/n", COMMIT, files);
    server
}

fn ours(server: &Server, cache: &Path, offline: bool) -> PathBuf {
    let mut settings = Settings::from(&|_| None);
    settings.endpoint = server.address.clone();
    settings.cache = cache.to_path_buf();
    settings.offline = offline.then_some("HF_HUB_OFFLINE");
    match Hub::new(settings).resolve("hf:o/n", Path::new("")) {
        Ok(Found::Folder(folder)) => folder,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_python_downloaded_is_found() {
    let Some(python) = python() else { return };
    let (server, cache) = (server(), tempfile::tempdir().expect("a folder"));
    let folder = with_python(&python, &server, cache.path(), false);
    server.asked();
    assert_eq!(ours(&server, cache.path(), true), folder);
    assert_eq!(server.asked(), [] as [&str; 0]);
    // With a network only the list of files is asked for.
    assert_eq!(ours(&server, cache.path(), false), folder);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_was_downloaded_here_python_finds() {
    let Some(python) = python() else { return };
    let (server, cache) = (server(), tempfile::tempdir().expect("a folder"));
    let folder = ours(&server, cache.path(), false);
    server.asked();
    assert_eq!(with_python(&python, &server, cache.path(), true), folder);
    assert_eq!(server.asked(), [] as [&str; 0]);
    // With a network it asks what the branch is at, and downloads nothing.
    server.always("GET ", Fault::Status(500, vec![]));
    assert_eq!(with_python(&python, &server, cache.path(), false), folder);
    assert!(!server.asked().iter().any(|a| a.contains("/lfs/")));
}
