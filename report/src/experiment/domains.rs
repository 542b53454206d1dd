//! Where source and target rows lie before an adaptation and after each method, of the first seed that says.

use maud::{Markup, html};

use super::groups::{Together, folded};
use super::read::Experiment;
use crate::embedding::{Embedding, Panel, legend};

/// All groups; nothing where no run has a picture.
pub(super) fn draw(e: &Experiment) -> Option<Markup> {
    let pictures = folded(e, "picture", group)?;
    Some(html! {
        p {
            "The features of rows of both domains along the two directions in which both together spread most; each picture has directions of its own. "
            "What lies apart here is apart; what lies together here need not be in the other directions. Of the first seed."
        }
        (pictures)
    })
}

fn group(e: &Experiment, g: &Together) -> Option<Markup> {
    let found: Vec<(&str, Embedding)> = g
        .arms
        .iter()
        .filter_map(|(arm, name)| {
            let mut seeds = e.finished(*arm, g.pair);
            Some((
                name.as_str(),
                seeds.find_map(|t| Embedding::read(&t.run.path))?,
            ))
        })
        .collect();
    let names = &found.first()?.1.names;
    // Methods that begin with the same model have one picture of it.
    let mut befores: Vec<(Vec<&str>, &Panel)> = Vec::new();
    for (name, embedding) in &found {
        let Some(panel) = &embedding.before else {
            continue;
        };
        match befores.iter_mut().find(|(_, p)| *p == panel) {
            Some((who, _)) => who.push(name),
            None => befores.push((vec![name], panel)),
        }
    }
    let one = befores.len() == 1;
    Some(html! {
        (legend(names))
        div.panels {
            @for (i, (who, panel)) in befores.iter().enumerate() {
                @let title = if one { "Before".to_string() } else { format!("Before {}", who.join(", ")) };
                (panel.draw(&format!("before-{}-{i}", g.id), &title, names))
            }
            @for (i, (name, embedding)) in found.iter().enumerate() {
                @if let Some(panel) = &embedding.after {
                    (panel.draw(&format!("after-{}-{i}", g.id), &format!("After {name}"), names))
                }
            }
        }
    })
}
