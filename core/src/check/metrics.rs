//! `evaluate.metrics`: what plugins measure besides.

use crate::metrics::{Measure, name_taken};
use crate::recipe::{Keys, Value, Written, nearest};
use crate::registry::Registry;

/// Reads the list: names, or tables with a name and the metric's own keys. `own` are those that the target task brings.
pub(crate) fn read(
    evaluate: &Keys,
    registry: &Registry,
    classes: bool,
    own: &[Measure],
) -> Vec<Measure> {
    let list = evaluate
        .values("metrics")
        .help("further metrics, which plugins bring: names, or `{ name = \"...\", key = 2 }` where one has keys")
        .unset("none")
        .optional();
    let Some(list) = list else { return Vec::new() };
    if !classes && !list.is_empty() {
        evaluate
            .error(
                evaluate.at("metrics"),
                "metrics are of classes, and this task predicts none",
            )
            .help("leave `metrics` out");
        return Vec::new();
    }
    let mut all: Vec<Measure> = Vec::new();
    for item in &list {
        let Some(measure) = one(item, registry) else {
            continue;
        };
        if own.iter().any(|m| m.name == measure.name) {
            item.error(format!(
                "the target task has a metric `{}` already",
                measure.name
            ))
            .help("leave it out here: results have the task's own");
            continue;
        }
        match name_taken(&measure.name, &all) {
            Some(why) => drop(item.error(why)),
            None => all.push(measure),
        }
    }
    all
}

fn one(item: &Value, registry: &Registry) -> Option<Measure> {
    let keys = item.as_keys();
    let name = match (&keys, item.as_str()) {
        (Some(keys), _) => keys.string("name").help("which metric").required(),
        (None, Some(name)) => name.to_string(),
        (None, None) => {
            item.error("a metric is a name, or a table with one")
                .expected("\"name\", or { name = \"...\" }");
            return None;
        }
    };
    let known = registry.metrics();
    let Some(make) = known.get(&name) else {
        if let Some(keys) = &keys {
            keys.excuse_unread();
        }
        let names: Vec<String> = known.keys().map(|n| format!("`{n}`")).collect();
        let noted = item.error(format!("there is no metric `{name}`"));
        match (
            nearest(&name, known.keys().map(String::as_str)),
            names.len(),
        ) {
            (Some(near), _) => noted.help(format!("did you mean `{near}`?")),
            (None, 0) => {
                noted.help("plugins bring metrics, and none is named by this recipe that does")
            }
            (None, _) => noted.help(format!("there are {}", names.join(", "))),
        };
        return None;
    };
    if let Some(why) = name_taken(&name, &[]) {
        if let Some(keys) = &keys {
            keys.excuse_unread();
        }
        item.error(why);
        return None;
    }
    let metric = match &keys {
        Some(keys) => make(keys),
        // Without keys of its own it has its defaults.
        None => {
            let none = serde_json::json!({ "metric": {} });
            let written = Written::of_values("metric", &none).ok()?;
            let made = make(&written.keys().table("metric"));
            let report = written.finish();
            if let Some(first) = report.diagnostics().first() {
                item.error(format!("`{name}`: {}", first.title()))
                    .help(format!("write {{ name = \"{name}\", ... }}"));
                return None;
            }
            made
        }
    };
    Some(Measure::new(&name, metric?))
}
