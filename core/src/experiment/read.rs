//! The grammar of experiments: `[experiment]` and `[domains.X]`.

use std::path::PathBuf;

use super::domains::{Domain, domains, pairs};
use super::method::{BaseStrategy, Folder, Method, dotted, is_key};
use crate::recipe::{At, Keys, Report, Value, Written, nearest};
use crate::registry::Registry;

/// What an experiment file says, before its cells are made.
pub(super) struct Design {
    pub base: PathBuf,
    pub base_at: At,
    pub strategy: BaseStrategy,
    pub folder: Folder,
    pub seeds: Vec<u64>,
    pub seeds_at: At,
    pub methods: Vec<Method>,
    pub axes: Vec<Axis>,
    pub pairs: Vec<(usize, usize)>,
    pub domains: Vec<Domain>,
    pub set: Vec<(String, At, Value)>,
    pub redraw: bool,
    pub redraw_at: At,
    pub reference: Option<String>,
    pub baselines: bool,
    pub metric: String,
    pub worth: f64,
    pub level: f64,
}

/// A key that varies, and its values.
pub(super) struct Axis {
    pub key: String,
    pub at: At,
    pub values: Vec<Value>,
}

/// The scores that tables can be of.
pub const METRICS: [&str; 4] = ["accuracy", "macro_f1", "mcc", "auroc"];

/// Reads it; every error of the experiment file and of the base's syntax in one report.
pub(super) fn read(written: &Written, registry: &Registry) -> Result<Design, Report> {
    let root = written.keys();
    // Of a recipe nothing is missing and no table is out of place.
    let tables = ["source", "target", "strategy"];
    if let Some(first) = tables
        .iter()
        .find(|t| root.has(t) && !root.has("experiment"))
    {
        root.error(
            root.at_key(first),
            format!("`[{first}]` stands in a recipe, not in an experiment"),
        )
        .label("this file is a recipe")
        .help("`tlkit run FILE` runs recipes; an experiment has `[experiment]` with `base = \"RECIPE\"` and the `methods` to compare");
        root.leave_unread();
        return Err(written.finish());
    }
    let keys = root.table("experiment");
    keys.describe("what is compared");
    let base = keys
        .path("base")
        .help("the recipe that every cell begins with")
        .example("../sentiment.toml")
        .required();
    let base_at = keys.at("base");
    let (mut strategy, base_report) = base_strategy(&base, keys.has("base"), &keys);
    let folder = Folder(written.folder().to_path_buf());
    let (seeds, seeds_at) = (seeds(&keys), keys.at("seeds"));
    let mut methods = Vec::new();
    let listed = keys
        .values("methods")
        .help("the rows of the table")
        .unset("the base's method")
        .optional();
    match &listed {
        Some(items) if items.is_empty() => {
            keys.error(keys.at("methods"), "`methods` is empty")
                .expected("at least one method");
        }
        Some(items) => methods.extend(items.iter().filter_map(|item| Method::read(item, registry))),
        None => methods.push(Method::of_base(&strategy, base_at.clone())),
    }
    let axes = axes(&keys);
    let set = dotted(&keys, "set");
    // What is set or varied for all is not the base's any more.
    strategy.own.retain(|(key, ..)| {
        !set.iter().any(|(k, ..)| k == key) && !axes.iter().any(|a| a.key == *key)
    });
    if strategy.kind == "transductive" {
        let twins = Method::twins(&mut methods, &strategy, registry, &keys.at("methods"));
        // They stand before the methods, so what they and the others are twins of moves by their number.
        let by = twins.len();
        methods.splice(0..0, twins);
        for m in &mut methods {
            m.twin_of.iter_mut().for_each(|i| *i += by);
        }
    }
    for (i, m) in methods.iter().enumerate() {
        if let Some(first) = methods[..i].iter().find(|o| o.name == m.name) {
            keys.conflict(
                &[
                    (m.at.clone(), "here again"),
                    (first.at.clone(), "first here"),
                ],
                format!("two methods are called `{}`", m.name),
            )
            .help(match first.added || m.added {
                true => "the row that the others are compared with is added by itself under this name; give yours another: `{ name = \"..\", method = \"..\" }`",
                false => "give one of them a name of its own: `{ name = \"..\", method = \"..\" }`",
            });
        }
    }
    for (key, at, _) in &set {
        if let Some(axis) = axes.iter().find(|a| a.key == *key) {
            keys.conflict(
                &[
                    (at.clone(), "set here"),
                    (axis.at.clone(), "and varied here"),
                ],
                format!("`{key}` is set and varied"),
            );
        }
    }
    for m in methods.iter().filter(|m| !m.added) {
        for (key, at, _) in &m.own {
            if let Some(axis) = axes.iter().find(|a| a.key == *key) {
                keys.conflict(
                    &[
                        (at.clone(), "set here"),
                        (axis.at.clone(), "and varied here"),
                    ],
                    format!("`{key}` of `{}` is set and varied", m.name),
                );
            }
        }
    }
    // A grid chooses among its own values whatever a cell says: rows would be called by what they are not.
    let decided = |key: &String| {
        let own = |m: &Method| m.own.iter().any(|(k, ..)| k == key);
        key.starts_with("strategy.")
            || axes.iter().any(|a| a.key == *key)
            || set.iter().any(|(k, ..)| k == key)
            || methods.iter().any(own)
    };
    if let Some(key) = strategy.tuned.iter().find(|k| decided(k)) {
        keys.error(
            base_at.clone(),
            format!("the base tunes `{key}`, which the experiment decides"),
        )
        .label("its `[tune]` chooses among its own values in every cell")
        .help("take it out of the base's `[tune]`; an experiment `vary`s keys");
    }
    let redraw = keys
        .bool("redraw")
        .default(false, "all seeds learn from the same rows")
        .help("each seed draws its own labelled rows (`target.split.seed` follows the seed; of an adaptation `source.split.seed`)")
        .read();
    let names: Vec<String> = methods.iter().map(|m| m.name.clone()).collect();
    let reference = keys
        .string("reference")
        .one_of(names)
        .help("the row that the others are compared with")
        .unset("source-only, or the first method")
        .optional();
    let baselines = keys
        .bool("baselines")
        .default(true, "a yardstick costs a line")
        .help("rows for the baselines that the runs computed; of adaptations of a network with batch norm, for `adabn`")
        .read();
    let metric = keys
        .string("metric")
        .one_of(METRICS)
        .default("accuracy", "a mean over rows, so the crossed test applies")
        .help("the score that the table is of")
        .read();
    let worth = keys
        .f64("worth")
        .range(0.0..=1.0)
        .default(0.01, "one point")
        .help("the least difference that is worth having")
        .read();
    let level = keys
        .f64("level")
        .range(0.5..=0.999)
        .default(0.95, "the custom")
        .help("of the intervals")
        .read();
    for name in [
        "source", "target", "strategy", "train", "select", "evaluate",
    ] {
        root.refuse(name, format!("`[{name}]` stands in a recipe, not in an experiment"))
            .label("the base has it")
            .help(format!("what every cell has besides goes into `[experiment]`: `set = {{ \"{name}.KEY\" = .. }}`"));
    }
    let domains = domains(&root);
    let pairs = pairs(&keys, &domains, &strategy);
    let report = written.finish().and(base_report);
    if report.errors() > 0 {
        return Err(report);
    }
    Ok(Design {
        base,
        base_at,
        strategy,
        folder,
        seeds,
        seeds_at,
        methods,
        axes,
        pairs,
        domains,
        set,
        redraw,
        redraw_at: keys.at_key("redraw"),
        reference,
        baselines,
        metric,
        worth,
        level,
    })
}

/// The base's kind and method, and what is wrong with its syntax.
fn base_strategy(base: &std::path::Path, named: bool, keys: &Keys) -> (BaseStrategy, Report) {
    let none = BaseStrategy {
        kind: String::new(),
        method: String::new(),
        own: Vec::new(),
        tuned: Vec::new(),
    };
    if !named {
        return (none, Report::default());
    }
    if !base.is_file() {
        let noted = keys
            .error(keys.at("base"), "there is no such recipe")
            .label(format!("{} is not there", base.display()));
        let folder = base
            .parent()
            .map(std::path::Path::to_path_buf)
            .unwrap_or_default();
        let there: Vec<String> = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .filter(|n| n.ends_with(".toml"))
            .collect();
        let wanted = base
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        match nearest(&wanted, there.iter().map(String::as_str)) {
            Some(near) => drop(noted.help(format!("did you mean `{near}`?"))),
            None => drop(noted.note("the base is relative to the experiment's folder")),
        }
        return (none, Report::default());
    }
    match Written::read(base, &[]) {
        Err(report) => (
            none,
            report.note_each("this recipe is the base of the experiment"),
        ),
        Ok(written) => {
            let strategy = written.keys().table("strategy");
            let word = |name: &str| {
                let value = strategy.value(name).optional();
                value
                    .and_then(|v| v.as_str().map(str::to_string))
                    .unwrap_or_default()
            };
            let own = strategy.names().into_iter().filter_map(|key| {
                let value = strategy.value(&key).optional()?;
                Some((format!("strategy.{key}"), strategy.at_key(&key), value))
            });
            let found = BaseStrategy {
                kind: word("kind"),
                method: word("method"),
                own: own.collect(),
                tuned: match written.keys().has("tune") {
                    true => written.keys().table("tune").free(),
                    false => Vec::new(),
                },
            };
            (found, Report::default())
        }
    }
}

/// `seeds = 5` or `seeds = [0, 1, 7]`.
fn seeds(keys: &Keys) -> Vec<u64> {
    const EXPECTED: &str = "a whole number from 1 to 100, or a list of seeds";
    let Some(value) = keys
        .value("seeds")
        .help("how many seeds, or which")
        .unset("5, from 0")
        .optional()
    else {
        return (0..5).collect();
    };
    if let Some(n) = value.as_i64().filter(|n| (1..=100).contains(n)) {
        return (0..n as u64).collect();
    }
    let listed: Option<Vec<u64>> = value.as_list().and_then(|items| {
        let seeds = items
            .iter()
            .map(|v| v.as_i64().and_then(|n| u64::try_from(n).ok()));
        seeds.collect()
    });
    match listed {
        Some(mut seeds) if !seeds.is_empty() && seeds.len() <= 100 => {
            let count = seeds.len();
            seeds.sort_unstable();
            seeds.dedup();
            if seeds.len() < count {
                value
                    .error("a seed is there twice")
                    .expected("seeds that differ");
            }
            seeds
        }
        _ => {
            value
                .error("`seeds` must be a number of seeds, or a list of them")
                .expected(EXPECTED);
            vec![0]
        }
    }
}

/// `vary."target.per_class" = [5, 20, 80]`.
fn axes(keys: &Keys) -> Vec<Axis> {
    let vary = keys.table("vary");
    vary.describe("keys of the recipe that differ from cell to cell, and their values");
    let mut axes = Vec::new();
    for key in vary.free() {
        let Some(value) = vary.value(&key).optional() else {
            continue;
        };
        if !is_key(&vary, &key, &value) {
            continue;
        }
        match value.as_list() {
            Some(values) if !values.is_empty() => {
                for (i, v) in values.iter().enumerate() {
                    if let Some(first) = values[..i].iter().find(|o| o.to_json() == v.to_json()) {
                        vary.conflict(
                            &[(v.at(), "here again"), (first.at(), "first here")],
                            format!("a value of `{key}` is there twice"),
                        );
                    }
                }
                axes.push(Axis {
                    at: vary.at_key(&key),
                    key,
                    values,
                });
            }
            _ => drop(
                value
                    .error(format!("`{key}` must be a list of values"))
                    .expected(match value.as_list() {
                        Some(_) => "at least one value, found an empty list".to_string(),
                        None => format!("a list, found {}", value.kind()),
                    }),
            ),
        }
    }
    axes
}

#[cfg(test)]
mod tests;
