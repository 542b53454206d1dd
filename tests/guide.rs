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

/// Vectors of two classes, as a reader's own file would have them.
fn vectors(shift: usize) -> String {
    (0..40).fold(String::new(), |mut text, row| {
        let (a, b) = (row % 7 + shift, row % 5 + 1);
        let _ = writeln!(text, "{} 1:{a} 2:{b} 3:{}", row % 2 + 1, row % 2 + 1);
        text
    })
}

/// A bitmap of 16 x 16 pixels, no two alike.
fn picture(shade: u8, number: u8) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    let mut put = |values: &[u32]| values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    put(&[
        54 + 16 * 16 * 3,
        0,
        54,
        40,
        16,
        16,
        1 | 24 << 16,
        0,
        16 * 16 * 3,
        0,
        0,
        0,
        0,
    ]);
    for pixel in 0..16 * 16u32 {
        let stripe = (pixel / (u32::from(number) + 1)) % 2 * 50;
        bytes.extend([shade, stripe as u8, (pixel % 16) as u8 * 8 + number]);
    }
    bytes
}

#[test]
fn every_complete_recipe_of_the_guide_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("reviews.csv"), reviews()).expect("written");
    for (shift, domain) in ["amazon", "webcam"].iter().enumerate() {
        let file = folder.path().join(format!("{domain}.svmlight"));
        std::fs::write(file, vectors(shift + 1)).expect("written");
    }
    for (label, shade) in [("cat", 40u8), ("dog", 200)] {
        let class = folder.path().join("photos").join(label);
        std::fs::create_dir_all(&class).expect("a folder");
        for number in 0..20u8 {
            let file = class.join(format!("{number}.bmp"));
            std::fs::write(file, picture(shade, number)).expect("written");
        }
    }
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src");
    let mut pages: Vec<_> = std::fs::read_dir(guide)
        .expect("docs/src")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
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
