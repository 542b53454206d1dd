//! One thing that is wrong with a recipe, and the report of all of them.

use std::fmt;

use serde_json::{Value as Json, json};

use crate::render;
use crate::source::At;

/// How bad it is. A recipe with an error does not run; one with a warning does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The recipe cannot run.
    Error,
    /// It can, but probably not as it was meant.
    Warning,
}

/// One thing that is wrong, where, and what to write instead.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) at: At,
    pub(crate) label: Option<String>,
    pub(crate) also: Vec<(At, String)>,
    pub(crate) notes: Vec<String>,
    pub(crate) help: Vec<String>,
}

impl Diagnostic {
    /// An error at a place. The title says what is wrong, in one line, without a full stop.
    pub fn error(at: At, title: impl Into<String>) -> Diagnostic {
        let (severity, title) = (Severity::Error, title.into());
        Diagnostic {
            severity,
            title,
            at,
            label: None,
            also: vec![],
            notes: vec![],
            help: vec![],
        }
    }

    /// A warning at a place.
    pub fn warning(at: At, title: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(at, title)
        }
    }

    /// The words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = Some(label.into());
        self
    }

    /// What was expected there: `expected("a path")` puts `expected a path` beside the caret.
    pub fn expected(self, what: impl fmt::Display) -> Diagnostic {
        self.label(format!("expected {what}"))
    }

    /// Underlines a second place, with its own words.
    pub fn also(mut self, at: At, label: impl Into<String>) -> Diagnostic {
        self.also.push((at, label.into()));
        self
    }

    /// A line of background.
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// A line that says what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where.
    pub fn at(&self) -> &At {
        &self.at
    }

    fn to_json(&self) -> Json {
        let (line, column) = self.at.position(self.at.start);
        let (end_line, end_column) = self.at.position(self.at.end);
        let also: Vec<Json> = self
            .also
            .iter()
            .map(|(at, label)| json!({"file": at.name(), "line": at.line(), "column": at.column(), "label": label}))
            .collect();
        let mut object = json!({
            "severity": if self.severity == Severity::Error { "error" } else { "warning" },
            "file": self.at.name(),
            "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            "message": self.title, "label": self.label, "also": also, "note": self.notes, "help": self.help,
        });
        if !self.at.quotable() {
            for key in ["line", "column", "end_line", "end_column"] {
                object[key] = Json::Null;
            }
        }
        object
    }
}

/// All that is wrong with a recipe, in the order of its lines.
///
/// `Display` is plain text; [`Report::to_text`] can colour it; [`Report::to_json`] is for editors and scripts.
#[derive(Clone, Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Sorted by place; what is said twice about one place is kept once.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Report {
        diagnostics.sort_by_key(|d| d.at.sort_key());
        let mut kept: Vec<Diagnostic> = Vec::new();
        for diagnostic in diagnostics {
            if !kept
                .iter()
                .any(|k| k.title == diagnostic.title && k.at == diagnostic.at)
            {
                kept.push(diagnostic);
            }
        }
        Report { diagnostics: kept }
    }

    /// The diagnostics, in order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// True when there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }

    /// `Err` when there is an error; `Ok` holds the warnings.
    pub fn into_result(self) -> Result<Report, Report> {
        if self.errors() > 0 {
            Err(self)
        } else {
            Ok(self)
        }
    }

    /// Both reports as one.
    pub fn and(mut self, other: Report) -> Report {
        self.diagnostics.extend(other.diagnostics);
        Report::new(self.diagnostics)
    }

    /// Adds a line to each diagnostic: which cell of which experiment this recipe is.
    pub fn note_each(mut self, note: &str) -> Report {
        self.diagnostics
            .iter_mut()
            .for_each(|d| d.notes.push(note.into()));
        self
    }

    /// The reports of the cells of an experiment as one: what several cells have in common is said once, with a note that
    /// names the first cell and counts the others. `words(cells, of)` is that note.
    pub fn of_cells(
        reports: Vec<(String, Report)>,
        words: impl Fn(&[&str], usize) -> String,
    ) -> Report {
        let of = reports.len();
        let mut kept: Vec<(Diagnostic, Vec<&str>)> = Vec::new();
        for (cell, report) in &reports {
            for diagnostic in &report.diagnostics {
                let same = kept
                    .iter_mut()
                    .find(|(k, _)| k.title == diagnostic.title && k.at == diagnostic.at);
                match same {
                    Some((_, cells)) => cells.push(cell),
                    None => kept.push((diagnostic.clone(), vec![cell])),
                }
            }
        }
        let noted = kept.into_iter().map(|(d, cells)| d.note(words(&cells, of)));
        Report::new(noted.collect())
    }

    /// As rustc prints it, with or without colours, and a last line that counts.
    pub fn to_text(&self, colour: bool) -> String {
        render::report(&self.diagnostics, &self.summary(), colour)
    }

    /// `{"errors": 1, "warnings": 0, "diagnostics": [{"file": .., "line": .., "column": .., "message": .., "help": [..]}]}`;
    /// lines and columns from 1, columns in characters; line and column are null for a file as a whole.
    pub fn to_json(&self) -> Json {
        let diagnostics: Vec<Json> = self.diagnostics.iter().map(Diagnostic::to_json).collect();
        json!({"errors": self.errors(), "warnings": self.warnings(), "diagnostics": diagnostics})
    }

    /// `2 errors in recipe.toml`; empty when there is nothing to say.
    pub fn summary(&self) -> String {
        let mut files: Vec<&str> = Vec::new();
        for diagnostic in &self.diagnostics {
            if !files.contains(&diagnostic.at.name()) {
                files.push(diagnostic.at.name());
            }
        }
        let count = |n: usize, one: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {one}s")),
        };
        let counts: Vec<String> = [
            count(self.errors(), "error"),
            count(self.warnings(), "warning"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if counts.is_empty() {
            return String::new();
        }
        format!("{} in {}", counts.join(" and "), files.join(" and "))
    }
}

impl From<Diagnostic> for Report {
    fn from(diagnostic: Diagnostic) -> Report {
        Report::new(vec![diagnostic])
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(false))
    }
}

impl std::error::Error for Report {}
