//! A stranger's keys: a JSON Schema, read as the keys of a built-in are, so that diagnostics, `explain` and `schema` serve both alike.

use serde_json::{Map, Value};
use tlkit_core::recipe::{Keys, Written};
use tlkit_core::{Error, Result};

use crate::manifest::EntryKind;

mod schema;

use schema::{items, kind, range};

/// Keys of the table that an entry's own stand in, which are not its own.
fn reserved(kind: EntryKind) -> &'static [&'static str] {
    match kind {
        EntryKind::Strategy | EntryKind::LossTerm | EntryKind::Reader => {
            &["kind", "method", "batch_norm"]
        }
        EntryKind::SourceTask => &[
            "task",
            "checkpoint",
            "run",
            "train",
            "validation",
            "split",
            "limit",
            "per_class",
            "domain",
        ],
        EntryKind::TargetTask => &[
            "task",
            "train",
            "unlabelled",
            "validation",
            "test",
            "split",
            "limit",
            "per_class",
            "domain",
            "text",
            "pair",
            "image",
            "label",
            "features",
            "header",
            "skip_broken",
            "scene_size",
            "label_smoothing",
            "class_weights",
        ],
        EntryKind::Metric => &["name"],
    }
}

/// Whether the schema is one that [`read`] reads: what it does not know it does not pass over.
pub(crate) fn understood(schema: &Value, of: EntryKind) -> std::result::Result<(), String> {
    let Value::Object(top) = schema else {
        return match schema {
            Value::Null => Ok(()),
            _ => Err("a JSON Schema is an object".into()),
        };
    };
    known(
        top,
        &[
            "type",
            "properties",
            "required",
            "additionalProperties",
            "title",
            "description",
            "$schema",
        ],
        "the schema",
    )?;
    if top.get("type").is_some_and(|t| t != "object") {
        return Err("the schema's `type` is `object`".into());
    }
    // Keys that are not among the properties are refused whatever it says.
    if top
        .get("additionalProperties")
        .is_some_and(|more| *more != false)
    {
        return Err("`additionalProperties` is false: no other keys are read".into());
    }
    let no_map = Map::new();
    let properties = match top.get("properties") {
        None => &no_map,
        Some(Value::Object(p)) => p,
        Some(_) => return Err("`properties` is an object".into()),
    };
    for (name, property) in properties {
        let what = format!("`{name}`");
        if reserved(of).contains(&name.as_str()) {
            return Err(format!("{what} is a key of every {}", of.words()));
        }
        let Value::Object(p) = property else {
            return Err(format!("{what} is an object"));
        };
        schema::property(p, &what)?;
    }
    let all_names =
        |list: &Value| (list.as_array()).is_some_and(|all| all.iter().all(Value::is_string));
    if top.get("required").is_some_and(|list| !all_names(list)) {
        return Err("`required` is a list of names".into());
    }
    for name in required(top) {
        if !properties.contains_key(name) {
            return Err(format!("`{name}` is required, and is no property"));
        }
    }
    Ok(())
}

pub(super) fn known(
    of: &Map<String, Value>,
    words: &[&str],
    what: &str,
) -> std::result::Result<(), String> {
    match of.keys().find(|k| !words.contains(&k.as_str())) {
        Some(k) => Err(format!("{what} says `{k}`, which tlkit does not read")),
        None => Ok(()),
    }
}

fn required(schema: &Map<String, Value>) -> Vec<&str> {
    let all = schema.get("required").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Reads every key of a schema that is [`understood`]. Errors are noted at their places; `origin` is where a default comes from.
pub(crate) fn read(keys: &Keys, schema: &Value, origin: &str) -> Map<String, Value> {
    let mut values = Map::new();
    let no_map = Map::new();
    let top = schema.as_object().unwrap_or(&no_map);
    let required = required(top);
    let properties = top.get("properties").and_then(Value::as_object);
    for (name, property) in properties.unwrap_or(&no_map) {
        if let Some(p) = property.as_object() {
            let needed = required.contains(&name.as_str());
            let value = one(keys, name, p, needed, origin);
            values.insert(name.clone(), value.unwrap_or(Value::Null));
        }
    }
    values
}

macro_rules! ended {
    ($key:expr, $p:expr, $needed:expr, $origin:expr, $default:expr) => {{
        let key = $key.help(words($p, "description"));
        match ($p.get("default"), $needed) {
            (Some(d), _) => {
                let from = match words($p, "x-origin").as_str() {
                    "" => $origin.to_string(),
                    said => said.to_string(),
                };
                Some(key.default($default(d), from).read())
            }
            (None, true) => Some(key.required()),
            (None, false) => key.unset("the plugin's own choice").optional(),
        }
    }};
}

fn one(
    keys: &Keys,
    name: &str,
    p: &Map<String, Value>,
    needed: bool,
    origin: &str,
) -> Option<Value> {
    let numbers = |d: &Value| -> Vec<f64> {
        let all = d.as_array().into_iter().flatten();
        all.filter_map(Value::as_f64).collect()
    };
    let strings = |d: &Value| -> Vec<String> {
        let all = d.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_string).collect()
    };
    match kind(p)? {
        ("number", _) => {
            let mut key = keys.f64(name);
            if let Some(range) = range(p, Value::as_f64) {
                key = key.range(range);
            }
            ended!(key, p, needed, origin, |d: &Value| d
                .as_f64()
                .unwrap_or_default())
            .map(Value::from)
        }
        ("integer", _) => {
            let mut key = keys.i64(name);
            if let Some(range) = range(p, Value::as_i64) {
                key = key.range(range);
            }
            ended!(key, p, needed, origin, |d: &Value| d
                .as_i64()
                .unwrap_or_default())
            .map(Value::from)
        }
        ("boolean", _) => {
            ended!(keys.bool(name), p, needed, origin, |d: &Value| d == true).map(Value::from)
        }
        ("string", _) => {
            let mut key = keys.string(name);
            if let Some(choices) = p.get("enum") {
                key = key.one_of(strings(choices));
            }
            ended!(key, p, needed, origin, |d: &Value| d
                .as_str()
                .unwrap_or_default()
                .to_string())
            .map(Value::from)
        }
        ("array", "number") => {
            let mut key = keys.numbers(name);
            if let Some(range) = range(items(p), Value::as_f64) {
                key = key.range(range);
            }
            ended!(key, p, needed, origin, numbers).map(Value::from)
        }
        ("array", _) => {
            let mut key = keys.strings(name);
            if let Some(choices) = items(p).get("enum") {
                key = key.one_of(strings(choices));
            }
            ended!(key, p, needed, origin, strings).map(Value::from)
        }
        _ => None,
    }
}

fn words(p: &Map<String, Value>, name: &str) -> String {
    p.get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_string()
}

/// Keys that a plugin itself gives (a phase's to a term), by the same rules. `what` names them in errors.
pub(crate) fn given(values: &Value, schema: &Value, what: &str) -> Result<Map<String, Value>> {
    data(&serde_json::json!({ "keys": values }), what, |root| {
        read(&root.table("keys"), schema, "the plugin")
    })
}

/// Leaves words alone that nothing reads, where they may be of a later version.
pub(crate) fn leave(keys: &Keys, later: bool) {
    if later {
        keys.leave_unread();
    }
}

/// What is set: keys that are not come as null where a plugin asks for all of them, and may be handed on as they came.
fn set(value: &Value) -> Value {
    match value {
        Value::Object(all) => {
            let kept = all.iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(name, v)| (name.clone(), set(v))).collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(set).collect()),
        other => other.clone(),
    }
}

/// Reads data that a plugin gave with the means of recipes.
pub(crate) fn data<T>(values: &Value, what: &str, f: impl FnOnce(&Keys) -> T) -> Result<T> {
    let said = |report: tlkit_core::recipe::Report| {
        Error::msg(format!(
            "{what} is wrong:\n{}",
            report.to_text(false).trim_end()
        ))
    };
    let written = Written::of_values(what, &set(values)).map_err(said)?;
    let read = f(&written.keys());
    let report = written.finish();
    match report.errors() {
        0 => Ok(read),
        _ => Err(said(report)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "properties": {
                "delta": {"type": "number", "exclusiveMinimum": 0, "default": 1.5, "description": "where it turns linear"},
                "count": {"type": "integer", "minimum": 1, "maximum": 3},
                "how": {"type": "string", "enum": ["mean", "sum"], "default": "mean", "x-origin": "Huber 1964"},
                "sure": {"type": "boolean", "default": false},
                "taps": {"type": "array", "items": {"type": "string"}, "default": []},
                "rates": {"type": "array", "items": {"type": "number", "minimum": 0}, "default": []}
            },
            "required": ["count"]
        })
    }

    fn recipe(text: &str) -> (Map<String, Value>, String) {
        let written = Written::parse("r.toml", text, &[]).unwrap();
        let values = read(&written.keys().table("strategy"), &schema(), "plugin p");
        let explained = written.record().explain();
        (values, written.finish().to_text(false) + &explained)
    }

    #[test]
    fn a_strangers_keys_have_defaults_origins_ranges_and_places() {
        understood(&schema(), EntryKind::Strategy).unwrap();
        let (values, explained) = recipe("[strategy]\ncount = 2\ndelta = 3\n");
        assert_eq!(
            Value::Object(values),
            json!({"delta": 3.0, "count": 2, "how": "mean", "sure": false, "taps": [], "rates": []})
        );
        assert!(explained.contains("Huber 1964"), "{explained}");
        assert!(explained.contains("plugin p"), "{explained}");

        let (_, said) = recipe(
            "[strategy]\ncount = 4\ndelta = 0\nhow = \"meen\"\nsure = 1\ndelat = 2\nrates = [-1]\n",
        );
        for words in [
            "r.toml:2:9",
            "`count` is out of range",
            "`rates` is out of range",
            "between 1 and 3",
            "greater than 0",
            "did you mean `\"mean\"`",
            "expected `true` or `false`",
            "unknown key `delat`",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let (_, said) = recipe("[strategy]\n");
        assert!(said.contains("count"), "{said}");
    }

    #[test]
    fn a_schema_that_says_more_than_is_read_is_refused() {
        for (schema, words) in [
            (
                json!({"properties": {"a": {"type": "number", "pattern": "x"}}}),
                "`pattern`",
            ),
            (json!({"properties": {"a": {"type": "object"}}}), "type"),
            (
                json!({"properties": {"a": {"type": "number", "default": "x"}}}),
                "default",
            ),
            (
                json!({"properties": {"method": {"type": "string"}}}),
                "every strategy",
            ),
            (json!({"required": ["a"]}), "`a`"),
            (json!({"oneOf": []}), "`oneOf`"),
            (json!([]), "object"),
            (json!({"required": "a"}), "a list of names"),
            (json!({"additionalProperties": 7}), "no other keys"),
            (json!({"additionalProperties": true}), "no other keys"),
        ] {
            let said = understood(&schema, EntryKind::Strategy).unwrap_err();
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    #[test]
    fn keys_that_a_plugin_gives_are_checked_alike() {
        let said = given(&json!({"count": 9}), &schema(), "the keys of `t`").unwrap_err();
        assert!(said.to_string().contains("out of range"), "{said}");
        assert_eq!(
            given(&json!({"count": 1}), &schema(), "k").unwrap()["delta"],
            1.5
        );
    }

    /// As `text` gives all keys of an entry: those that are not set as null.
    #[test]
    fn keys_that_are_handed_on_as_they_came_are_taken() {
        let came = json!({"count": 1, "delta": null, "how": "sum"});
        let taken = given(&came, &schema(), "k").unwrap();
        assert_eq!(
            (&taken["delta"], &taken["how"]),
            (&json!(1.5), &json!("sum"))
        );
        let deep = json!({"terms": [{"keys": came}]});
        assert_eq!(
            set(&deep),
            json!({"terms": [{"keys": {"count": 1, "how": "sum"}}]})
        );
        let said = given(&json!({"count": null}), &schema(), "k").unwrap_err();
        assert!(said.to_string().contains("`count`"), "{said}");
    }
}
