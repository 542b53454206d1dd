//! Reading and checking recipes, and the verbs that do nothing else: `validate` and `explain`.

use std::path::Path;

use tlkit_core::Checked;
use tlkit_core::audit::{Example, Finding, Level};
use tlkit_core::recipe::{Diagnostic, Report, Written};

use super::arguments::{Explain, Validate};
use super::exit::{Failure, WRONG};
use super::parts::Fetch;
use super::{header, output, parts, shipped};

/// A checked recipe, and what was remarked on the way.
pub struct Read {
    /// The recipe as it is written.
    pub written: Written,
    /// The recipe.
    pub checked: Checked,
    /// Warnings; no errors.
    pub warnings: Report,
}

/// Reads and checks one recipe: every error in one report.
pub fn read(path: &Path, sets: &[String], fetch: Fetch) -> Result<Read, Failure> {
    let ours = shipped::like(path).filter(|_| !path.exists());
    if let Some(name) = ours {
        return Err(Failure::Wrong(format!(
            "{}: no such file\n  tlkit brings a recipe of that name: `tlkit recipes copy {name}` writes it here",
            path.display()
        )));
    }
    let registry = parts::registry()?;
    let written = Written::read(path, sets).map_err(|r| Failure::Recipe(Box::new(r)))?;
    let checked =
        Checked::new(&written, &registry, &parts::resolve(fetch)).map_err(Failure::Recipe)?;
    idle(&written, &checked);
    Ok(Read {
        warnings: written.finish(),
        checked,
        written,
    })
}

/// Keys of `[train]` that say how steps are taken.
const STEPS: [&str; 21] = [
    "batch_size",
    "precision",
    "epochs",
    "source_epochs",
    "max_steps",
    "learning_rate",
    "head_learning_rate",
    "layer_decay",
    "optimizer",
    "weight_decay",
    "betas",
    "momentum",
    "nesterov",
    "schedule",
    "warmup",
    "clip",
    "micro_batch",
    "linear_probe",
    "patience",
    "checkpoint_every",
    "group_by_length",
];

/// Of a method that takes no step, what is written of steps says nothing. A warning: the base of an experiment may have it for the other methods, of which none hears this.
fn idle(written: &Written, checked: &Checked) {
    if !checked.strategy.needs().frozen {
        return;
    }
    let train = written.keys().table("train");
    let source = written.keys().table("source");
    let steps = STEPS.iter().filter(|key| train.differs(key));
    let mut idle: Vec<_> = (steps.map(|key| (train.at_key(key), format!("`{key}`")))).collect();
    // Nothing is dropped where nothing trains.
    if source.differs("dropout") {
        idle.push((source.at_key("dropout"), "`source.dropout`".to_string()));
    }
    let (at, idle): (Vec<_>, Vec<_>) = idle.into_iter().unzip();
    let Some(first) = at.into_iter().next() else {
        return;
    };
    let say = if idle.len() == 1 { "says" } else { "say" };
    train
        .warning(
            first,
            format!(
                "`{}` takes no step, so {} {say} nothing here",
                checked.method,
                idle.join(", ")
            ),
        )
        .help("take it out, or choose a method that trains");
}

/// The same, with the warnings said.
pub fn read_aloud(path: &Path, sets: &[String], fetch: Fetch) -> Result<Read, Failure> {
    let read = read(path, sets, fetch)?;
    if !read.warnings.is_empty() {
        output::err(&read.warnings.to_text(output::colour(&std::io::stderr())));
    }
    Ok(read)
}

/// `tlkit validate`.
pub fn validate(arguments: &Validate) -> Result<(), Failure> {
    let mut wrong = false;
    for path in &arguments.recipes {
        // An experiment's cells are all checked.
        let read = match is_experiment(path) {
            true => super::compare::plan(path, &arguments.overrides.sets, Fetch::Never)
                .map(|_| Report::default()),
            false => read(path, &arguments.overrides.sets, Fetch::Never)
                .map(|r| r.warnings.and(found(&r.checked))),
        };
        // Nothing wrong was found, but what is on the hub was not looked into.
        let partly = matches!(&read, Err(Failure::Recipe(report)) if report.errors() == 0);
        wrong |= read.is_err() && !partly;
        let report = match read {
            Ok(warnings) => warnings,
            Err(Failure::Recipe(report)) => *report,
            Err(Failure::Wrong(text)) if !arguments.json => {
                Failure::Wrong(text).say();
                continue;
            }
            Err(Failure::Wrong(text)) => {
                let at = tlkit_core::recipe::At::file(&path.display().to_string());
                Diagnostic::error(at, text).into()
            }
            Err(other) => return Err(other),
        };
        if arguments.json {
            let mut line = serde_json::json!({ "recipe": path.display().to_string() });
            if let (Some(line), serde_json::Value::Object(report)) =
                (line.as_object_mut(), report.to_json())
            {
                line.extend(report);
            }
            output::out(&format!("{line}\n"));
            continue;
        }
        if !report.is_empty() {
            output::err(&report.to_text(output::colour(&std::io::stderr())));
        }
        if report.errors() == 0 {
            let but = match partly {
                true => ", as far as it can be checked before the download",
                false => "",
            };
            output::out(&format!("{}: ok{but}\n", path.display()));
        }
    }
    if wrong {
        return Err(Failure::Said(WRONG));
    }
    Ok(())
}

/// Whether a file is an experiment and no recipe.
fn is_experiment(path: &Path) -> bool {
    Written::read(path, &[]).is_ok_and(|w| w.keys().has("experiment"))
}

/// What was found in the rows that is worth a warning, at the keys that name them. (What needs the checkpoint's preparation is
/// left to the run.)
fn found(checked: &Checked) -> Report {
    let audit = checked.target.audit();
    let findings = audit.into_iter().flat_map(|a| &a.findings);
    let warning = |f: &Finding| {
        let at = f.at.clone().filter(|_| f.level == Level::Warning)?;
        let warning = Diagnostic::warning(at, f.words.clone());
        Some(
            f.examples
                .iter()
                .map(Example::to_string)
                .fold(warning, Diagnostic::note),
        )
    };
    Report::new(findings.filter_map(warning).collect())
}

/// `tlkit explain`.
pub fn explain(arguments: &Explain) -> Result<(), Failure> {
    let checked = read_aloud(&arguments.recipe, &arguments.overrides.sets, Fetch::Aloud)?.checked;
    if arguments.summary {
        let layers = tlkit_core::run::summary(&checked)?;
        output::out(&(header::layers(&layers).join("\n") + "\n"));
    } else {
        output::out(&checked.explained);
    }
    Ok(())
}
