//! The page of a comparison: one file that needs no network and runs no script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts;
use super::compare::Comparison;
use super::grid::{Column, Line};
use crate::statistics::Verdict;

/// Colours, sizes.
const STYLE: &str = include_str!("page.css");

impl Comparison {
    pub(super) fn html(&self) -> String {
        let head = self.head_lines();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                    link rel="icon" href="data:,";
                    title { (self.name) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (self.name) }
                        @for line in &head { p { (line) } }
                    }
                    main {
                        section id="table" { h2 { "Result" } (self.html_table()) }
                        @if let Some(picture) = charts::forest(self) {
                            section id="differences" { h2 { "Differences" } figure { (picture) } }
                        }
                        @if let Some(picture) = charts::curves(self) {
                            section id="curves" { h2 { "Over what varies" } figure { (picture) } }
                        }
                        @if let Some(table) = charts::pairs(self) {
                            section id="pairs" { h2 { "By pair" } (table) }
                        }
                        @if !self.notes.is_empty() {
                            section id="notes" {
                                h2 { "What to know" }
                                ul.notes { @for note in &self.notes { li { (note) } } }
                            }
                        }
                    }
                    footer { "tlkit " (env!("CARGO_PKG_VERSION")) }
                }
            }
        };
        page.into_string() + "\n"
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
