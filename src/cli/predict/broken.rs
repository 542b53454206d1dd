//! Images that cannot be read: left out where the run's recipe leaves such out, else named, all of them.

use std::path::Path;

use rayon::prelude::*;
use tlkit_core::data::{self, Form, FoundRows, Samples};
use tlkit_core::run::Saved;
use tlkit_core::{Error, Result};

use crate::cli::exit::Failure;
use crate::cli::output;

/// Images that are named; of more only the number is said.
const LISTED: usize = 20;

/// Whether the recipe of a run has `skip_broken = true`; a folder `model/` alone does not say.
pub fn skips(run: Option<&Path>) -> bool {
    let read = |run: &Path| {
        let text = std::fs::read_to_string(run.join("identity.json")).ok()?;
        let identity: serde_json::Value = serde_json::from_str(&text).ok()?;
        identity["values"]["target"]["skip_broken"].as_bool()
    };
    run.and_then(read).unwrap_or(false)
}

/// Rows that are no images, and why.
fn broken(inputs: &dyn Samples, saved: &Saved) -> Vec<(u32, String)> {
    let pictures = saved.registry().pictures();
    let (Form::Images, Some(pictures)) = (saved.rows.form, pictures) else {
        return Vec::new();
    };
    let wrong = |row: u32| {
        let place = inputs.place(row as usize);
        match inputs.input(row as usize) {
            Ok(data::Input::Image(bytes)) => {
                let why = pictures.look(&bytes).err()?;
                Some((row, format!("{place}: {why}")))
            }
            Ok(other) => Some((row, format!("{place}: {} is no image", other.kind()))),
            Err(e) => Some((row, e.to_string())),
        }
    };
    (0..inputs.len() as u32)
        .into_par_iter()
        .filter_map(wrong)
        .collect()
}

fn listed(broken: &[(u32, String)]) -> String {
    let mut text: String = broken
        .iter()
        .take(LISTED)
        .map(|(_, why)| format!("\n  {why}"))
        .collect();
    if broken.len() > LISTED {
        text.push_str(&format!("\n  and {} more", broken.len() - LISTED));
    }
    text
}

/// The error of a pass over images, with all that cannot be read, where that is what is wrong.
pub fn explained(e: Error, inputs: &dyn Samples, saved: &Saved) -> Failure {
    if matches!(e, Error::Stopped { .. } | Error::NonFinite(_)) {
        return e.into();
    }
    let broken = broken(inputs, saved);
    if broken.is_empty() {
        return e.into();
    }
    Failure::Wrong(format!(
        "{} of {} images cannot be read:{}\n  mend them or take them away; a model whose recipe has `skip_broken = true` leaves them out here too",
        broken.len(),
        inputs.len(),
        listed(&broken)
    ))
}

/// The rows that can be read, where some cannot; what is left out is said.
pub fn readable(inputs: &dyn Samples, saved: &Saved) -> Result<Option<Vec<u32>>> {
    let broken = broken(inputs, saved);
    if broken.is_empty() {
        return Ok(None);
    }
    if broken.len() == inputs.len() {
        return Err(Error::msg(format!(
            "none of {} images can be read:{}",
            broken.len(),
            listed(&broken)
        )));
    }
    output::err(&format!(
        "note: {} of {} images cannot be read and are left out, as `skip_broken` has it:{}\n",
        broken.len(),
        inputs.len(),
        listed(&broken)
    ));
    let out: Vec<u32> = broken.into_iter().map(|(row, _)| row).collect();
    let kept = (0..inputs.len() as u32).filter(|r| out.binary_search(r).is_err());
    Ok(Some(kept.collect()))
}

/// The same of rows with labels.
pub fn found(found: FoundRows, saved: &Saved) -> Result<FoundRows> {
    let Some(kept) = readable(found.inputs.as_ref(), saved)? else {
        return Ok(found);
    };
    Ok(FoundRows {
        rows: found.rows.pick(&kept),
        inputs: data::pick(found.inputs, kept),
        label: found.label,
        taken: found.taken,
    })
}
