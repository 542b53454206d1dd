//! The cells of an experiment: every combination, checked.

use std::path::Path;
use std::sync::Arc;

use super::domains::Domain;
use super::method::is_of;
use super::read::Design;
use crate::check::Checked;
use crate::data::Resolve;
use crate::recipe::{Diagnostic, Overlay, Report, Written};
use crate::registry::Registry;
use crate::run::{self, Identity};
use crate::task::Scoring;

/// No experiment has more cells than this: each is a training run.
pub const MOST_CELLS: usize = 1000;

/// One run of an experiment.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its name, and that of its run directory: `frozen-20-s0`.
    pub name: String,
    /// The row's method, by its number in the plan.
    pub method: usize,
    /// The value of each axis, by number.
    pub values: Vec<usize>,
    /// The pair, by number.
    pub pair: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// The recipe, written out: it runs alone, from anywhere.
    pub recipe: String,
    /// What its run will be.
    pub identity: Identity,
}

/// What tells one cell's test rows from another's: the ids, in order.
struct Tested {
    cell: String,
    rows: Vec<String>,
    /// The hashes of all data that had these rows: a cell of the same data has them too.
    data: Vec<String>,
}

/// Makes and checks every cell; and counts the test rows over all pairs.
pub(super) fn cells(
    design: &Design,
    experiment: &str,
    registry: &Registry,
    resolve: &Arc<dyn Resolve>,
    heard: &mut dyn FnMut(usize, usize),
) -> Result<(Vec<Cell>, usize), Report> {
    let sizes: Vec<usize> = design.axes.iter().map(|a| a.values.len()).collect();
    let points: usize = sizes.iter().product();
    let pairs: Vec<Option<usize>> = match design.pairs.len() {
        0 => vec![None],
        n => (0..n).map(Some).collect(),
    };
    let count = design.methods.len() * points * pairs.len() * design.seeds.len();
    if count > MOST_CELLS {
        let title = format!("the experiment has {count} cells; the most is {MOST_CELLS}");
        let error = Diagnostic::error(design.seeds_at.clone(), title)
            .label(format!(
                "methods x values x pairs x seeds: {} x {points} x {} x {}",
                design.methods.len(),
                pairs.len(),
                design.seeds.len()
            ))
            .help("take fewer seeds or values, or cut the experiment in two");
        return Err(error.into());
    }
    let mut made: Vec<Cell> = Vec::new();
    let mut unbuilt = false;
    let mut reports: Vec<(String, Report)> = Vec::new();
    let mut tested: Vec<Option<Tested>> = pairs.iter().map(|_| None).collect();
    for method in 0..design.methods.len() {
        for point in 0..points {
            let values = digits(point, &sizes);
            for (p, pair) in pairs.iter().enumerate() {
                let target = pair.map(|p| &design.domains[design.pairs[p].1]);
                for &seed in &design.seeds {
                    let name = unique(name(design, method, &values, *pair, seed), &made);
                    let over = overlays(design, method, &values, *pair, seed);
                    let report = match check(&design.base, &over, registry, resolve) {
                        Err(report) => {
                            unbuilt = true;
                            report
                        }
                        Ok((checked, warnings)) => {
                            let wrong = same_rows(design, &name, &checked, target, &mut tested[p]);
                            let identity = Identity {
                                values: checked.located.clone(),
                                ..Identity::of(&checked, &name, &checked.located_identity())
                            };
                            made.push(Cell {
                                name: name.clone(),
                                method,
                                values: values.clone(),
                                pair: *pair,
                                seed,
                                recipe: checked.replayable,
                                identity,
                            });
                            wrong.map_or(warnings.clone(), |d| warnings.and(d.into()))
                        }
                    };
                    reports.push((name, report));
                    heard(reports.len(), count);
                    // What is wrong with one seed is wrong with all of them.
                    if reports.last().is_some_and(|(_, r)| r.errors() > 0) {
                        break;
                    }
                }
            }
        }
    }
    let report = Report::of_cells(reports, |cells, of| note(experiment, cells, of));
    match report.errors() {
        // Without an error, but not built either: what it names is on the hub and was not looked into.
        0 if unbuilt => Err(report),
        0 => {
            // The last of a pair's rows is the hash of all.
            let rows = tested.iter().flatten().map(|t| t.rows.len() - 1);
            Ok((made, rows.sum()))
        }
        _ => Err(report),
    }
}

/// Reads and checks one cell.
pub(super) fn check(
    base: &Path,
    over: &[Overlay],
    registry: &Registry,
    resolve: &Arc<dyn Resolve>,
) -> Result<(Checked, Report), Report> {
    let written = Written::read_under(base, over)?;
    let checked = Checked::new(&written, registry, resolve).map_err(|r| *r)?;
    Ok((checked, written.finish()))
}

/// All cells of a pair must be tested on the same rows, and say a class of each, or nothing can be said of a difference.
fn same_rows(
    design: &Design,
    name: &str,
    checked: &Checked,
    target: Option<&Domain>,
    first: &mut Option<Tested>,
) -> Option<Diagnostic> {
    if !matches!(checked.target.scoring(), Scoring::Classes(_)) {
        let words = "this task has no classes, so its runs cannot be compared";
        return Some(Diagnostic::error(design.base_at.clone(), words).help(
            "an experiment compares what was said of each test row; of other tasks run each recipe by itself, and `tlkit runs` lists what they came to",
        ));
    }
    let data = checked.data_sha256();
    if first.as_ref().is_some_and(|f| f.data.contains(&data)) {
        return None;
    }
    let rows = match run::test_rows(checked) {
        Ok(Some(rows)) => rows,
        Ok(None) => {
            let words = "nothing is tested, so nothing can be compared";
            return Some(match target {
                Some(domain) => Diagnostic::error(domain.at.clone(), words).help(format!(
                    "write `test = \"FILE\"` or `split` in `[domains.{0}]`; `test = \"unlabelled\"` takes the rows that are adapted on",
                    domain.name
                )),
                None => Diagnostic::error(design.base_at.clone(), words)
                    .help("give `target.test` a file, or `target.split` a share for the test"),
            });
        }
        Err(e) => return Some(Diagnostic::error(design.base_at.clone(), e.to_string())),
    };
    let Some(first) = first else {
        *first = Some(Tested {
            cell: name.to_string(),
            rows,
            data: vec![data],
        });
        return None;
    };
    if first.rows == rows {
        first.data.push(data);
        return None;
    }
    let at = match design.redraw {
        true => design.redraw_at.clone(),
        false => design
            .axes
            .first()
            .map_or(design.base_at.clone(), |a| a.at.clone()),
    };
    let title = format!(
        "the cell `{name}` is tested on other rows than `{}`",
        first.cell
    );
    let error = Diagnostic::error(at, title).label("this moves the test rows");
    Some(error.help("give the test rows a file of their own: `target.test` in the base"))
}

/// What a cell has over the base: `set` of all, the pair, the method, the values, the seed.
pub(super) fn overlays(
    design: &Design,
    method: usize,
    values: &[usize],
    pair: Option<usize>,
    seed: u64,
) -> Vec<Overlay> {
    let mut over: Vec<Overlay> = Vec::new();
    if let Some(p) = pair {
        over.extend(design.of_pair(design.pairs[p]));
    }
    // The method clears what the base says of another one, so what is set for all comes after it, and its own after that.
    let own = &design.methods[method];
    over.extend(own.overlays(&design.strategy, &design.folder));
    let theirs = |key: &String| own.own.iter().any(|(k, ..)| k == key);
    over.extend(
        design
            .set
            .iter()
            .filter(|(key, ..)| !theirs(key))
            .filter_map(|key| design.folder.over(key)),
    );
    for (axis, &value) in design.axes.iter().zip(values) {
        // A row that was added by itself has no key of a method that it is not, but those that both have.
        if own.added && axis.key.starts_with("strategy.") && !is_of(own.shared, &axis.key) {
            continue;
        }
        let value = axis.values[value].clone();
        over.extend(
            design
                .folder
                .over(&(axis.key.clone(), axis.at.clone(), value)),
        );
    }
    over.extend(Overlay::number("train.seed", design.seeds_at.clone(), seed));
    if design.redraw {
        over.extend(Overlay::number(
            // Where the labelled rows are.
            match design.strategy.kind == "transductive" {
                true => "source.split.seed",
                false => "target.split.seed",
            },
            design.seeds_at.clone(),
            seed,
        ));
    }
    over
}

/// A line under an error: in which cells of which experiment.
fn note(experiment: &str, cells: &[&str], of: usize) -> String {
    match cells {
        all if all.len() == of && of > 1 => format!("in every cell of {experiment}"),
        [one] => format!("in the cell `{one}` of {experiment}"),
        [first, rest @ ..] => {
            format!(
                "in the cell `{first}` and {} more of {experiment}",
                rest.len()
            )
        }
        [] => format!("in {experiment}"),
    }
}

/// The value of each axis, the first axis slowest.
fn digits(mut point: usize, sizes: &[usize]) -> Vec<usize> {
    let mut values = vec![0; sizes.len()];
    for (value, size) in values.iter_mut().zip(sizes).rev() {
        *value = point % size;
        point /= size;
    }
    values
}

fn name(
    design: &Design,
    method: usize,
    values: &[usize],
    pair: Option<usize>,
    seed: u64,
) -> String {
    let mut parts = vec![design.methods[method].name.clone()];
    for (axis, &value) in design.axes.iter().zip(values) {
        parts.push(word(&axis.values[value].to_json()));
    }
    if let Some(p) = pair {
        let (source, target) = design.pairs[p];
        parts.push(format!(
            "{}-{}",
            design.domains[source].name, design.domains[target].name
        ));
    }
    parts.push(format!("s{seed}"));
    let safe = |c: char| {
        if c.is_alphanumeric() || ".-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let text: String = parts.join("-").chars().map(safe).collect();
    // A folder's name has an end; the seed must not be what is cut off.
    match text.chars().count() {
        0..=100 => text,
        _ => format!("{}-s{seed}", text.chars().take(90).collect::<String>()),
    }
}

/// A name that no cell before has.
fn unique(name: String, made: &[Cell]) -> String {
    let taken = |n: &String| made.iter().any(|c| c.name == *n);
    let mut n = 2;
    let mut free = name.clone();
    while taken(&free) {
        free = format!("{name}.{n}");
        n += 1;
    }
    free
}

/// A value in a word: a string without quotes, anything else as JSON has it.
pub(super) fn word(value: &serde_json::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_string)
}
