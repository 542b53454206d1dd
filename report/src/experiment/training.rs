//! Curves of training: a line a method, the mean over its seeds, with a band from the lowest seed to the highest.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::groups::{Together, folded};
use super::read::Experiment;
use crate::plot::{Chart, Line, Look, sample};
use crate::record::{Phase, Record};

/// What may be drawn over the steps, in this order: a key of `metrics.jsonl`, a title, whether it is a share.
const CURVES: [(&str, &str, bool); 4] = [
    ("loss", "Training loss", false),
    ("validation_accuracy", "Accuracy on validation rows", true),
    (
        "source_accuracy",
        "Accuracy on validation rows of the source",
        true,
    ),
    (
        "discriminator_accuracy",
        "Accuracy of the domain discriminator",
        true,
    ),
];

/// All groups; nothing where no run has curves.
pub(super) fn draw(e: &Experiment) -> Option<Markup> {
    let pictures = folded(e, "curves", group)?;
    let seeds = e.arms.iter().flat_map(|a| &a.trials).map(Vec::len).max()?;
    Some(html! {
        p {
            @if seeds > 1 { "Lines are means over seeds, bands reach from the lowest seed to the highest. " }
            "Steps count over all phases of a run."
        }
        (pictures)
    })
}

/// One group's charts; lines that would look alike stand in charts of their own.
fn group(e: &Experiment, g: &Together) -> Option<Markup> {
    let runs: Vec<(&str, Vec<Record>)> = g
        .arms
        .iter()
        .map(|(arm, name)| {
            let records = e.finished(*arm, g.pair).map(|t| Record::read(&t.run.path));
            let records = records.map(without_twin);
            (
                name.as_str(),
                records.filter(|r| !r.is_empty()).collect::<Vec<_>>(),
            )
        })
        .filter(|(_, records)| !records.is_empty())
        .collect();
    let selected = selected(e, g);
    let score = format!("score_{selected}");
    let score_title = format!("Score of the selector ({selected})");
    let mut curves = CURVES.to_vec();
    if !selected.is_empty() && selected != "source-accuracy" {
        curves.insert(3, (&score, &score_title, false));
    }
    let parts: Vec<Markup> = runs
        .chunks(Look::EQUALS.len())
        .enumerate()
        .filter_map(|(part, runs)| charts(runs, &curves, &format!("training-{}-{part}", g.id)))
        .collect();
    (!parts.is_empty()).then(|| html! { @for part in &parts { (part) } })
}

/// What chose the epoch in this group, where it was one score. What keeps the last epoch (a ceiling) or came from elsewhere has none.
fn selected(e: &Experiment, g: &Together) -> String {
    let mut by: Vec<&str> = g
        .arms
        .iter()
        .flat_map(|(arm, _)| e.finished(*arm, g.pair))
        .filter(|t| t.run.result["imported"] != true)
        .filter_map(|t| t.run.result["selection"]["by"].as_str())
        .filter(|by| *by != "last")
        .collect();
    by.sort_unstable();
    by.dedup();
    match by.as_slice() {
        [one] => (*one).to_string(),
        _ => String::new(),
    }
}

fn charts(runs: &[(&str, Vec<Record>)], curves: &[(&str, &str, bool)], id: &str) -> Option<Markup> {
    let places = adaptation(runs);
    let drawn: Vec<Markup> = curves
        .iter()
        .filter_map(|(key, title, percent)| {
            let lines: Vec<Line> = runs
                .iter()
                .zip(Look::EQUALS)
                .filter_map(|((name, records), look)| line(name, look, records, key))
                .collect();
            let about: Vec<String> = lines.iter().filter_map(words).collect();
            Chart {
                title: (*title).to_string(),
                id: format!("{id}-{key}"),
                about: about.join(" "),
                x: "step".into(),
                lines,
                percent: *percent,
                places: places.clone(),
                height: 280.0,
                named_elsewhere: true,
                ..Chart::default()
            }
            .draw()
        })
        .collect();
    (!drawn.is_empty()).then(|| {
        html! {
            @if runs.len() > 1 {
                ul.legend {
                    @for ((name, _), look) in runs.iter().zip(Look::EQUALS) { li { (sample(look)) (name) } }
                }
            }
            div.charts { @for chart in &drawn { (chart) } }
        }
    })
}

/// The twin that a run trains beside its adaptation, from the same weights on, is another model: it is no part of the method's own line.
fn without_twin(mut record: Record) -> Record {
    let twin = |w: &[Phase]| w[0].name == "source-only" && w[1].name != "source-only";
    if let Some(i) = record.phases.windows(2).position(twin) {
        let steps = record.phases[i + 1].before - record.phases[i].before;
        record.phases.remove(i);
        record.phases[i..]
            .iter_mut()
            .for_each(|p| p.before -= steps);
    }
    record
}

/// Where the source phase ends, where it ends at one step in all runs that have one.
fn adaptation(runs: &[(&str, Vec<Record>)]) -> Vec<(f64, String)> {
    let phases = runs.iter().flat_map(|(_, r)| r).map(|r| &r.phases);
    let mut ends: Vec<u64> = phases
        .filter_map(|p| Some(p.get(1).filter(|_| p[0].name == "source")?.before))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    match ends.as_slice() {
        [step] => vec![(*step as f64, "adaptation".into())],
        _ => Vec::new(),
    }
}

/// The mean over seeds at each step that an epoch ended at.
fn line(name: &str, look: Look, records: &[Record], key: &str) -> Option<Line> {
    let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for phase in records.iter().flat_map(|r| &r.phases) {
        for (step, value) in of_phase(phase, key) {
            at.entry(phase.before + step as u64)
                .or_default()
                .push(value);
        }
    }
    if at.is_empty() {
        return None;
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let points = at.iter().map(|(x, v)| (*x as f64, mean(v))).collect();
    let several = at.values().any(|v| v.len() > 1);
    let ends = |(x, v): (&u64, &Vec<f64>)| {
        let low = v.iter().copied().fold(f64::INFINITY, f64::min);
        let high = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (*x as f64, low, high)
    };
    Some(Line {
        name: name.to_string(),
        look,
        points,
        band: match several {
            true => at.iter().map(ends).collect(),
            false => Vec::new(),
        },
    })
}

fn of_phase(phase: &Phase, key: &str) -> Vec<(f64, f64)> {
    match key {
        "loss" => loss(phase),
        key => phase.epochs(key),
    }
}

/// By epoch; where epochs tell only the terms, the mean over the steps of each that left a line.
fn loss(phase: &Phase) -> Vec<(f64, f64)> {
    let told = phase.epoch_loss();
    if !told.is_empty() {
        return told;
    }
    let steps = phase.steps("loss");
    let mut from = 0.0;
    let mut means = Vec::new();
    for end in phase.epochs.iter().filter_map(|l| l["step"].as_f64()) {
        let here = steps.iter().filter(|s| s.0 > from && s.0 <= end);
        let (sum, n) = here.fold((0.0, 0), |(sum, n), s| (sum + s.1, n + 1));
        if n > 0 {
            means.push((end, sum / f64::from(n)));
        }
        from = end;
    }
    means
}

/// `dann: 0.69 at step 10, 0.02 at step 380.`
fn words(line: &Line) -> Option<String> {
    use crate::number::short;
    let (first, last) = (line.points.first()?, line.points.last()?);
    Some(format!(
        "{}: {} at step {}, {} at step {}.",
        line.name,
        short(first.1),
        first.0,
        short(last.1),
        last.0
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twin_is_no_part_of_a_methods_line() {
        let record = |phases: &[(&str, u64)]| Record {
            phases: (phases.iter())
                .map(|(name, before)| Phase {
                    name: name.to_string(),
                    before: *before,
                    ..Phase::default()
                })
                .collect(),
        };
        let places = |phases: &[(&str, u64)]| -> Vec<(String, u64)> {
            let own = without_twin(record(phases)).phases.into_iter();
            own.map(|p| (p.name, p.before)).collect()
        };
        let adapted = places(&[("source", 0), ("source-only", 60), ("dann", 96)]);
        assert_eq!(adapted, [("source".into(), 0), ("dann".into(), 60)]);
        let alone = places(&[("source", 0), ("source-only", 60)]);
        assert_eq!(alone, [("source".into(), 0), ("source-only".into(), 60)]);
    }
}
