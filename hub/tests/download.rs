//! Names of the hub against a server on loopback: what is downloaded, and everything that can go wrong with it.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Fault, Server, git, sha256};
use tlkit_core::Error;
use tlkit_core::data::{Found, Resolve};
use tlkit_hub::{Event, Hub, Patience, Settings};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// Weights that are large enough to lie on the second host.
fn weights() -> Vec<u8> {
    (0..200_000u32)
        .flat_map(|i| (i * 7919).to_le_bytes())
        .collect()
}

struct Bench {
    server: Server,
    dir: tempfile::TempDir,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            server: Server::start(),
            dir: tempfile::tempdir().expect("a folder"),
            notes: Arc::default(),
        }
    }

    /// With a small BERT, and what nobody needs beside it.
    fn with_model() -> Bench {
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

    fn cache(&self) -> PathBuf {
        self.dir.path().join("hub")
    }

    fn settings(&self) -> Settings {
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

    fn hub(&self) -> Hub {
        self.hub_with(self.settings())
    }

    fn hub_with(&self, settings: Settings) -> Hub {
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

    fn notes(&self) -> String {
        std::mem::take(&mut *self.notes.lock().expect("notes")).join("\n")
    }

    fn get(&self, name: &str) -> Result<Found, String> {
        self.hub()
            .resolve(name, Path::new(""))
            .map_err(|e| e.to_string())
    }

    fn folder(&self, name: &str) -> PathBuf {
        match self.get(name) {
            Ok(Found::Folder(path)) => path,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn rows(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Ok(Found::Files(files)) => files
                .iter()
                .map(|(name, path)| format!("{name} {}", fs::read_to_string(path).expect("read")))
                .collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Every file in the cache, relative, locks left out.
    fn there(&self) -> Vec<String> {
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

#[test]
fn what_is_needed_is_downloaded_once_into_the_standard_places() {
    let bench = Bench::with_model();
    let hub = bench.hub();
    let found = hub.resolve("hf:o/n", Path::new("")).expect("downloaded");
    let snapshot = bench.cache().join("models--o--n/snapshots").join(COMMIT);
    assert_eq!(found, Found::Folder(snapshot.clone()));
    assert_eq!(
        fs::read(snapshot.join("model.safetensors")).expect("read"),
        weights()
    );
    let link = fs::read_link(snapshot.join("1_Pooling/config.json")).expect("a link");
    let pooling = git(b"{\"pooling_mode_mean_tokens\": true}");
    assert_eq!(
        link.display().to_string(),
        format!("../../../blobs/{pooling}")
    );
    assert!(
        bench
            .cache()
            .join("models--o--n/blobs")
            .join(sha256(&weights()))
            .is_file()
    );
    assert_eq!(
        fs::read_to_string(bench.cache().join("models--o--n/refs/main")).expect("a ref"),
        COMMIT
    );
    // No second format of the weights, no card.
    for absent in ["README.md", "pytorch_model.bin", "onnx/model.onnx"] {
        assert!(!snapshot.join(absent).exists(), "{absent}");
    }
    assert_eq!(hub.pinned("hf:o/n"), Some(format!("hf:o/n@{COMMIT}")));
    assert!(
        bench
            .notes()
            .contains(&format!("`hf:o/n` is at commit {COMMIT}"))
    );
    // One request for the list, then two a file, and one more for the large one's own host.
    let asked = bench.server.asked();
    assert_eq!(asked[0], "GET /api/models/o/n/revision/main?blobs=true");
    assert_eq!(asked.len(), 1 + 2 * 4 + 1, "{asked:?}");
    // The same hub remembers; another asks what the branch is at; a commit needs no network.
    hub.resolve("hf:o/n", Path::new("")).expect("remembered");
    assert_eq!(bench.server.asked(), [] as [&str; 0]);
    bench.folder("hf:o/n");
    assert_eq!(bench.server.asked().len(), 1);
    assert_eq!(bench.folder(&format!("hf:o/n@{COMMIT}")), snapshot);
    assert_eq!(bench.server.asked(), [] as [&str; 0]);
}

#[test]
fn a_branch_that_moved_is_another_commit() {
    let bench = Bench::with_model();
    bench.folder("hf:o/n");
    let new: &[(&str, &[u8])] = &[("config.json", b"{}"), ("model.safetensors", b"new")];
    bench.server.add("models/o/n", LATER, new);
    let now = bench.folder("hf:o/n");
    assert!(now.ends_with(LATER));
    assert_eq!(
        fs::read(now.join("model.safetensors")).expect("read"),
        b"new"
    );
    assert!(bench.folder(&format!("hf:o/n@{COMMIT}")).ends_with(COMMIT));
}

#[test]
fn shards_and_pickles() {
    let bench = Bench::new();
    let index = br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let files: &[(&str, &[u8])] = &[
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("model-00001-of-00002.safetensors", b"one"),
        ("model-00002-of-00002.safetensors", b"two"),
        ("pytorch_model.bin", b"pickle"),
    ];
    bench.server.add("models/o/big", COMMIT, files);
    let folder = bench.folder("hf:o/big");
    assert!(folder.join("model-00002-of-00002.safetensors").is_file());
    assert!(!folder.join("pytorch_model.bin").exists());
    bench.server.add("models/o/old", COMMIT, &files[4..]);
    assert!(bench.folder("hf:o/old").join("pytorch_model.bin").is_file());
    let other: &[(&str, &[u8])] = &[("config.json", b"{}"), ("tf_model.h5", b"x")];
    bench.server.add("models/o/tf", COMMIT, other);
    let error = bench.get("hf:o/tf").expect_err("no weights");
    assert!(
        error.contains("no model.safetensors and no pytorch_model.bin")
            && error.contains("`tf_model.h5`"),
        "{error}"
    );
}

#[test]
fn the_token_goes_to_the_endpoint_and_nowhere_else() {
    let bench = Bench::with_model();
    bench
        .server
        .world()
        .repositories
        .get_mut("models/o/n")
        .expect("there")
        .private = Some("hf_secret".into());
    let error = bench.get("hf:o/n").expect_err("private");
    assert!(
        error.contains("it is private, which needs a token (HF_TOKEN)"),
        "{error}"
    );
    let mut settings = bench.settings();
    settings.token = Some("hf_wrong".into());
    let error = bench
        .hub_with(settings.clone())
        .resolve("hf:o/n", Path::new(""))
        .expect_err("wrong")
        .to_string();
    assert!(
        error.contains("does not accept the token (Invalid credentials in Authorization header)"),
        "{error}"
    );
    assert!(!error.contains("hf_wrong"), "{error}");
    bench.server.asked();
    settings.token = Some("hf_secret".into());
    bench
        .hub_with(settings)
        .resolve("hf:o/n", Path::new(""))
        .expect("allowed");
    let world = bench.server.world();
    let (mut endpoint, mut others) = (0, 0);
    for request in &world.log {
        match request.headers.get("authorization") {
            Some(token) => {
                assert!(!request.cdn, "the token went to {}", request.target);
                assert_eq!(token, "Bearer hf_secret");
                endpoint += 1;
            }
            None => {
                assert!(request.cdn, "no token for {}", request.target);
                others += 1;
            }
        }
    }
    assert!(endpoint == 9 && others == 1, "{endpoint} {others}");
}

#[test]
fn gated_says_where_to_ask() {
    let bench = Bench::with_model();
    bench
        .server
        .world()
        .repositories
        .get_mut("models/o/n")
        .expect("there")
        .gated = true;
    let error = bench.get("hf:o/n").expect_err("gated");
    let page = format!("{}/o/n", bench.server.address);
    assert!(
        error.contains("gated")
            && error.contains(&format!(
                "accept its conditions at {page}, then set HF_TOKEN"
            )),
        "{error}"
    );
    let mut settings = bench.settings();
    settings.token = Some("hf_mine".into());
    let error = bench
        .hub_with(settings)
        .resolve("hf:o/n", Path::new(""))
        .expect_err("gated")
        .to_string();
    assert!(
        error.contains(&format!("ask for access at {page}")),
        "{error}"
    );
}

#[test]
fn what_is_not_there_names_what_was_meant() {
    let bench = Bench::with_model();
    bench
        .server
        .add("datasets/o/rows", COMMIT, &[("train.csv", b"text,label\n")]);
    let error = bench.get("hf:o/nn").expect_err("no such");
    assert!(error.contains("has no model `o/nn`"), "{error}");
    let error = bench.get("hf:other/n").expect_err("no such");
    assert!(error.contains("did you mean `hf:o/n`?"), "{error}");
    let error = bench.get("hf:o/rows").expect_err("a data set");
    assert!(
        error.contains("there is a data set of that name, `hf:datasets/o/rows`"),
        "{error}"
    );
    let error = bench.get("hf:o/n@mian").expect_err("no branch");
    assert!(
        error.contains("no branch, tag or commit `mian`")
            && error.contains("did you mean `hf:o/n@main`?"),
        "{error}"
    );
    let error = bench.get("hf:o/n@v9").expect_err("no tag");
    assert!(error.contains("there are `main`"), "{error}");
    let error = bench
        .get(&format!("hf:o/n@{LATER}"))
        .expect_err("no commit");
    assert!(error.contains(LATER), "{error}");
    assert_eq!(bench.there(), [] as [&str; 0]);
}

#[test]
fn a_body_that_ends_early_is_gone_on_with() {
    let bench = Bench::with_model();
    bench.server.fault("GET /lfs/", Fault::Cut(100_000));
    bench.server.fault("GET /lfs/", Fault::Cut(50_000));
    let folder = bench.folder("hf:o/n");
    assert_eq!(
        fs::read(folder.join("model.safetensors")).expect("read"),
        weights()
    );
    let world = bench.server.world();
    let ranges: Vec<_> = world
        .log
        .iter()
        .filter(|r| r.cdn)
        .map(|r| r.headers.get("range").cloned())
        .collect();
    assert_eq!(
        ranges,
        [
            None,
            Some("bytes=100000-".to_string()),
            Some("bytes=150000-".to_string())
        ]
    );
}

#[test]
fn a_failed_download_leaves_nothing_that_looks_whole_and_is_gone_on_with_later() {
    let bench = Bench::with_model();
    bench.server.fault("GET /lfs/", Fault::Cut(300_000));
    bench.server.always("GET /lfs/", Fault::Cut(0));
    let error = bench.get("hf:o/n").expect_err("cut");
    assert!(
        error.starts_with("`hf:o/n`: model.safetensors: ")
            && error.contains("cannot be reached, 3 attempts"),
        "{error}"
    );
    let there = bench.there();
    let blob = format!("models--o--n/blobs/{}", sha256(&weights()));
    assert!(
        there.contains(&format!("{blob}.incomplete")) && !there.contains(&blob),
        "{there:?}"
    );
    assert!(
        !there.iter().any(|f| f.ends_with("model.safetensors")),
        "{there:?}"
    );
    // Offline it is still not there.
    let mut settings = bench.settings();
    settings.offline = Some("HF_HUB_OFFLINE");
    assert!(
        bench
            .hub_with(settings)
            .resolve("hf:o/n", Path::new(""))
            .is_err()
    );
    bench.server.heal();
    bench.notes();
    let folder = bench.folder("hf:o/n");
    assert!(bench.notes().contains("begin model.safetensors at 300000"));
    assert_eq!(
        fs::read(folder.join("model.safetensors")).expect("read"),
        weights()
    );
    assert!(!bench.there().iter().any(|f| f.ends_with(".incomplete")));
}

#[test]
fn a_partial_file_of_something_else_is_begun_anew() {
    let bench = Bench::with_model();
    let blobs = bench.cache().join("models--o--n/blobs");
    fs::create_dir_all(&blobs).expect("made");
    let partial = blobs.join(format!("{}.incomplete", sha256(&weights())));
    fs::write(&partial, vec![7u8; 5000]).expect("written");
    let folder = bench.folder("hf:o/n");
    assert_eq!(
        fs::read(folder.join("model.safetensors")).expect("read"),
        weights()
    );
    assert!(
        bench
            .notes()
            .contains("does not belong to it; from the beginning")
    );
    // Longer than the whole file.
    let bench = Bench::with_model();
    fs::create_dir_all(bench.cache().join("models--o--n/blobs")).expect("made");
    let partial = bench.cache().join(format!(
        "models--o--n/blobs/{}.incomplete",
        sha256(&weights())
    ));
    fs::write(&partial, vec![7u8; 900_000]).expect("written");
    let folder = bench.folder("hf:o/n");
    assert_eq!(
        fs::read(folder.join("model.safetensors")).expect("read"),
        weights()
    );
}

#[test]
fn a_server_without_ranges_sends_it_whole() {
    let bench = Bench::with_model();
    bench.server.fault("GET /lfs/", Fault::Cut(100_000));
    bench.server.fault("GET /lfs/", Fault::NoRange);
    let folder = bench.folder("hf:o/n");
    assert_eq!(
        fs::read(folder.join("model.safetensors")).expect("read"),
        weights()
    );
}

#[test]
fn a_wrong_checksum_is_an_error_and_nothing_is_kept() {
    for (target, file) in [
        ("GET /lfs/", "model.safetensors"),
        ("GET /o/n/resolve", "config.json"),
    ] {
        let bench = Bench::with_model();
        bench.server.always(target, Fault::Garbage);
        let error = bench.get("hf:o/n").expect_err("garbage");
        assert!(
            error.contains(&format!(
                "{file} was received whole, but its checksum is not"
            )),
            "{error}"
        );
        let there = bench.there();
        assert!(
            !there.iter().any(
                |f| f.ends_with(".incomplete") || f.ends_with(file) && !f.contains("1_Pooling")
            ),
            "{there:?}"
        );
        bench.server.heal();
        bench.folder("hf:o/n");
    }
}

#[test]
fn an_error_page_is_never_taken_for_the_file() {
    let bench = Bench::with_model();
    let busy = || Fault::Status(503, vec![]);
    // The list, the question and the body are each tried again.
    for target in ["/api/models", "HEAD /o/n/resolve", "GET /lfs/"] {
        bench.server.fault(target, busy());
        bench.server.fault(target, busy());
    }
    let folder = bench.folder("hf:o/n");
    assert_eq!(
        fs::read(folder.join("model.safetensors")).expect("read"),
        weights()
    );
    assert!(bench.notes().contains("answers 503; again in"));
    let bench = Bench::with_model();
    bench.server.always("GET /lfs/", busy());
    let error = bench.get("hf:o/n").expect_err("busy");
    assert!(
        error.contains("answers 503") && error.contains("3 attempts"),
        "{error}"
    );
    assert!(
        !bench
            .there()
            .iter()
            .any(|f| f.ends_with("model.safetensors"))
    );
    let bench = Bench::with_model();
    let gone = vec![("X-Error-Code", "EntryNotFound".to_string())];
    bench
        .server
        .always("HEAD /o/n/resolve", Fault::Status(404, gone));
    let error = bench.get("hf:o/n").expect_err("gone");
    assert!(
        error.contains("config.json: there is no such file at this commit"),
        "{error}"
    );
    let bench = Bench::with_model();
    bench.server.always("/api/models", Fault::Page);
    let error = bench.get("hf:o/n").expect_err("a page");
    assert!(
        error.contains("did not answer with JSON") && error.contains("HF_ENDPOINT"),
        "{error}"
    );
}

#[test]
fn a_repository_that_is_refused_is_asked_for_once() {
    let bench = Bench::new();
    bench.server.always("/api/", Fault::Status(500, vec![]));
    let hub = bench.hub();
    for split in ["train", "test"] {
        let name = format!("hf:datasets/o/d#{split}");
        let error = hub.resolve(&name, Path::new("")).expect_err("refused");
        assert!(
            error.to_string().starts_with(&format!("`{name}`: ")),
            "{error}"
        );
    }
    assert_eq!(bench.server.asked().len(), 3);
}

#[test]
fn too_many_requests_are_waited_for_when_it_is_short() {
    let bench = Bench::with_model();
    let slow = |seconds: &str| Fault::Status(429, vec![("Retry-After", seconds.to_string())]);
    bench.server.fault("/api/models", slow("0"));
    bench.folder("hf:o/n");
    assert!(bench.notes().contains("answers 429; again in"));
    bench.server.always("/api/models", slow("3600"));
    let error = bench.get("hf:o/n@main2").expect_err("too many");
    assert!(error.contains("answers 429, too many requests, and asks to wait 60 minutes; with a token (HF_TOKEN) the limit is higher"), "{error}");
    bench.server.heal();
    let window = vec![("RateLimit", "\"api\";r=0;t=900".to_string())];
    bench
        .server
        .always("/api/models", Fault::Status(429, window));
    let error = bench.get("hf:o/n@main3").expect_err("too many");
    assert!(error.contains("asks to wait 15 minutes"), "{error}");
}

#[test]
fn a_hub_that_does_not_answer_leaves_what_is_in_the_cache() {
    let bench = Bench::with_model();
    let folder = bench.folder("hf:o/n");
    bench.server.always("/", Fault::Status(500, vec![]));
    assert_eq!(bench.folder("hf:o/n"), folder);
    assert!(bench.notes().contains("cannot be reached (127.0.0.1"));
    // Nobody listens at all.
    let mut settings = bench.settings();
    settings.endpoint = "http://127.0.0.1:9".into();
    let found = bench
        .hub_with(settings.clone())
        .resolve("hf:o/n", Path::new(""));
    assert_eq!(found.expect("cached"), Found::Folder(folder));
    let error = bench
        .hub_with(settings)
        .resolve("hf:o/other", Path::new(""))
        .expect_err("nothing")
        .to_string();
    assert!(
        error.contains("127.0.0.1:9 cannot be reached, 3 attempts")
            && error.contains("HTTPS_PROXY"),
        "{error}"
    );
}

#[test]
fn offline_takes_the_cache_and_says_what_is_missing() {
    let bench = Bench::with_model();
    let mut settings = bench.settings();
    settings.offline = Some("HF_HUB_OFFLINE");
    let offline = || bench.hub_with(settings.clone());
    let error = offline()
        .resolve("hf:o/n", Path::new(""))
        .expect_err("nothing")
        .to_string();
    assert!(
        error.contains("is not in the cache") && error.contains("HF_HUB_OFFLINE is set"),
        "{error}"
    );
    assert_eq!(bench.server.asked(), [] as [&str; 0]);
    let folder = bench.folder("hf:o/n");
    bench.server.asked();
    for name in ["hf:o/n".to_string(), format!("hf:o/n@{COMMIT}")] {
        let found = offline().resolve(&name, Path::new("")).expect("cached");
        assert_eq!(found, Found::Folder(folder.clone()));
    }
    // As another library leaves it, without our list of files; then without the weights.
    fs::remove_dir_all(bench.cache().join("models--o--n/trees")).expect("removed");
    offline().resolve("hf:o/n", Path::new("")).expect("cached");
    fs::remove_file(folder.join("model.safetensors")).expect("removed");
    let error = offline()
        .resolve("hf:o/n", Path::new(""))
        .expect_err("missing")
        .to_string();
    assert!(
        error.contains("`model.safetensors` is not in the cache"),
        "{error}"
    );
    assert_eq!(bench.server.asked(), [] as [&str; 0]);
}

#[test]
fn looking_downloads_nothing() {
    let bench = Bench::with_model();
    let looking = || bench.hub().without_downloads();
    for name in ["hf:o/n", "hf:datasets/o/rows#train"] {
        let error = looking()
            .resolve(name, Path::new(""))
            .expect_err("not here");
        assert!(matches!(error, Error::NotHere(_)), "{error}");
        assert!(error.to_string().contains("needs the download"), "{error}");
    }
    // What is wrong with the name itself is wrong without a download.
    let error = looking()
        .resolve("hf:o/n#train", Path::new(""))
        .expect_err("wrong");
    assert!(matches!(error, Error::Message(_)), "{error}");
    assert_eq!(bench.server.asked(), [] as [&str; 0]);
    bench.folder("hf:o/n");
    bench.server.asked();
    looking().resolve("hf:o/n", Path::new("")).expect("cached");
    assert_eq!(bench.server.asked(), [] as [&str; 0]);
}

#[test]
fn a_blob_of_the_wrong_size_is_not_taken() {
    let bench = Bench::with_model();
    let folder = bench.folder("hf:o/n");
    let blob = fs::canonicalize(folder.join("model.safetensors")).expect("a blob");
    fs::write(&blob, b"cut").expect("written");
    bench.folder(&format!("hf:o/n@{COMMIT}"));
    assert_eq!(
        fs::read(folder.join("model.safetensors")).expect("read"),
        weights()
    );
}

#[test]
fn a_repository_that_moved_and_names_that_would_leave_the_folder() {
    let bench = Bench::with_model();
    bench.server.add("models/old/n", COMMIT, &[]);
    bench
        .server
        .world()
        .repositories
        .get_mut("models/old/n")
        .expect("there")
        .moved = Some("o/n".into());
    assert!(bench.folder("hf:old/n").join("model.safetensors").is_file());
    let files: &[(&str, &[u8])] = &[
        ("config.json", b"{}"),
        ("model.safetensors", b"w"),
        ("../../../../evil", b"x"),
    ];
    bench.server.add("models/o/evil", COMMIT, files);
    bench.folder("hf:o/evil");
    assert!(
        !bench.dir.path().join("evil").exists()
            && !bench.there().iter().any(|f| f.ends_with("evil"))
    );
}

#[cfg(target_os = "linux")]
#[test]
fn no_space_is_said() {
    let bench = Bench::with_model();
    let blobs = bench.cache().join("models--o--n/blobs");
    fs::create_dir_all(&blobs).expect("made");
    let partial = blobs.join(format!("{}.incomplete", sha256(&weights())));
    std::os::unix::fs::symlink("/dev/full", partial).expect("a link");
    let error = bench.get("hf:o/n").expect_err("full");
    assert!(
        error.starts_with("no space is left for ") && error.contains("HF_HUB_CACHE"),
        "{error}"
    );
    assert!(
        !bench
            .there()
            .iter()
            .any(|f| f.ends_with("model.safetensors"))
    );
}

#[test]
fn a_data_set_by_its_card() {
    let bench = Bench::new();
    let card = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: rows/part-*\n  - split: test\n    path: held.csv\n---\n";
    let files: &[(&str, &[u8])] = &[
        ("README.md", card),
        ("rows/part-a.csv", b"a"),
        ("rows/part-b.csv", b"b"),
        ("held.csv", b"h"),
        ("other.csv", b"o"),
    ];
    bench.server.add("datasets/o/d", COMMIT, files);
    assert_eq!(
        bench.rows("hf:datasets/o/d#train"),
        ["o/d/rows/part-a.csv a", "o/d/rows/part-b.csv b"]
    );
    assert!(
        !bench
            .there()
            .iter()
            .any(|f| f.ends_with("held.csv") || f.ends_with("other.csv"))
    );
    let hub = bench.hub();
    hub.resolve("hf:datasets/o/d#test", Path::new(""))
        .expect("found");
    assert_eq!(
        hub.pinned("hf:datasets/o/d#test"),
        Some(format!("hf:datasets/o/d@{COMMIT}#test"))
    );
    let error = bench.get("hf:datasets/o/d").expect_err("which");
    assert!(
        error.contains("which split? there are `train`, `test`; write `hf:datasets/o/d#train`"),
        "{error}"
    );
    let error = bench.get("hf:datasets/o/d#tset").expect_err("which");
    assert!(
        error.contains("no split `tset`; did you mean `hf:datasets/o/d#test`?"),
        "{error}"
    );
    // Again, without the network.
    bench.server.always("/", Fault::Status(500, vec![]));
    assert_eq!(
        bench.rows(&format!("hf:datasets/o/d@{COMMIT}#test")),
        ["o/d/held.csv h"]
    );
}

#[test]
fn a_data_set_by_its_names_and_configurations() {
    let bench = Bench::new();
    let files: &[(&str, &[u8])] = &[
        ("train.jsonl", b"t"),
        ("dev.jsonl", b"d"),
        ("LICENSE", b"l"),
    ];
    bench.server.add("datasets/o/plain", COMMIT, files);
    assert_eq!(
        bench.rows("hf:datasets/o/plain#validation"),
        ["o/plain/dev.jsonl d"]
    );
    let one: &[(&str, &[u8])] = &[("all rows.csv", b"r")];
    bench.server.add("datasets/o/one", COMMIT, one);
    assert_eq!(bench.rows("hf:datasets/o/one"), ["o/one/all rows.csv r"]);
    let card = b"---\nconfigs:\n- config_name: cola\n  data_files: [{split: train, path: cola/train*}]\n- config_name: sst2\n  data_files: [{split: train, path: sst2/train*}]\n---\n";
    let files: &[(&str, &[u8])] = &[
        ("README.md", card),
        ("cola/train.csv", b"c"),
        ("sst2/train.csv", b"s"),
    ];
    bench.server.add("datasets/o/glue", COMMIT, files);
    assert_eq!(
        bench.rows("hf:datasets/o/glue#sst2/train"),
        ["o/glue/sst2/train.csv s"]
    );
    let error = bench.get("hf:datasets/o/glue#train").expect_err("which");
    assert!(
        error.contains(
            "which configuration? there are `cola`, `sst2`; write `hf:datasets/o/glue#cola/train`"
        ),
        "{error}"
    );
    let error = bench
        .get("hf:datasets/o/glue#sst/train")
        .expect_err("which");
    assert!(
        error.contains("no configuration `sst`; did you mean `sst2`?"),
        "{error}"
    );
}

#[test]
fn a_data_set_made_by_a_script_has_the_hubs_own_copy() {
    let bench = Bench::new();
    let script: &[(&str, &[u8])] = &[("rows.py", b"import datasets")];
    bench.server.add("datasets/o/s", COMMIT, script);
    let copy: &[(&str, &[u8])] = &[
        ("default/test/0000.parquet", b"T"),
        ("default/train/0000.parquet", b"P"),
    ];
    bench
        .server
        .add_at("datasets/o/s", LATER, "refs/convert/parquet", copy);
    let hub = bench.hub();
    let found = hub
        .resolve("hf:datasets/o/s#train", Path::new(""))
        .expect("found");
    assert!(
        matches!(&found, Found::Files(f) if f[0].0 == "o/s/default/train/0000.parquet"),
        "{found:?}"
    );
    assert!(bench.notes().contains("the hub's Parquet copy is taken"));
    // The run is of the copy's commit, and that name finds the same.
    let pinned = hub.pinned("hf:datasets/o/s#train").expect("pinned");
    assert_eq!(pinned, format!("hf:datasets/o/s@{LATER}#train"));
    assert_eq!(
        bench.hub().resolve(&pinned, Path::new("")).expect("found"),
        found
    );
    // A commit of the script is not known to be the one that was copied.
    let error = bench
        .get(&format!("hf:datasets/o/s@{COMMIT}#train"))
        .expect_err("no files");
    assert!(
        error.contains("no files of rows")
            && error.contains("hf:datasets/o/s@refs/convert/parquet#train"),
        "{error}"
    );
}

/// Another process: this test program, run for one of its tests.
fn child(bench: &Bench, what: &str) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "as_another_process", "--nocapture"])
        .env("TLKIT_HUB_CHILD", what)
        .env("TLKIT_HUB_CACHE", bench.cache())
        .env("TLKIT_HUB_ENDPOINT", &bench.server.address)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Nothing by itself; the other process of the tests below.
#[test]
fn as_another_process() {
    let Ok(what) = std::env::var("TLKIT_HUB_CHILD") else {
        return;
    };
    let cache = PathBuf::from(std::env::var("TLKIT_HUB_CACHE").expect("set"));
    if let Some(etag) = what.strip_prefix("hold ") {
        let locks = cache.join(".locks/models--o--n");
        fs::create_dir_all(&locks).expect("made");
        let file = fs::File::create(locks.join(format!("{etag}.lock"))).expect("made");
        file.lock().expect("locked");
        fs::write(cache.join("held"), "").expect("written");
        while !cache.join("let go").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        return;
    }
    let mut settings = Settings::from(&|_| None);
    settings.endpoint = std::env::var("TLKIT_HUB_ENDPOINT").expect("set");
    settings.cache = cache;
    let found = Hub::new(settings)
        .resolve("hf:o/n", Path::new(""))
        .expect("downloaded");
    let Found::Folder(folder) = found else {
        panic!("{found:?}")
    };
    assert_eq!(
        fs::read(folder.join("model.safetensors")).expect("read"),
        weights()
    );
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for_and_then_an_error() {
    let bench = Bench::with_model();
    let etag = sha256(&weights());
    let mut holder = child(&bench, &format!("hold {etag}"));
    while !bench.cache().join("held").exists() {
        std::thread::sleep(Duration::from_millis(5));
        assert!(holder.try_wait().expect("asked").is_none(), "it ended");
    }
    let error = bench.get("hf:o/n").expect_err("held");
    assert!(
        error.contains("another process holds") && error.contains(&format!("{etag}.lock")),
        "{error}"
    );
    assert!(
        bench
            .notes()
            .contains("model.safetensors: waiting for another process")
    );
    // Let go while we wait: the download goes on.
    fs::write(bench.cache().join("let go"), "").expect("written");
    bench.folder("hf:o/n");
    assert!(holder.wait().expect("ended").success());
}

#[test]
fn two_processes_at_once_download_once() {
    let bench = Bench::with_model();
    bench.server.always("GET /lfs/", Fault::Late(150));
    let children = [
        child(&bench, "get"),
        child(&bench, "get"),
        child(&bench, "get"),
    ];
    for child in children {
        let output = child.wait_with_output().expect("ended");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let asked = bench.server.asked();
    let bodies = asked.iter().filter(|a| a.starts_with("cdn:GET")).count();
    assert_eq!(bodies, 1, "{asked:?}");
    assert!(!bench.there().iter().any(|f| f.ends_with(".incomplete")));
}
