//! `tlkit compare`: an experiment from its file to its table, or runs that are there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tlkit_core::experiment::{self, Plan};
use tlkit_core::run::write_whole;
use tlkit_report::{Comparison, Experiment, Format, Gate, Metric, Outcome, imported_methods};

use super::arguments::{Compare, TableFormat};
use super::cells::{self, Ended, State};
use super::exit::{FAILED, Failure, GATE, STOPPED};
use super::parts::Fetch;
use super::progress::Progress;
use super::{device, estimate, output, parts, shipped, signals, threads, which};

/// Where experiments go unless `--out` says otherwise.
const ROOT: &str = "experiments";

/// Runs what has to run, prints the table, asks the gate.
pub fn compare(arguments: &Compare) -> Result<(), Failure> {
    let metric = metric(arguments)?;
    let gate = match &arguments.gate {
        Some(text) => Some(Gate::parse(text).map_err(Failure::Wrong)?),
        None => None,
    };
    match arguments.what.as_slice() {
        [file] if is_experiment(file) => run(arguments, file, metric, gate.as_ref()),
        [folder] if folder.join("experiment.json").is_file() => {
            plain_only(arguments)?;
            let experiment = Experiment::read(folder).map_err(Failure::Wrong)?;
            show(
                arguments,
                &experiment,
                &experiment.compare(metric),
                gate.as_ref(),
            )
        }
        [one] => Err(Failure::Wrong(format!(
            "{} is neither an experiment (a TOML file) nor the folder of one, and one run cannot be compared with itself\n  name \
             two runs or more, or an experiment",
            one.display()
        ))),
        runs => {
            plain_only(arguments)?;
            let runs: Result<Vec<_>, _> = runs
                .iter()
                .map(|r| which::find(&r.display().to_string()))
                .collect();
            let experiment = Experiment::of_runs(runs?).map_err(Failure::Wrong)?;
            if experiment.arms.len() < 2 {
                return Err(Failure::Wrong(
                    "these runs differ in nothing but their seeds: there is nothing to compare them with".into(),
                ));
            }
            show(
                arguments,
                &experiment,
                &experiment.compare(metric),
                gate.as_ref(),
            )
        }
    }
}

/// A file, or the name of one that is not there: anything but a folder.
fn is_experiment(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "toml") && !path.is_dir()
}

/// Flags that only mean something where cells are run.
fn plain_only(arguments: &Compare) -> Result<(), Failure> {
    let flag = match () {
        () if arguments.dry_run => "--dry-run",
        () if !arguments.only.is_empty() => "--only",
        () if !arguments.sets.is_empty() => "--set",
        () if arguments.out.is_some() => "--out",
        () if arguments.jobs.is_some() => "--jobs",
        () => return Ok(()),
    };
    Err(Failure::Wrong(format!(
        "`{flag}` is for an experiment that runs; here nothing is run"
    )))
}

/// Flags that only mean something where a table is printed.
fn table_only(arguments: &Compare) -> Result<(), Failure> {
    let flag = match () {
        () if arguments.format.is_some() => "--format",
        () if arguments.metric.is_some() => "--metric",
        () => return Ok(()),
    };
    Err(Failure::Wrong(format!(
        "`{flag}` is for a table, and `--dry-run` prints none"
    )))
}

/// A gate that names what is not there is said before hours of runs, not after them.
fn asks_of_these(gate: &Gate, plan: &Plan, folder: &Path) -> Result<(), Failure> {
    let mut names: Vec<String> = Vec::new();
    for method in plan.described["methods"].as_array().into_iter().flatten() {
        names.extend(method["name"].as_str().map(str::to_string));
    }
    names.extend(imported_methods(folder));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    gate.known(&names).map_err(Failure::Wrong)
}

fn metric(arguments: &Compare) -> Result<Option<Metric>, Failure> {
    let Some(name) = &arguments.metric else {
        return Ok(None);
    };
    match Metric::named(name) {
        Some(metric) => Ok(Some(metric)),
        None => Err(Failure::Wrong(format!(
            "there is no score `{name}`; there are accuracy, macro_f1, mcc and auroc"
        ))),
    }
}

/// An experiment's plan: every cell checked.
pub fn plan(file: &Path, sets: &[String], fetch: Fetch) -> Result<Plan, Failure> {
    let ours = shipped::like(file).filter(|_| !file.exists());
    if let Some(name) = ours {
        return Err(Failure::Wrong(format!(
            "{}: no such file\n  tlkit brings an experiment of that name: `tlkit recipes copy {name}` writes it here, and the recipe that it runs over",
            file.display()
        )));
    }
    let resolve = parts::resolve(fetch);
    let mut said = Instant::now();
    let mut heard = |done: usize, of: usize| {
        // Each cell's data is read; of many that takes a while.
        if said.elapsed() > Duration::from_secs(3) && done < of {
            said = Instant::now();
            eprintln!("checking the cells: {done} of {of}");
        }
    };
    experiment::plan(file, sets, &parts::registry()?, &resolve, &mut heard)
        .map_err(|report| Failure::Recipe(Box::new(report)))
}

fn run(
    arguments: &Compare,
    file: &Path,
    metric: Option<Metric>,
    gate: Option<&Gate>,
) -> Result<(), Failure> {
    threads::use_physical_cores();
    let plan = plan(file, &arguments.sets, Fetch::Aloud)?;
    let folder = arguments
        .out
        .clone()
        .unwrap_or_else(|| Path::new(ROOT).join(&plan.name));
    let wanted = |name: &str| {
        arguments.only.is_empty() || arguments.only.iter().any(|part| name.contains(part))
    };
    let to_do: Vec<usize> = (0..plan.cells.len())
        .filter(|&i| wanted(&plan.cells[i].name))
        .collect();
    if to_do.is_empty() {
        let some: Vec<&str> = plan.cells.iter().take(3).map(|c| c.name.as_str()).collect();
        return Err(Failure::Wrong(format!(
            "no cell has {} in its name; names are like {}",
            arguments.only.join(" or "),
            some.join(", ")
        )));
    }
    if let Some(gate) = gate {
        asks_of_these(gate, &plan, &folder)?;
    }
    let jobs = usize::from(arguments.jobs.unwrap_or(1));
    if arguments.dry_run {
        table_only(arguments)?;
        is_free(file, &folder)?;
        output::out(&estimate::dry_run(&plan, &folder, &to_do, jobs)?);
        return Ok(());
    }
    let _lock = prepare(&plan, file, &folder)?;
    let auto = |c: &experiment::Cell| c.identity.values["train"]["device"] == "auto";
    if plan.cells.iter().any(auto) {
        device::look_for_auto();
    }
    let progress = Arc::new(Progress::new(false));
    let listener = signals::Listener::start(&progress)?;
    let ended = cells::run(&plan, &folder, &to_do, jobs, &progress, &listener.stop)?;
    if let Ended::Stopped { left } = ended {
        listener.say();
        progress.always(&format!(
            "stopped; {left} cells are left, and the same command goes on with them"
        ));
        return Err(Failure::Said(STOPPED));
    }
    let experiment = Experiment::read(&folder).map_err(Failure::Failed)?;
    let comparison = experiment.compare(metric);
    let shown = show(arguments, &experiment, &comparison, gate);
    leave(&folder, &comparison)?;
    progress.always(&format!(
        "the page is {}",
        folder.join("report.html").display()
    ));
    if let Ended::Failed { cells } = ended {
        return Err(Failure::Said(match cells {
            0 => return shown,
            _ => FAILED,
        }));
    }
    shown
}

/// Whether a folder can take the runs of an experiment; the path of the experiment as it is kept there.
fn is_free(file: &Path, folder: &Path) -> Result<String, Failure> {
    // What a kill at the very beginning leaves is ours.
    let ours = [".lock", "recipes", "experiment.json.part"];
    let taken = folder.exists()
        && !folder.join("experiment.json").is_file()
        && fs::read_dir(folder).is_ok_and(|mut e| {
            e.any(|e| e.is_ok_and(|e| ours.iter().all(|o| e.file_name() != *o)))
        });
    if taken {
        return Err(Failure::Wrong(format!(
            "{} holds something else than an experiment; choose an empty or a new folder",
            folder.display()
        )));
    }
    let file = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let file = file.display().to_string();
    // A namesake in another folder has its own cells; one that was moved has not.
    if let Some(other) = made_from(folder).filter(|f| *f != file && Path::new(f).exists()) {
        return Err(Failure::Wrong(format!(
            "{} holds the runs of another experiment, {other}; `--out` names another folder",
            folder.display()
        )));
    }
    Ok(file)
}

/// The folder, held by this process; the experiment and the recipe of every cell written out.
fn prepare(plan: &Plan, file: &Path, folder: &Path) -> Result<File, Failure> {
    let file = is_free(file, folder)?;
    let recipes = folder.join("recipes");
    fs::create_dir_all(&recipes).with_context(|| recipes.display().to_string())?;
    let path = folder.join(".lock");
    let lock = File::create(&path).with_context(|| path.display().to_string())?;
    if matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)) {
        return Err(Failure::Wrong(format!(
            "another process works on {} right now",
            folder.display()
        )));
    }
    let mut described = plan.described.clone();
    described["file"] = file.into();
    let text = format!("{described:#}\n");
    write_whole(&folder.join("experiment.json"), text.as_bytes())?;
    for cell in &plan.cells {
        write_whole(&recipe_of(folder, &cell.name), cell.recipe.as_bytes())?;
    }
    Ok(lock)
}

/// The experiment file that a folder's runs were made from; of folders that know it.
fn made_from(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("experiment.json")).ok()?;
    let described: serde_json::Value = serde_json::from_str(&text).ok()?;
    described["file"].as_str().map(str::to_string)
}

/// Where a cell's recipe stands.
pub fn recipe_of(folder: &Path, cell: &str) -> PathBuf {
    folder.join("recipes").join(format!("{cell}.toml"))
}

/// The comparison as files beside the runs.
fn leave(folder: &Path, comparison: &Comparison) -> Result<(), Failure> {
    for (name, format) in [
        ("comparison.json", Format::Json),
        ("table.md", Format::Markdown),
        ("report.html", Format::Html),
    ] {
        write_whole(
            &folder.join(name),
            comparison.print(format, false).as_bytes(),
        )?;
    }
    Ok(())
}

/// Prints the table, and asks the gate.
fn show(
    arguments: &Compare,
    experiment: &Experiment,
    comparison: &Comparison,
    gate: Option<&Gate>,
) -> Result<(), Failure> {
    let format = match arguments.format {
        None | Some(TableFormat::Text) => Format::Text,
        Some(TableFormat::Md) => Format::Markdown,
        Some(TableFormat::Csv) => Format::Csv,
        Some(TableFormat::Json) => Format::Json,
        Some(TableFormat::Latex) => Format::Latex,
        Some(TableFormat::Html) => Format::Html,
    };
    let colour = output::colour_of_out();
    output::out(&comparison.print(format, colour));
    let Some(gate) = gate else {
        return Ok(());
    };
    let said = |words: &str, lines: &[String]| {
        output::err(&format!("{words}\n  {}\n", lines.join("\n  ")));
    };
    match gate.ask(experiment).map_err(Failure::Wrong)? {
        Outcome::Met(lines) => {
            said("the gate is met", &lines);
            Ok(())
        }
        Outcome::NotMet(lines) => {
            said("the gate is not met", &lines);
            Err(Failure::Said(GATE))
        }
        Outcome::Undecided(lines) => {
            said("the gate is undecided: the data do not say", &lines);
            Err(Failure::Said(GATE))
        }
    }
}

/// What is to be done about a cell, for those who only look.
pub fn states(plan: &Plan, folder: &Path, to_do: &[usize]) -> Vec<State> {
    to_do
        .iter()
        .map(|&i| cells::state(&plan.cells[i], folder))
        .collect()
}
