//! What `tlkit why` says.

use maud::{Markup, html};

use super::Source;
use crate::run::Status;
use crate::why::{Level, why};

/// As a page writes it.
fn arrows(text: &str) -> String {
    text.replace(" -> ", " \u{2192} ")
}

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    if s.run.status == Status::None {
        return None;
    }
    let why = why(s.run);
    Some(html! {
        @if why.findings.is_empty() { p { "Nothing stands out." } }
        ul.findings {
            @for f in &why.findings {
                li.(match f.level { Level::Warning => "warning", Level::Note => "note" }) {
                    span.level { (f.level.word()) }
                    div {
                        p { (arrows(&f.words)) }
                        @if !f.lines.is_empty() { ul.lines { @for line in &f.lines { li { (arrows(line)) } } } }
                    }
                }
            }
        }
        p.faint.looked {
            "Looked at: " (why.looked.join(", ")) "."
            @if !why.not_looked.is_empty() {
                " Not looked at: "
                @for (i, (name, reason)) in why.not_looked.iter().enumerate() {
                    @if i > 0 { ", " }
                    (name) " (" (reason) ")"
                }
                "."
            }
        }
    })
}
