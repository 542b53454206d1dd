//! `[select]`: which epoch is kept.

use crate::data::Reading;
use crate::recipe::Keys;
use crate::select::{LabelFree, MARGIN, MARGIN_ON};
use crate::strategy::{Needs, Selection};
use crate::task::TargetTask;

/// Reads the table: what decides, and whether the twin stands beside the adaptation. `finished`: the source is a run.
pub(super) fn read(
    keys: &Keys,
    transductive: bool,
    needs: Option<&Needs>,
    target: Option<&dyn TargetTask>,
    finished: bool,
) -> (Selection, Option<f64>) {
    keys.describe("which epoch is kept");
    if !transductive {
        let by = open(keys);
        // For the reference, which has the keys of both kinds.
        if keys.is_blank() {
            twin(keys, &Selection::LabelFree(LabelFree::Auto), None);
        }
        return (by, None);
    }
    let by = sealed(keys, needs, target);
    let none = match needs {
        Some(n) if !n.twin => Some("nothing is trained beside this method"),
        Some(_) if finished => {
            Some("a finished run is adapted as it is, nothing is trained beside")
        }
        _ => None,
    };
    let margin = twin(keys, &by, none);
    (by, margin)
}

/// Who waits for a better epoch, where nothing tells one epoch from another, is told so.
pub(super) fn waits(train: &Keys, by: &Selection, transductive: bool, target: &dyn TargetTask) {
    let none = || matches!(target.domain("validation", &Reading::new()), Ok(None));
    if *by == Selection::Last || !transductive && none() {
        train
            .warning(
                train.at("patience"),
                "nothing decides between epochs here, so training never stops early",
            )
            .help("name validation rows, or take it out");
    }
}

/// Whether the twin stands beside the adaptation, and what this must have over it. `none`: why there can be none.
fn twin(keys: &Keys, by: &Selection, none: Option<&str>) -> Option<f64> {
    let auto = *by == Selection::LabelFree(LabelFree::Auto);
    let why = match (none, auto) {
        (Some(none), _) => none,
        (None, true) => "what shows no better than no adaptation is not kept",
        (None, false) => "of `auto` alone",
    };
    let there = keys
        .bool("twin")
        .default(auto && none.is_none(), why)
        .varies("`true` with `by = \"auto\"`, where a method trains an adaptation")
        .help("transductive: a model that learns the source on and is not adapted is trained beside the adaptation, and kept where the adaptation shows no better")
        .read();
    if let (true, Some(none)) = (there, none) {
        keys.error(keys.at("twin"), none).help("take it out");
    } else if there && !matches!(by, Selection::LabelFree(_)) {
        keys.error(
            keys.at("twin"),
            "the twin is a candidate where a score without labels decides",
        )
        .help("take it out, or write `by = \"auto\"`");
    }
    if !there && !keys.is_blank() {
        keys.refuse("margin", "there is no twin to be better than")
            .help("take it out, or write `twin = true`");
        return None;
    }
    let margin = keys
        .f64("margin")
        .range(0.0..)
        .default(MARGIN, "ours")
        .tuned_on(MARGIN_ON)
        .help("what an adapted epoch's score must have over the twin's to be kept")
        .read();
    Some(margin)
}

fn open(keys: &Keys) -> Selection {
    let mut choices = vec!["validation", "last"];
    if keys.is_blank() {
        choices.extend(sealed_choices().filter(|c| *c != "last"));
    }
    let by = keys
        .string("by")
        .one_of(choices)
        .default(
            "validation",
            "the best on rows set aside; the last where there are none",
        )
        .varies("`validation`; of an adaptation `auto`, of a closed form `last`")
        .help("what decides which epoch is kept")
        .read();
    match by.as_str() {
        "validation" => Selection::Validation,
        _ => Selection::Last,
    }
}

fn sealed_choices() -> impl Iterator<Item = &'static str> {
    let scores = LabelFree::ALL.iter().map(|s| s.name());
    scores.chain(["last", "target-validation", "oracle"])
}

fn sealed(keys: &Keys, needs: Option<&Needs>, target: Option<&dyn TargetTask>) -> Selection {
    let closed = needs.is_some_and(|n| n.closed_form);
    let there = |split: &str| {
        let found = target.map(|t| t.domain(split, &Reading::new()).ok().flatten());
        found.is_none_or(|d| d.is_some())
    };
    let open = needs.is_some_and(|n| n.target_labels);
    let (choice, why) = match (closed, open) {
        (true, _) => ("last", "closed form: there is nothing to choose between"),
        (_, true) if target.is_some() && there("validation") => (
            "target-validation",
            "the target's labels are open to this method",
        ),
        (_, true) => (
            "last",
            "it learns from the target's labels, and none are left to choose by",
        ),
        _ => ("auto", "no label of the target is looked at"),
    };
    let by = keys
        .string("by")
        .one_of(sealed_choices())
        .default(choice, why)
        .help("what decides which epoch is kept")
        .read();
    let selection = match by.as_str() {
        "last" => Selection::Last,
        "oracle" => Selection::Oracle,
        "target-validation" => Selection::TargetValidation,
        name => LabelFree::named(name).map_or(Selection::Last, Selection::LabelFree),
    };
    if closed && selection != Selection::Last {
        keys.error(
            keys.at("by"),
            "a closed form has no epochs to choose between",
        )
        .help("leave `by` out");
    }
    match selection {
        Selection::LabelFree(_) if open => {
            keys.error(
                keys.at("by"),
                "a score without labels counts what this method rightly forgets: the source",
            )
            .help("leave `by` out, or write `by = \"last\"`; in an experiment `set = { \"select.by\" = \"last\" }` of the method");
        }
        Selection::LabelFree(one) if one.of_source() && !there("source") => {
            keys.error(
                keys.at("by"),
                format!(
                    "`{}` looks at labelled rows of the source, and there are none",
                    one.name()
                ),
            )
            .help("name them: `train = \"FILE\"` under [source]; or write `by = \"auto\"`");
        }
        Selection::LabelFree(one) if !closed && there("source") && !there("source-validation") => {
            let aside = "set some aside: `split = { validation = 0.1 }` under [source], or `validation = \"FILE\"`";
            if one.of_source() {
                keys.error(
                    keys.at("by"),
                    format!(
                        "`{}` looks at labelled rows of the source that are not learned from, and none are set aside",
                        one.name()
                    ),
                )
                .help(format!("{aside}; or write `by = \"auto\"`"));
            } else if one == LabelFree::Auto {
                keys.warning(
                    keys.at_key("by"),
                    "no labelled rows of the source are set aside, so that nobody sees whether an adaptation forgets the source",
                )
                .help(aside);
            }
        }
        Selection::TargetValidation if !there("validation") => {
            keys.error(
                keys.at("by"),
                "there are no labelled target rows to choose by",
            )
            .help("name them: `validation = \"FILE\"` under [target]");
        }
        Selection::Oracle if !there("test") => {
            keys.error(keys.at("by"), "there are no test rows to choose by")
                .help("name them: `test = \"FILE\"` under [target]");
        }
        _ => {}
    }
    selection
}
