//! Recipes as they stand in a run's identity: tables in tables.

use std::collections::BTreeMap;

use serde_json::Value;

/// `train.epochs` to 3, through tables. What is null is not set.
pub fn flat(values: &Value) -> BTreeMap<String, &Value> {
    fn walk<'a>(prefix: &str, value: &'a Value, into: &mut BTreeMap<String, &'a Value>) {
        match value {
            Value::Object(entries) => {
                for (name, value) in entries {
                    let key = match prefix {
                        "" => name.clone(),
                        _ => format!("{prefix}.{name}"),
                    };
                    walk(&key, value, into);
                }
            }
            Value::Null => {}
            other => {
                into.insert(prefix.to_string(), other);
            }
        }
    }
    let mut out = BTreeMap::new();
    walk("", values, &mut out);
    out
}
