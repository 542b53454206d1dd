//! Test rows that a method has right and its reference of the same seed wrong, or the other way round.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use maud::{Markup, html};
use serde_json::Value;

use super::changes::Twins;
use super::read::Experiment;
use crate::number::thousands;
use crate::page::{image, pictures};

/// Rows that are shown of each direction.
const SHOWN: usize = 8;

/// A test row, and in how many seeds it turned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flip {
    pub pair: usize,
    pub row: usize,
    /// Right, and wrong with the reference.
    pub gained: usize,
    /// Wrong, and right with the reference.
    pub lost: usize,
}

/// Every row that turned in some seed, in the order of pairs and rows.
pub(super) fn flips(twins: &Twins<'_>) -> Vec<Flip> {
    let mut all = Vec::new();
    for (pair, seeds) in twins.pairs.iter().enumerate() {
        let n = seeds.iter().map(|t| t.arm.ids.len()).min().unwrap_or(0);
        for row in 0..n {
            let (mut gained, mut lost) = (0, 0);
            for twin in seeds {
                let label = twin.arm.labels[row];
                let is = twin.arm.predictions[row] == label;
                // By its own numbers of the classes: the other may know one more.
                let was = twin.reference.predictions[row] == twin.reference.labels[row];
                gained += usize::from(is && !was);
                lost += usize::from(was && !is);
            }
            if gained + lost > 0 {
                all.push(Flip {
                    pair,
                    row,
                    gained,
                    lost,
                });
            }
        }
    }
    all
}

/// Both directions: how many, and those that turned in most seeds. Of equals those with a picture come first.
pub(super) fn draw(
    e: &Experiment,
    twins: &Twins<'_>,
    all: &[Flip],
    [reference, arm]: [usize; 2],
) -> Markup {
    let shots = Shots::read(twins);
    let [was, is] = [reference, arm].map(|i| e.arm_words(i).replace('`', ""));
    html! {
        div.turned {
            @for (title, right, count) in [
                (format!("Wrong with {was}, right with {is}"), true, (|f: &Flip| f.gained) as fn(&Flip) -> usize),
                (format!("Right with {was}, wrong with {is}"), false, |f: &Flip| f.lost),
            ] {
                @let rows = most(twins, all, count, &shots);
                @let some = all.iter().filter(|f| count(f) > 0).count();
                div {
                    h3 { (title) }
                    p.small { (said(twins, all, count, some)) }
                    ol.errors {
                        @for f in &rows { (entry(e, twins, f, right, count, &shots)) }
                    }
                }
            }
        }
    }
}

/// `812 test rows in some seed, 530 of them in all 3`.
fn said(twins: &Twins<'_>, all: &[Flip], count: fn(&Flip) -> usize, some: usize) -> String {
    let seeds = |f: &Flip| twins.pairs[f.pair].len();
    let always = all.iter().filter(|f| count(f) == seeds(f)).count();
    let most = twins.pairs.iter().map(Vec::len).max().unwrap_or(0);
    let rows = match some {
        0 => return "None.".into(),
        1 => "1 test row".to_string(),
        n => format!("{} test rows", thousands(n as u64)),
    };
    match most {
        0 | 1 => format!("{rows}."),
        n => format!(
            "{rows} in some seed, {} of them in all {n}. Those that turned in most seeds:",
            thousands(always as u64)
        ),
    }
}

fn most<'a>(
    twins: &Twins<'_>,
    all: &'a [Flip],
    count: fn(&Flip) -> usize,
    shots: &Shots,
) -> Vec<&'a Flip> {
    let mut rows: Vec<&Flip> = all.iter().filter(|f| count(f) > 0).collect();
    let bare = |f: &Flip| {
        let id = &twins.pairs[f.pair][0].arm.ids[f.row];
        !shots.pictures[f.pair].contains_key(id)
    };
    rows.sort_by_key(|f| (std::cmp::Reverse(count(f)), bare(f), f.pair, f.row));
    rows.truncate(SHOWN);
    rows
}

fn entry(
    e: &Experiment,
    twins: &Twins<'_>,
    f: &Flip,
    right: bool,
    count: fn(&Flip) -> usize,
    shots: &Shots,
) -> Markup {
    let seeds = &twins.pairs[f.pair];
    // What was said by the first seed that it turned in, this way: in another it may have turned the other.
    let turned = seeds.iter().find(|t| Twins::turn(t, f.row) == Some(right));
    let Some(t) = turned else { return html! {} };
    let class = |c: u32| t.arm.classes[c as usize].as_str();
    let said = |c: u32| t.reference.classes[c as usize].as_str();
    let (label, id) = (t.arm.labels[f.row], &t.arm.ids[f.row]);
    html! {
        li {
            p.verdict {
                span.is { (class(label)) }
                span.faint { ", said " }
                span.said[right].is[!right] { (said(t.reference.predictions[f.row])) }
                span.faint { ", then " }
                span.is[right].said[!right] { (class(t.arm.predictions[f.row])) }
                span.id {
                    @if let (Some((source, target)), true) = (e.pairs.get(f.pair), e.pairs.len() > 1) { (source) " to " (target) ", " }
                    "row " (id)
                    @if seeds.len() > 1 { ", " (count(f)) " of " (seeds.len()) " seeds" }
                }
            }
            @if let Some(jpeg) = shots.pictures[f.pair].get(id) { (image(jpeg, class(label))) }
            @if let Some(text) = input(t.folders[1], t.arm.line(f.row)) { blockquote dir="auto" { (text) } }
        }
    }
}

impl Twins<'_> {
    /// Whether a row turned right or wrong in one seed.
    fn turn(t: &super::changes::Twin<'_>, row: usize) -> Option<bool> {
        let label = t.arm.labels[row];
        let is = t.arm.predictions[row] == label;
        let was = t.reference.predictions[row] == t.reference.labels[row];
        (is != was).then_some(is)
    }
}

/// What there is to see of the rows.
struct Shots {
    /// By pair, small copies by the rows' names, as JPEG in base64.
    pictures: Vec<BTreeMap<String, String>>,
}

impl Shots {
    fn read(twins: &Twins<'_>) -> Shots {
        let of = |pair: &Vec<super::changes::Twin<'_>>| {
            let folders = pair.iter().flat_map(|t| t.folders);
            folders
                .flat_map(pictures)
                .map(|(id, p)| (id, p.jpeg))
                .collect()
        };
        Shots {
            pictures: twins.pairs.iter().map(of).collect(),
        }
    }
}

/// The text of a row, as its run has it; numbers tell a person nothing.
fn input(run: &Path, line: usize) -> Option<String> {
    let text = fs::read_to_string(run.join("predictions.jsonl")).ok()?;
    let line: Value = serde_json::from_str(text.lines().nth(line)?).ok()?;
    let input = line["input"].as_str()?;
    let numbers = input
        .split([',', ' ', '\u{2026}'])
        .filter(|w| !w.is_empty())
        .all(|w| w.parse::<f64>().is_ok());
    (!numbers).then(|| input.to_string())
}
