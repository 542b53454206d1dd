//! What is there: an experiment's folder, or runs that a person names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::rows::{Metric, Rows};
use crate::keys::flat;
use crate::run::{Run, Status};

/// Runs that belong together, arm by arm.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// The folder; none for runs that a person named.
    pub path: Option<PathBuf>,
    /// Whether it compares adaptations: the words differ.
    pub transductive: bool,
    /// The score that the table is of.
    pub metric: Metric,
    /// The least difference that is worth having.
    pub worth: f64,
    /// Of the intervals.
    pub level: f64,
    /// Whether baselines are shown.
    pub baselines: bool,
    /// Keys that vary.
    pub axes: Vec<Axis>,
    /// Source and target of each pair; none where the base's own domains are compared.
    pub pairs: Vec<(String, String)>,
    /// The rows of the table: a method at one value of each axis. They hold what every run said, which is read once.
    pub arms: Arc<Vec<Arm>>,
}

/// A key that varies.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// `target.per_class`.
    pub key: String,
    /// Its values in words.
    pub values: Vec<String>,
}

/// A method at one value of each axis.
#[derive(Clone, Debug)]
pub struct Arm {
    /// The method's name.
    pub method: String,
    /// The strategy that it is: `source-only` of `source-only as wide`.
    pub strategy: String,
    /// Whether the experiment added it by itself, as the twin of others.
    pub added: bool,
    /// By axis, the number of its value.
    pub values: Vec<usize>,
    /// The arm that it is compared with.
    pub reference: Option<usize>,
    /// Its runs, by pair (one list where there are no pairs), by seed in order.
    pub trials: Vec<Vec<Trial>>,
    /// Keys that tell it from the others.
    pub keys: Vec<(String, String)>,
}

impl Arm {
    /// Whether it sees the target's labels.
    pub(super) fn is_ceiling(&self) -> bool {
        self.strategy == "target-supervised"
    }
}

/// One run of an arm.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its seed.
    pub seed: u64,
    /// The run as it stands.
    pub run: Run,
    /// Whether it is the run that is wanted: finished, and of the identity planned.
    pub done: bool,
    /// Whether its folder is of another identity than the one planned, so that it is yet to run.
    changed: bool,
    /// What it said of the test rows, once it is done.
    pub rows: Option<Rows>,
}

impl Trial {
    fn of(run: Run, seed: u64, identity: Option<&str>) -> Result<Trial, String> {
        let same = identity.is_none_or(|i| run.result["identity"] == i);
        let done = run.status == Status::Done && same;
        let was = &run.identity["identity"];
        let changed = identity.is_some_and(|i| !was.is_null() && was != i);
        let classes: Vec<String> = run.result["labels"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str().map(str::to_string))
            .collect();
        if done && run.result["labels"].as_array().is_some_and(Vec::is_empty) {
            let path = run.path.display();
            return Err(format!(
                "{path} is of a task that has no classes, so it cannot be compared; `tlkit runs show {path}` says what it came to"
            ));
        }
        let rows = match done {
            true => Some(
                Rows::read(&run.path.join("predictions.jsonl"), &classes).map_err(|e| {
                    format!(
                        "{e}\n  delete {}, and the command that made it makes it again",
                        run.path.display()
                    )
                })?,
            ),
            false => None,
        };
        Ok(Trial {
            seed,
            run,
            done,
            changed,
            rows,
        })
    }

    /// Whether it is many runs, each tested on a part of the rows.
    pub(super) fn cross_validated(&self) -> bool {
        self.run.result["folds"].is_object()
    }

    /// The score of each fold.
    pub(super) fn by_fold(&self, metric: Metric) -> Option<Vec<f64>> {
        let values = &self.run.result["folds"]["metrics"][metric.name()]["values"];
        values.as_array()?.iter().map(Value::as_f64).collect()
    }

    /// The score of all folds' rows together, where it is no mean over folds.
    pub(super) fn pooled(&self, metric: Metric) -> Option<f64> {
        let names = self.run.result["folds"]["pooled"].as_array()?;
        let there = names.iter().any(|n| *n == metric.name());
        let value = self.run.result["metrics"]["test"][metric.name()].as_f64();
        value.filter(|_| there)
    }

    /// A hash of what stands in its test rows, in order.
    fn inputs(&self) -> Option<&str> {
        self.run.result["test_rows"]["sha256"].as_str()
    }

    /// What is read of a row: two runs that read other columns of the same rows have other inputs.
    fn columns(&self) -> Vec<&Value> {
        let target = &self.run.identity["values"]["target"];
        let keys = ["task", "text", "pair", "image", "without", "header"];
        keys.iter().map(|k| &target[*k]).collect()
    }

    /// Whether it ended with an error; what an earlier recipe's did is none of this experiment.
    pub fn failed(&self) -> bool {
        self.run.status == Status::Failed && !self.changed
    }
}

impl Experiment {
    /// Whether what was imported is of these axes and of pairs as there are now: an experiment may have been changed since.
    fn has_place(&self, cell: &Value) -> bool {
        let count = cell["values"].as_array().map_or(0, Vec::len);
        // Older imports have no keys.
        let same = cell["keys"].as_array().is_none_or(|keys| {
            let axes = self.axes.iter().map(|a| a.key.as_str());
            keys.iter().filter_map(Value::as_str).eq(axes)
        });
        same && count == self.axes.len() && cell["pair"].is_null() == self.pairs.is_empty()
    }

    /// Reads a folder that `tlkit compare` made: `experiment.json`, the run of each cell, and what was imported.
    ///
    /// # Errors
    /// It is no such folder; a run's predictions cannot be read; two runs were tested on different rows.
    pub fn read(path: &Path) -> Result<Experiment, String> {
        let file = path.join("experiment.json");
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let d: Value =
            serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
        let axes: Vec<Axis> = list(&d["axes"])
            .iter()
            .map(|a| Axis {
                key: word(&a["key"]),
                values: list(&a["values"]).iter().map(word).collect(),
            })
            .collect();
        let pairs: Vec<(String, String)> = list(&d["pairs"])
            .iter()
            .map(|p| (word(&p[0]), word(&p[1])))
            .collect();
        let mut experiment = Experiment {
            name: word(&d["name"]),
            path: Some(path.to_path_buf()),
            transductive: d["kind"] == "transductive",
            metric: d["metric"]
                .as_str()
                .and_then(Metric::named)
                .unwrap_or_default(),
            worth: d["worth"].as_f64().unwrap_or(0.01),
            level: d["level"].as_f64().unwrap_or(0.95),
            baselines: d["baselines"] != false,
            axes,
            pairs,
            arms: Arc::default(),
        };
        let methods = list(&d["methods"]);
        let mut cells = list(&d["cells"]);
        let here = imported(path);
        cells.extend(here.into_iter().filter(|cell| experiment.has_place(cell)));
        for cell in &cells {
            let method = word(&cell["method"]);
            let values: Option<Vec<usize>> = experiment
                .axes
                .iter()
                .enumerate()
                .map(|(i, a)| {
                    let wanted = word(&cell["values"][i]);
                    a.values.iter().position(|v| *v == wanted)
                })
                .collect();
            let pair = match cell["pair"].is_null() {
                true => Some(0),
                false => {
                    let wanted = (word(&cell["pair"][0]), word(&cell["pair"][1]));
                    experiment.pairs.iter().position(|p| *p == wanted)
                }
            };
            // What was imported for a value or pair that the experiment no longer has is not of it.
            let (Some(values), Some(pair)) = (values, pair) else {
                continue;
            };
            let arm = experiment.arm(&method, &values, &methods);
            let run = Run::read(&path.join(word(&cell["name"])));
            let seed = cell["seed"].as_u64().unwrap_or(0);
            let trial = Trial::of(run, seed, cell["identity"].as_str())?;
            Arc::make_mut(&mut experiment.arms)[arm].trials[pair].push(trial);
        }
        for arm in 0..experiment.arms.len() {
            let a = &experiment.arms[arm];
            let named = methods.iter().find(|m| m["name"] == a.method.as_str());
            let reference = match named {
                Some(m) => m["reference"].as_str().map(str::to_string),
                None => of_imported(&methods),
            };
            let reference = experiment.reference(arm, reference.as_deref(), methods.len() == 1);
            Arc::make_mut(&mut experiment.arms)[arm].reference = reference;
        }
        experiment.sort();
        experiment.check()?;
        Ok(experiment)
    }

    /// Runs that a person names: those that differ only in their seed are one arm.
    ///
    /// # Errors
    /// A run is not finished; two runs were tested on different rows.
    pub fn of_runs(runs: Vec<Run>) -> Result<Experiment, String> {
        let mut arms: Vec<(BTreeMap<String, String>, Arm)> = Vec::new();
        let mut transductive = true;
        for run in runs {
            if run.status != Status::Done {
                return Err(format!("{} is {}", run.path.display(), run.status.word()));
            }
            transductive &= run.result["strategy"]["kind"] == "transductive";
            let values = flat(&run.identity["values"]).into_iter();
            let mut keys: BTreeMap<String, String> = values.map(|(k, v)| (k, word(v))).collect();
            keys.remove("train.seed");
            // Where a run was computed is not what it is.
            keys.remove("train.device");
            for (name, key) in UNWRITTEN {
                if let Some(value) = run.identity[key].as_str() {
                    keys.insert(name.into(), value.chars().take(12).collect());
                }
            }
            if keys.is_empty() {
                keys.insert("run".into(), run.path.display().to_string());
            }
            let seed = run.result["seed"].as_u64().unwrap_or(0);
            let method = run.recipe().to_string();
            let strategy = word(&run.result["strategy"]["method"]);
            let trial = Trial::of(run, seed, None)?;
            match arms.iter_mut().find(|(k, _)| *k == keys) {
                Some((_, arm)) if arm.trials[0].iter().any(|t| t.seed == seed) => {
                    return Err(format!(
                        "{} and {} are the same run: one recipe, one seed",
                        arm.trials[0][0].run.path.display(),
                        trial.run.path.display()
                    ));
                }
                Some((_, arm)) => arm.trials[0].push(trial),
                None => arms.push((
                    keys,
                    Arm {
                        strategy,
                        method,
                        added: false,
                        values: Vec::new(),
                        reference: (!arms.is_empty()).then_some(0),
                        trials: vec![vec![trial]],
                        keys: Vec::new(),
                    },
                )),
            }
        }
        // Other files bring other data: that is said only where the recipes alone would be one.
        let written = |all: &BTreeMap<String, String>| {
            let keys = all.iter().filter(|(k, _)| !unwritten(k));
            keys.map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Vec<_>>()
        };
        let recipes: Vec<_> = arms.iter().map(|(k, _)| written(k)).collect();
        let one = (1..recipes.len()).any(|i| recipes[..i].contains(&recipes[i]));
        let differs = |key: &String| {
            (one || !unwritten(key)) && arms.iter().any(|(k, _)| k.get(key) != arms[0].0.get(key))
        };
        let keys: Vec<String> = arms
            .iter()
            .flat_map(|(k, _)| k.keys().cloned())
            .filter(differs)
            .collect();
        let mut arms: Vec<Arm> = arms
            .into_iter()
            .map(|(all, mut arm)| {
                let mut own: Vec<(String, String)> = all
                    .into_iter()
                    .filter(|(key, _)| keys.contains(key))
                    .collect();
                own.sort();
                arm.keys = own;
                arm
            })
            .collect();
        // Two arms of one name go by their number too.
        let names: Vec<String> = arms.iter().map(|a| a.method.clone()).collect();
        for (i, name) in names.iter().enumerate() {
            let same = names[..i].iter().filter(|n| *n == name).count();
            if same > 0 {
                arms[i].method = format!("{name} ({})", same + 1);
            }
        }
        let mut experiment = Experiment {
            name: "runs".into(),
            path: None,
            transductive,
            metric: Metric::Accuracy,
            worth: 0.01,
            level: 0.95,
            baselines: true,
            axes: Vec::new(),
            pairs: Vec::new(),
            arms: Arc::new(arms),
        };
        experiment.sort();
        experiment.check()?;
        Ok(experiment)
    }

    /// The arm of a method at these values, made where it is not there.
    fn arm(&mut self, method: &str, values: &[usize], methods: &[Value]) -> usize {
        let there = self
            .arms
            .iter()
            .position(|a| a.method == method && a.values == values);
        there.unwrap_or_else(|| {
            let m = methods.iter().find(|m| m["name"] == method);
            let mut keys = Vec::new();
            if let Some(m) = m {
                if m["method"] != m["name"] {
                    keys.push(("strategy.method".to_string(), word(&m["method"])));
                }
                let own = m["keys"].as_object().into_iter().flatten();
                keys.extend(own.map(|(k, v)| (k.clone(), word(v))));
            }
            Arc::make_mut(&mut self.arms).push(Arm {
                method: method.to_string(),
                strategy: m.map_or_else(|| method.to_string(), |m| word(&m["method"])),
                added: m.is_some_and(|m| m["added"] == true),
                values: values.to_vec(),
                reference: None,
                trials: vec![Vec::new(); self.pairs.len().max(1)],
                keys,
            });
            self.arms.len() - 1
        })
    }

    /// The arm of the reference method at the same values; of a method without one the arm at the first values.
    fn reference(&self, arm: usize, method: Option<&str>, alone: bool) -> Option<usize> {
        let a = &self.arms[arm];
        let found = match method {
            Some(name) => self
                .arms
                .iter()
                .position(|o| o.method == name && o.values == a.values),
            None if alone => self.arms.iter().position(|o| o.method == a.method),
            None => None,
        };
        found.filter(|&r| r != arm)
    }

    fn sort(&mut self) {
        let trials = || self.arms.iter().flat_map(|a| &a.trials).flatten();
        let folds = trials().any(Trial::cross_validated);
        for trials in Arc::make_mut(&mut self.arms)
            .iter_mut()
            .flat_map(|a| &mut a.trials)
        {
            trials.sort_by_key(|t| t.seed);
            let rows = trials.iter_mut().filter_map(|t| t.rows.as_mut());
            rows.filter(|_| folds).for_each(Rows::sort);
        }
    }

    /// All runs of a pair must have been tested on the same rows.
    fn check(&self) -> Result<(), String> {
        for pair in 0..self.pairs.len().max(1) {
            let mut first: Option<&Trial> = None;
            for trial in self.arms.iter().flat_map(|a| &a.trials[pair]) {
                let Some(rows) = &trial.rows else { continue };
                if rows.ids.is_empty() {
                    let path = trial.run.path.display();
                    return Err(format!(
                        "{path} was tested on no rows: nothing can be compared"
                    ));
                }
                let Some(f) = first else {
                    first = Some(trial);
                    continue;
                };
                let other = f.rows.as_ref().and_then(|r| r.first_difference(rows));
                if let Some(words) = other {
                    return Err(format!(
                        "{} and {} were tested on different rows, so they cannot be compared:\n  {words}",
                        f.run.path.display(),
                        trial.run.path.display()
                    ));
                }
                if let (Some(a), Some(b)) = (f.inputs(), trial.inputs())
                    && a != b
                    && f.columns() == trial.columns()
                {
                    return Err(format!(
                        "{} and {} were tested on different rows, so they cannot be compared:\n  how many there are, their ids and labels may agree; what stands in them does not",
                        f.run.path.display(),
                        trial.run.path.display()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Test rows, over all pairs; 0 before the first run.
    pub fn rows(&self) -> usize {
        (0..self.pairs.len().max(1))
            .filter_map(|pair| {
                let mut trials = self.arms.iter().flat_map(|a| &a.trials[pair]);
                trials.find_map(|t| t.rows.as_ref().map(|r| r.ids.len()))
            })
            .sum()
    }

    /// Whether what is compared with this arm is an adaptation against the source alone.
    pub(super) fn adapts(&self, reference: usize) -> bool {
        // In closed form the source alone is a head and nothing before it.
        let alone = ["source-only", "source-head"];
        self.transductive && alone.contains(&self.arms[reference].strategy.as_str())
    }

    /// The values of an arm in words: `target.per_class = 20`.
    pub fn values(&self, arm: &Arm) -> String {
        let values = arm.values.iter().zip(&self.axes);
        let words: Vec<String> = values
            .map(|(&v, a)| format!("{} = {}", a.key, a.values[v]))
            .collect();
        words.join(", ")
    }

    /// Whether there is more than one method.
    pub fn several_methods(&self) -> bool {
        self.arms.iter().any(|a| a.method != self.arms[0].method)
    }

    /// What an arm is called in a sentence.
    pub fn arm_words(&self, arm: usize) -> String {
        let a = &self.arms[arm];
        let values: Vec<&str> = a
            .values
            .iter()
            .zip(&self.axes)
            .map(|(&v, axis)| axis.values[v].as_str())
            .collect();
        match (values.is_empty(), self.several_methods()) {
            (true, _) => format!("`{}`", a.method),
            (false, true) => format!("`{}` at {}", a.method, values.join(", ")),
            (false, false) => format!("`{}`", values.join(", ")),
        }
    }
}

/// What makes two runs of one recipe other ones: a name, and its key in `identity.json`.
const UNWRITTEN: [(&str, &str); 3] = [
    ("the data", "data_sha256"),
    ("the checkpoint", "source_digest"),
    ("the version of tlkit", "version"),
];

fn unwritten(key: &str) -> bool {
    UNWRITTEN.iter().any(|(name, _)| *name == key)
}

/// With what an imported method is compared: as the first method is that is no other one's reference and was not added as a twin, or with it; where
/// there is none, with `source-only`.
fn of_imported(methods: &[Value]) -> Option<String> {
    let refers = |m: &Value| methods.iter().any(|o| o["reference"] == m["name"]);
    let first = methods.iter().find(|m| m["added"] != true && !refers(m));
    let plain = || methods.iter().find(|m| m["name"] == "source-only");
    match first {
        Some(m) => m["reference"]
            .as_str()
            .map_or_else(|| Some(word(&m["name"])), |r| Some(r.to_string())),
        None => plain().or(methods.first()).map(|m| word(&m["name"])),
    }
}

/// The names of methods whose results were imported into an experiment's folder.
pub fn imported_methods(path: &Path) -> Vec<String> {
    imported(path)
        .iter()
        .map(|cell| word(&cell["method"]))
        .collect()
}

/// What `tlkit import` left: one `cell.json` a folder.
fn imported(path: &Path) -> Vec<Value> {
    let entries = fs::read_dir(path.join("imported"))
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    folders.sort();
    folders
        .iter()
        .filter_map(|f| {
            let text = fs::read_to_string(f.join("cell.json")).ok()?;
            serde_json::from_str(&text).ok()
        })
        .collect()
}

/// A value in a word: a string without quotes, anything else as JSON has it.
fn word(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_string)
}
