//! `tlkit import`: predictions that were made elsewhere, in an experiment's table.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};
use tlkit_core::data::{Blob, Input, ReadOptions, Table};
use tlkit_core::run::write_whole;
use tlkit_report::{Experiment, Metric, Rows};

use super::arguments::Import;
use super::exit::Failure;
use super::{output, parts};

/// Reads, compares ids and labels with those of the experiment's runs, writes.
pub fn import(arguments: &Import) -> Result<(), Failure> {
    let folder = &arguments.out;
    if !folder.join("experiment.json").is_file() {
        return Err(Failure::Wrong(format!(
            "{} is not the folder of an experiment: it has no experiment.json\n  `tlkit compare FILE --out DIR` makes one",
            folder.display()
        )));
    }
    let experiment = Experiment::read(folder).map_err(Failure::Wrong)?;
    let (pair, values) = (
        pair(arguments, &experiment)?,
        values(arguments, &experiment)?,
    );
    let ours = experiment.arms.iter().find(|a| {
        a.method == arguments.method
            && a.trials
                .iter()
                .flatten()
                .any(|t| t.run.result["imported"] != true)
    });
    if ours.is_some() {
        return Err(Failure::Wrong(format!(
            "`{}` is a method of this experiment already; choose another name",
            arguments.method
        )));
    }
    let trials = experiment
        .arms
        .iter()
        .flat_map(|a| &a.trials[pair.unwrap_or(0)]);
    let Some(known) = trials.filter_map(|t| t.rows.as_ref()).next() else {
        return Err(Failure::Wrong(format!(
            "{} has no finished run yet whose rows these could be compared with",
            folder.display()
        )));
    };
    let mut rows = read(&arguments.file, known)?;
    // Cross-validations have their rows fold by fold, and are read in the order of the rows' names.
    if !known.stood.is_empty() {
        rows.sort();
    }
    if let Some(words) = known.first_difference(&rows) {
        return Err(Failure::Wrong(format!(
            "{} is not about the test rows of this experiment (its own first, then the file's):\n  {words}",
            arguments.file.display()
        )));
    }
    let mut parts = vec![arguments.method.clone()];
    parts.extend(
        values
            .iter()
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_string)),
    );
    parts.extend(pair.map(|p| {
        let (s, t) = &experiment.pairs[p];
        format!("{s}-{t}")
    }));
    parts.push(format!("s{}", arguments.seed));
    let safe = |c: char| {
        if c.is_alphanumeric() || ".-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = parts.join("-").chars().map(safe).collect();
    let place = folder.join("imported").join(&name);
    let keys: Vec<&str> = experiment.axes.iter().map(|a| a.key.as_str()).collect();
    let cell = json!({
        "name": format!("imported/{name}"),
        "method": arguments.method,
        "keys": keys,
        "values": values,
        "pair": pair.map(|p| [&experiment.pairs[p].0, &experiment.pairs[p].1]),
        "seed": arguments.seed,
    });
    of_another(&place, &cell)?;
    if place.exists() && !arguments.force {
        return Err(Failure::Wrong(format!(
            "{} is there already; `--force` overwrites it",
            place.display()
        )));
    }
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let accuracy = rows.score(Metric::Accuracy).unwrap_or(0.0);
    let result = json!({
        "format": 1,
        "recipe": arguments.method,
        "seed": arguments.seed,
        "status": "done",
        "imported": true,
        "strategy": { "kind": Value::Null, "method": arguments.method },
        "selection": { "by": "whoever made it" },
        "labels": rows.classes,
        "metrics": { "test": { "accuracy": accuracy, "n": rows.ids.len() } },
    });
    write_whole(&place.join("predictions.jsonl"), lines(&rows).as_bytes())?;
    write_whole(
        &place.join("result.json"),
        format!("{result:#}\n").as_bytes(),
    )?;
    write_whole(&place.join("cell.json"), format!("{cell:#}\n").as_bytes())?;
    output::out(&format!(
        "{}: {} rows, accuracy {accuracy:.4}; `tlkit compare {}` shows it beside the others\n",
        place.display(),
        rows.ids.len(),
        folder.display()
    ));
    Ok(())
}

/// Names that differ in what no folder's name holds have one folder (`a b` and `a_b`), and `--force` is no wish to lose another method's rows.
fn of_another(place: &Path, cell: &Value) -> Result<(), Failure> {
    let Ok(text) = fs::read_to_string(place.join("cell.json")) else {
        return Ok(());
    };
    let there: Value = serde_json::from_str(&text).unwrap_or_default();
    // Values are compared as words: 20 and "20" are one value.
    let word = |v: &Value| v.to_string().replace('"', "");
    let same = ["method", "values", "pair", "seed"]
        .iter()
        .all(|key| word(&there[*key]) == word(&cell[*key]));
    match same {
        true => Ok(()),
        false => Err(Failure::Wrong(format!(
            "{} holds the predictions of `{}`, whose name differs only in characters that a folder's name has not; choose another `--method`",
            place.display(),
            there["method"].as_str().unwrap_or("another method")
        ))),
    }
}

/// `--pair`, as a number of the experiment's pairs.
fn pair(arguments: &Import, e: &Experiment) -> Result<Option<usize>, Failure> {
    let list: Vec<String> = e.pairs.iter().map(|(s, t)| format!("{s}:{t}")).collect();
    match (&arguments.pair, list.as_slice()) {
        (None, []) => Ok(None),
        (None, _) => Err(Failure::Wrong(format!(
            "of which pair? write `--pair` and one of {}",
            list.join(", ")
        ))),
        (Some(_), []) => Err(Failure::Wrong(
            "this experiment has no pairs; leave out `--pair`".into(),
        )),
        (Some(wanted), _) => match list.iter().position(|p| p == wanted) {
            Some(at) => Ok(Some(at)),
            None => Err(Failure::Wrong(format!(
                "this experiment has no pair `{wanted}`; it has {}",
                list.join(", ")
            ))),
        },
    }
}

/// `--at`, a value for each key that varies.
fn values(arguments: &Import, e: &Experiment) -> Result<Vec<Value>, Failure> {
    let mut given = Vec::new();
    for text in &arguments.at {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::Wrong(format!(
                "`--at {text}` has no `=`; write `--at target.per_class=20`"
            )));
        };
        if !e.axes.iter().any(|a| a.key == key.trim()) {
            let keys: Vec<&str> = e.axes.iter().map(|a| a.key.as_str()).collect();
            return Err(Failure::Wrong(match keys.is_empty() {
                true => format!("nothing varies in this experiment; leave out `--at {text}`"),
                false => format!(
                    "`{}` does not vary here; {} does",
                    key.trim(),
                    keys.join(", ")
                ),
            }));
        }
        given.push((key.trim(), value.trim()));
    }
    e.axes
        .iter()
        .map(|axis| {
            let value = given.iter().find(|(k, _)| *k == axis.key).map(|(_, v)| *v);
            match value.filter(|v| axis.values.iter().any(|a| a == v)) {
                Some(v) => Ok(Value::from(v)),
                None => Err(Failure::Wrong(format!(
                    "at which value? write `--at {}=` and one of {}",
                    axis.key,
                    axis.values.join(", ")
                ))),
            }
        })
        .collect()
}

/// The file's rows, with the classes of the experiment's runs.
fn read(path: &Path, known: &Rows) -> Result<Rows, Failure> {
    let table = open(path)?;
    let name = path.display();
    let columns = table.columns();
    let find = |wanted: &str| columns.iter().position(|c| c == wanted);
    let need = |wanted: &str| {
        find(wanted).ok_or_else(|| {
            Failure::Wrong(format!(
                "{name} has no column `{wanted}`; it has {}",
                columns.join(", ")
            ))
        })
    };
    let (id, label) = (need("id")?, need("label")?);
    let probabilities: Option<Vec<usize>> = known.classes.iter().map(|c| find(c)).collect();
    let prediction = match (&probabilities, find("prediction")) {
        (None, None) => {
            return Err(Failure::Wrong(format!(
                "{name} has no column `prediction`, and not a column of probabilities for each of {}; it has {}",
                known.classes.join(", "),
                columns.join(", ")
            )));
        }
        (_, at) => at,
    };
    let text = |row: usize, column: usize| -> Result<String, Failure> {
        match table.cell(row, column)? {
            Input::Text(t) => Ok(t.into_owned()),
            Input::Features(f) if f.len() == 1 => Ok(f[0].to_string()),
            other => Err(Failure::Wrong(format!(
                "{}: the column `{}` holds {}, not text",
                table.place(row),
                columns[column],
                other.kind()
            ))),
        }
    };
    let mut rows = Rows {
        ids: Vec::new(),
        classes: known.classes.clone(),
        labels: Vec::new(),
        predictions: Vec::new(),
        probabilities: Vec::new(),
        stood: Vec::new(),
    };
    for row in 0..table.rows() {
        let class = |name: &str| {
            known.classes.iter().position(|c| c == name).ok_or_else(|| {
                Failure::Wrong(format!(
                    "{}: `{name}` is none of the classes {}",
                    table.place(row),
                    known.classes.join(", ")
                ))
            })
        };
        rows.ids.push(text(row, id)?);
        rows.labels.push(class(&text(row, label)?)? as u32);
        let mut said: Option<usize> = None;
        if let Some(columns) = &probabilities {
            let mut p = Vec::new();
            for &column in columns {
                let cell = text(row, column)?;
                // Single precision would make ties of what lies near 0 and 1.
                let value: Option<f64> =
                    cell.trim().parse().ok().filter(|v| (0.0..=1.0).contains(v));
                p.push(value.ok_or_else(|| {
                    Failure::Wrong(format!(
                        "{}: `{cell}` is no probability from 0 to 1",
                        table.place(row)
                    ))
                })?);
            }
            let sum: f64 = p.iter().sum();
            if (sum - 1.0).abs() > 1e-3 {
                return Err(Failure::Wrong(format!(
                    "{}: the probabilities of {} sum to {sum:.4}, not to 1",
                    table.place(row),
                    known.classes.join(", ")
                )));
            }
            let best = (0..p.len()).fold(0, |best, i| if p[i] > p[best] { i } else { best });
            said = Some(best);
            rows.probabilities.push(p);
        }
        if let Some(column) = prediction {
            said = Some(class(&text(row, column)?)?);
        }
        rows.predictions.push(said.unwrap_or(0) as u32);
    }
    Ok(rows)
}

fn open(path: &Path) -> Result<Arc<dyn Table>, Failure> {
    let name = path.display().to_string();
    if !path.is_file() {
        return Err(Failure::Wrong(format!("{name}: there is no such file")));
    }
    let registry = parts::registry()?;
    let ends = |e: &str| name.to_lowercase().ends_with(&format!(".{e}"));
    let reader = registry
        .readers()
        .iter()
        .find(|r| r.extensions().iter().any(|e| ends(e)));
    let Some(reader) = reader else {
        let all: Vec<&str> = registry
            .readers()
            .iter()
            .flat_map(|r| r.extensions().to_vec())
            .collect();
        return Err(Failure::Wrong(format!(
            "{name}: nothing reads files of this kind; those that are read end in {}",
            all.join(", ")
        )));
    };
    reader
        .open(
            &name,
            &Blob::Path(path.to_path_buf()),
            &ReadOptions::default(),
        )
        .map_err(Failure::wrong)
}

/// As a run leaves them.
fn lines(rows: &Rows) -> String {
    let class = |c: u32| rows.classes[c as usize].as_str();
    (0..rows.ids.len())
        .map(|i| {
            let mut line = json!({
                "id": rows.ids[i],
                "label": class(rows.labels[i]),
                "prediction": class(rows.predictions[i]),
            });
            if let Some(p) = rows.probabilities.get(i) {
                line["probabilities"] = json!(p);
            }
            format!("{line}\n")
        })
        .collect()
}
