//! How many runs of a folder have opened the same test rows.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::directory::Directory;
use super::execute::SOURCE_ONLY;
use super::given::test_rows;
use crate::Result;
use crate::check::Checked;
use crate::data::is_of;

/// What a result says of its test rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// Of their inputs, in order.
    pub sha256: String,
    /// Runs of the folder that this run's directory stands in, itself among them, that ended with a score on these very rows. The best of many is
    /// no estimate of what the next rows will bring.
    pub opened_by: usize,
    /// Data sets that they are of, by the names of their files, and the keys whose values were chosen on these: such a score is too good.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tuned_on: BTreeMap<&'static str, Vec<String>>,
}

impl Opened {
    /// By the run that is about to leave its result in a directory; none where it has no test.
    pub(super) fn by(c: &Checked, directory: &Directory) -> Result<Option<Self>> {
        // A run in small opens a few rows of them, and reading all would be taken for what a few cost.
        if c.small.is_some() {
            return Ok(None);
        }
        let Some(sha256) = test_rows(c)?.and_then(|mut rows| rows.pop()) else {
            return Ok(None);
        };
        // A twin that stands alone has nothing to be better than.
        let mut chosen = c.tuned_on.clone();
        chosen.retain(|(key, _)| key != "select.margin" || c.method != SOURCE_ONLY);
        let opened_by = 1 + others(directory.path(), &sha256);
        Ok(Some(Opened {
            sha256,
            opened_by,
            tuned_on: tuned_on(&c.values["target"], &chosen),
        }))
    }
}

/// The data sets that test rows are of, by the names of their files, among those that values were chosen on.
fn tuned_on(
    target: &Value,
    chosen: &[(String, &'static [&'static str])],
) -> BTreeMap<&'static str, Vec<String>> {
    let names = |key: &str| -> Vec<&str> {
        match &target[key] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        }
    };
    let test = match names("test") {
        test if test.iter().any(|t| *t != "unlabelled") => test,
        // They are the rows adapted on, or a part of those that are learned from.
        _ => [names("train"), names("unlabelled")].concat(),
    };
    let mut found: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for (key, sets) in chosen {
        for set in *sets {
            if test.iter().any(|file| is_of(set, file)) {
                found.entry(set).or_default().push(key.clone());
            }
        }
    }
    found
}

/// Folders beside this one with a result on these rows.
fn others(directory: &Path, sha256: &str) -> usize {
    // (A folder that is named without another before it stands in the current one.)
    let own = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
    let Some(beside) = own.parent().and_then(|f| std::fs::read_dir(f).ok()) else {
        return 0;
    };
    let paths = beside.flatten().map(|entry| entry.path());
    let result = |path: &Path| -> Option<Value> {
        serde_json::from_slice(&std::fs::read(path.join("result.json")).ok()?).ok()
    };
    let same = |path: &Path| result(path).is_some_and(|r| r["test_rows"]["sha256"] == sha256);
    paths.filter(|path| *path != own && same(path)).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_that_values_were_chosen_on_are_named() {
        let chosen: [(String, &[&str]); 2] = [
            ("strategy.temperature".into(), &["Office-31"]),
            (
                "select.margin".into(),
                &["Office with Caltech", "drawn scenes"],
            ),
        ];
        let told = |target: Value| tuned_on(&target, &chosen);
        let scenes = told(json!({ "unlabelled": "a.csv", "test": "builtin:scenes/night/test" }));
        assert_eq!(
            scenes,
            [("drawn scenes", vec!["select.margin".to_string()])].into()
        );
        let office = told(json!({ "unlabelled": "office-31/amazon", "test": "unlabelled" }));
        assert_eq!(office.len(), 2, "{office:?}");
        assert_eq!(office["Office-31"], ["strategy.temperature"]);
        let list = told(json!({ "unlabelled": "office-31/a", "test": ["b", "office-31/c"] }));
        assert_eq!(list.len(), 2);
        assert!(told(json!({ "unlabelled": "office-31/a", "test": "b" })).is_empty());
        assert!(told(json!({ "train": "books.csv" })).is_empty());
    }

    #[test]
    fn results_on_the_same_rows_are_counted_and_ones_own_is_not() {
        let folder = std::env::temp_dir().join(format!("tlkit-opened-{}", std::process::id()));
        let with = |name: &str, result: &str| {
            let run = folder.join(name);
            std::fs::create_dir_all(&run).expect("a folder");
            std::fs::write(run.join("result.json"), result).expect("a result");
            run
        };
        let rows = |sha: &str| format!(r#"{{"test_rows": {{"sha256": "{sha}"}}}}"#);
        let own = with("own", &rows("a"));
        with("same", &rows("a"));
        with("same too", &rows("a"));
        with("others", &rows("b"));
        with("none", "{}");
        with("broken", "{");
        std::fs::create_dir_all(folder.join("begun")).expect("a folder");
        assert_eq!(others(&own, "a"), 2);
        assert_eq!(others(&folder.join("new"), "b"), 1);
        assert_eq!(others(&own, "c"), 0);
        std::fs::remove_dir_all(&folder).expect("my own folder");
    }
}
