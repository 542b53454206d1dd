//! Diagnostics as text, by annotate-snippets (the renderer of rustc and cargo).

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::At;

pub(crate) fn report(diagnostics: &[Diagnostic], summary: &str, colour: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[group(diagnostic)]));
        text.push_str("\n\n");
    }
    text.push_str(summary);
    text.push('\n');
    text
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(diagnostic.title.as_str()));
    if diagnostic.at.quotable() {
        // One snippet a file: a conflict between the recipe and `--set` shows both.
        let mut places: Vec<(&At, AnnotationKind, &str)> = vec![(
            &diagnostic.at,
            AnnotationKind::Primary,
            diagnostic.label.as_deref().unwrap_or(""),
        )];
        places.extend(
            diagnostic
                .also
                .iter()
                .map(|(at, label)| (at, AnnotationKind::Context, label.as_str())),
        );
        while let Some(first) = places.first().map(|p| p.0) {
            let (here, there) = places
                .into_iter()
                .partition(|p| std::sync::Arc::ptr_eq(&p.0.source, &first.source));
            group = group.element(snippet(first, here));
            places = there;
        }
    } else {
        group = group.element(Origin::path(diagnostic.at.name()));
        if let Some(label) = &diagnostic.label {
            group = group.element(Level::NOTE.message(label.as_str()));
        }
    }
    group = group.elements(
        diagnostic
            .notes
            .iter()
            .map(|note| Level::NOTE.message(note.as_str())),
    );
    group.elements(
        diagnostic
            .help
            .iter()
            .map(|help| Level::HELP.message(help.as_str())),
    )
}

fn snippet<'a>(
    first: &'a At,
    places: Vec<(&'a At, AnnotationKind, &'a str)>,
) -> Snippet<'a, Annotation<'a>> {
    let source = &first.source;
    let annotations = places.into_iter().map(|(at, kind, label)| {
        let annotation = kind.span(at.start..at.end);
        if label.is_empty() {
            annotation
        } else {
            annotation.label(label)
        }
    });
    Snippet::source(source.text.as_str())
        .path(source.name.as_str())
        .line_start(source.first_line)
        .annotations(annotations)
}
