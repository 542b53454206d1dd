//! `[tune]`: a grid over keys of the recipe. Each point is checked as a recipe is; its errors point into the grid.

use std::collections::BTreeSet;

use crate::recipe::{At, Keys, Report, Value, Written};

/// One point of the grid: the recipe with these values in place of its own, and without the grid.
#[derive(Clone)]
pub struct Point {
    /// Dotted key and value.
    pub values: Vec<(String, serde_json::Value)>,
    /// The recipe.
    pub written: Written,
}

/// The most points of a grid: chosen among more, the best is mostly luck.
pub const MOST: usize = 50;

/// Keys that a grid has no business with.
const REFUSED: [(&str, &str); 3] = [
    ("train.seed", "a seed that is chosen is luck that is kept"),
    ("evaluate", "how a result is judged is not tuned"),
    ("tune", "a grid has no grid"),
];

/// Keys of `[source]` and `[target]` that decide which rows are looked at, or what is an answer: points could not be compared.
const OF_ROWS: [&str; 10] = [
    "train",
    "unlabelled",
    "validation",
    "test",
    "split",
    "limit",
    "per_class",
    "skip_broken",
    "label",
    "header",
];

/// Why a key cannot be tuned, where it cannot.
fn refused(name: &str) -> Option<&'static str> {
    let within = |k: &str| name == k || name.strip_prefix(k).is_some_and(|r| r.starts_with('.'));
    if let Some((_, why)) = REFUSED.iter().find(|(k, _)| within(k)) {
        return Some(why);
    }
    let of_rows = |table: &str| OF_ROWS.iter().any(|key| within(&format!("{table}.{key}")));
    (of_rows("source") || of_rows("target")).then_some("points are compared on the same rows")
}

type Axis = (String, At, Vec<Value>);

/// Reads the table; `None` where it is not written, or an error was noted.
pub(super) fn read(root: &Keys) -> Option<Vec<Axis>> {
    let tune = root.optional_table(
        "tune",
        "a grid over keys of the recipe: every combination is tried, the best on validation rows is the run",
    )?;
    let mut axes = Vec::new();
    let mut wrong = false;
    for name in tune.free() {
        let at = tune.at_key(&name);
        let Some(value) = tune
            .value(&name)
            .help("the values to try: a list")
            .optional()
        else {
            continue;
        };
        if let Some(why) = refused(&name) {
            tune.error(at, format!("`{name}` cannot be tuned"))
                .label(why);
            wrong = true;
            continue;
        }
        match value.as_list() {
            Some(list) if !list.is_empty() => {
                let json: Vec<_> = list.iter().map(Value::to_json).collect();
                let twice = (1..json.len()).find(|&i| json[..i].contains(&json[i]));
                if let Some(i) = twice {
                    list[i].error("this value is there twice").help(
                        "a point that is tried twice is no second candidate; leave it out once",
                    );
                    wrong = true;
                }
                axes.push((name, at, list));
            }
            Some(_) => {
                value
                    .error("an empty list of values")
                    .expected("at least one value");
                wrong = true;
            }
            None if value.kind() == "a table" => {
                tune.error(at, format!("`{name}` must be a list of values"))
                    .label("found a table")
                    .help("a key of the recipe stands in quotes here: `\"train.learning_rate\" = [1e-5, 5e-5]`");
                wrong = true;
            }
            None => {
                value
                    .error(format!("`{name}` must be a list of values"))
                    .help("one value belongs to its own table, not to the grid");
                wrong = true;
            }
        }
    }
    if tune.is_blank() || wrong {
        return None;
    }
    if axes.is_empty() {
        tune.error(tune.here(), "a grid without keys")
            .help("write `\"train.learning_rate\" = [1e-5, 5e-5]`, or leave `[tune]` out");
        return None;
    }
    let points = axes
        .iter()
        .fold(1usize, |n, (.., v)| n.saturating_mul(v.len()));
    if points > MOST {
        let product: Vec<String> = axes.iter().map(|(.., v)| v.len().to_string()).collect();
        tune.error(tune.here(), format!("the grid has {points} points"))
            .label(product.join(" x "))
            .help(format!(
                "at most {MOST}: chosen among more, the best is mostly luck"
            ));
        return None;
    }
    Some(axes)
}

/// The points, the last key the fastest, and every error that they have: each once.
pub(super) fn points(
    written: &Written,
    axes: &[Axis],
    mut check: impl FnMut(&Written) -> Report,
) -> Result<Vec<Point>, Report> {
    let mut points: Vec<Point> = Vec::new();
    let mut wrong = Vec::new();
    let mut said = BTreeSet::new();
    let total: usize = axes.iter().map(|(.., v)| v.len()).product();
    for n in 0..total {
        let mut rest = n;
        let mut chosen = Vec::new();
        for (name, at, values) in axes.iter().rev() {
            let value = values[rest % values.len()].clone();
            rest /= values.len();
            chosen.push((name.clone(), at.clone(), value));
        }
        chosen.reverse();
        let report = match written.at_point("tune", &chosen) {
            Ok(point) => {
                let report = check(&point);
                points.push(Point {
                    values: chosen
                        .into_iter()
                        .map(|(k, _, v)| (k, v.to_json()))
                        .collect(),
                    written: point,
                });
                report
            }
            Err(report) => report,
        };
        for d in report.diagnostics() {
            let error = d.severity() == crate::recipe::Severity::Error;
            let one = Report::new(vec![d.clone()]);
            if error && said.insert(one.to_string()) {
                wrong.push(d.clone());
            }
        }
    }
    if wrong.is_empty() {
        Ok(points)
    } else {
        Err(Report::new(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn no_key_that_decides_which_rows_there_are_is_tuned() {
        for key in [
            "target.train",
            "target.split.seed",
            "target.skip_broken",
            "target.unlabelled",
            "source.train",
            "source.validation",
            "source.split",
            "source.split.seed",
            "source.limit",
            "source.per_class",
        ] {
            assert_eq!(
                refused(key),
                Some("points are compared on the same rows"),
                "{key}"
            );
        }
        for key in [
            "train.learning_rate",
            "source.checkpoint",
            "target.label_smoothing",
            "target.pooling",
        ] {
            assert_eq!(refused(key), None, "{key}");
        }
    }
}
