//! Where source and target rows lie, before the adaptation and after it.

use maud::{Markup, html};

use super::Source;
use crate::embedding::{Embedding, legend};

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let e = Embedding::read(&s.run.path)?;
    let panels = [("Before", &e.before), ("After", &e.after)];
    Some(html! {
        p {
            "The features of rows of " (e.names[0]) " and of " (e.names[1]) " along the two directions in which both together spread most; "
            "each picture has directions of its own. What lies apart here is apart; what lies together here need not be in the other directions."
            @if e.after.is_none() { " The run was stopped and gone on with after the adaptation, so its picture is not there." }
        }
        (legend(&e.names))
        div.beside {
            @for (title, panel) in panels {
                @if let Some(panel) = panel { (panel.draw(&format!("embedding-{}", title.to_lowercase()), title, &e.names)) }
            }
        }
    })
}
