//! The page of a comparison: one file that needs no network and runs no script.

use maud::{Markup, html};

use super::compare::Comparison;
use super::grid::{Column, Line};
use super::{changes, charts, domains, training};
use crate::shell::{sections, shell};
use crate::statistics::Verdict;

/// Colours, sizes.
const STYLE: &str = include_str!("page.css");

impl Comparison {
    pub(super) fn html(&self) -> String {
        let head = self.head_lines();
        let e = &self.experiment;
        let parts: Vec<(&str, &str, Markup)> = [
            ("table", "Result", Some(self.html_table())),
            (
                "differences",
                "Differences",
                charts::forest(self).map(figure),
            ),
            (
                "curves",
                "Over what varies",
                charts::curves(self).map(figure),
            ),
            ("pairs", "By pair", charts::pairs(self)),
            ("training", "Training", training::draw(e)),
            ("domains", "Source and target", domains::draw(e)),
            ("changes", "What changed", changes::draw(e)),
            ("notes", "What to know", self.html_notes()),
        ]
        .into_iter()
        .filter_map(|(id, title, part)| Some((id, title, part?)))
        .collect();
        let body = html! {
            header {
                h1 { (self.name) }
                @for line in &head { p { (words(line)) } }
            }
            main { (sections(&parts)) }
            footer { "tlkit " (env!("CARGO_PKG_VERSION")) }
        };
        shell(&self.name, STYLE, body) + "\n"
    }

    fn html_notes(&self) -> Option<Markup> {
        (!self.notes.is_empty())
            .then(|| html! { ul.notes { @for note in &self.notes { li { (words(note)) } } } })
    }

    fn html_table(&self) -> Markup {
        let grid = self.grid(&self.columns());
        let class = |c: &Column, line: &Line| match (c, line.verdict, line.failed) {
            (Column::Verdict, _, true) => "failed",
            (Column::Verdict, Some(Verdict::Better), _) => "better",
            (Column::Verdict, Some(Verdict::Worse), _) => "worse",
            (Column::Verdict, Some(Verdict::Undecided), _) => "undecided",
            (c, ..) if c.is_number() => "number",
            _ => "",
        };
        html! {
            div.scroll {
                table {
                    thead {
                        tr {
                            @for (head, column) in grid.head.iter().zip(&grid.columns) {
                                th.number[column.is_number()] scope="col" { (head) }
                            }
                        }
                    }
                    @for group in &grid.groups {
                        tbody {
                            @if !group.title.is_empty() {
                                tr.group { th colspan=(grid.columns.len()) scope="rowgroup" { (group.title) } }
                            }
                            @for line in &group.lines {
                                tr {
                                    @for (cell, column) in line.cells.iter().zip(&grid.columns) {
                                        @if *column == Column::Name {
                                            th scope="row" { (cell) }
                                        } @else {
                                            td class=(class(column, line)) { (cell) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn figure(picture: Markup) -> Markup {
    html! { figure { (picture) } }
}

/// Names between backticks as code.
fn words(text: &str) -> Markup {
    html! {
        @for (i, part) in text.split('`').enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
