//! What no option writes over: what is read, recipes, files of runs and models.

use std::fs::canonicalize;
use std::path::Path;

use super::exit::Failure;

/// Files that tell a run's directory, and a model's.
const MARKS: [&str; 2] = ["identity.json", "tlkit.json"];

/// Refuses a file as the place of a result, named by `flag`, where it holds something that is wanted still. `read`: names that the command reads, files or
/// not. The page of a run may be written anew.
///
/// # Errors
/// It is one of these, or a folder, or a recipe, or belongs to a run or a model.
pub fn spare<'a>(
    flag: &str,
    to: &Path,
    read: impl IntoIterator<Item = &'a str>,
) -> Result<(), Failure> {
    let shown = to.display();
    let refused = |why: &str| {
        let text = format!("{flag} {shown}: {why}; name another file");
        Err(Failure::Wrong(text))
    };
    let Ok(real) = canonicalize(to) else {
        return Ok(());
    };
    if real.is_dir() {
        return refused("this is a folder");
    }
    let same = |name: &str| canonicalize(name).is_ok_and(|file| file == real);
    if read.into_iter().any(same) {
        return refused("this is what is read");
    }
    if real.extension().is_some_and(|e| e == "toml") {
        return refused("this is a recipe");
    }
    let page = real.file_name().is_some_and(|n| n == "report.html");
    let beside = |mark: &&str| real.parent().is_some_and(|f| f.join(mark).exists());
    if !page && MARKS.iter().any(beside) {
        return refused("this belongs to a run");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_still_is_not_written_over() {
        let dir = std::env::temp_dir().join(format!("tlkit-spared-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("run")).expect("a folder");
        let file = |name: &str| {
            let path = dir.join(name);
            std::fs::write(&path, "").expect("written");
            path
        };
        let rows = file("rows.csv");
        let read = rows.display().to_string();
        file("run/identity.json");
        for (name, why) in [
            ("rows.csv", Some("what is read")),
            ("mine.toml", Some("a recipe")),
            ("run/result.json", Some("belongs to a run")),
            ("run/report.html", None),
            ("answers.csv", None),
        ] {
            let path = file(name);
            let spared = spare(
                "--out",
                &path,
                [read.as_str(), "-", "builtin:reviews/films"],
            );
            match (spared, why) {
                (Ok(()), None) => {}
                (Err(Failure::Wrong(text)), Some(why)) => assert!(text.contains(why), "{text}"),
                (spared, _) => panic!("{name}: {}", spared.is_ok()),
            }
        }
        assert!(spare("--out", &dir, []).is_err(), "a folder");
        spare("--out", &dir.join("new.csv"), [read.as_str()]).expect("a new file");
        std::fs::remove_dir_all(&dir).expect("my own folder");
    }
}
