//! What the two kinds of page have in common: one file that loads nothing and runs nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A page around a body.
pub fn shell(title: &str, style: &str, body: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Whatever stands in a data set: the page loads nothing and runs nothing.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// Identifier, title and content of each part, one after another.
pub fn sections(parts: &[(&str, &str, Markup)]) -> Markup {
    html! {
        @for (id, title, part) in parts {
            section id=(id) aria-labelledby={ (id) "-heading" } {
                h2 id={ (id) "-heading" } { (title) }
                (part)
            }
        }
    }
}
