//! The words beneath a table: what the numbers do not say by themselves.

use super::compare::{Comparison, PairCell, Row};
use super::read::Experiment;
use crate::statistics::{BOOTSTRAP_SEEDS, LEAST_SEEDS, Verdict, WILCOXON_PAIRS, independent};

/// All of them, a sentence each.
pub(super) fn notes(e: &Experiment, c: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    unfinished(e, c, &mut notes);
    let arms: Vec<(usize, &Row)> = c
        .rows
        .iter()
        .enumerate()
        .filter(|(_, r)| !r.baseline)
        .collect();
    let differences: Vec<_> = arms
        .iter()
        .filter_map(|(_, r)| r.difference.as_ref())
        .collect();
    let least: Vec<f64> = differences.iter().filter_map(|d| d.least).collect();
    if let (Some(low), Some(high)) = (
        least.iter().copied().reduce(f64::min),
        least.iter().copied().reduce(f64::max),
    ) {
        let range = match points(high) == points(low) {
            true => points(high),
            false => format!("{} to {}", points(low), points(high)),
        };
        notes.push(format!(
            "The least difference that this design sees in four of five cases: {range} points."
        ));
    }
    let trials = || e.arms.iter().flat_map(|a| &a.trials).flatten();
    let folds = trials().any(|t| t.cross_validated());
    if differences.iter().any(|d| d.of_models) {
        notes.push(
            "One run each says which of these models to keep, and nothing of the methods: that takes 3 seeds.".into(),
        );
    } else if folds {
        // The reasons say what decides there.
    } else if !e.metric.is_mean() && c.seeds < BOOTSTRAP_SEEDS {
        notes.push(format!(
            "{} is no mean over rows: its intervals come from drawing seeds and rows again, which takes {BOOTSTRAP_SEEDS} seeds.",
            e.metric.words()
        ));
    } else if (2..LEAST_SEEDS).contains(&c.seeds) && arms.iter().any(|(_, r)| !r.deterministic) {
        notes.push(format!(
            "{} seeds say nothing of a method: that takes {LEAST_SEEDS}.",
            c.seeds
        ));
    }
    let still: Vec<String> = arms
        .iter()
        .filter(|(_, r)| r.deterministic)
        .map(|(_, r)| r.method.clone())
        .collect();
    if !still.is_empty() {
        notes.push(format!(
            "Deterministic, all seeds say the same: {}.",
            names(still)
        ));
    }
    notes.extend(e.seed_notes());
    let blank = |(_, r): &&(usize, &Row)| r.mean.is_some() && r.interval.is_none();
    let blank: Vec<usize> = arms
        .iter()
        .filter(blank)
        .filter(|(_, r)| r.by_seed.len() >= BOOTSTRAP_SEEDS)
        .map(|(i, _)| *i)
        .collect();
    notes.extend(e.reasons(&blank));
    let baselines = c.rows.iter().filter(|r| r.baseline);
    let mixed = baselines.filter(|r| !r.deterministic);
    let mixed: Vec<String> = mixed.map(|r| r.method.clone()).collect();
    if !mixed.is_empty() {
        notes.push(format!(
            "A mean over runs whose training rows differ: {}.",
            names(mixed)
        ));
    }
    for (i, row) in &arms {
        let Some(d) = row.difference.as_ref() else {
            continue;
        };
        if d.verdict == Some(Verdict::Undecided)
            && let Some(reference) = e.arms[*i].reference
        {
            let (one, other) = (e.arm_words(*i), e.arm_words(reference));
            let mut text = match d.apart {
                true => {
                    format!("{one} is above {other}, but not surely by what is worth having")
                }
                false => format!("{one} and {other} are not distinguishable"),
            };
            if let Some(settle) = &d.settle {
                text.push_str(&format!("; {settle}"));
            }
            notes.push(text + ".");
        }
    }
    pairs(e, c, &mut notes);
    selection(&arms, &mut notes);
    kept(e, &arms, &mut notes);
    let keys: Vec<String> = e
        .arms
        .iter()
        .filter(|a| !a.keys.is_empty())
        .map(|a| {
            let keys: Vec<String> = a.keys.iter().map(|(k, v)| format!("{k} = {v}")).collect();
            format!("`{}` has {}.", a.method, keys.join(", "))
        })
        .collect();
    for key in keys {
        if !notes.contains(&key) {
            notes.push(key);
        }
    }
    notes
}

/// What is missing or failed: a mean over the survivors would be a mean over the lucky.
fn unfinished(e: &Experiment, c: &Comparison, notes: &mut Vec<String>) {
    for (i, row) in c.rows.iter().enumerate().filter(|(_, r)| !r.baseline) {
        if row.failed > 0 {
            notes.push(format!(
                "{} failed in {} of {} runs, so nothing is said of it.",
                e.arm_words(i),
                row.failed,
                row.runs
            ));
        }
    }
    let missing: usize = c
        .rows
        .iter()
        .map(|r| r.runs.saturating_sub(r.done + r.failed))
        .sum();
    if missing > 0 {
        let runs = match missing {
            1 => "1 run is".to_string(),
            n => format!("{n} runs are"),
        };
        notes.push(format!(
            "{runs} not there yet; a row is said nothing of before all its runs are."
        ));
    }
}

fn pairs(e: &Experiment, c: &Comparison, notes: &mut Vec<String>) {
    if c.pairs.len() < 2 {
        return;
    }
    let mut domains: Vec<&str> = c
        .pairs
        .iter()
        .flat_map(|(a, b)| [a.as_str(), b.as_str()])
        .collect();
    domains.sort_unstable();
    domains.dedup();
    let (count, of) = (c.pairs.len(), domains.len());
    if !independent(&c.pairs) {
        notes.push(format!(
            "The differences speak of these pairs. {count} pairs of {of} domains are not {count} independent samples, so of new \
             domains there is no test, and no ranks: only wins, ties and losses, and their range."
        ));
    } else if count < WILCOXON_PAIRS {
        notes.push(format!(
            "The differences speak of these pairs. Of new domains there is a test, and there are ranks, from {WILCOXON_PAIRS} pairs that share no domain; these are {count}."
        ));
    } else {
        for group in c.ranks() {
            let at = match group[0].0.values.as_slice() {
                [] => String::new(),
                values => format!(" at {}", values.join(", ")),
            };
            let each = group
                .iter()
                .map(|(r, rank)| format!("`{}` {rank:.1}", r.method));
            notes.push(format!(
                "Mean ranks over the pairs{at}, 1 is best: {}.",
                each.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    if c.rows.iter().any(|r| r.tally.is_some()) {
        notes.push(
            "A pair counts as won or lost (w, l) where it is told from 0 after correction over all pairs and methods; a tie (t) is not distinguishable."
                .into(),
        );
    }
    for (i, row) in c.rows.iter().enumerate().filter(|(_, r)| !r.baseline) {
        // A range over the pairs that came through would be one over the lucky.
        let of = |p: &PairCell| p.difference.as_ref().map(|d| d.mean);
        let means: Option<Vec<f64>> = row.pairs.iter().map(of).collect();
        let means = means.unwrap_or_default();
        let (Some(low), Some(high)) = (
            means.iter().copied().reduce(f64::min),
            means.iter().copied().reduce(f64::max),
        ) else {
            continue;
        };
        let mut text = format!(
            "{}: from {} to {} points over the pairs",
            e.arm_words(i),
            signed(low),
            signed(high)
        );
        let adapts = row.difference.as_ref().is_some_and(|d| d.adapts);
        if let Some([_, _, losses]) = row.tally.filter(|_| adapts) {
            let worse =
                (row.difference.as_ref()).is_some_and(|d| d.verdict == Some(Verdict::Worse));
            text.push_str(&match losses {
                0 if worse => ", in no single pair told from 0".to_string(),
                0 => ", no negative transfer shown".to_string(),
                1 => ", negative transfer in 1 pair".to_string(),
                n => format!(", negative transfer in {n} pairs"),
            });
        }
        if let Some(p) = c.new_domains(row) {
            text.push_str(&format!(
                "; on new domains (Wilcoxon, by Holm) p = {}",
                p_value(p)
            ));
        }
        notes.push(text + ".");
    }
}

/// How epochs were chosen: once for all, or row by row where it differs; and the marks.
fn selection(arms: &[(usize, &Row)], notes: &mut Vec<String>) {
    let mut selectors: Vec<&str> = arms
        .iter()
        .map(|(_, r)| r.selector.as_str())
        .filter(|s| !s.is_empty())
        .collect();
    selectors.dedup();
    let free = |by: &str| {
        let mut of = arms.iter().filter(|(_, r)| r.selector == by);
        of.any(|(_, r)| r.selector_kind == "label-free")
    };
    let words = |s: &str| match s {
        "last" => "the last epoch".to_string(),
        s if free(s) => format!("the best epoch by {s}, without labels of the target"),
        s => format!("the best epoch by {s}"),
    };
    match selectors.as_slice() {
        [] => {}
        [one] => notes.push(format!("Kept: {}.", words(one))),
        _ => {
            selectors.sort_unstable();
            selectors.dedup();
            let list: Vec<String> = selectors
                .iter()
                .map(|s| {
                    let rows = arms.iter().filter(|(_, r)| r.selector == *s);
                    format!(
                        "{} ({})",
                        words(s),
                        names(rows.map(|(_, r)| r.method.clone()).collect())
                    )
                })
                .collect();
            notes.push(format!("Kept: {}.", list.join("; ")));
        }
    }
    let mut marks: Vec<&str> = arms
        .iter()
        .flat_map(|(_, r)| r.marks.iter().map(String::as_str))
        .collect();
    marks.sort_unstable();
    marks.dedup();
    for mark in marks {
        let rows = arms
            .iter()
            .filter(|(_, r)| r.marks.iter().any(|m| m == mark));
        let rows: Vec<&(usize, &Row)> = rows.collect();
        let who = |of: &dyn Fn(&Row) -> bool| {
            let of = rows.iter().filter(|(_, r)| of(r));
            names(of.map(|(_, r)| r.method.clone()).collect())
        };
        if mark == "oracle" {
            let learned = |r: &Row| !r.selector.contains("oracle");
            for (had, who) in [
                ("the epoch was chosen with", who(&|r| !learned(r))),
                ("it learned from", who(&learned)),
            ] {
                if !who.is_empty() {
                    notes.push(format!("Oracle, {had} target labels: {who}."));
                }
            }
            continue;
        }
        let who = who(&|_| true);
        notes.push(match mark {
            "tested on the rows adapted on" => {
                format!("Tested on the rows that were adapted on: {who}.")
            }
            "imported" => format!("Made elsewhere and imported: {who}."),
            other => match other.split_once(" on ") {
                Some(("defaults chosen", set)) => format!(
                    "Tested on rows of {set}, by the names of the files, on which defaults of theirs were chosen: {who}."
                ),
                Some(("selection tuned", set)) => format!(
                    "Tested on rows of {set}, by the names of the files, on which `select.margin` was chosen: {who}."
                ),
                _ => format!("{other}: {who}."),
            },
        });
    }
}

/// Rows that are in part those of the source alone, or of an adaptation that did not come to its end.
fn kept(e: &Experiment, arms: &[(usize, &Row)], notes: &mut Vec<String>) {
    let list = |count: fn(&Row) -> usize| {
        let some = arms.iter().filter(|(_, r)| count(r) > 0);
        let one = |(i, r): &(usize, &Row)| {
            format!("{} in {} of {} runs", e.arm_words(*i), count(r), r.done)
        };
        some.map(one).collect::<Vec<_>>().join(", ")
    };
    let given_up = list(|r| r.given_up);
    if !given_up.is_empty() {
        notes.push(format!(
            "Given up, the model of the source alone is kept: {given_up}."
        ));
    }
    let diverged = list(|r| r.diverged);
    if !diverged.is_empty() {
        notes.push(format!(
            "Diverged, what is kept is of the epochs before: {diverged}."
        ));
    }
}

pub(super) fn names(mut all: Vec<String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    all.retain(|n| {
        let new = !seen.contains(n);
        seen.push(n.clone());
        new
    });
    let quoted: Vec<String> = all.iter().map(|n| format!("`{n}`")).collect();
    quoted.join(", ")
}

/// Shares of 1 as points: `1.3`.
pub(super) fn points(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// The same with its sign.
pub(super) fn signed(share: f64) -> String {
    let text = format!("{:+.1}", 100.0 * share);
    if text == "-0.0" { "+0.0".into() } else { text }
}

/// A p-value in three characters that count.
pub(super) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< .001".to_string(),
        p => format!("{p:.3}"),
    }
}
