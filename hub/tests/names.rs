//! Each kind of name, found and not found.

use std::path::Path;

use tlkit_core::data::{Blob, Found, Resolve};
use tlkit_hub::{Hub, builtins};

fn resolve(name: &str, base: &Path) -> Result<Found, String> {
    Hub.resolve(name, base).map_err(|e| e.to_string())
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
fn the_hub_is_not_downloaded_from_and_says_what_to_do() {
    assert_eq!(
        resolve("hf:google-bert/bert-base-uncased@86b5e09", Path::new("")).unwrap_err(),
        "`hf:google-bert/bert-base-uncased@86b5e09`: this version cannot download; from \
         https://huggingface.co/google-bert/bert-base-uncased/tree/86b5e09 download config.json, model.safetensors and \
         tokenizer.json into one folder and write the folder's path"
    );
    assert_eq!(
        resolve("hf:datasets/owner/name#train", Path::new("")).unwrap_err(),
        "`hf:datasets/owner/name#train`: this version cannot download; from \
         https://huggingface.co/datasets/owner/name/tree/main download the data file and write its path"
    );
    assert_eq!(
        resolve("https://example.org/a.csv", Path::new("")).unwrap_err(),
        "`https://example.org/a.csv` is an address, and this version does not download; download the file and write its path"
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
