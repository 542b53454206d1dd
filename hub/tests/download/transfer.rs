//! What is downloaded, and where it lies then.

use super::bench::*;
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
