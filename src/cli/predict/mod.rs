//! `tlkit predict`: labels and probabilities for rows that have none.

mod broken;
mod input;
mod write;

use std::path::Path;

use tlkit_core::run::{Saved, write_whole};
use tlkit_core::train::Silent;

use super::arguments::{Format, Predict};
use super::exit::Failure;
use super::spared::spare;
use super::{output, parts, which};
pub use broken::{explained, found, skips};
use input::Input;
pub use input::{column, open};
use write::{Target, Writer};

/// Loads the model, answers block after block, and keeps the order.
pub fn predict(arguments: &Predict) -> Result<(), Failure> {
    let read = || arguments.files.iter().map(String::as_str);
    for (flag, to) in [
        ("--out", &arguments.out),
        ("--features", &arguments.features),
    ] {
        if let Some(to) = to {
            spare(flag, to, read())?;
        }
    }
    if let (Some(out), Some(features)) = (&arguments.out, &arguments.features)
        && out == features
    {
        let both = "`--out` and `--features` name one file; give each its own";
        return Err(Failure::Wrong(both.into()));
    }
    let place = which::model(&arguments.run)?;
    let registry = parts::registry()?;
    let saved = Saved::open(&place.model, &registry).map_err(Failure::wrong)?;
    noted(saved.notes());
    if arguments.top == Some(0) {
        return Err(Failure::Wrong("`--top` is at least 1".into()));
    }
    let mut input = Input::open(arguments, &saved)?;
    if skips(place.run.as_deref()) {
        input = input.readable(&saved).map_err(Failure::wrong)?;
    }
    let mut writer = Writer::new(
        format(arguments),
        arguments.top,
        saved.classes.to_vec(),
        Target::open(arguments.out.as_deref())?,
    );
    let mut rows = 0;
    let mut features = Vec::new();
    let mut heard = true;
    while let Some(block) = input.next()? {
        let said = match arguments.features {
            Some(_) => saved.features(block.clone(), &Silent).map(|(of, said)| {
                features.extend(of);
                said
            }),
            None => saved.probabilities(block.clone(), &Silent),
        };
        let probabilities = said.map_err(|e| match input.all() {
            Some(all) => explained(e, all, &saved),
            None => e.into(),
        })?;
        rows += block.len();
        heard = heard && writer.block(block.as_ref(), &probabilities)?;
        if !heard && arguments.features.is_none() {
            // Nobody reads any more (`| head`): that is no error.
            return Ok(());
        }
    }
    if rows == 0 {
        return Err(Failure::Wrong(format!("{} has no rows", input.name())));
    }
    if let Some(to) = &arguments.features {
        write_whole(to, &write::npy(&features))?;
    }
    match heard {
        true => writer.finish(),
        false => Ok(()),
    }
}

/// What to know of a model's answers.
pub fn noted(notes: &[String]) {
    for note in notes {
        output::err(&format!("note: {note}\n"));
    }
}

/// As the flag says; else by the ending of `--out`; else a table for people and JSON Lines for programs.
fn format(arguments: &Predict) -> Format {
    let ends = |path: &Path, ending: &str| path.extension().is_some_and(|e| e == ending);
    match (&arguments.format, &arguments.out) {
        (Some(format), _) => *format,
        (None, Some(out)) if ends(out, "csv") => Format::Csv,
        (None, Some(out)) if ends(out, "txt") => Format::Table,
        (None, Some(_)) => Format::Jsonl,
        (None, None) if output::is_terminal() => Format::Table,
        (None, None) => Format::Jsonl,
    }
}
