//! `tlkit evaluate`: a finished run's model on other labelled rows.

use serde_json::json;
use tlkit_core::data::Named;
use tlkit_core::run::{Saved, trained_on};
use tlkit_core::train::Silent;
use tlkit_report::scores_table;

use super::arguments::Evaluate;
use super::exit::Failure;
use super::predict::{column, explained, noted, open, skips};
use super::{output, parts, predict, which};

/// Scores, and says which rows the run has learned from.
pub fn evaluate(arguments: &Evaluate) -> Result<(), Failure> {
    let place = which::model(&arguments.run)?;
    let registry = parts::registry()?;
    let saved = Saved::open(&place.model, &registry).map_err(Failure::wrong)?;
    noted(saved.notes());
    let (saved, notes) = saved.measured();
    noted(&notes);
    let named = Named {
        text: arguments.column.as_deref().map(column),
        pair: arguments.pair.as_deref().map(column),
        image: arguments.column.as_deref().map(column),
        label: arguments.label.as_deref().map(column),
    };
    let mut found = open(&arguments.data, &saved, &named, !arguments.no_header)?;
    if skips(place.run.as_deref()) {
        found = predict::found(found, &saved).map_err(Failure::wrong)?;
    }
    let rows = saved
        .labelled(&arguments.data, &found)
        .map_err(Failure::wrong)?;
    let scores = saved
        .scores(&rows, &Silent)
        .map_err(|e| explained(e, found.inputs.as_ref(), &saved))?;
    let scores = serde_json::to_value(&scores).map_err(|e| Failure::Failed(e.to_string()))?;
    let n = rows.len();
    let seen = match &place.run {
        Some(run) => trained_on(run, found.inputs.as_ref())?,
        None => None,
    };
    let note = match seen {
        None => Some("whether the run learned from these rows is not known here".to_string()),
        Some(0) => None,
        Some(1) => Some(format!(
            "1 of the {n} rows is among those that the run learned from"
        )),
        Some(k) => Some(format!(
            "{k} of the {n} rows are among those that the run learned from; such rows flatter a model"
        )),
    };
    if let Some(note) = &note {
        output::err(&format!("note: {note}\n"));
    }
    if arguments.json {
        let result = json!({
            "format": 1,
            "recipe": saved.recipe,
            "model": place.model.display().to_string(),
            "data": arguments.data,
            "rows": n,
            "learned_from": seen,
            "labels": *saved.classes,
            "metrics": scores,
        });
        output::out(&format!("{result:#}\n"));
        return Ok(());
    }
    let colour = output::colour_of_out();
    let title = format!("{} on {}", saved.recipe, arguments.data);
    output::out(&scores_table(&title, &scores, colour));
    Ok(())
}
