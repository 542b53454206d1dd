//! Keys of another choice than the recipe's: whoever writes one is told whose it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::optimizer::optimizer;
use crate::data::Resolve;
use crate::recipe::{Keys, Written};
use crate::registry::{Context, Registry};
use crate::strategy::Defaults;
use crate::train::OptimizerSpec;

/// Owners that are named.
const NAMED: usize = 3;

/// Keys of other methods.
pub(super) fn of_methods(
    strategy: &Keys,
    method: &str,
    registry: &Registry,
    resolve: &Arc<dyn Resolve>,
) {
    let cx = Context::new(registry, resolve, Path::new(""));
    let others = registry.strategies().iter().filter(|(n, _)| *n != method);
    let others = others.map(|(name, entry)| {
        let blank = Written::blank();
        let _ = (entry.make)(&blank.keys().table("strategy"), &cx);
        (name.to_string(), blank)
    });
    point(strategy, "strategy", "method", &["kind", "method"], others);
}

/// Keys of other kinds of target.
pub(super) fn of_tasks(target: &Keys, task: &str, registry: &Registry, resolve: &Arc<dyn Resolve>) {
    let cx = Context::new(registry, resolve, Path::new(""));
    let others = registry.targets().iter().filter(|(n, _)| *n != task);
    let others = others.map(|(name, make)| {
        let blank = Written::blank();
        let _ = make(&blank.keys().table("target"), &cx);
        (name.to_string(), blank)
    });
    point(target, "target", "task", &["task"], others);
}

/// Keys of other optimizers, and those of adaptations in a recipe that is none.
pub(super) fn of_training(train: &Keys, chosen: &str, transductive: bool) {
    let others = OptimizerSpec::NAMES.iter().filter(|n| **n != chosen);
    let others = others.map(|name| {
        let blank = Written::blank_with(&[("train", "optimizer", name)]);
        optimizer(&blank.keys().table("train"), &Defaults::plain());
        (name.to_string(), blank)
    });
    point(train, "train", "optimizer", &["optimizer"], others);
    if !transductive {
        train.elsewhere(
            "source_epochs",
            "it is a key of adaptations: `kind = \"transductive\"`",
        );
    }
}

/// Says of each key that is written here, and that others read, who they are.
fn point(
    keys: &Keys,
    table: &str,
    choice: &str,
    own: &[&str],
    others: impl Iterator<Item = (String, Written)>,
) {
    let mut written = keys.names();
    written.retain(|name| !own.contains(&name.as_str()));
    if written.is_empty() {
        return;
    }
    let mut owners: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (owner, blank) in others {
        let record = blank.record();
        for name in written.iter().filter(|name| record.reads(table, name)) {
            owners.entry(name).or_default().push(owner.clone());
        }
    }
    for (name, owners) in owners {
        let some = owners
            .iter()
            .take(NAMED)
            .map(|o| format!("`{choice} = {o:?}`"));
        let more = match owners.len() {
            0..=NAMED => "",
            _ => " and others",
        };
        let list = some.collect::<Vec<_>>().join(", ");
        keys.elsewhere(name, &format!("it is a key of {list}{more}"));
    }
}
