//! Each kind of name, found and not found.

use std::path::Path;

use tlkit_core::data::{Blob, Found, Resolve};
use tlkit_hub::{Hub, builtins};

fn resolve(name: &str, base: &Path) -> Result<Found, String> {
    let hub = Hub::from_env().without_downloads();
    hub.resolve(name, base).map_err(|e| e.to_string())
}

#[test]
fn the_reviews_are_built_in() {
    for domain in ["films", "kitchen"] {
        for split in ["train", "validation", "test"] {
            let name = format!("reviews/{domain}/{split}");
            assert!(builtins().contains(&name.as_str()), "{name}");
            match resolve(&format!("builtin:{name}"), Path::new("")) {
                Ok(Found::File(Blob::Embedded(bytes))) => {
                    assert!(bytes.starts_with(b"text\tlabel\n"))
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn every_builtin_is_found_and_a_checkpoint_has_its_files() {
    for name in builtins() {
        match resolve(&format!("builtin:{name}"), Path::new("")) {
            Ok(Found::File(_)) => {}
            Ok(found @ Found::Embedded(_)) => {
                assert!(found.file("config.json").is_some(), "{name}")
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn an_unknown_builtin_lists_what_there_is_and_the_nearest() {
    let error = resolve("builtin:reviews/kitchn/test", Path::new("")).unwrap_err();
    let first = error.lines().next().unwrap();
    assert_eq!(
        first,
        "nothing is built in as `builtin:reviews/kitchn/test`; did you mean `builtin:reviews/kitchen/test`?"
    );
    assert!(error.contains("`builtin:reviews/films/train`"), "{error}");
    let far = resolve("builtin:imagenet", Path::new("")).unwrap_err();
    assert!(
        far.starts_with("nothing is built in as `builtin:imagenet`\nbuilt in: "),
        "{far}"
    );
}

#[test]
fn addresses_are_no_names() {
    let error = |name| resolve(name, Path::new("")).unwrap_err();
    assert_eq!(
        error("https://huggingface.co/datasets/stanfordnlp/sst2/tree/main"),
        "`https://huggingface.co/datasets/stanfordnlp/sst2/tree/main` is an address; a repository of the hub is written \
         `hf:datasets/stanfordnlp/sst2`"
    );
    assert_eq!(
        error("https://hf.co/google-bert/bert-base-uncased"),
        "`https://hf.co/google-bert/bert-base-uncased` is an address; a repository of the hub is written \
         `hf:google-bert/bert-base-uncased`"
    );
    assert_eq!(
        error("https://example.org/a.csv"),
        "`https://example.org/a.csv` is an address; download the file and write its path"
    );
}

#[test]
fn paths_start_at_the_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    std::fs::create_dir(base.join("checkpoints")).unwrap();
    std::fs::write(base.join("books.csv"), "x").unwrap();
    let books = Ok(Found::File(Blob::Path(base.join("books.csv"))));
    assert_eq!(resolve("books.csv", base), books);
    assert_eq!(resolve("./books.csv", base), books);
    let full = base.join("books.csv").display().to_string();
    assert_eq!(resolve(&full, Path::new("elsewhere")), books);
    assert_eq!(
        resolve("checkpoints", base),
        Ok(Found::Folder(base.join("checkpoints")))
    );
}

#[test]
fn a_path_that_is_not_there_names_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    let at = base.display();
    std::fs::create_dir(base.join("checkpoints")).unwrap();
    std::fs::write(base.join("books.csv"), "x").unwrap();
    assert_eq!(
        resolve("boks.csv", base).unwrap_err(),
        format!(
            "`boks.csv` is not there: no such file or folder in {at}; did you mean `books.csv`?"
        )
    );
    assert_eq!(
        resolve("checkpoint/minilm/config.json", base).unwrap_err(),
        format!(
            "`checkpoint/minilm/config.json` is not there: no `checkpoint` in {at}; did you mean `checkpoints`?"
        )
    );
    assert_eq!(
        resolve("checkpoints/zebra", base).unwrap_err(),
        format!("`checkpoints/zebra` is not there: no `zebra` in {at}/checkpoints")
    );
    assert_eq!(
        resolve("books.csv/rows", base).unwrap_err(),
        format!("`books.csv/rows` is not there: {at}/books.csv is a file, not a folder")
    );
    assert_eq!(
        resolve(" ", base).unwrap_err(),
        "a path is wanted, and this is empty"
    );
}
