//! Every complete recipe in the guide is one that this binary accepts.

use std::fmt::Write;
use std::path::Path;

use assert_cmd::Command;

/// The fenced TOML blocks of a page that name all three parts.
fn recipes(page: &str) -> Vec<&str> {
    page.split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .filter(|block| {
            ["[source]", "[target]", "[strategy]"]
                .iter()
                .all(|table| block.contains(table))
        })
        .collect()
}

/// What a reader's own file would be.
fn reviews() -> String {
    (0..40).fold(String::from("review,sentiment\n"), |mut text, row| {
        let label = ["good", "bad"][row % 2];
        let _ = writeln!(text, "review number {row} says it was {label},{label}");
        text
    })
}

#[test]
fn every_complete_recipe_of_the_guide_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("reviews.csv"), reviews()).expect("written");
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src");
    let mut pages: Vec<_> = std::fs::read_dir(guide)
        .expect("docs/src")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    pages.sort();
    let mut checked = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        for (number, block) in recipes(&text).into_iter().enumerate() {
            let recipe = folder.path().join("recipe.toml");
            std::fs::write(&recipe, block).expect("written");
            let output = Command::cargo_bin("tlkit")
                .expect("the binary is built")
                .arg("validate")
                .arg(&recipe)
                .output()
                .expect("it runs");
            assert!(
                output.status.success(),
                "recipe {number} of {}:\n{}",
                page.display(),
                String::from_utf8_lossy(&output.stderr)
            );
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} recipes were found");
}
