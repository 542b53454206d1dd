//! What an experiment would take, and what it could see, before it runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tlkit_core::Checked;
use tlkit_core::experiment::{Cell, Plan};
use tlkit_core::recipe::Written;
use tlkit_report::statistics::{BOOTSTRAP_SEEDS, Crossed, LEAST_SEEDS};
use tlkit_report::{Align, Comparison, Experiment, Run, Table};

use super::cells::{State, expected, time};
use super::compare::states;
use super::exit::Failure;
use super::parts::{self, Fetch};
use super::{device, plan, turns};

/// What `recipes/experiments/how-many-labels.toml` showed of fine-tuned against frozen: the two answer differently on about so many
/// of its 300 test rows, and the score of either moves about so much from seed to seed. Stated where they are used.
const DISAGREE: f64 = 0.13;
const BY_SEED: f64 = 0.02;
/// How long nothing is said.
const SILENT: Duration = Duration::from_secs(3);

/// What would run, for how long, and the least difference that could be seen.
pub fn dry_run(
    plan: &Plan,
    folder: &Path,
    to_do: &[usize],
    jobs: usize,
) -> Result<String, Failure> {
    let states = states(plan, folder, to_do);
    let mut seconds: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (&i, state) in to_do.iter().zip(&states) {
        if *state == State::Done {
            let run = Run::read(&folder.join(&plan.cells[i].name));
            // What another cell had trained was taken up in a moment.
            let of = |key: &str| run.result[key].as_f64();
            let took = of("seconds").map(|s| s - of("seconds_taken_up").unwrap_or(0.0));
            seconds
                .entry(plan.group(&plan.cells[i]))
                .or_default()
                .extend(took);
        }
    }
    let open: Vec<&Cell> = to_do
        .iter()
        .zip(&states)
        .filter(|(_, s)| **s != State::Done)
        .map(|(&i, _)| &plan.cells[i])
        .collect();
    // One of each kind is measured where no finished one tells.
    let mut kinds: BTreeMap<String, &Cell> = BTreeMap::new();
    for cell in &open {
        let group = plan.group(cell);
        if seconds.get(&group).is_none_or(Vec::is_empty) {
            kinds.entry(group).or_insert(cell);
        }
    }
    let mut beginnings: BTreeMap<String, f64> = BTreeMap::new();
    let mut said = Instant::now();
    for (done, (group, cell)) in kinds.iter().enumerate() {
        if said.elapsed() > SILENT {
            said = Instant::now();
            eprintln!(
                "measuring a few steps of each kind of cell: {done} of {}",
                kinds.len()
            );
        }
        let cost = match measure(cell) {
            Ok(cost) => cost,
            // The others are measured all the same; in the experiment it would fail alone too.
            Err(Failure::Failed(e)) => {
                eprintln!("{}: not measured: {e}", cell.name);
                continue;
            }
            Err(e) => return Err(e),
        };
        seconds.insert(group.clone(), vec![cost.seconds - cost.shared]);
        beginnings.insert(group.clone(), cost.shared);
    }
    let known = seconds.values().any(|s| !s.is_empty());
    let mut begun = Begun::default();
    let mut about = |cell: &Cell| {
        let beginning = beginnings.get(&plan.group(cell)).copied().unwrap_or(0.0);
        expected(plan, &[cell], &seconds) + begun.missing(turns::group(cell), beginning)
    };
    let mut all = 0.0;
    let mut table = Table::new(&[Align::Left, Align::Left, Align::Right]);
    table.row(["cell", "", "about"]);
    for (&i, state) in to_do.iter().zip(&states) {
        let cell = &plan.cells[i];
        let word = match state {
            State::Done => "finished",
            State::Fresh => "would run",
            State::Resume => "would go on",
            State::Changed => "changed, would run again",
            State::Held => "another process works on it",
        };
        let about = match state {
            State::Done => String::new(),
            _ if !known => "not known".to_string(),
            _ => {
                let takes = about(cell);
                all += takes;
                time(takes)
            }
        };
        table.row([cell.name.clone(), word.to_string(), about]);
    }
    let mut lines = table.lines("");
    lines.push(String::new());
    let all = all / jobs.min(open.len().max(1)) as f64;
    let from = match beginnings.is_empty() {
        true => "finished cells",
        false => "a few steps of each kind",
    };
    lines.push(match open.len() {
        0 => format!(
            "{}: all {} cells are finished",
            folder.display(),
            to_do.len()
        ),
        n if !known => format!(
            "{n} of {} cells would run, for how long is not known: none could be measured",
            to_do.len()
        ),
        n => format!(
            "{n} of {} cells would run, about {} (from {from})",
            to_do.len(),
            time(all)
        ),
    });
    lines.push(least(plan, folder));
    lines.push("nothing was run".into());
    Ok(lines.join("\n") + "\n")
}

/// How much of their beginning the cells of each group have trained. Of cells that begin alike each trains what none before it has: `source-only` the
/// source, the first adaptation the twin.
#[derive(Default)]
struct Begun(BTreeMap<turns::Group, f64>);

impl Begun {
    /// Seconds that a cell has yet to train of a beginning that takes `whole`.
    fn missing(&mut self, group: turns::Group, whole: f64) -> f64 {
        let there = self.0.entry(group).or_insert(0.0);
        let missing = (whole - *there).max(0.0);
        *there += missing;
        missing
    }
}

/// The least difference that the design sees: from what is finished on the same pairs, or from what is usual.
fn least(plan: &Plan, folder: &Path) -> String {
    let sees = "the least difference that it sees in four of five cases";
    let folds = |c: &Cell| c.identity.values["evaluate"]["folds"].is_number();
    if plan.cells.iter().any(folds) {
        return "what cross-validations tell apart is up to how far their folds differ: their intervals say it".into();
    }
    if plan.seeds < LEAST_SEEDS {
        let some = match plan.seeds {
            1 => "one seed says".to_string(),
            n => format!("{n} seeds say"),
        };
        return format!("{some} nothing of a method: that takes {LEAST_SEEDS}");
    }
    let metric = plan.described["metric"].as_str().unwrap_or("accuracy");
    let mean = metric == "accuracy";
    if !mean && plan.seeds < BOOTSTRAP_SEEDS {
        return format!(
            "{} seeds say nothing of {metric}: its intervals take {BOOTSTRAP_SEEDS}",
            plan.seeds
        );
    }
    let sees = match mean {
        true => sees.to_string(),
        false => format!("{sees}, were it of accuracy"),
    };
    let questions = questions(&plan.described);
    // Of many questions at once each has its share of what may go wrong.
    let level = 1.0 - (1.0 - plan.level) / questions.max(1) as f64;
    let pairs = |c: &Comparison| serde_json::json!(c.pairs) == plan.described["pairs"];
    let there = Experiment::read(folder).ok().map(|e| e.compare(None));
    let seen = there
        .iter()
        .filter(|c| pairs(c))
        .flat_map(|c| &c.rows)
        .filter_map(|r| r.difference.as_ref()?.least_of(plan.seeds, level));
    if let Some(most) = seen.reduce(f64::max) {
        return format!("{sees}: {:.1} points, by what is finished", 100.0 * most);
    }
    let rows = distinct(plan);
    let at_once = match questions {
        0 | 1 => String::new(),
        n => format!(", {n} rows compared at once"),
    };
    match Crossed::expected(plan.seeds, rows, DISAGREE, BY_SEED) {
        Some(c) => format!(
            "{sees}: about {:.1} points ({} seeds, {rows} test rows{at_once}; if two methods disagree on {:.0} % of the rows and a seed moves \
             each by {:.1} points)",
            100.0 * c.least(level),
            plan.seeds,
            100.0 * DISAGREE,
            100.0 * BY_SEED
        ),
        None => "one test row shows nothing".to_string(),
    }
}

/// The test rows, those of a target once: `plan.rows` counts them in every pair that it stands in.
fn distinct(plan: &Plan) -> usize {
    let pairs = list(&plan.described["pairs"]);
    let mut firsts: Vec<usize> = Vec::new();
    for (i, pair) in pairs.iter().enumerate() {
        if pairs.iter().position(|p| p[1] == pair[1]) == Some(i) {
            firsts.push(i);
        }
    }
    if firsts.len() == pairs.len() {
        return plan.rows;
    }
    let of = |pair: &usize| {
        let cell = plan.cells.iter().find(|c| c.pair == Some(*pair))?;
        let rows = tlkit_core::run::test_rows(&checked(cell).ok()?).ok()??;
        // The last is the hash of all.
        Some(rows.len().saturating_sub(1))
    };
    let each: Option<Vec<usize>> = firsts.iter().map(of).collect();
    // Where one cannot be read here, as many as if all targets stood in as many pairs.
    each.map_or(plan.rows * firsts.len() / pairs.len(), |n| n.iter().sum())
}

/// How many rows of the table are compared with another one: Holm's family.
fn questions(described: &Value) -> usize {
    let points: usize = list(&described["axes"])
        .iter()
        .map(|a| list(&a["values"]).len())
        .product();
    let methods = list(&described["methods"]);
    let asked = methods
        .iter()
        .filter(|m| !m["reference"].is_null() && m["method"] != "target-supervised");
    match (asked.count(), methods.len()) {
        // One method over several values is compared with itself at the first.
        (0, 1) => points - 1,
        (asked, _) => asked * points,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A cell as it would be run.
fn checked(cell: &Cell) -> Result<Checked, Failure> {
    let written = Written::parse(&format!("{}.toml", cell.name), &cell.recipe, &[])
        .map_err(|r| Failure::Recipe(Box::new(r)))?;
    Checked::new(&written, &parts::registry()?, &parts::resolve(Fetch::Aloud))
        .map_err(Failure::Recipe)
}

/// What a cell takes.
struct Takes {
    seconds: f64,
    /// Of those, seconds of a beginning that it has in common with others.
    shared: f64,
}

/// What a cell takes, from its first steps on the device that it runs on.
fn measure(cell: &Cell) -> Result<Takes, Failure> {
    let began = Instant::now();
    let checked = checked(cell)?;
    let times = plan::times(&checked);
    let once = match device::plan(&checked.device, &cell.recipe)? {
        Some(said) => said_by_another(&said)?,
        None => {
            let forecast = plan::forecast(checked, began.elapsed())?;
            Takes {
                seconds: forecast.seconds,
                shared: forecast.shared,
            }
        }
    };
    Ok(match times {
        1 => once,
        // Folds and points begin each by itself.
        n => Takes {
            seconds: n as f64 * once.seconds,
            shared: 0.0,
        },
    })
}

/// The seconds of `plan --json`.
fn said_by_another(said: &Value) -> Result<Takes, Failure> {
    let of = |key: &str| {
        let wrong = || {
            Failure::Failed(format!(
                "`tlkit-cuda plan` says no `{key}`: build it from the same version"
            ))
        };
        said[key].as_f64().ok_or_else(wrong)
    };
    Ok(Takes {
        seconds: of("seconds")?,
        shared: of("shared")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_the_rows_that_are_compared() {
        let method = |name: &str, reference: Option<&str>| serde_json::json!({"name": name, "method": name, "reference": reference});
        let mut plan = serde_json::json!({
            "axes": [], "methods": [method("source-only", None), method("target-supervised", Some("source-only")), method("dann", Some("source-only"))],
        });
        assert_eq!(questions(&plan), 1);
        plan["axes"] = serde_json::json!([{"key": "target.per_class", "values": [5, 20, 80]}]);
        assert_eq!(questions(&plan), 3);
        plan["methods"] = serde_json::json!([method("fine-tune", None)]);
        assert_eq!(questions(&plan), 2);
    }

    #[test]
    fn what_cells_have_in_common_is_counted_once_a_group() {
        let mut begun = Begun::default();
        let (one, other) = ((0, vec![], Some(0)), (1, vec![], Some(0)));
        // The source alone, an adaptation that trains a twin beside it, another one; then the same of another seed.
        let took = [30.0, 70.0, 70.0].map(|whole| begun.missing(one.clone(), whole));
        assert_eq!(took, [30.0, 40.0, 0.0]);
        assert_eq!(begun.missing(other, 70.0), 70.0);
    }
}
