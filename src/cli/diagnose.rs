//! `tlkit diagnose`: what is between a source and a target domain, before anything is trained.

use tlkit_core::diagnose::Diagnosis;
use tlkit_report::{Align, Table};

use super::arguments::{Diagnose, Spoken};
use super::exit::Failure;
use super::parts::{self, Fetch};
use super::progress::Progress;
use super::{output, recipe};

/// Looks at the domains and prints what was found.
pub fn diagnose(arguments: &Diagnose) -> Result<(), Failure> {
    let json = arguments.format == Spoken::Json;
    let fetch = if json { Fetch::Silently } else { Fetch::Aloud };
    let checked = recipe::read_aloud(&arguments.recipe, &arguments.overrides.sets, fetch)?.checked;
    let progress = Progress::new(json);
    let found = tlkit_core::diagnose::diagnose(&checked, &parts::registry()?, &progress);
    progress.finish();
    let found = found.map_err(Failure::wrong)?;
    match json {
        true => {
            let text = serde_json::to_string_pretty(&found).map_err(anyhow::Error::from)?;
            output::out(&(text + "\n"));
        }
        false => output::out(&text(&found)),
    }
    Ok(())
}

/// Columns of text before a line is broken.
const WIDE: usize = 100;

/// For a person.
fn text(d: &Diagnosis) -> String {
    let share = |v: f64| format!("{:.1} %", 100.0 * v);
    let mut lines = vec![format!(
        "{} -> {}: {} and {} rows of {} features, no label of the target looked at",
        d.source, d.target, d.source_rows, d.target_rows, d.width
    )];
    if let Some(key) = d.untrained {
        lines.push(format!(
            "note: nobody has trained this encoder (`source.{key}` draws its weights), so these are features of a random network"
        ));
    }
    lines.push(String::new());
    let (low, high) = d.separation.accuracy_interval;
    let p = match d.discrepancy.p {
        p if p <= 1.0 / d.discrepancy.permutations as f64 => {
            format!(
                "p = {p:.3}, the least there is of {} permutations",
                d.discrepancy.permutations
            )
        }
        p => format!("p = {p:.3} of {} permutations", d.discrepancy.permutations),
    };
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
    let rows = [
        (
            "classes told on the source",
            share(d.source_accuracy),
            format!("five-fold; always the largest class: {}", share(d.majority)),
        ),
        (
            "proxy A-distance",
            format!("{:.2}", d.separation.a_distance),
            format!(
                "of 2: the domain of {} of the rows is found ({} to {})",
                share(d.separation.accuracy),
                share(low),
                share(high)
            ),
        ),
        (
            "own neighbours",
            share(d.separation.neighbours),
            format!(
                "of the rows have their nearest other row in their own domain ({} to {}); alike: 50 %",
                share(d.separation.neighbours_interval.0),
                share(d.separation.neighbours_interval.1)
            ),
        ),
        ("MMD squared", format!("{:.4}", d.discrepancy.mmd2), p),
        (
            "label shift",
            share(d.labels.distance),
            format!(
                "of the rows would change class (estimated, p {}); {} of the answers not explained by it",
                match d.labels.p {
                    p if p < 0.001 => "< .001".to_string(),
                    p => format!("= {p:.3}"),
                },
                share(d.labels.unexplained)
            ),
        ),
        (
            "far rows",
            share(d.overlap.far),
            "of the target, beyond where 95 % of the source lies".to_string(),
        ),
    ];
    for (name, value, words) in rows {
        table.row([name.to_string(), value, words]);
    }
    lines.extend(table.lines(""));
    lines.push(String::new());
    let mut shares = Table::new(&[Align::Left, Align::Right, Align::Right]);
    shares.row(["class", "source", "target, estimated"]);
    for s in &d.labels.shares {
        shares.row([s.class.clone(), share(s.source), share(s.target)]);
    }
    lines.extend(shares.lines(""));
    lines.push(String::new());
    lines.push("what that suggests".to_string());
    for s in &d.suggestions {
        let names = s.methods.join(", ");
        let words = match names.is_empty() {
            true => s.words.clone(),
            false => format!("{names}: {}", s.words),
        };
        lines.extend(broken(&words, "- "));
    }
    lines.join("\n") + "\n"
}

/// A paragraph in lines.
fn broken(words: &str, first: &str) -> Vec<String> {
    let mut lines = vec![first.to_string()];
    for word in words.split(' ') {
        let last = lines.last_mut().expect("there is one from the start");
        if last.chars().count() + word.chars().count() > WIDE {
            lines.push(format!("  {word} "));
        } else {
            last.push_str(word);
            last.push(' ');
        }
    }
    lines.iter().map(|l| l.trim_end().to_string()).collect()
}
