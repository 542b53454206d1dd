//! One property of a stranger's JSON Schema: what it says is held to, or it is refused.

use std::ops::{Bound, RangeBounds};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::known;

const BOUNDS: [&str; 4] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

/// The type, and that of the items of a list. Where there is a choice of texts it may be left out.
pub(super) fn kind(property: &Map<String, Value>) -> Option<(&str, &str)> {
    let plain = |p: &'_ Map<String, Value>| match p.get("type") {
        None if p.contains_key("enum") => Some("string"),
        None => None,
        Some(named) => {
            let all = ["number", "integer", "boolean", "string", "array"];
            all.into_iter().find(|k| named == *k)
        }
    };
    match plain(property)? {
        "array" => match plain(property.get("items")?.as_object()?)? {
            of @ ("number" | "string") => Some(("array", of)),
            _ => None,
        },
        kind => Some((kind, "")),
    }
}

/// The ends of a number's range, of two on one side the inner one; none where it has no end.
pub(super) fn range<T: Copy + PartialOrd>(
    p: &Map<String, Value>,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<(Bound<T>, Bound<T>)> {
    let value = |word: &str| p.get(word).and_then(&read);
    let low = match (value("exclusiveMinimum"), value("minimum")) {
        (Some(open), Some(closed)) if closed > open => Bound::Included(closed),
        (Some(open), _) => Bound::Excluded(open),
        (None, Some(closed)) => Bound::Included(closed),
        (None, None) => Bound::Unbounded,
    };
    let high = match (value("exclusiveMaximum"), value("maximum")) {
        (Some(open), Some(closed)) if closed < open => Bound::Included(closed),
        (Some(open), _) => Bound::Excluded(open),
        (None, Some(closed)) => Bound::Included(closed),
        (None, None) => Bound::Unbounded,
    };
    match (low, high) {
        (Bound::Unbounded, Bound::Unbounded) => None,
        ends => Some(ends),
    }
}

/// What the items of a list are held to.
pub(super) fn items(p: &Map<String, Value>) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    p.get("items").and_then(Value::as_object).unwrap_or(&NONE)
}

/// Whether all that a property says is read: its words, their values, its default. `what` names it in errors.
pub(super) fn property(p: &Map<String, Value>, what: &str) -> Result<(), String> {
    let (kind, of) = kind(p).ok_or_else(|| {
        format!("{what} is of a type that tlkit does not read: number, integer, boolean, string, and array of number or string")
    })?;
    let mut words = vec!["type", "description", "default", "x-origin", "title"];
    words.extend_from_slice(limits(kind));
    if kind == "array" {
        words.push("items");
        let (items, what) = (items(p), format!("`items` of {what}"));
        let words = [&["type"], limits(of)].concat();
        known(items, &words, &format!("{what}, of the type {of},"))?;
        bounds(items, of, &what)?;
        choices(items, &what)?;
    }
    known(p, &words, &format!("{what}, of the type {kind},"))?;
    for word in ["description", "x-origin", "title"] {
        if p.get(word).is_some_and(|w| !w.is_string()) {
            return Err(format!("`{word}` of {what} is text"));
        }
    }
    bounds(p, kind, what)?;
    choices(p, what)?;
    default(p, kind, of, what)
}

/// The words that hold a value of this type to something.
fn limits(kind: &str) -> &'static [&'static str] {
    match kind {
        "number" | "integer" => &BOUNDS,
        "string" => &["enum"],
        _ => &[],
    }
}

fn bounds(p: &Map<String, Value>, kind: &str, what: &str) -> Result<(), String> {
    for word in BOUNDS {
        match p.get(word) {
            None => {}
            Some(v) if right(v, kind) => {}
            Some(v) => return Err(format!("`{word}` of {what} is {v}, which is no {kind}")),
        }
    }
    Ok(())
}

fn choices(p: &Map<String, Value>, what: &str) -> Result<(), String> {
    let texts = |v: &Value| {
        let all = v.as_array().filter(|all| !all.is_empty());
        all.is_some_and(|all| all.iter().all(Value::is_string))
    };
    match p.get("enum") {
        Some(v) if !texts(v) => Err(format!("`enum` of {what} is a list of texts")),
        _ => Ok(()),
    }
}

fn default(p: &Map<String, Value>, kind: &str, of: &str, what: &str) -> Result<(), String> {
    let Some(default) = p.get("default") else {
        return Ok(());
    };
    match kind {
        "array" => {
            let all = default.as_array().map(Vec::as_slice);
            let all = all.ok_or_else(|| format!("the default of {what} is not of its type"))?;
            all.iter().try_for_each(|v| held(v, items(p), of, what))
        }
        kind => held(default, p, kind, what),
    }
}

/// Whether a value of a default is of its type, in its range and among its choices.
fn held(value: &Value, p: &Map<String, Value>, kind: &str, what: &str) -> Result<(), String> {
    if !right(value, kind) {
        return Err(format!("the default of {what} is not of its type"));
    }
    let within = match (kind, value.as_i64(), value.as_f64()) {
        ("integer", Some(v), _) => range(p, Value::as_i64).is_none_or(|r| r.contains(&v)),
        ("number", _, Some(v)) => range(p, Value::as_f64).is_none_or(|r| r.contains(&v)),
        _ => true,
    };
    if !within {
        return Err(format!("the default of {what} is out of its range"));
    }
    let choices = p.get("enum").and_then(Value::as_array);
    match choices.is_none_or(|all| all.contains(value)) {
        true => Ok(()),
        false => Err(format!("the default of {what} is none of its `enum`")),
    }
}

/// Whether a value is of a type.
fn right(value: &Value, kind: &str) -> bool {
    match kind {
        "number" => value.is_number(),
        "integer" => value.as_i64().is_some(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_not_be_held_to_is_refused() {
        for (of, words) in [
            (json!({"type": "integer", "enum": [1, 2]}), "`enum`"),
            (json!({"type": "number", "enum": [1.5]}), "`enum`"),
            (json!({"type": "number", "minimum": "abc"}), "no number"),
            (json!({"type": "integer", "minimum": 0.5}), "no integer"),
            (json!({"type": "string", "minimum": 1}), "`minimum`"),
            (json!({"type": "string", "enum": "mean"}), "list of texts"),
            (json!({"type": "string", "enum": []}), "list of texts"),
            (
                json!({"type": "array", "items": {"type": "number", "pattern": "x"}}),
                "`items` of `a`, of the type number, says `pattern`",
            ),
            (
                json!({"type": "array", "items": {"type": "number", "minimum": "x"}}),
                "no number",
            ),
            (
                json!({"type": "array", "items": {"type": "number", "minimum": 0}, "default": [1, -1]}),
                "out of its range",
            ),
            (
                json!({"type": "array", "items": {"type": "number"}, "minimum": 0}),
                "`minimum`",
            ),
            (
                json!({"type": "integer", "minimum": 1, "default": 0}),
                "out of its range",
            ),
            (
                json!({"type": "number", "exclusiveMaximum": 1, "default": 1}),
                "out of its range",
            ),
            (
                json!({"type": "string", "enum": ["a", "b"], "default": "c"}),
                "none of its `enum`",
            ),
            (json!({"type": "boolean", "description": 7}), "is text"),
        ] {
            let p = of.as_object().unwrap();
            let said = property(p, "`a`").expect_err(words);
            assert!(said.contains(words), "{words}: {said}");
        }
        for of in [
            json!({"type": "integer", "minimum": 1, "maximum": 3, "default": 3}),
            json!({"type": "string", "enum": ["a"], "default": "a", "x-origin": "here"}),
            json!({"type": "array", "items": {"type": "string"}, "default": ["a"]}),
            json!({"enum": ["a", "b"], "default": "b"}),
            json!({"type": "array", "items": {"enum": ["a", "b"]}, "default": ["b"]}),
        ] {
            property(of.as_object().unwrap(), "`a`").unwrap();
        }
    }

    #[test]
    fn of_two_ends_on_one_side_the_inner_one_counts() {
        for (ends, inside, outside) in [
            (json!({"minimum": 0, "exclusiveMinimum": 0}), 0.5, 0.0),
            (json!({"minimum": 2, "exclusiveMinimum": 1}), 2.0, 1.5),
            (json!({"maximum": 9, "exclusiveMaximum": 8}), 7.0, 8.0),
        ] {
            let is = range(ends.as_object().unwrap(), Value::as_f64).unwrap();
            assert!(is.contains(&inside) && !is.contains(&outside), "{ends}");
        }
    }
}
