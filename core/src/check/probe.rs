//! `train.linear_probe`, where it means something.

use crate::recipe::Keys;
use crate::strategy::Needs;
use crate::task::{Scoring, SourceTask, TargetTask};

/// Notes why a run cannot begin with a probe.
pub(super) fn check(
    train: &Keys,
    method: &str,
    needs: &Needs,
    source: Option<&dyn SourceTask>,
    target: Option<&dyn TargetTask>,
) {
    let classes = target.is_none_or(|t| matches!(t.scoring(), Scoring::Classes(_)));
    let why = if needs.frozen || needs.closed_form {
        format!("`{method}` fits its head on features that stay, and nothing after it")
    } else if needs.scratch {
        format!("`{method}` has no features yet that a head could be fitted on")
    } else if source.is_some_and(|s| s.finished().is_some()) {
        "the source is a finished run, whose head knows its classes".to_string()
    } else if !classes {
        "a probe says classes, and this task has none".to_string()
    } else if target.is_some_and(|t| !t.plain_head()) {
        "a probe fits a plain classifier, and this head has dense layers".to_string()
    } else {
        return;
    };
    let at = train.at("linear_probe");
    train.error(at, why).help("leave `linear_probe` out");
}
