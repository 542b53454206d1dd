//! `tlkit plan`: what a run will take, from a few measured steps, before a person commits to it.

use std::path::Path;
use std::time::{Duration, Instant};

use tlkit_core::Checked;
use tlkit_core::run::{self, Forecast};
use tlkit_core::train::Stop;
use tlkit_report::{Align, Table};

use super::arguments::Plan;
use super::cells::time;
use super::exit::Failure;
use super::parts::Fetch;
use super::{device, output, recipe, report};

/// Measures, and prints what the whole takes.
pub fn plan(arguments: &Plan) -> Result<(), Failure> {
    let began = Instant::now();
    let fetch = match arguments.json {
        true => Fetch::Silently,
        false => Fetch::Aloud,
    };
    let read = match device::handed_over() {
        true => recipe::read(&arguments.recipe, &arguments.overrides.sets, fetch)?,
        false => recipe::read_aloud(&arguments.recipe, &arguments.overrides.sets, fetch)?,
    };
    let reading = began.elapsed();
    device::hand_over(&read.checked.device)?;
    let (times, folds) = (times(&read.checked), folds(&read.checked));
    if !arguments.json {
        output::err("measuring a few steps\n");
    }
    let forecast = forecast(read.checked, reading)?;
    if arguments.json {
        let mut value =
            serde_json::to_value(&forecast).map_err(|e| Failure::Failed(e.to_string()))?;
        value["format"] = 1.into();
        value["runs"] = times.into();
        output::out(&format!("{value:#}\n"));
        return Ok(());
    }
    output::out(&said(
        &arguments.recipe.display().to_string(),
        &forecast,
        times,
        folds,
    ));
    Ok(())
}

/// How many runs a recipe is: a fold is one on the other folds' rows; a point of a grid is one that tests nothing.
pub fn times(checked: &Checked) -> usize {
    folds(checked).unwrap_or(checked.points.len().max(1))
}

/// How many of these are folds: each leaves a model and a checkpoint, of a grid only the best point does.
fn folds(checked: &Checked) -> Option<usize> {
    let folds = checked.folds.filter(|f| f.only.is_none());
    folds.map(|f| f.of)
}

/// Rehearses a recipe in a folder that is gone afterwards.
pub fn forecast(checked: Checked, reading: Duration) -> Result<Forecast, Failure> {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("tlkit-plan-{}-{n}", std::process::id()));
    // A report that cannot be written is no reason to say nothing.
    let report = |run: &Path| drop(report::write(run));
    Ok(run::rehearse(
        checked,
        &folder,
        reading,
        &Stop::default(),
        &report,
    )?)
}

fn said(recipe: &str, f: &Forecast, times: usize, folds: Option<usize>) -> String {
    let mut table = Table::new(&[Align::Left, Align::Left]);
    let by = times as f64;
    table.row(["recipe".to_string(), recipe.to_string()]);
    let (low, high) = (f.between.0 * by, f.between.1 * by);
    table.row([
        "time".to_string(),
        format!(
            "about {}, between {} and {}",
            time(f.seconds * by),
            time(low),
            time(high)
        ),
    ]);
    if times > 1 {
        let each = time(f.seconds);
        table.row([
            String::new(),
            format!("{times} runs of {each} each at most: folds, or points of a grid"),
        ]);
    }
    for part in f.parts.iter().filter(|p| p.seconds >= 0.01 * f.seconds) {
        table.row([
            String::new(),
            format!("{}  {}", time(part.seconds), part.what),
        ]);
    }
    if let Some(longest) = f.measured.iter().copied().reduce(f64::max) {
        let n = f.measured.len();
        let shortest = f.measured.iter().copied().fold(longest, f64::min);
        table.row([
            "measured".to_string(),
            format!(
                "{n} steps of {shortest:.3} to {longest:.3} s, in {}",
                time(f.took)
            ),
        ]);
    }
    table.row([
        "memory".to_string(),
        format!("about {} MiB at most", f.memory_mib),
    ]);
    let disk = f.disk_bytes as f64 / 1e6;
    table.row([
        "disk".to_string(),
        match folds {
            None => format!("about {disk:.0} MB in the run directory, its checkpoint included"),
            Some(n) => format!(
                "about {:.0} MB in the run directory, a model and a checkpoint for each of {n} folds included",
                disk * n as f64
            ),
        },
    ]);
    if f.padding > 0.0 {
        table.row([
            "padding".to_string(),
            format!("{:.0} % of what training computes", 100.0 * f.padding),
        ]);
    }
    table.lines("").join("\n") + "\n"
}
