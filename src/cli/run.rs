//! `tlkit run`: what happens, in order.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tlkit_core::run::{self, Directory, Identity, Layer, Overview, Surroundings, write_whole};
use tlkit_core::{Checked, Error};
use tlkit_report::{Run as RunDirectory, result_table};

use super::arguments::Run;
use super::exit::{Failure, STOPPED};
use super::parts::Fetch;
use super::place::{self, Place, Wanted};
use super::progress::Progress;
use super::{device, header, output, recipe, report, signals};

/// Trains, evaluates, saves, and prints what came of it.
pub fn run(arguments: &Run) -> Result<(), Failure> {
    let fetch = match arguments.quiet || arguments.json {
        true => Fetch::Silently,
        false => Fetch::Aloud,
    };
    let recipe::Read {
        written, checked, ..
    } = match device::handed_over() {
        true => recipe::read(&arguments.recipe, &sets(arguments), fetch)?,
        false => recipe::read_aloud(&arguments.recipe, &sets(arguments), fetch)?,
    };
    match arguments.dry_run {
        true => device::look(&checked.device)?,
        false => device::hand_over(&checked.device)?,
    }
    let overview = run::overview(&checked)?;
    // Built once to see that it can be; a dry run ends here, with everything checked.
    let layers = run::summary(&checked)?;
    let progress = Arc::new(Progress::new(arguments.quiet || arguments.json));
    let mut head = header::overview(&arguments.recipe, &checked, &overview, arguments.dry_run);
    head.push(String::new());
    head.extend(header::layers(&layers));
    head.push(String::new());
    let name = stem(&arguments.recipe);
    let identity = Identity::of(&checked, &name, &checked.identity());
    let wanted = Wanted {
        out: arguments.out.as_deref(),
        resume: arguments.resume,
        recipe: &name,
        seed: checked.seed,
        identity: &identity,
    };
    if arguments.dry_run {
        if arguments.resume {
            // Whether it may go on; nothing is made.
            place::choose(&wanted)?;
        }
        progress.lines(&head);
        output::out(&dry(arguments, &overview, &layers));
        return Ok(());
    }

    let place = place::choose(&wanted)?;
    let (path, resumes) = match place {
        Place::Start(path) => (path, false),
        Place::Resume(path) => (path, true),
        Place::NothingLeft(path) => {
            progress.always(&format!(
                "nothing is left to do: the run in {} is finished",
                path.display()
            ));
            show(arguments, &path, &progress);
            return Ok(());
        }
    };
    let directory = Directory::at(&path);
    let lock = place::hold(&directory)?;
    progress.log_to(&directory.log())?;
    progress.lines(&head);
    progress.line(&match resumes {
        // Parts have checkpoints of their own.
        true if !directory.checkpoint().exists()
            && checked.folds.is_none()
            && checked.points.is_empty() =>
        {
            format!(
                "going on with {}: no checkpoint is there, so from the beginning",
                path.display()
            )
        }
        true => format!("going on with {}", path.display()),
        false => format!("run directory {}", path.display()),
    });
    if resumes {
        // What an earlier attempt says of its failure is not true any more.
        let _ = std::fs::remove_file(directory.result());
    }
    let listener = signals::Listener::start(&progress)?;
    if arguments.until_stdin_closes {
        signals::stop_with_stdin(&listener.stop);
    }
    let around = Surroundings {
        directory: directory.clone(),
        name,
        observer: progress.as_ref(),
        stop: listener.stop.clone(),
        shared: arguments.shared.clone(),
    };
    let parts = run::Again {
        written: &written,
        registry: &super::parts::registry()?,
        resolve: &super::parts::resolve(fetch),
    };
    let ended = run::run(&checked, &parts, &around);
    progress.finish();
    drop(lock);
    match ended {
        Ok(_) => {
            write_report(&path, &progress);
            show(arguments, &path, &progress);
            Ok(())
        }
        Err(Error::Stopped { step }) => {
            listener.say();
            // In a pass over rows, before the first step or after the last.
            let after = match step {
                0 => String::new(),
                n => format!(" after step {n}"),
            };
            progress.always(&format!(
                "stopped{after}; go on with\n  {}",
                again(arguments)
            ));
            Err(Failure::Said(STOPPED))
        }
        Err(e) => {
            progress.log(&format!("error: {e}"));
            failed(&checked, &around, &e);
            write_report(&path, &progress);
            Err(e.into())
        }
    }
}

/// `--set`, and the flags that are short for one.
fn sets(arguments: &Run) -> Vec<String> {
    let mut sets = arguments.overrides.sets.clone();
    sets.extend(arguments.device.iter().map(|d| format!("train.device={d}")));
    sets.extend(arguments.seed.iter().map(|n| format!("train.seed={n}")));
    sets
}

/// What a dry run says on standard output.
fn dry(arguments: &Run, overview: &Overview, layers: &[Layer]) -> String {
    if arguments.json {
        let all = json!({ "dry_run": true, "overview": overview, "layers": layers });
        format!("{all:#}\n")
    } else {
        format!("{}: ok, nothing was run\n", arguments.recipe.display())
    }
}

/// The result: a table, or result.json as it is.
fn show(arguments: &Run, path: &Path, progress: &Progress) {
    let run = RunDirectory::read(path);
    progress.log(&result_table(&run, false));
    if arguments.json {
        output::out(&format!("{:#}\n", run.result));
    } else {
        let colour = output::colour_of_out();
        output::out(&result_table(&run, colour));
    }
}

/// The run is over: a page that cannot be written is a remark.
fn write_report(path: &Path, progress: &Progress) {
    match report::write(path) {
        Ok(page) => progress.line(&format!("report {}", page.display())),
        Err(e) => progress.always(&format!("no report was written: {e:#}")),
    }
}

/// A failed run leaves a result too, so that tables of runs can say so.
fn failed(checked: &Checked, around: &Surroundings<'_>, error: &Error) {
    let result = json!({
        "format": 1,
        "recipe": around.name,
        "version": env!("CARGO_PKG_VERSION"),
        "seed": checked.seed,
        "status": "failed",
        "error": error.to_string(),
        "failure": error.evidence(),
        "strategy": { "kind": checked.kind.name(), "method": checked.method },
    });
    // It has failed already; that this cannot be written either is no second error.
    let _ = write_whole(&around.directory.result(), format!("{result:#}").as_bytes());
}

/// The command that goes on with this run.
fn again(arguments: &Run) -> String {
    let mut words = vec![
        "tlkit".to_string(),
        "run".to_string(),
        arguments.recipe.display().to_string(),
    ];
    for set in sets(arguments) {
        words.extend(["--set".to_string(), set]);
    }
    if let Some(out) = &arguments.out {
        words.extend(["--out".to_string(), out.display().to_string()]);
    }
    words.push("--resume".to_string());
    words
        .iter()
        .map(|w| quoted(w))
        .collect::<Vec<_>>()
        .join(" ")
}

/// As a shell reads it back.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The recipe's name: its file without folder and ending.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(
        || "recipe".to_string(),
        |s| s.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("train.seed=1"), "train.seed=1");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
