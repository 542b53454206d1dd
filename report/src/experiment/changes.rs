//! What a method changed against its reference, seed by seed with the run of the same seed: which classes, and which rows.

use maud::{Markup, html};

use super::flips::{Flip, flips};
use super::read::Experiment;
use super::rows::Rows;
use crate::number::thousands;
use crate::page::scroll;

/// Arms beyond these are not drawn.
const ARMS: usize = 24;
/// Up to so many classes stand in a table with a number in each cell; more are drawn as a picture.
const TABLE: usize = 12;

/// An arm beside its reference, run by run.
pub(super) struct Twins<'a> {
    /// By pair of domains, the two runs of each seed that both have.
    pub pairs: Vec<Vec<Twin<'a>>>,
}

/// Two runs of one seed.
pub(super) struct Twin<'a> {
    pub reference: &'a Rows,
    pub arm: &'a Rows,
    /// Their folders.
    pub folders: [&'a std::path::Path; 2],
}

impl<'a> Twins<'a> {
    /// Of an arm; none where it has no reference, or a run of either is missing.
    fn of(e: &'a Experiment, arm: usize) -> Option<Twins<'a>> {
        let other = e.arms[arm].reference?;
        let pairs = (0..e.pairs.len().max(1)).map(|pair| {
            let (a, b) = (&e.arms[arm].trials[pair], &e.arms[other].trials[pair]);
            let twins = a.iter().filter_map(|t| {
                let twin = b.iter().find(|o| o.seed == t.seed)?;
                Some(Twin {
                    reference: twin.rows.as_ref()?,
                    arm: t.rows.as_ref()?,
                    folders: [&twin.run.path, &t.run.path],
                })
            });
            let twins: Vec<Twin<'a>> = twins.collect();
            (!twins.is_empty()).then_some(twins)
        });
        Some(Twins {
            pairs: pairs.collect::<Option<_>>()?,
        })
    }

    /// Both of every seed and pair.
    fn all(&self) -> impl Iterator<Item = &Twin<'a>> {
        self.pairs.iter().flatten()
    }
}

/// A fold for each arm that has a reference, the first one open.
pub(super) fn draw(e: &Experiment) -> Option<Markup> {
    let parts: Vec<(String, Markup)> = (0..e.arms.len())
        .filter_map(|arm| {
            let twins = Twins::of(e, arm)?;
            let reference = e.arms[arm].reference?;
            let found = flips(&twins);
            let title = title(e, arm, reference, &twins, &found);
            let body = html! {
                @if let Some(table) = confusion(&twins) { (table) }
                (super::flips::draw(e, &twins, &found, [reference, arm]))
            };
            Some((title, body))
        })
        .take(ARMS)
        .collect();
    if parts.is_empty() {
        return None;
    }
    Some(html! {
        p { "Each run beside the reference's run of the same seed, on the same test rows." }
        @for (i, (title, body)) in parts.iter().enumerate() {
            details open[i == 0] { summary { (title) } (body) }
        }
    })
}

/// `dann: of 6,000 predictions 2,150 right that were wrong with source-only, 60 wrong that were right`.
fn title(e: &Experiment, arm: usize, other: usize, twins: &Twins<'_>, found: &[Flip]) -> String {
    let sum = |of: fn(&Flip) -> usize| thousands(found.iter().map(of).sum::<usize>() as u64);
    let all: usize = twins.all().map(|t| t.arm.ids.len()).sum();
    format!(
        "{}: of {} predictions {} are right that were wrong with {}, {} wrong that were right",
        e.arm_words(arm).replace('`', ""),
        thousands(all as u64),
        sum(|f| f.gained),
        e.arm_words(other).replace('`', ""),
        sum(|f| f.lost),
    )
}

/// By true and predicted class, how many more of the class's rows the arm puts there than the reference: a share of the class's rows.
fn difference(twins: &Twins<'_>) -> Option<(Vec<String>, Vec<Vec<f64>>)> {
    let first = twins.all().next()?;
    let classes = first.arm.classes.clone();
    let k = classes.len();
    let mut cells = vec![vec![0.0; k]; k];
    let mut rows = vec![0.0; k];
    for twin in twins.all() {
        let same = [twin.arm, twin.reference]
            .iter()
            .all(|r| r.classes == classes);
        // Pairs of other classes have no confusion in common.
        if !same {
            return None;
        }
        for (i, &label) in twin.arm.labels.iter().enumerate() {
            let label = label as usize;
            rows[label] += 1.0;
            cells[label][twin.arm.predictions[i] as usize] += 1.0;
            cells[label][twin.reference.predictions[i] as usize] -= 1.0;
        }
    }
    for (row, n) in cells.iter_mut().zip(&rows) {
        row.iter_mut().for_each(|c| *c /= f64::max(*n, 1.0));
    }
    Some((classes, cells))
}

fn confusion(twins: &Twins<'_>) -> Option<Markup> {
    let (classes, cells) = difference(twins)?;
    let most = cells.iter().flatten().fold(0.0, |m: f64, c| m.max(c.abs()));
    if most == 0.0 {
        return Some(html! { p { "No class is predicted otherwise." } });
    }
    Some(match classes.len() {
        k if k <= TABLE => html! {
            p.small {
                "The confusion, less the reference's, in points of the class's rows. Rows: what test rows are. Columns: what is said. Outlined: right."
            }
            (table(&classes, &cells, most))
        },
        _ => picture(&classes, &cells, most),
    })
}

fn table(classes: &[String], cells: &[Vec<f64>], most: f64) -> Markup {
    scroll(
        "Confusion, difference",
        html! {
            table.heat.confusion {
                thead { tr { td {} @for class in classes { th scope="col" { (class) } } } }
                tbody { @for (truth, row) in cells.iter().enumerate() {
                    tr {
                        th scope="row" { (classes[truth]) }
                        @for (guess, &d) in row.iter().enumerate() {
                            td.up[d > 0.0].down[d < 0.0].right[guess == truth] style=(format!("--share: {:.3}", d.abs() / most)) {
                                @if d != 0.0 { (super::notes::signed(d)) }
                            }
                        }
                    }
                } }
            }
        },
    )
}

/// Many classes: a square a cell that is not zero.
fn picture(classes: &[String], cells: &[Vec<f64>], most: f64) -> Markup {
    let n = classes.len();
    html! {
        figure.matrix {
            figcaption {
                "The confusion, less the reference's. Rows: what test rows are. Columns: what is said. Blue: more, orange: less, up to "
                (super::notes::points(most)) " points of the class's rows; the line is where both agree."
            }
            svg viewBox=(format!("-1 -1 {0} {0}", n + 2)) role="img" aria-label=(format!("Difference of the confusions of {n} classes")) {
                rect.frame x="0" y="0" width=(n) height=(n) {}
                @for (truth, row) in cells.iter().enumerate() {
                    @for (guess, d) in row.iter().enumerate().filter(|(_, d)| **d != 0.0) {
                        rect.more[*d > 0.0].less[*d < 0.0] x=(guess) y=(truth) width="1" height="1"
                            opacity=(format!("{:.2}", (d.abs() / most).max(0.08))) {}
                    }
                }
                line.diagonal x1="0" y1="0" x2=(n) y2=(n) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rows(labels: &[u32], predictions: &[u32]) -> Rows {
        Rows {
            ids: (0..labels.len()).map(|i| i.to_string()).collect(),
            classes: vec!["a".into(), "b".into()],
            labels: labels.to_vec(),
            predictions: predictions.to_vec(),
            probabilities: Vec::new(),
            stood: Vec::new(),
        }
    }

    #[test]
    fn the_confusion_is_compared_class_by_class_and_flips_seed_by_seed() {
        let labels = [0, 0, 0, 0, 1, 1];
        let reference = rows(&labels, &[1, 1, 1, 0, 1, 1]);
        let arm = rows(&labels, &[0, 0, 1, 0, 0, 1]);
        let twin = |arm, reference| Twin {
            arm,
            reference,
            folders: [Path::new("."), Path::new(".")],
        };
        let twins = Twins {
            pairs: vec![vec![twin(&arm, &reference), twin(&reference, &reference)]],
        };
        let (_, cells) = difference(&twins).expect("one list of classes");
        assert_eq!(cells, [[0.25, -0.25], [0.25, -0.25]]);
        let told: Vec<_> = flips(&twins)
            .iter()
            .map(|f| (f.row, f.gained, f.lost))
            .collect();
        assert_eq!(told, [(0, 1, 0), (1, 1, 0), (4, 0, 1)]);
    }
}
