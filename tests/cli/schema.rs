//! `tlkit schema`, as an editor uses it: what it finds wrong in a recipe.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tlkit_core::recipe::Written;

use crate::bench::{Bench, RECIPE};

/// Of the words of JSON Schema, those that check nothing.
const WORDS: [&str; 6] = [
    "$schema",
    "title",
    "description",
    "default",
    "x-origin",
    "x-unset",
];

/// What a schema finds wrong in a value, each with its place. It panics at a keyword that it does not know.
fn wrong(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Some(schema) = schema.as_object() else {
        return match schema {
            Value::Bool(false) => vec![format!("{at}: nothing is known here")],
            _ => found,
        };
    };
    let fits = |one: &Value| wrong(one, value, at).is_empty();
    let number = value.as_f64();
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    for (keyword, says) in schema {
        let parts = says.as_array().map_or(&[][..], Vec::as_slice);
        let limit = says.as_f64().unwrap_or_default();
        let ok = match keyword.as_str() {
            word if WORDS.contains(&word) => true,
            "type" => match says.as_str() {
                Some("object") => value.is_object(),
                Some("array") => value.is_array(),
                Some("string") => value.is_string(),
                Some("boolean") => value.is_boolean(),
                Some("number") => value.is_number(),
                Some("integer") => number.is_some_and(|n| n.fract() == 0.0),
                other => panic!("the type {other:?}"),
            },
            "enum" => parts.contains(value),
            "const" => says == value,
            "minimum" => number.is_none_or(|n| n >= limit),
            "exclusiveMinimum" => number.is_none_or(|n| n > limit),
            "maximum" => number.is_none_or(|n| n <= limit),
            "exclusiveMaximum" => number.is_none_or(|n| n < limit),
            "minLength" => value.as_str().is_none_or(|s| s.len() as f64 >= limit),
            "minItems" => !value.is_array() || items.len() as f64 >= limit,
            "anyOf" => parts.iter().any(fits),
            "required" => parts.iter().all(|name| {
                let name = name.as_str().expect("a name");
                value.as_object().is_none_or(|o| o.contains_key(name))
            }),
            "items" => {
                for (i, item) in items.iter().enumerate() {
                    found.extend(wrong(says, item, &format!("{at}[{i}]")));
                }
                true
            }
            "allOf" => {
                found.extend(parts.iter().flat_map(|one| wrong(one, value, at)));
                true
            }
            "if" => {
                if fits(says) {
                    found.extend(wrong(&schema["then"], value, at));
                }
                true
            }
            "then" => schema.contains_key("if"),
            "properties" | "additionalProperties" => {
                let known = schema.get("properties");
                for (name, inner) in value.as_object().into_iter().flatten() {
                    let own = known.and_then(|known| known.get(name));
                    let rule = match keyword.as_str() {
                        "properties" => own,
                        _ => Some(says).filter(|_| own.is_none()),
                    };
                    let place = format!("{at}.{name}");
                    found.extend(rule.into_iter().flat_map(|r| wrong(r, inner, &place)));
                }
                true
            }
            other => panic!("the keyword `{other}`"),
        };
        if !ok {
            found.push(format!("{at}: {value} is not {keyword} {says}"));
        }
    }
    found
}

/// A recipe as values, nothing of it checked.
fn values(recipe: &Written) -> Value {
    let root = recipe.keys();
    for name in root.names() {
        let _ = root.value(&name).optional();
    }
    recipe.record().to_json()
}

fn read(path: &Path) -> Value {
    values(&Written::read(path, &[]).unwrap_or_else(|e| panic!("{}", e.to_text(false))))
}

/// The recipes that ship, without the experiments, which have a grammar of their own.
fn shipped() -> Vec<PathBuf> {
    let of = |folder: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries.map(|e| e.expect("an entry").path())
    };
    let all = of("recipes").chain(of("recipes/hub"));
    all.filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect()
}

#[test]
fn the_schema_takes_every_recipe_that_is_one() {
    let bench = Bench::new();
    let schema = bench.tlkit(&["schema"]).code(0).out;
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let says = |recipe: &Value| wrong(&schema, recipe, "");
    let recipes = shipped();
    assert!(recipes.len() >= 20, "{recipes:?}");
    for path in recipes {
        let found = says(&read(&path));
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }

    // What `init` writes, of each kind; and with every default written out.
    let reviews: String = (0..40)
        .map(|i| {
            format!(
                "film number {i} was seen by all,{}\n",
                ["bad", "good"][i % 2]
            )
        })
        .collect();
    bench.write("reviews.csv", &format!("text,label\n{reviews}"));
    std::fs::create_dir_all(bench.path("photos/cat")).expect("a folder");
    std::fs::create_dir_all(bench.path("photos/dog")).expect("a folder");
    for name in ["photos/cat/1.jpg", "photos/dog/1.jpg"] {
        bench.write(name, "");
    }
    for (data, recipe) in [
        ("rows.csv", "rows.toml"),
        ("reviews.csv", "reviews.toml"),
        ("photos", "photos.toml"),
    ] {
        // Broken images are said, and the recipe is written.
        bench.tlkit(&["init", data]);
        let found = says(&read(&bench.path(recipe)));
        assert!(found.is_empty(), "{recipe}: {found:#?}");
    }
    for recipe in ["rows.toml", "reviews.toml"] {
        bench.write(
            "explained.toml",
            &bench.tlkit(&["explain", recipe]).code(0).out,
        );
        let found = says(&read(&bench.path("explained.toml")));
        assert!(found.is_empty(), "{recipe}, explained: {found:#?}");
    }

    // And it still finds what is wrong.
    for (table, key, value) in [
        ("source", "max_length", "64"),
        ("source", "task", "feature"),
        ("strategy", "rank", "4"),
        ("train", "epoch", "4"),
        ("train", "epochs", "0"),
    ] {
        let set = format!("{table}.{key}={value}");
        let recipe = Written::parse("small.toml", RECIPE, std::slice::from_ref(&set));
        let recipe = values(&recipe.unwrap_or_else(|e| panic!("{}", e.to_text(false))));
        let found = says(&recipe);
        let there = found.iter().any(|f| f.contains(table) && f.contains(key));
        assert!(there, "{set}: {found:?}");
    }
    let mut lacking = read(&bench.path("small.toml"));
    lacking["strategy"]
        .as_object_mut()
        .expect("a table")
        .remove("method");
    assert!(!says(&lacking).is_empty());
}
