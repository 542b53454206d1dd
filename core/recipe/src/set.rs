//! `--set train.epochs=1`: one key of the recipe, written on the command line.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostic;
use crate::source::{At, Source};
use crate::tree::{Data, Entry, NodeId, Tree};

/// One name of the dotted key, with its place.
pub(crate) struct Step {
    pub name: String,
    pub at: At,
}

/// Puts the key into the tree. `dry`: only looks whether it could be parsed.
pub(crate) fn apply(
    tree: &mut Tree,
    source: &Arc<Source>,
    dry: bool,
) -> Result<(), Box<Diagnostic>> {
    let text = source.text.as_str();
    let all = At::new(source, 0..text.len());
    let help = "write `--set table.key=value`, for example `--set train.epochs=3`";
    let Some(equals) = find_equals(text) else {
        let diagnostic =
            Diagnostic::error(all, "`--set` has no value").expected("`table.key=value`");
        return Err(Box::new(diagnostic.help(help)));
    };
    let Some(steps) = steps(source, &text[..equals]) else {
        let at = At::new(source, 0..equals);
        let diagnostic = Diagnostic::error(at, "`--set` has no key before `=`")
            .expected("a key like `train.epochs`");
        return Err(Box::new(diagnostic.help(help)));
    };
    let value = value(tree, source, equals + 1)?;
    if !dry {
        place(tree, &steps, value)?;
    }
    Ok(())
}

/// Puts a value that stands elsewhere in the tree at a dotted key, as a grid does; `at` is where the key is written.
pub(crate) fn choose(
    tree: &mut Tree,
    key: &str,
    at: &At,
    value: NodeId,
) -> Result<(), Box<Diagnostic>> {
    let steps = names(key).ok_or_else(|| {
        let wrong = Diagnostic::error(at.clone(), format!("`{key}` is no key of a recipe"));
        Box::new(wrong.expected("a table and a key, like `train.learning_rate`"))
    })?;
    let steps: Vec<Step> = steps
        .into_iter()
        .map(|(name, _)| Step {
            name,
            at: at.clone(),
        })
        .collect();
    place(tree, &steps, value)
}

/// The first `=` outside quotes.
fn find_equals(text: &str) -> Option<usize> {
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (None, '=') => return Some(i),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

fn steps(source: &Arc<Source>, key: &str) -> Option<Vec<Step>> {
    let step = |(name, span): (String, Range<usize>)| Step {
        name,
        at: At::new(source, span),
    };
    Some(names(key)?.into_iter().map(step).collect())
}

/// The names of a dotted key, and where each stands in it.
fn names(key: &str) -> Option<Vec<(String, Range<usize>)>> {
    let line = format!("{key}=0");
    let parsed = DeTable::parse(&line).ok()?;
    let mut names = Vec::new();
    let mut table = parsed.get_ref();
    loop {
        let (name, value) = table.iter().next().filter(|_| table.len() == 1)?;
        names.push((name.get_ref().to_string(), name.span()));
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(names),
        }
    }
}

/// The value is TOML, or else a string as it stands.
fn value(tree: &mut Tree, source: &Arc<Source>, start: usize) -> Result<NodeId, Box<Diagnostic>> {
    let after = &source.text[start..];
    let raw = after.trim();
    let start = start + (after.len() - after.trim_start().len());
    let at = At::new(source, start..start + raw.len());
    if raw.is_empty() {
        let empty = Diagnostic::error(at, "`--set` has no value after `=`").expected("a value");
        return Err(Box::new(
            empty.help("an empty string is written `key='\"\"'`"),
        ));
    }
    match DeValue::parse(raw) {
        Ok(value) => Ok(tree.add(source, &value, start)),
        // What opens like a list, table or quoted string was meant as one.
        Err(error) if raw.starts_with(['[', '{', '"', '\'']) => {
            let span = error.span().unwrap_or(0..raw.len());
            let at = At::new(source, span.start + start..span.end + start);
            let diagnostic = Diagnostic::error(at, "the value of `--set` is not TOML");
            Err(Box::new(diagnostic.label(error.message())))
        }
        Err(_) => Ok(tree.push(at, Data::Bare(raw.into()))),
    }
}

/// Puts a value where the steps lead, through tables that are made where they are not there.
pub(crate) fn place(tree: &mut Tree, steps: &[Step], value: NodeId) -> Result<(), Box<Diagnostic>> {
    let mut node = tree.root;
    for (i, step) in steps.iter().enumerate() {
        let last = i + 1 == steps.len();
        node = match &tree.nodes[node].data {
            Data::Table(_) => match (tree.entry(node, &step.name).map(|e| e.node), last) {
                (Some(_), true) => {
                    replace(tree, node, step, value);
                    return Ok(());
                }
                (Some(next), false) => next,
                (None, _) => {
                    let next = match last {
                        true => value,
                        false => tree.push(step.at.clone(), Data::Table(vec![])),
                    };
                    insert(
                        tree,
                        node,
                        Entry {
                            name: step.name.clone(),
                            key: step.at.clone(),
                            node: next,
                        },
                    );
                    next
                }
            },
            // `plugins.0.path`: the tables of a list go by number.
            Data::List(items) => match step
                .name
                .parse::<usize>()
                .ok()
                .and_then(|n| items.get(n).map(|_| n))
            {
                Some(n) if last => {
                    if let Data::List(items) = &mut tree.nodes[node].data {
                        items[n] = value;
                    }
                    return Ok(());
                }
                Some(n) => items[n],
                None => {
                    let title = format!("`{}` has no item `{}`", dotted(&steps[..i]), step.name);
                    let count = items.len();
                    let diagnostic = Diagnostic::error(step.at.clone(), title)
                        .expected(match count {
                            0 | 1 => "`0`".to_string(),
                            n => format!("a number from 0 to {}", n - 1),
                        })
                        .also(tree.nodes[node].at.clone(), format!("a list of {count}"));
                    return Err(Box::new(diagnostic));
                }
            },
            _ => {
                let title = format!("`{}` is not a table", dotted(&steps[..i]));
                let diagnostic = Diagnostic::error(step.at.clone(), title)
                    .label(format!("so it has no key `{}`", step.name))
                    .also(
                        tree.nodes[node].at.clone(),
                        format!("it is {}", tree.kind(node)),
                    );
                return Err(Box::new(diagnostic));
            }
        };
    }
    Ok(())
}

fn replace(tree: &mut Tree, table: NodeId, step: &Step, value: NodeId) {
    if let Data::Table(entries) = &mut tree.nodes[table].data {
        for entry in entries.iter_mut().filter(|e| e.name == step.name) {
            (entry.key, entry.node) = (step.at.clone(), value);
        }
    }
}

fn insert(tree: &mut Tree, table: NodeId, entry: Entry) {
    if let Data::Table(entries) = &mut tree.nodes[table].data {
        entries.push(entry);
    }
}

fn dotted(steps: &[Step]) -> String {
    steps
        .iter()
        .map(|s| s.name.as_str())
        .collect::<Vec<_>>()
        .join(".")
}
