//! From the bytes of a file to a tree: what is no text, and what is no TOML.

use std::io::ErrorKind;
use std::path::Path as FilePath;
use std::sync::Arc;

use toml::de::{DeTable, DeValue, Error};

use crate::diagnostic::{Diagnostic, Report};
use crate::source::{At, Source};
use crate::tree::{Tree, quote};

pub(crate) fn read_file(path: &FilePath, name: &str) -> Result<String, Report> {
    let wrong = |title: String| Diagnostic::error(At::file(name), title);
    if path.is_dir() {
        let recipes = recipes_in(path);
        let mut diagnostic = wrong("this is a folder, not a recipe".into());
        if let Some(first) = recipes.first() {
            diagnostic = diagnostic.help(format!(
                "write the recipe's name: `{}`",
                path.join(first).display()
            ));
        }
        return Err(diagnostic.into());
    }
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let missing = wrong("there is no such file".into());
            let folder = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(FilePath::new("."));
            let wanted = path
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            let recipes = recipes_in(folder);
            match crate::nearest::nearest(&wanted, recipes.iter().map(String::as_str)) {
                Some(near) => missing.help(format!(
                    "did you mean `{}`?",
                    path.with_file_name(near).display()
                )),
                None if !folder.is_dir() => missing.label(format!(
                    "the folder `{}` is not there either",
                    folder.display()
                )),
                None => missing,
            }
        }
        _ => wrong("the file cannot be read".into()).label(error.to_string()),
    })?;
    String::from_utf8(bytes)
        .map_err(|error| not_utf8(name, error.as_bytes(), error.utf8_error().valid_up_to()).into())
}

fn recipes_in(folder: &FilePath) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|n| n.ends_with(".toml")).collect();
    names.sort();
    names
}

fn not_utf8(name: &str, bytes: &[u8], offset: usize) -> Diagnostic {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let title = "the file is UTF-16, not UTF-8";
        return Diagnostic::error(At::file(name), title).help("save it again as UTF-8");
    }
    let start = bytes[..offset]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |n| n + 1);
    let end = bytes[offset..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |n| offset + n);
    let line = bytes[..offset].iter().filter(|b| **b == b'\n').count() + 1;
    let text = String::from_utf8_lossy(&bytes[start..end]);
    let column = String::from_utf8_lossy(&bytes[start..offset])
        .chars()
        .count()
        + 1;
    Diagnostic::error(
        At::in_data(name, line, column, &text),
        "the file is not UTF-8",
    )
    .label(format!(
        "byte {offset} of the file is 0x{:02x}",
        bytes[offset]
    ))
    .help("save it again as UTF-8")
}

/// True for a file of comments and blank lines.
pub(crate) fn is_empty(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

pub(crate) fn empty(name: &str) -> Diagnostic {
    let empty = Diagnostic::error(At::file(name), "the recipe is empty");
    empty.help("a recipe has at least `[source]`, `[target]` and `[strategy]`")
}

/// The tree, or everything that is wrong with the syntax.
pub(crate) fn parse(source: &Arc<Source>) -> Result<Tree, Vec<Diagnostic>> {
    let text = source.text.as_str();
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Tree::new(source, table.get_ref()));
    }
    if let Some(diagnostic) = not_a_table(source) {
        return Err(vec![diagnostic]);
    }
    // After the first error of a line the parser gropes: what it says of the rest is rarely worth reading.
    let mut diagnostics: Vec<Diagnostic> =
        errors.iter().map(|error| explain(source, error)).collect();
    diagnostics.sort_by_key(|d| d.at.sort_key());
    diagnostics.dedup_by_key(|d| d.at.line());
    // No table anywhere, and hardly a line that is TOML: a file of rows, or of prose. One error says it.
    let table = |line: &str| line.trim_start().starts_with('[');
    if diagnostics.len() > 3 && !text.lines().any(table) {
        diagnostics.truncate(1);
        let first = diagnostics.pop();
        let first = first.map(|d| {
            d.help("a recipe begins with a table, `[source]`; if this is a file of rows, `tlkit init FILE` writes a recipe for it")
        });
        return Err(first.into_iter().collect());
    }
    Err(diagnostics)
}

/// A file that holds a list, a scalar, or another language.
fn not_a_table(source: &Arc<Source>) -> Option<Diagnostic> {
    let text = source.text.trim();
    let start = source.text.len() - source.text.trim_start().len();
    let first_line = text.lines().next().unwrap_or("").len();
    let at = At::new(source, start..start + first_line);
    let title = |found: &str| format!("a recipe is made of tables; this file is {found}");
    let help = "a recipe begins with a table, `[source]`, and its keys: `key = value`";
    if text.starts_with('{') && serde_json::from_str::<serde_json::Value>(text).is_ok() {
        return Some(
            Diagnostic::error(at, title("JSON"))
                .expected("TOML")
                .help(help),
        );
    }
    let value = DeValue::parse(text).ok()?;
    let found = match value.get_ref() {
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "one inline table",
        DeValue::String(_) => "one string",
        _ => "one value",
    };
    Some(
        Diagnostic::error(at, title(found))
            .expected("a table")
            .help(help),
    )
}

fn explain(source: &Arc<Source>, error: &Error) -> Diagnostic {
    let text = source.text.as_str();
    let span = error.span().unwrap_or(0..0);
    let at = At::new(source, span.clone());
    if error.message() == "duplicate key" {
        return duplicate(source, at);
    }
    let diagnostic = Diagnostic::error(at, "this is not TOML").label(error.message());
    let line_start = text[..span.start.min(text.len())]
        .rfind('\n')
        .map_or(0, |n| n + 1);
    let line = text[line_start..].lines().next().unwrap_or("").trim();
    if let Some((key, value)) = line.split_once(':')
        && is_name(key)
        && !line.contains('=')
    {
        let value = match value.trim() {
            "" => return diagnostic.help(format!("TOML has `[{key}]` where YAML has `{key}:`")),
            bare if is_bare(bare) => quote(bare),
            value => value.into(),
        };
        return diagnostic.help(format!(
            "TOML has `=` where YAML has `:`: `{key} = {value}`"
        ));
    }
    match line
        .split_once('=')
        .map(|(key, value)| (key.trim(), value.trim()))
    {
        Some((key, value)) if is_name(key) && (value.is_empty() || value.starts_with('#')) => {
            diagnostic.label(format!("expected a value after `{key} =`"))
        }
        Some((key, word)) if is_name(key) && is_bare(word) => {
            let help = match word {
                "True" | "False" => format!("write `{key} = {}`", word.to_lowercase()),
                "None" | "null" | "nil" => format!("TOML has no `{word}`: leave `{key}` out"),
                word => format!("a string stands in quotes: `{key} = \"{word}\"`"),
            };
            diagnostic
                .expected("a value: a string in quotes, a number, `true` or `false`")
                .help(help)
        }
        _ => diagnostic,
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// A word where a value should stand.
fn is_bare(value: &str) -> bool {
    value.starts_with(|c: char| c.is_alphabetic() || matches!(c, '.' | '/'))
        && !value.contains(['"', '\'', '#', '['])
}

/// A key or a table that is there twice: both are underlined.
fn duplicate(source: &Arc<Source>, at: At) -> Diagnostic {
    let text = source.text.as_str();
    let name = at.text().trim_matches(['"', '\'']).to_string();
    let line_start = text[..at.start].rfind('\n').map_or(0, |n| n + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    let header = line.trim_start().starts_with('[');
    let mut earlier = text[..line_start].split_inclusive('\n').collect::<Vec<_>>();
    let mut start = line_start;
    let mut first = None;
    while let Some(candidate) = earlier.pop() {
        start -= candidate.len();
        let indent = candidate.len() - candidate.trim_start().len();
        let written = candidate.trim_start();
        let same = match header {
            true => {
                written.split('#').next().map(str::trim) == line.split('#').next().map(str::trim)
            }
            // The keys of the table before this one are not this one's.
            false if written.starts_with('[') => break,
            false => written
                .split_once('=')
                .is_some_and(|(key, _)| key.trim().trim_matches(['"', '\'']) == name),
        };
        if same {
            let length = written
                .split(if header { '#' } else { '=' })
                .next()
                .unwrap_or(written)
                .trim_end()
                .len();
            first = Some(At::new(source, start + indent..start + indent + length));
            break;
        }
    }
    let (title, at) = match header {
        true => {
            let indent = line.len() - line.trim_start().len();
            let length = line.split('#').next().unwrap_or(line).trim().len();
            let whole = At::new(source, line_start + indent..line_start + indent + length);
            (
                format!("the table `{}` is there twice", whole.text()),
                whole,
            )
        }
        false => (format!("the key `{name}` is there twice"), at),
    };
    let diagnostic = Diagnostic::error(at, title).label("here again");
    match first {
        Some(first) => diagnostic.also(first, "first here"),
        None => diagnostic,
    }
    .help(if header {
        "put the keys of both below one header"
    } else {
        "keep one of them"
    })
}
