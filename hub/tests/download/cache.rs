//! With a cache and no hub: offline, looking only, what is in the way.

use super::bench::*;

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

/// As another library leaves it: a list of files is not there, and what it asked for in vain is.
#[test]
fn what_the_cache_does_not_know_of_is_said() {
    let bench = Bench::with_model();
    let folder = bench.folder("hf:o/n");
    let repository = bench.cache().join("models--o--n");
    fs::remove_dir_all(repository.join("trees")).expect("removed");
    fs::remove_file(folder.join("1_Pooling/config.json")).expect("removed");
    let mut settings = bench.settings();
    settings.offline = Some("HF_HUB_OFFLINE");
    let notes = || {
        bench.notes();
        let hub = bench.hub_with(settings.clone());
        hub.resolve("hf:o/n", Path::new("")).expect("cached");
        bench.notes()
    };
    let said = notes();
    assert!(
        said.contains("does not say whether the repository has")
            && said.contains("`1_Pooling/config.json`")
            && !said.contains("`tokenizer.json`"),
        "{said}"
    );
    let none = repository.join(".no_exist").join(COMMIT);
    fs::create_dir_all(none.join("1_Pooling")).expect("made");
    for file in [
        "1_Pooling/config.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
    ] {
        fs::write(none.join(file), "").expect("written");
    }
    assert_eq!(notes(), "");
}

/// A cache of another person, or on a disk that is not to be written: what it holds is enough.
#[test]
fn a_cache_that_cannot_be_written_gives_what_it_has() {
    let bench = Bench::with_model();
    let folder = bench.folder("hf:o/n");
    let repository = bench.cache().join("models--o--n");
    // A file where a folder is to be made stands in for rights, which an administrator has.
    for name in ["trees", "refs"] {
        fs::remove_dir_all(repository.join(name)).expect("removed");
        fs::write(repository.join(name), "").expect("written");
    }
    bench.notes();
    assert_eq!(bench.folder("hf:o/n"), folder);
    let said = bench.notes();
    assert_eq!(
        said.matches("what the hub lists is not kept").count(),
        2,
        "{said}"
    );
}
