//! `[select]`: which epoch is kept.

use crate::data::Reading;
use crate::recipe::Keys;
use crate::select::LabelFree;
use crate::strategy::{Needs, Selection};
use crate::task::TargetTask;

/// Reads the table.
pub(super) fn read(
    keys: &Keys,
    transductive: bool,
    needs: Option<&Needs>,
    target: Option<&dyn TargetTask>,
) -> Selection {
    keys.describe("which epoch is kept");
    match transductive {
        true => sealed(keys, needs, target),
        false => open(keys),
    }
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
    let (choice, why) = match closed {
        true => ("last", "closed form: there is nothing to choose between"),
        false => ("auto", "no label of the target is looked at"),
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
    let there = |split: &str| {
        let found = target.map(|t| t.domain(split, &Reading::new()).ok().flatten());
        found.is_none_or(|d| d.is_some())
    };
    match selection {
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
