//! Broken recipes and the exact words that `tlkit validate` says of each: `tests/broken/*.toml`, one snapshot a recipe.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

/// The files that the recipes name.
const FILES: [(&str, &str); 11] = [
    (
        "rows.csv",
        "a,b,label\n0.1,0.2,no\n0.3,0.1,yes\n0.2,0.2,no\n0.4,0.1,yes\n0.1,0.1,no\n0.5,0.2,yes\n",
    ),
    ("unlabelled.csv", "a,b\n0.1,0.2\n"),
    ("one.csv", "a,b,label\n0.1,0.2,no\n0.3,0.1,no\n"),
    ("other.csv", "a,b,label\n0.1,0.2,no\n0.3,0.1,maybe\n"),
    ("empty.csv", "a,b,label\n"),
    ("ragged.csv", "a,b,label\n0.1,0.2,no\n0.3,yes\n"),
    ("notes.doc", "not a table\n"),
    (
        "copy.csv",
        "a,b,label\n0.3,0.1,yes\n0.1,0.2,no\n0.2,0.2,no\n0.4,0.1,yes\n0.1,0.1,no\n0.5,0.2,yes\n",
    ),
    ("some.csv", "a,b,label\n0.1,0.2,no\n0.9,0.9,yes\n"),
    ("blank.csv", "text,label\na film,no\n ,yes\n,no\n,yes\n"),
    (
        "quote.csv",
        "text,label\na film,no\na good one,\"yes\nanother,no\n",
    ),
];

fn validate(recipe: &Path) -> (Option<i32>, String) {
    let name = recipe.file_name().expect("a file");
    let mut command = Command::cargo_bin("tlkit").expect("the binary is built");
    let output = command
        .arg("validate")
        .arg(name)
        .current_dir(recipe.parent().expect("a folder"))
        .output()
        .expect("it runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn every_broken_recipe_is_refused_in_these_words() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in FILES {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut recipes: Vec<_> = fs::read_dir(&broken)
        .expect("tests/broken")
        .map(|e| e.expect("an entry").path())
        .collect();
    recipes.sort();
    assert!(recipes.len() >= 40);
    for recipe in recipes {
        let copy = dir.path().join("recipe.toml");
        fs::copy(&recipe, &copy).expect("copied");
        let (code, said) = validate(&copy);
        let name = recipe
            .file_stem()
            .expect("a stem")
            .to_string_lossy()
            .into_owned();
        assert_eq!(code, Some(2), "{name}: {said}");
        // Where the folder's own path is in a message, its name changes from run to run.
        let said = said.replace(&dir.path().display().to_string(), "FOLDER");
        insta::assert_snapshot!(name, said);
    }
}
