//! What only the network can say: whether it has the parts that the recipe names.

use super::Checked;
use crate::recipe::{At, Keys};
use crate::run;

/// The tables that an error may begin with the name of.
const TABLES: [&str; 4] = ["source", "target", "strategy", "train"];

/// Builds the network, lets the method arrange it and say its phases, and notes what it refuses at the key that it names. What is of no key
/// (a checkpoint that lacks tensors) is left to the run.
pub(super) fn check(root: &Keys, c: &Checked) {
    let Err(refused) = run::summary(c) else {
        return;
    };
    let text = refused.to_string();
    let Some((at, words)) = place(root, &text) else {
        return;
    };
    // What is wrong; and what there is, or what to do.
    match words.split_once("; ") {
        Some((title, help)) => root.error(at, title).help(help),
        None => root.error(at, words),
    };
}

/// `strategy.phases[2].freeze: words` as a place and the words; phases count from 1.
fn place<'t>(root: &Keys, text: &'t str) -> Option<(At, &'t str)> {
    let (key, words) = text.split_once(": ")?;
    let (table, key) = key.split_once('.')?;
    let table = root.table(TABLES.into_iter().find(|t| *t == table)?);
    let Some((list, rest)) = key.split_once('[') else {
        return Some((table.at(key), words));
    };
    let (number, key) = rest.split_once("].")?;
    let tables = table.tables(list);
    let one = tables.get(number.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some((one.at(key), words))
}
