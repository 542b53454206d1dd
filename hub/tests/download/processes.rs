//! Two processes at once.

use super::bench::*;

/// Another process: this test program, run for one of its tests.
fn child(bench: &Bench, what: &str) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "processes::as_another_process", "--nocapture"])
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
