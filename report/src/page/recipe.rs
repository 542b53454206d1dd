//! The complete recipe, as it stands in the run directory, with where each default comes from.

use maud::{Markup, html};

use super::Source;

pub fn draw(s: &Source<'_>) -> Option<Markup> {
    let text = std::fs::read_to_string(s.run.path.join("recipe.toml")).ok()?;
    Some(html! {
        p.faint { "Complete: every value that was used, and where those come from that the recipe did not say. It runs as it is." }
        pre.recipe tabindex="0" aria-label="The recipe" { code { @for line in text.lines() { (drawn(line)) "\n" } } }
    })
}

/// Tables strong, comments pale.
fn drawn(line: &str) -> Markup {
    if line.starts_with('[') {
        return html! { strong { (line) } };
    }
    match comment(line) {
        Some(at) => html! { (line[..at]) span.comment { (line[at..]) } },
        None => html! { (line) },
    }
}

/// Where a comment begins: a `#` outside quotes.
fn comment(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::comment;

    #[test]
    fn a_comment_begins_outside_quotes() {
        assert_eq!(comment("a = 1  # one"), Some(7));
        assert_eq!(comment("a = \"#1\""), None);
        assert_eq!(comment("a = \"\\\"#\" # x"), Some(10));
        assert_eq!(comment("a = '\\' # x"), Some(8));
    }
}
