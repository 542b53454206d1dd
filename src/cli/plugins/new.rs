//! `tlkit plugins new`: a plugin that builds, tests and runs as it stands.

use std::path::{Path, PathBuf};

use super::super::exit::Failure;
use super::super::output;
use super::arguments::{Language, NewKind, NewPlugin};

/// The source tree of this binary, while it is there.
const TREE: &str = env!("CARGO_MANIFEST_DIR");
const HEADER: &str = include_str!("../../../plugins/sdk/include/tlkit.h");

/// Sixteen rows, so that a new reader has something to read.
const ROWS: &str = "\
good: We laughed from the first minute to the last.
bad: Two hours that I would like to have back.
good: The ending alone is worth the ticket.
bad: I have seen better acting in a toaster advertisement.
good: A warm and clever story, told without hurry.
bad: It drags, it preaches, and then it drags again.
good: My grandmother and my son both loved it.
bad: The plot has more holes than the set has walls.
good: Beautiful pictures, and music to go with them.
bad: I fell asleep twice and missed nothing.
good: Not one dull scene, and I looked for one.
bad: Loud, long and empty.
good: I went again on the next day.
bad: The trailer holds everything worth seeing.
good: Small film, great heart.
bad: Nobody in it seems to know why they are there.
";

/// Writes the folder `./name`.
pub fn new(arguments: &NewPlugin) -> Result<(), Failure> {
    let name = arguments.name.as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
        return Err(Failure::Wrong(format!(
            "`{name}` is no name for a plugin: lower case, digits and `-`, beginning with a letter"
        )));
    }
    let to = Path::new(name);
    if to.exists() {
        return Err(Failure::Wrong(format!("{name} is there already")));
    }
    let in_c = matches!(arguments.kind, NewKind::Strategy | NewKind::Reader);
    if arguments.lang == Language::C && !in_c {
        return Err(Failure::Wrong(
            "in C there is a beginning for a strategy and for a reader; tlkit.h says what the others are made of, and without `--lang c` \
             there is one in Rust"
                .into(),
        ));
    }
    let library = name.replace('-', "_");
    let sdk = match arguments.lang {
        Language::Rust => {
            let repository = env!("TLKIT_REPOSITORY");
            Some(sdk(arguments.sdk.as_deref(), Path::new(TREE), repository)?)
        }
        Language::C => None,
    };
    let built = match arguments.lang {
        Language::Rust => format!("target/release/{library}"),
        Language::C => library.clone(),
    };
    let (about, check_with) = match arguments.kind {
        NewKind::Strategy => ("a strategy that keeps features small", String::new()),
        NewKind::Reader => (
            "a reader of lines, `label: text`",
            format!(" --file data.{library}"),
        ),
        NewKind::SourceTask => ("an encoder of texts by their words", String::new()),
        NewKind::TargetTask => ("a target task with the focal loss", String::new()),
        NewKind::Metric => ("Cohen's kappa as a metric", String::new()),
    };
    let (build, ci) = match arguments.lang {
        Language::Rust => (
            "cargo build --release",
            "      - run: cargo test --release\n      - run: cargo build --release".to_string(),
        ),
        Language::C => ("make", "      - run: make".to_string()),
    };
    let note = match &sdk {
        Some(Sdk::Path(_)) => {
            "`Cargo.toml` names the crate `tlkit-plugin` by its path on this machine; elsewhere (in CI, say) it is where tlkit's source is.\n\n"
        }
        Some(Sdk::Git(_)) | None => "",
    };
    let fill = |text: &str| {
        let sdk = sdk.as_ref().map_or(String::new(), Sdk::dependency);
        let checked = format!("tlkit plugins check {built}{check_with}");
        [
            ("@SDK@", sdk.as_str()),
            ("@NAME@", name),
            ("@LIB@", &library),
            ("@PATH@", &built),
            ("@ABOUT@", about),
            ("@BUILD@", build),
            ("@CHECK@", &checked),
            ("@WITH@", &check_with),
            ("@STEPS@", &ci),
            ("@NOTE@", note),
        ]
        .iter()
        .fold(text.to_string(), |text, (word, by)| text.replace(word, by))
    };
    let mut files: Vec<(String, String)> = vec![
        (
            "README.md".into(),
            fill(include_str!("templates/README.md.in")),
        ),
        (
            ".github/workflows/ci.yml".into(),
            fill(include_str!("templates/ci.yml.in")),
        ),
    ];
    let recipe = match arguments.kind {
        NewKind::Strategy => include_str!("templates/strategy.toml.in"),
        NewKind::Reader => include_str!("templates/reader.toml.in"),
        NewKind::SourceTask => include_str!("templates/source-task.toml.in"),
        NewKind::TargetTask => include_str!("templates/target-task.toml.in"),
        NewKind::Metric => include_str!("templates/metric.toml.in"),
    };
    files.push((format!("{name}.toml"), fill(recipe)));
    if arguments.kind == NewKind::Reader {
        files.push((format!("data.{library}"), ROWS.into()));
    }
    match arguments.lang {
        Language::Rust => {
            let code = match arguments.kind {
                NewKind::Strategy => include_str!("templates/strategy.rs.in"),
                NewKind::Reader => include_str!("templates/reader.rs.in"),
                NewKind::SourceTask => include_str!("templates/source-task.rs.in"),
                NewKind::TargetTask => include_str!("templates/target-task.rs.in"),
                NewKind::Metric => include_str!("templates/metric.rs.in"),
            };
            files.push((
                "Cargo.toml".into(),
                fill(include_str!("templates/Cargo.toml.in")),
            ));
            files.push(("src/lib.rs".into(), fill(code)));
            files.push((".gitignore".into(), "/target\n/runs\n".into()));
        }
        Language::C => {
            let code = match arguments.kind {
                NewKind::Reader => include_str!("templates/reader.c.in"),
                // The others were turned away above.
                _ => include_str!("templates/strategy.c.in"),
            };
            files.push((format!("{library}.c"), fill(code)));
            files.push(("tlkit.h".into(), HEADER.into()));
            files.push((
                "Makefile".into(),
                fill(include_str!("templates/Makefile.in")),
            ));
            files.push((".gitignore".into(), "*.so\n*.dylib\n/runs\n".into()));
        }
    }
    for (file, text) in &files {
        write(&to.join(file), text).map_err(|e| Failure::Failed(format!("{name}/{file}: {e}")))?;
    }
    output::out(&format!(
        "{name}/: {about}\n  cd {name}\n  {build}\n  tlkit plugins check {built}{check_with}\n  tlkit run {name}.toml\n"
    ));
    Ok(())
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text)
}

/// Where the crate `tlkit-plugin` is.
#[derive(Debug, PartialEq)]
enum Sdk {
    /// In this folder.
    Path(PathBuf),
    /// In a git repository, under the tag of this version.
    Git(String),
}

impl Sdk {
    /// Its line in a manifest, behind `tlkit-plugin = `.
    fn dependency(&self) -> String {
        // A string of JSON is one of TOML.
        let quoted = |text: &str| serde_json::json!(text).to_string();
        match self {
            Sdk::Path(folder) => format!("{{ path = {} }}", quoted(&folder.to_string_lossy())),
            Sdk::Git(address) => {
                let tag = concat!("v", env!("CARGO_PKG_VERSION"));
                // Cargo reads addresses alone, and not git's short form of them.
                let whole = match address.split_once(':') {
                    Some((server, path)) if !path.starts_with("//") => {
                        format!("ssh://{server}/{path}")
                    }
                    _ => address.clone(),
                };
                format!("{{ git = {}, tag = {} }}", quoted(&whole), quoted(tag))
            }
        }
    }
}

/// What is given (a folder, or the address of a repository); otherwise the source tree of this binary, while it is there; otherwise the
/// repository that this binary's manifest named, or that it was cloned from.
fn sdk(given: Option<&str>, tree: &Path, repository: &str) -> Result<Sdk, Failure> {
    if let Some(address) = given.filter(|g| g.contains("://") || g.starts_with("git@")) {
        return Ok(Sdk::Git(address.into()));
    }
    let place = given.map_or_else(|| tree.join("plugins/sdk"), PathBuf::from);
    if place.join("Cargo.toml").is_file() {
        let absolute = std::path::absolute(&place);
        return absolute
            .map(Sdk::Path)
            .map_err(|e| Failure::Failed(format!("{}: {e}", place.display())));
    }
    match given {
        None if !repository.is_empty() => Ok(Sdk::Git(repository.into())),
        Some(p) => Err(Failure::Wrong(format!("{p} has no Cargo.toml"))),
        None => Err(Failure::Wrong(
            "the crate tlkit-plugin is not where this binary was built, and the binary names no repository; say where it is with `--sdk`, \
             the folder plugins/sdk of tlkit's source or the address of a git repository"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_is_a_folder_while_it_is_there_and_a_tag_otherwise() {
        let tree = Path::new(TREE);
        let here = tree.join("plugins/sdk");
        assert!(
            matches!(sdk(None, tree, "https://example.org/tlkit"), Ok(Sdk::Path(p)) if p == here)
        );
        let gone = Path::new("/nowhere/at/all");
        let found = sdk(None, gone, "https://example.org/tlkit");
        let Ok(found) = found else { panic!("no SDK") };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            found.dependency(),
            format!("{{ git = \"https://example.org/tlkit\", tag = \"v{version}\" }}")
        );
        let given = here.display().to_string();
        assert!(matches!(sdk(Some(&given), gone, ""), Ok(Sdk::Path(p)) if p == here));
        assert!(
            matches!(sdk(Some("git@host:tlkit"), tree, ""), Ok(Sdk::Git(a)) if a == "git@host:tlkit")
        );
        let short = Sdk::Git("git@host:a/tlkit".into()).dependency();
        assert!(
            short.starts_with("{ git = \"ssh://git@host/a/tlkit\", "),
            "{short}"
        );
        assert!(sdk(None, gone, "").is_err());
        assert!(sdk(Some("/nowhere"), tree, "https://example.org/tlkit").is_err());
    }
}
