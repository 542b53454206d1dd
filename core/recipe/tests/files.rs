//! What can be wrong with a file before its first key is looked at.

use std::path::{Path, PathBuf};

use tlkit_recipe::{Report, Written};

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tlkit-recipe-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The report, without the way to the folder.
    fn words(&self, path: &Path) -> String {
        let report = Written::read(path, &[]).unwrap_err();
        report
            .to_string()
            .replace(&format!("{}/", self.0.display()), "")
            .replace(&self.0.display().to_string(), "folder")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn a_folder_is_not_a_recipe() {
    let folder = Folder::new("folder");
    snapshot("folder", &folder.words(&folder.0));
    folder.file("films.toml", b"");
    snapshot("folder_with_a_recipe", &folder.words(&folder.0));
}

#[test]
fn a_file_that_is_not_there() {
    let folder = Folder::new("missing");
    folder.file("sentiment.toml", b"");
    snapshot("not_there", &folder.words(&folder.0.join("photos.toml")));
    snapshot(
        "not_there_near",
        &folder.words(&folder.0.join("sentimant.toml")),
    );
    snapshot(
        "not_there_nor_its_folder",
        &folder.words(&folder.0.join("recipes/photos.toml")),
    );
}

#[test]
fn text_in_another_encoding() {
    let folder = Folder::new("encoding");
    let latin = folder.file(
        "latin1.toml",
        b"[source]\ncheckpoint = \"gr\xf6\xdfe\" # \xe4\n",
    );
    snapshot("latin1", &folder.words(&latin));
    let utf16 = folder.file("utf16.toml", b"\xff\xfe[\0s\0]\0");
    snapshot("utf16", &folder.words(&utf16));
}

#[test]
fn an_empty_file() {
    let folder = Folder::new("empty");
    let empty = folder.file("empty.toml", b"\n# all of it is a comment\n");
    snapshot("empty", &folder.words(&empty));
    // What is empty can still be filled from the command line.
    assert!(Written::read(&empty, &["train.epochs=1".into()]).is_ok());
}

#[test]
fn a_byte_order_mark_is_no_error_and_moves_no_column() {
    let folder = Folder::new("bom");
    let path = folder.file("bom.toml", b"\xef\xbb\xbfepochs = 3\n[train]\nepochs = 3\n");
    let written = Written::read(&path, &[]).unwrap();
    assert_eq!(
        written.keys().table("train").usize("epochs").optional(),
        Some(3)
    );
    let report = written.finish();
    let at = report.diagnostics()[0].at();
    assert_eq!((at.line(), at.column(), at.text()), (1, 1, "epochs"));
}

#[test]
fn paths_are_relative_to_the_recipe() {
    let folder = Folder::new("paths");
    let path = folder.file("recipe.toml", b"[[plugins]]\npath = \"huber\"\n");
    let written = Written::read(&path, &[]).unwrap();
    let plugins = written.keys().tables("plugins");
    assert_eq!(plugins[0].path("path").required(), folder.0.join("huber"));
    assert_eq!(
        written.resolve("../films.tsv"),
        folder.0.join("../films.tsv")
    );
}

#[test]
fn a_place_in_the_data_is_quoted_from_the_data() {
    use tlkit_recipe::{At, Diagnostic};
    let at = At::in_data(
        "reviews.csv",
        4812,
        21,
        "a fine film, grün,7,\"never closed\n",
    )
    .wide(99);
    let report = Report::from(
        Diagnostic::error(at, "unclosed quote").expected("`\"` before the end of the row"),
    );
    snapshot("in_data", &report.to_string());
    assert_eq!(report.to_json()["diagnostics"][0]["line"], 4812);
}

#[test]
fn json_for_editors() {
    let written =
        Written::parse("recipe.toml", "[train]\n\"größe\" = 1\nepochs = 'ä'\n", &[]).unwrap();
    written.keys().table("train").usize("epochs").optional();
    let report = written.finish();
    let json = report.to_json();
    assert_eq!(json["errors"], 2);
    let epochs = &json["diagnostics"][1];
    assert_eq!(
        (&epochs["file"], &epochs["line"], &epochs["column"]),
        (&"recipe.toml".into(), &3.into(), &10.into())
    );
    assert_eq!(epochs["end_column"], 13);
    assert_eq!(epochs["message"], "`epochs` must be a whole number");
    let coloured = report.to_text(true);
    assert!(coloured.contains("\u{1b}["), "no colours");
}
