//! What can go wrong on the way: bodies that end early, wrong bytes, error pages, too many requests.

use super::bench::*;

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

/// Where the answer says no length, the list of files does; and where neither does, only the name can tell what is whole.
#[test]
fn a_body_of_no_stated_length_is_whole_or_not_kept() {
    let rows = b"text,label\ngood,1\nbad,0\n";
    let bench = Bench::new();
    bench
        .server
        .add("datasets/o/d", COMMIT, &[("train.csv", rows)]);
    bench.server.always("HEAD ", Fault::NoLength(0));
    bench
        .server
        .fault("GET /datasets/o/d/resolve", Fault::NoLength(11));
    let whole = format!("o/d/train.csv {}", String::from_utf8_lossy(rows));
    assert_eq!(bench.rows("hf:datasets/o/d#train"), [whole.as_str()]);

    let bench = Bench::new();
    bench
        .server
        .add("datasets/o/d", COMMIT, &[("train.csv", rows)]);
    bench.server.world().no_sizes = true;
    bench.server.always("HEAD ", Fault::NoLength(0));
    bench
        .server
        .fault("GET /datasets/o/d/resolve", Fault::NoLength(11));
    let error = bench.get("hf:datasets/o/d#train").expect_err("cut");
    assert!(error.contains("its checksum is not"), "{error}");
    let blobs = bench.cache().join("datasets--o--d/blobs");
    assert_eq!(fs::read_dir(&blobs).expect("there").count(), 0);
    // As an earlier version kept it.
    fs::write(blobs.join(git(rows)), &rows[..11]).expect("written");
    assert_eq!(bench.rows("hf:datasets/o/d#train"), [whole.as_str()]);
    // What is whole is not fetched again.
    fs::remove_dir_all(bench.cache().join("datasets--o--d/snapshots")).expect("removed");
    bench
        .server
        .always("GET /datasets/o/d/resolve", Fault::Status(500, vec![]));
    assert_eq!(bench.rows("hf:datasets/o/d#train"), [whole.as_str()]);
}
