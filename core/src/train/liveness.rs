//! The gradient check. A model whose graph was cut still shows a falling loss: what remains connected keeps learning.
//! So the first step of every update asserts that each trainable tensor has a gradient and no frozen one has,
//! and after the warm-up each must have moved, but those that cannot.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;

use crate::nn::{Gradients, Param, Recording, Role};
use crate::strategy::Term;
use crate::{Error, Result};

/// At the first step: which trainable parameters have no gradient entry.
pub(crate) fn entries(update: &str, trainable: &[Param], grads: &Gradients) -> Result<()> {
    let there: BTreeSet<&str> = grads.names().map(String::as_str).collect();
    let dead: Vec<&str> = trainable
        .iter()
        .filter(|p| !there.contains(p.name()))
        .map(Param::name)
        .collect();
    let stray: Vec<&str> = there
        .iter()
        .copied()
        .filter(|n| !trainable.iter().any(|p| p.name() == *n))
        .collect();
    if !dead.is_empty() {
        let text = format!(
            "update `{update}`: {} of {} trainable tensors got no gradient at the first step, so they would never learn: {}",
            dead.len(),
            trainable.len(),
            some(&dead)
        );
        return Err(found(text, &dead));
    }
    if !stray.is_empty() {
        let text = format!(
            "update `{update}`: frozen tensors got a gradient: {}",
            some(&stray)
        );
        return Err(found(text, &stray));
    }
    Ok(())
}

/// Each term that says it reaches the model must have a gradient at some tap of it.
pub(crate) fn reaches(update: &str, terms: &[Term], recordings: &[Recording]) -> Result<()> {
    if recordings.iter().all(Recording::is_empty) {
        return Ok(());
    }
    for term in terms.iter().filter(|t| t.reaches_model) {
        let grads = term.value.backward()?;
        if !recordings.iter().any(|r| r.touched(&grads)) {
            let text = format!(
                "update `{update}`: the term `{}` has no gradient that reaches the model",
                term.name
            );
            return Err(found(text, &[]));
        }
    }
    Ok(())
}

/// The terms that have a gradient other than zero at some tap of the model. (A discriminator that ends in a softmax over one unit has a
/// gradient everywhere, and it is zero.)
pub(crate) fn alive<'t>(
    terms: impl Iterator<Item = &'t Term>,
    recordings: &[Recording],
) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for term in terms.filter(|t| t.reaches_model) {
        let grads = term.value.backward()?;
        for recording in recordings {
            if recording.moved_by(&grads)? {
                names.push(term.name.clone());
                break;
            }
        }
    }
    Ok(names)
}

/// An error for terms that have had no gradient but zero since the phase began.
pub(crate) fn none_dead(update: &str, dead: &[String], recordings: &[Recording]) -> Result<()> {
    if dead.is_empty() || recordings.iter().all(Recording::is_empty) {
        return Ok(());
    }
    let names: Vec<&str> = dead
        .iter()
        .map(|n| n.split_once('/').map_or(n.as_str(), |(_, name)| name))
        .collect();
    let text = format!(
        "update `{update}`: after the warm-up the gradient of {} is still zero everywhere in the model, so it does nothing",
        names.join(", ")
    );
    Err(found(text, &[]))
}

/// A fingerprint of each parameter's bits, to see what moved.
pub(crate) fn fingerprints(params: &[Param]) -> Result<BTreeMap<String, u64>> {
    params
        .iter()
        .map(|p| Ok((p.name().to_string(), fingerprint(&p.detached())?)))
        .collect()
}

/// The trainable parameters that still have the bits they started with, but for those that cannot move.
fn still<'p>(before: &BTreeMap<String, u64>, trainable: &'p [Param]) -> Result<Vec<&'p str>> {
    let mut still = Vec::new();
    for p in trainable {
        if p.role() != Role::InvariantBias
            && before.get(p.name()) == Some(&fingerprint(&p.detached())?)
        {
            still.push(p.name());
        }
    }
    Ok(still)
}

/// At the end of a training of so few steps that nothing need have settled: what has not moved, in words.
///
/// # Errors
/// Nothing has.
pub(crate) fn ended(
    before: &BTreeMap<String, u64>,
    trainable: &[Param],
    steps: u64,
) -> Result<Option<String>> {
    let still = still(before, trainable)?;
    let (some, all) = (still.len(), trainable.len());
    if still.is_empty() {
        return Ok(None);
    }
    let of = match steps {
        1 => "1 step".to_string(),
        n => format!("{n} steps"),
    };
    if some == all {
        let text = format!(
            "{of} changed nothing: every trainable tensor is what it was. Train longer, with a larger learning_rate or a smaller warmup"
        );
        return Err(found(text, &still));
    }
    let names = self::some(&still);
    Ok(Some(format!(
        "{of} {some} of {all} trainable tensors are what they were: {names}"
    )))
}

/// After the warm-up: which trainable parameters still have the bits they started with. One that has `learned`, whose gradients the optimizer
/// has seen, moves by less than its numbers can tell; this is said, not an error, as long as others move.
///
/// # Errors
/// A tensor has had no gradient but zero, or nothing has moved.
pub(crate) fn moved(
    before: &BTreeMap<String, u64>,
    trainable: &[Param],
    learned: impl Fn(&str) -> Result<bool>,
) -> Result<Option<String>> {
    let still = still(before, trainable)?;
    let mut dead = Vec::new();
    for name in &still {
        if !learned(name)? {
            dead.push(*name);
        }
    }
    let (some, all) = (still.len(), trainable.len());
    if !dead.is_empty() {
        let text = format!(
            "{} of {all} trainable tensors have not moved after the warm-up: {}",
            dead.len(),
            self::some(&dead)
        );
        return Err(found(text, &dead));
    }
    if still.is_empty() {
        return Ok(None);
    }
    let names = self::some(&still);
    let why = "their learning rate is so small that adding a step to them leaves their numbers as they are";
    if some == all {
        let text = format!("nothing has moved after the warm-up: {why}: {names}");
        return Err(found(text, &still));
    }
    Ok(Some(format!(
        "{some} of {all} trainable tensors are what they were after the warm-up, as if they were frozen: {why} (`learning_rate`, `layer_decay`): {names}"
    )))
}

/// FNV-1a over the values' bits.
pub(crate) fn fingerprint(t: &Tensor) -> Result<u64> {
    let values = t
        .flatten_all()?
        .to_dtype(candle_core::DType::F64)?
        .to_vec1::<f64>()?;
    Ok(values.iter().fold(0xcbf2_9ce4_8422_2325, |h, v| {
        (h ^ v.to_bits()).wrapping_mul(0x0100_0000_01b3)
    }))
}

fn found(text: String, tensors: &[&str]) -> Error {
    Error::Liveness {
        text,
        tensors: tensors.iter().map(|t| t.to_string()).collect(),
    }
}

fn some(names: &[&str]) -> String {
    let shown = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
    if names.len() > 8 {
        format!("{shown} and {} more", names.len() - 8)
    } else {
        shown
    }
}
