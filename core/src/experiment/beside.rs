//! A second baseline: `adabn`, where the encoder has batch norm of its own.
//!
//! Li et al. 2018 change nothing but statistics: no gradient, no key, seconds. What an adaptation gains over `source-only` and not over `adabn` took no adaptation.

use std::sync::Arc;

use super::cells::{check, overlays};
use super::method::{Method, OF_THE_NETWORK};
use super::read::Design;
use crate::data::Resolve;
use crate::recipe::At;
use crate::registry::Registry;
use crate::run::SOURCE_ONLY;

/// The target's statistics in place of the source's.
const ADABN: &str = "adabn";

/// Adds it behind the `source-only` that has nothing of its own, where the experiment leaves room for baselines and does not have it among its methods already.
pub(super) fn adabn(design: &mut Design, at: &At, registry: &Registry, resolve: &Arc<dyn Resolve>) {
    let known = registry.strategies().contains_key(ADABN);
    let listed = design.methods.iter().any(|m| m.method == ADABN);
    let plain = |m: &Method| m.method == SOURCE_ONLY && m.own.is_empty();
    let Some(twin) = design.methods.iter().position(plain) else {
        return;
    };
    if !known || listed || !design.baselines || !norms(design, twin, registry, resolve) {
        return;
    }
    let taken = design.methods.iter().any(|m| m.name == ADABN);
    let name = match taken {
        true => format!("{ADABN} as baseline"),
        false => ADABN.to_string(),
    };
    // It stands behind its twin; the others move by one.
    for m in &mut design.methods {
        m.twin_of
            .iter_mut()
            .filter(|i| **i > twin)
            .for_each(|i| *i += 1);
    }
    design.methods[twin].twin_of.push(twin + 1);
    design.methods.insert(
        twin + 1,
        Method {
            name,
            method: ADABN.into(),
            own: Vec::new(),
            set: Vec::new(),
            at: at.clone(),
            added: true,
            twin_of: Vec::new(),
            shared: OF_THE_NETWORK,
        },
    );
}

/// Whether the cell of this method has an encoder with batch norm. What is wrong with it is said of every cell.
fn norms(design: &Design, method: usize, registry: &Registry, resolve: &Arc<dyn Resolve>) -> bool {
    let first = vec![0; design.axes.len()];
    let pair = (!design.pairs.is_empty()).then_some(0);
    let over = overlays(design, method, &first, pair, design.seeds[0]);
    check(&design.base, &over, registry, resolve).is_ok_and(|(c, _)| c.source.batch_norm())
}
