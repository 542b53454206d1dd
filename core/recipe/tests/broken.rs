//! Broken recipes, `tests/broken/*.toml`, each with the exact words it gets. A line `#! --set a.b=c` at the top of one
//! is an argument of the command line. To add one: write the file, run with `INSTA_UPDATE=always`, and read the result.

mod grammar;

use std::path::Path;

#[test]
fn every_broken_recipe_gets_its_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 40, "only {} broken recipes", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| {
        for file in files {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let sets: Vec<String> = text
                .lines()
                .filter_map(|line| line.strip_prefix("#! --set "))
                .map(String::from)
                .collect();
            match grammar::read("recipe.toml", &text, &sets) {
                Ok(_) => panic!("{name} is not broken"),
                Err(report) => insta::assert_snapshot!(name, report.to_string()),
            }
        }
    });
}

/// A file half written, or with a letter lost, must be refused in words too, wherever the cut falls.
#[test]
fn no_cut_makes_it_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for (at, letter) in text.char_indices() {
            for text in [
                text[..at].to_string(),
                format!("{}{}", &text[..at], &text[at + letter.len_utf8()..]),
            ] {
                if let Err(report) = grammar::read("recipe.toml", &text, &[]) {
                    assert!(report.errors() > 0 && !report.to_string().is_empty());
                    for diagnostic in report.diagnostics() {
                        assert!(diagnostic.at().line() <= text.lines().count().max(1) + 1);
                    }
                }
            }
        }
        for set in [
            "train.epochs=\"ä",
            "ä",
            "=",
            "a.=1",
            "a..b=1",
            "\"ä\".b='",
            "source=1",
            "train.betas=[ä",
            "strategy.kind=\"ä\" ü",
        ] {
            if let Err(report) = grammar::read("recipe.toml", &text, &[set.to_string()]) {
                assert!(!report.to_string().is_empty());
            }
        }
    }
}
