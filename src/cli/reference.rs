//! `tlkit schema --markdown`: the reference of every recipe key as a page, from the same schema that editors get.

use std::fmt::Write;

use serde_json::{Map, Value};

/// The page.
pub fn markdown(schema: &Value) -> String {
    let mut page = String::from(
        "# Recipe reference\n\nEvery key of a recipe that this version reads. This page is what `tlkit schema --markdown` prints; \
         `tlkit explain RECIPE` prints a recipe with every default filled in and where each comes from. The tables of an experiment, \
         `[experiment]` and `[domains]`, are in [Comparing experiments](comparing.md). Of the defaults, what is set as code is a value; the others say \
         what holds where the key is not written.\n",
    );
    for (name, table) in fields(schema) {
        section(&mut page, name, table);
    }
    page
}

/// One table of a recipe: what all its variants share, then each variant's own keys.
fn section(page: &mut String, name: &str, table: &Value) {
    // A list of tables: the keys of each.
    let (table, header) = match table.get("items") {
        Some(each) => (each, format!("[[{name}]]")),
        None => (table, format!("[{name}]")),
    };
    let _ = write!(page, "\n## `{header}`\n");
    if let Some(words) = table["description"].as_str() {
        let _ = write!(page, "\n{}.\n", capital(words));
    }
    if name == "train" {
        page.push_str(
            "\nThe defaults here are those of a network of no family. A family brings its own (BERT: AdamW with warm-up and a rate \
             by width): `tlkit explain RECIPE` prints them.\n",
        );
    }
    // A key of a variant stands in the common table too, as an empty schema.
    let common: Vec<(&str, &Value)> = fields(table)
        .filter(|(_, key)| key.as_object().is_some_and(|k| !k.is_empty()))
        .collect();
    let variants = variants(table);
    let shared: Vec<(&str, &Value)> = match variants.as_slice() {
        [(_, _, first), rest @ ..] if !rest.is_empty() => fields(first)
            .filter(|(key, value)| {
                rest.iter()
                    .all(|(_, _, other)| other["properties"].get(*key) == Some(value))
            })
            .collect(),
        _ => Vec::new(),
    };
    rows(page, common.into_iter().chain(shared.iter().copied()), "");
    for (switch, chosen, then) in &variants {
        let own: Vec<(&str, &Value)> = fields(then)
            .filter(|(key, value)| {
                !shared.iter().any(|(k, _)| k == key) && !value_is_repeated(table, key, value)
            })
            .collect();
        if !own.is_empty() {
            let _ = write!(page, "\n### `{switch} = \"{chosen}\"`\n");
            rows(page, own.into_iter(), "");
        }
    }
}

/// Whether the common table says more of the key than the variant does.
fn value_is_repeated(table: &Value, key: &str, value: &Value) -> bool {
    table["properties"][key].get("description").is_some() && value.get("description").is_none()
}

/// The variants of a table: the key that chooses, its value, and what is read then.
fn variants(table: &Value) -> Vec<(&str, &str, &Value)> {
    let all = table["allOf"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter()
        .filter_map(|rule| {
            let (switch, condition) = fields(&rule["if"]).next()?;
            Some((switch, condition["const"].as_str()?, rule.get("then")?))
        })
        .collect()
}

fn rows<'v>(page: &mut String, keys: impl Iterator<Item = (&'v str, &'v Value)>, prefix: &str) {
    let mut lines = String::new();
    for (name, key) in keys {
        row(&mut lines, name, key, prefix);
    }
    if !lines.is_empty() {
        let _ = write!(
            page,
            "\n| key | value | default | meaning |\n|---|---|---|---|\n{lines}"
        );
    }
}

fn row(lines: &mut String, name: &str, key: &Value, prefix: &str) {
    for (inside, joint) in [(key, "."), (&key["items"], "[].")] {
        let inner: Vec<_> = fields(inside).collect();
        if !inner.is_empty() {
            for (below, value) in inner {
                row(lines, below, value, &format!("{prefix}{name}{joint}"));
            }
            return;
        }
    }
    // Where a choice elsewhere changes the default, each has a schema of its own.
    let several = key["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    let words = [key]
        .into_iter()
        .chain(several)
        .find_map(|k| k["description"].as_str())
        .unwrap_or_default();
    let mut defaults: Vec<String> = [key]
        .into_iter()
        .chain(several)
        .filter_map(|k| match k.get("default") {
            Some(value) => Some(format!("`{value}`")),
            None => k["x-unset"].as_str().map(str::to_string),
        })
        .collect();
    defaults.dedup();
    let _ = writeln!(
        lines,
        "| `{prefix}{name}` | {} | {} | {} |",
        escaped(&kind(key)),
        escaped(&defaults.join(" or ")),
        escaped(words)
    );
}

/// What may be written, in words.
fn kind(key: &Value) -> String {
    if let Some(values) = key["enum"].as_array() {
        let list: Vec<String> = values.iter().map(|v| format!("`{v}`")).collect();
        return list.join(", ");
    }
    if let Some(value) = key.get("const") {
        return format!("`{value}`");
    }
    if let Some(several) = key["anyOf"].as_array() {
        let mut list: Vec<String> = several.iter().map(kind).collect();
        list.dedup();
        return list.join(", or ");
    }
    match key["type"].as_str() {
        Some(name @ ("integer" | "number")) => {
            let name = if name == "integer" {
                "whole number"
            } else {
                name
            };
            let bound = |key: &Value, at: &str, words: &str| {
                key.get(at).map(|v| format!("{words} {}", short(v)))
            };
            let bounds: Vec<String> = [
                bound(key, "minimum", "from"),
                bound(key, "exclusiveMinimum", "above"),
                bound(key, "maximum", "to"),
                bound(key, "exclusiveMaximum", "below"),
            ]
            .into_iter()
            .flatten()
            .collect();
            format!("{name} {}", bounds.join(" ")).trim().to_string()
        }
        Some("string") => "text".into(),
        Some("boolean") => "`true`, `false`".into(),
        Some("array") => match key.get("items") {
            Some(items) => format!("list of {}", kind(items)),
            None => "list".into(),
        },
        Some(other) => other.into(),
        None => String::new(),
    }
}

/// `0.0` as `0`.
fn short(number: &Value) -> String {
    number
        .as_f64()
        .map_or_else(|| number.to_string(), |v| v.to_string())
}

fn fields(of: &Value) -> impl Iterator<Item = (&str, &Value)> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    of["properties"]
        .as_object()
        .unwrap_or(&NONE)
        .iter()
        .map(|(k, v)| (k.as_str(), v))
}

/// A bar would end the cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
