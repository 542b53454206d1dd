//! `[evaluate]`: how the result is judged.

use std::sync::Arc;

use serde_json::json;

use crate::audit::Overlap;
use crate::baseline::Baseline;
use crate::data::{CUTS, Fold, Input};
use crate::metrics::{Judge, Measure};
use crate::recipe::Keys;
use crate::registry::Registry;

/// A cross-validation: how many folds, and the one that is asked for alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folds {
    /// How many.
    pub of: usize,
    /// Only this one, from 0: a part of a cross-validation.
    pub only: Option<usize>,
}

impl Folds {
    /// The fold that is the test of this very recipe.
    pub fn fold(self) -> Option<Fold> {
        let of = self.of;
        self.only.map(|index| Fold { index, of })
    }
}

/// What the table says besides folds.
pub(super) struct Evaluate {
    pub judge: Judge,
    pub baselines: Vec<(String, Arc<dyn Baseline>)>,
    pub metrics: Vec<Measure>,
}

/// Reads `folds` and `fold`, which change what the data is, and says what becomes of test rows that are given besides.
pub(super) fn folds(root: &Keys, transductive: bool) -> Option<Folds> {
    let evaluate = root.table("evaluate");
    evaluate.describe("how the result is judged");
    let of = evaluate
        .usize("folds")
        .range(2..=50)
        .help("cross-validation: the training rows in so many parts, each tested once by a run on the others")
        .unset("one run")
        .optional();
    let only = evaluate
        .usize("fold")
        .range(1..)
        .help("only this part of a cross-validation, from 1: what its sub-runs say")
        .unset("all of them")
        .optional();
    let Some(of) = of else {
        if only.is_some() {
            evaluate
                .error(evaluate.at("fold"), "`fold` without `folds`")
                .help("say of how many: `folds = 5`");
        }
        return None;
    };
    if only.is_some_and(|n| n > of) {
        evaluate
            .error(evaluate.at("fold"), format!("there are {of} folds"))
            .expected(format!("a number from 1 to {of}"));
        return None;
    }
    if transductive {
        evaluate
            .error(
                evaluate.at("folds"),
                "folds need labelled target rows, and those of a transductive recipe are sealed",
            )
            .help("leave out `folds`");
        return None;
    }
    let target = root.table("target");
    if target.has("test") {
        target
            .warning(
                target.at("test"),
                "these rows are neither learned from nor tested on",
            )
            .label("a cross-validation tests the training rows")
            .also(evaluate.at("folds"), "because of this")
            .help("leave out `folds` to test on them");
    }
    if root.has("tune") {
        evaluate
            .conflict(
                &[
                    (evaluate.at("folds"), "a run for each of these"),
                    (root.at_key("tune"), "for each point of this grid"),
                ],
                "`folds` and `[tune]` do not go together",
            )
            .help("tune first, then cross-validate the recipe in `tune/<n>/recipe.toml`");
        return None;
    }
    Some(Folds {
        of,
        only: only.map(|n| n - 1),
    })
}

/// Reads `overlap`, which changes what the training rows are.
pub(super) fn overlap(root: &Keys) -> Overlap {
    let overlap = root
        .table("evaluate")
        .string("overlap")
        .one_of(Overlap::NAMES)
        .default("drop", "a model is not judged on rows it has learned")
        .help("what becomes of training texts that also stand in the validation or test rows: left out of training, kept, or an error")
        .read();
    Overlap::named(&overlap).unwrap_or_default()
}

/// What a baseline needs of the rest of the recipe.
pub(super) struct Rows<'a> {
    /// An input of the labelled training rows, where there are any.
    pub first: Option<&'a Input<'a>>,
    /// Whether the inputs can be cut in several ways.
    pub cuts: bool,
    /// Why nothing can stand beside the result, where nothing can.
    pub none: Option<&'static str>,
    /// Whether classes are predicted.
    pub classes: bool,
    /// Metrics that the target task brings.
    pub own: Vec<Measure>,
}

/// Reads the rest.
pub(super) fn read(root: &Keys, registry: &Registry, rows: &Rows<'_>) -> Evaluate {
    let evaluate = root.table("evaluate");
    let level = evaluate
        .f64("level")
        .range((
            std::ops::Bound::Excluded(0.5),
            std::ops::Bound::Excluded(1.0),
        ))
        .default(0.95, "the usual one")
        .help("of every interval")
        .read();
    let crops = evaluate
        .usize("crops")
        .range(1..=CUTS)
        .check(|n| match *n {
            1 | CUTS => Ok(()),
            _ => Err(format!("1 or {CUTS}")),
        })
        .default(1usize, "the middle alone; ten cost ten times as much")
        .help("cuts of each image that a prediction is averaged over: 1, the middle, or 10, the corners too and all of them mirrored")
        .read();
    if crops > 1 && !rows.cuts {
        evaluate
            .error(
                evaluate.at("crops"),
                "nothing here is cut out of images: the inputs are none, or a closed form works on features",
            )
            .help("leave `crops` out");
    }
    let baselines = baselines(&evaluate, registry, rows);
    let metrics = super::metrics::read(&evaluate, registry, rows.classes, &rows.own);
    evaluate.reserved("worth", "verdicts come with `tlkit compare`");
    Evaluate {
        judge: Judge {
            level,
            crops,
            ..Judge::default()
        },
        baselines,
        metrics,
    }
}

fn baselines(
    evaluate: &Keys,
    registry: &Registry,
    rows: &Rows<'_>,
) -> Vec<(String, Arc<dyn Baseline>)> {
    let known = registry.baselines();
    let first = rows.first;
    let listed = || {
        let names: Vec<String> = known.iter().map(|(n, _)| format!("\"{n}\"")).collect();
        names.join(", ")
    };
    let written = evaluate
        .value("baselines")
        .help("what stands beside the result: a list of names, or false")
        .unset(match evaluate.is_blank() {
            true => "all that suit the inputs; none where the target's labels are sealed",
            false => "none: nothing here that could stand beside it",
        })
        .optional();
    let Some(value) = written else {
        let suiting = |(_, b): &&(String, Arc<dyn Baseline>)| first.is_some_and(|f| b.suits(f));
        let all: Vec<_> = known.iter().filter(suiting).cloned().collect();
        if !all.is_empty() {
            let names: Vec<&str> = all.iter().map(|(n, _)| n.as_str()).collect();
            evaluate.resolve("baselines", json!(names), "all that suit the inputs");
        }
        return all;
    };
    if value.as_bool() == Some(false) {
        return Vec::new();
    }
    let Some(items) = value.as_list() else {
        value
            .error("`baselines` must be a list of names, or false")
            .expected(format!("some of {}, in a list, or false", listed()));
        return Vec::new();
    };
    if let Some(why) = rows.none {
        value
            .error("nothing can stand beside this result")
            .label(why)
            .help("leave `baselines` out, or write `baselines = false`");
        return Vec::new();
    }
    let mut chosen: Vec<(String, Arc<dyn Baseline>)> = Vec::new();
    for item in items {
        let name = item.as_str().unwrap_or_default();
        match known.iter().find(|(n, _)| n == name) {
            None => {
                let noted = item
                    .error("this is no baseline")
                    .expected(format!("one of {}", listed()));
                let names = known.iter().map(|(n, _)| n.as_str());
                if let Some(near) = crate::recipe::nearest(name, names) {
                    noted.help(format!("did you mean `{near}`?"));
                }
            }
            Some((_, b)) if first.is_some_and(|f| !b.suits(f)) => {
                item.error(format!("`{name}` cannot look at these inputs"));
            }
            Some(_) if chosen.iter().any(|(n, _)| n == name) => {
                item.error(format!("`{name}` is there twice"));
            }
            Some(found) => chosen.push(found.clone()),
        }
    }
    chosen
}
